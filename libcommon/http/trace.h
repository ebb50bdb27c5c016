#pragma once
#include <stdbool.h>
#include <stdint.h>

#include "base/str.h"

/* Names that follow a request through logs and the bus: X-Request-Id and W3C traceparent. */

#define CM_REQUEST_ID_SIZE  65
#define CM_TRACEPARENT_SIZE 56

/* Random names that nobody needs to be unable to guess; seeded from the kernel. */
struct cm_trace_source {
        uint64_t state[2];
};
void cm_trace_source_init(struct cm_trace_source *source);

/* Takes `given` when it is 1 to 64 of [A-Za-z0-9._~-], else makes one of 32 hexadecimal digits. */
void cm_request_id_choose(struct cm_trace_source *source, struct cm_str given,
                          char out[CM_REQUEST_ID_SIZE]);
/* Takes the trace of `given` when it is well-formed (version 00, or a later one read as 00), with a
 * span id of our own; else starts a trace. */
void cm_traceparent_choose(struct cm_trace_source *source, struct cm_str given,
                           char out[CM_TRACEPARENT_SIZE]);
