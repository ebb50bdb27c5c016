#pragma once
#include "scheduler.h"

/*
 * Messages on their way. A sender has a lease: while it runs nobody else sends the message, and
 * when the sender dies it ends by itself. Jobs hold ids only; address, language and the account's
 * state are read when a message is sent. All suspend.
 */
struct delivery_ticket {
        struct cm_uuid id, user;
        int attempt; /* from 1; what is settled under an older one changes nothing */
};

/* Up to `room` messages that are due; theirs is the sender's for `lease_us`. */
int delivery_store_claim(struct cm_pg *pg, int64_t lease_us, size_t room,
                         struct delivery_ticket *tickets, size_t *count_r) CM_MUST_CHECK;

/* What is needed to send one. */
struct delivery_job {
        struct cm_uuid id, user, occurrence, schedule, tenant;
        int number, attempt;
        cm_time nominal_at, due_at; /* due_at: planned, or snoozed until */
        struct cm_str name, description, medication_name, dose_unit;
        double dose_value;
        struct cm_str timezone, language;
        struct cm_str sealed_email;   /* of the schedule; absent: the account's */
        struct cm_str sealed_contact; /* of the account */
        bool account_ended;
        int64_t missed; /* runs before this one that were too late, since one was in time */
};

enum delivery_outcome { DELIVERY_GONE = 1 /* answered, deleted, or settled by somebody else */ };
/* Marks it as being sent and reads what is needed; texts in the arena. */
int delivery_store_begin(struct cm_pg *pg, struct cm_arena *arena,
                         const struct delivery_ticket *ticket,
                         struct delivery_job *job_r) CM_MUST_CHECK;

/* Whether a message may go to this address now; if not, when. `destination` is a digest. */
int delivery_store_space(struct cm_pg *pg, struct cm_str destination, int64_t spacing_us,
                         bool *free_r, cm_time *free_at_r) CM_MUST_CHECK;

/* How it ended; with its fact, in one transaction. */
int delivery_store_sent(struct cm_pg *pg, struct cm_arena *arena,
                        const struct delivery_job *job) CM_MUST_CHECK;
int delivery_store_failed(struct cm_pg *pg, struct cm_arena *arena, const struct delivery_job *job,
                          int32_t failure, struct cm_str detail) CM_MUST_CHECK;
/* Again in `wait_us`. */
int delivery_store_later(struct cm_pg *pg, const struct delivery_job *job, int64_t wait_us,
                         int32_t failure, struct cm_str detail) CM_MUST_CHECK;
/* Again at `free_at`; this was no attempt. */
int delivery_store_put_back(struct cm_pg *pg, const struct delivery_job *job,
                            cm_time free_at) CM_MUST_CHECK;
