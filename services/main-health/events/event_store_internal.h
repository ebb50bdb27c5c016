#pragma once
#include "event_store.h"

/* Shared by the three files that know the table: event_store.c (one event), event_store_many.c
 * (batches and imports), event_store_read.c. */

struct event_store {
        struct cm_pg *pg;
        struct cm_pg_gather *append;
};

/* The columns of a recorded_event, in the order that event_row_read() expects. */
#define EVENT_COLUMNS                                                                              \
        "e.user_id, e.id, e.version, e.status, e.event_type, e.event_subtype, e.flags, "           \
        "e.local_date,"                                                                            \
        " e.occurred_at, e.ended_at, e.created_at, e.zone, e.source, e.event_data, e.reason"
enum { EVENT_COLUMN_COUNT = 15 };

/* Row `row` of a result that begins with EVENT_COLUMNS; text is copied into the arena. */
void event_row_read(const struct cm_pg_result *result, int row, struct cm_arena *arena,
                    struct recorded_event *event_r);

/* Keys are kept as digests: any length in, 16 bytes in the index. */
enum { EVENT_DIGEST_SIZE = 16 };
struct event_digest {
        char bytes[EVENT_DIGEST_SIZE];
};
struct event_digest event_digest(struct cm_str text);
/* What is claimed of a key (cm_pg_claim): its own number among all people's, of its digest and the
 * random half of the user's id. */
int64_t event_claim_number(const struct cm_uuid *user, const struct event_digest *key);
