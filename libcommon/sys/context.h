#pragma once
#include <stdbool.h>

#include "base/uuid.h"

/* What a piece of work is about; goes with it through fibers, log lines, transactions and the bus.
 */
struct cm_context {
        char request_id[65];  /* "" when there is none */
        char traceparent[56]; /* W3C trace context, version 00 */
        bool has_user;
        struct cm_uuid user_id;
        struct cm_uuid tenant_id;
        const char *operation; /* operationId, consumer or job; static text */
};
