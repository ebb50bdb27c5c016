#pragma once
#include "scheduler.h"

/* The tables occurrences and deliveries, as their owner sees them. All suspend. */
enum occurrence_outcome {
        OCCURRENCE_NOT_FOUND = 1,
        OCCURRENCE_ANSWERED, /* in another way */
        OCCURRENCE_NOT_FIRED,
        OCCURRENCE_TOO_OFTEN, /* snoozed */
};

struct occurrence_array {
        struct occurrence *items;
        size_t count;
};

/* A place in the list, newest first. */
struct occurrence_place {
        cm_time nominal_at;
        struct cm_uuid id;
};

int occurrence_store_read(struct cm_pg *pg, struct cm_arena *arena, const struct cm_uuid *user,
                          const struct cm_uuid *id, struct occurrence *occurrence_r) CM_MUST_CHECK;
/* Of one schedule, or of all (NULL); from the newest, or behind `after`. */
int occurrence_store_list(struct cm_pg *pg, struct cm_arena *arena, const struct cm_uuid *user,
                          const struct cm_uuid *schedule, const struct occurrence_place *after,
                          int32_t limit, struct occurrence_array *list_r) CM_MUST_CHECK;

/* What the person answers. Messages that have not gone out are not sent any more; a snooze makes
 * one for later. The same answer again changes nothing. */
struct occurrence_answer {
        int32_t ack; /* enum occurrence_ack */
        cm_time at;
        cm_time snoozed_until;
        struct cm_str reason;
};
int occurrence_store_answer(struct cm_pg *pg, struct cm_arena *arena, const struct cm_uuid *user,
                            const struct cm_uuid *id, const struct occurrence_answer *answer,
                            struct occurrence *occurrence_r) CM_MUST_CHECK;
/* Which one: `id`, or the newest of the schedule that fired in the last two days, or (neither) the
 * newest of all reminders that fired then and waits for an answer. */
struct occurrence_choice {
        const struct cm_uuid *id, *schedule_id;
};
/* The same in a transaction of the caller's. *occurrence_r is as it was before, without its
 * messages; *known_r: it had this answer already. */
int occurrence_store_answer_in(struct cm_pg_tx *tx, struct cm_arena *arena,
                               const struct cm_uuid *user, const struct occurrence_choice *choice,
                               const struct occurrence_answer *answer,
                               struct occurrence *occurrence_r, bool *known_r) CM_MUST_CHECK;

/* The id of an occurrence's message number `number`. */
struct cm_uuid occurrence_delivery_id(const struct cm_uuid *occurrence, int number);
/* The id of a schedule's planned time. */
struct cm_uuid occurrence_id(const struct cm_uuid *schedule, cm_time nominal_at);
