#pragma once
#include "event_rules.h"
#include "event_store.h"
#include "health.h"
#include "http/request.h"
#include "main_health_api.h"

/* What the handlers of events have in common. */

/* A problem with its title and status from proto/errors.yaml. `faults` and `detail` may be NULL. */
int health_problem(struct cm_request *request, const char *code, const char *detail,
                   const struct cm_faults *faults);

enum { REPLIED = 1 };

/* Makes a storable fact of `in`, which belongs to who asks. 0, REPLIED
 * when it is not valid, or an error. Suspends. */
int event_from_input(struct cm_request *request, const struct health_event_input *in,
                     const struct event_pointers *pointers,
                     struct recorded_event *event_r) CM_MUST_CHECK;

/* Replies to an append: `r` is what the store said. A change of vitals drops what is cached of
 * them. */
int event_reply_stored(struct cm_request *request, int r, const struct recorded_event *event);

/* One page of events. `more` says that there are others, `place` where they begin. */
int event_reply_page(struct cm_request *request, const struct event_list *list,
                     struct cm_str next_cursor);

/* The current version, which must be of who asks: 0, REPLIED (404) or an error. */
int event_find(struct cm_request *request, const struct cm_uuid *id,
               struct recorded_event *event_r) CM_MUST_CHECK;
