#pragma once
#include <stdint.h>

#include "http/request.h"

/* Answers that several routes of auth give. */

/* 401 with one of the generated codes. */
int refuse_unauthorized(struct cm_request *request, const char *code, const char *title);
/* 429 until `wait_us` have passed. */
int refuse_too_many(struct cm_request *request, const char *title, int64_t wait_us);
