#pragma once
#include "http/request.h"
#include "memory_service.h"

/* What the handlers have in common. */

enum { REPLIED = 1 };

/* A problem with its title and status from proto/errors.yaml. `faults` may be NULL. */
int memory_problem(struct cm_request *request, const char *code, const struct cm_faults *faults);
/* One memory as its owner sees it now, its version as ETag. */
int memory_reply(struct cm_request *request, int status, struct memory *memory);
/* What changes with time: a short-term memory is archived some time after its last change. */
void memory_at(const struct memory_service *service, cm_time now, struct memory *memory);
/* Rules for a request of who asks. */
struct memory_rules memory_rules_of(struct cm_request *request, struct cm_faults *faults);
