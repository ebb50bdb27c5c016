#pragma once
#include "http/request.h"
#include "http/route.h"

/* What the guard (service/) may do with a request beyond what handlers may. */

/* Who asks. Copied into the request; also puts user and tenant into the fiber's context. */
void cm_request_set_claims(struct cm_request *request, const struct cm_claims *claims);

/* Monotonic time when the head was complete. */
int64_t cm_request_started_us(const struct cm_request *request);
