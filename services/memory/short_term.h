#pragma once
#include "memory_service.h"

/*
 * The short-term list of a person in Redis: what was remembered or changed last, newest first,
 * trimmed, for a day after it was last touched. A copy that may be lost: it begins with the
 * generation that it shows, the database knows the present one, and a list that shows another is
 * not believed but made anew. So a list that missed something, because Redis was away or two
 * replicas wrote at once, is never shown.
 */

/* The person has a new memory and nothing else has changed. Best effort. Suspends. */
void short_term_add(struct memory_service *service, struct cm_arena *arena,
                    const struct memory *memory, int64_t generation);
/* Something else has changed up to that generation: nothing of the list stays. Best effort, and
 * done again when memory.forgotten comes over the bus. Suspends. */
void short_term_drop(struct memory_service *service, struct cm_arena *arena,
                     const struct cm_uuid *user, int64_t generation);

/* Nothing stays, whatever it shows. 0 or an error. Suspends. */
int short_term_remove(struct memory_service *service, struct cm_arena *arena,
                      const struct cm_uuid *user) CM_MUST_CHECK;

/* The list, from Redis or the database. Suspends. */
int short_term_read(struct memory_service *service, struct cm_arena *arena,
                    const struct cm_uuid *user, cm_time now,
                    struct memory_recent *recent_r) CM_MUST_CHECK;

/* What the database calls current: short-term memories that are older are archived. */
cm_time short_term_since(const struct memory_service *service, cm_time now);
