#pragma once
#include <stdbool.h>
#include <stdint.h>

#include "base/attr.h"
#include "http/request.h"

/* Limits of routes that are open to everybody, exact over all instances, counted before anything is
 * looked at. `operation` is the route's, so each has counters of its own. */

/* By the network that the request comes from, an hour. 0; positive after the reply (429); or an
 * error, also when it could not be counted: then nothing may happen. Suspends. */
int route_limit_network(struct cm_request *request, const char *operation,
                        int64_t limit) CM_MUST_CHECK;

/* By an e-mail address (canonical), an hour; whether there are any left. Suspends. */
int route_limit_address(struct cm_request *request, const char *operation, struct cm_str email_key,
                        int64_t limit, bool *allowed_r) CM_MUST_CHECK;
