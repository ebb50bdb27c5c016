#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/attr.h"
#include "base/str.h"
#include "base/time.h"
#include "base/uuid.h"
#include "store/pg.h"

/*
 * The log of health events: the only file that knows the table. It is append-only: an event is a
 * row, a correction or a void is a further version of the same id, and the current version is the
 * one that no later one follows. Every append writes its facts for the bus in the same transaction.
 *
 * Enumerations are the numbers of proto/ (HEALTH_EVENT_TYPE_…, VITAL_SUBTYPE_… and so on).
 */
struct event_store;

#define EVENT_NO_END INT64_MIN /* ended_at of what happened at one instant */

/* The bits of `flags`: 1 << (HEALTH_EVENT_FLAG_… - 1). */

struct recorded_event {
        struct cm_uuid user_id;
        struct cm_uuid id;
        int16_t version;
        int16_t status;
        int16_t event_type;
        int16_t event_subtype;
        int16_t flags;
        cm_time occurred_at;
        cm_time ended_at; /* or EVENT_NO_END */
        cm_time created_at;
        cm_date local_date;
        struct cm_str zone; /* IANA name or +hh:mm */
        struct cm_str source;
        struct cm_str event_data; /* JSON */
        struct cm_str reason;     /* of a correction or void; absent else */
        struct cm_str key;        /* the request's idempotency key; absent: none */
        struct cm_str body;       /* what came in with the key: told apart by its digest */
};

/* `told` is called after each gathered commit: there are facts in the outbox. */
int event_store_new(struct cm_pg *pg, void (*told)(void *arg), void *arg,
                    struct event_store **store_r) CM_MUST_CHECK;
void event_store_free(struct event_store **store);

enum event_store_outcome {
        EVENT_STORED_BEFORE =
                1,        /* under the same key, by the same body: *event is what was stored */
        EVENT_KEY_REUSED, /* the key was used for another body */
        EVENT_NOT_FOUND,
        EVENT_VERSION_TAKEN, /* another version came in between */
        EVENT_KEY_AT_WORK,   /* the first attempt with this key still runs somewhere */
};

/*
 * Appends one event. Rows that arrive while a statement is in flight leave together in the next
 * one. Suspends until the row is durable. 0, EVENT_STORED_BEFORE, EVENT_KEY_REUSED,
 * EVENT_KEY_AT_WORK, or an error.
 * Text that is read back lives in `arena`.
 */
int event_store_append(struct event_store *store, struct cm_arena *arena,
                       struct recorded_event *event) CM_MUST_CHECK;

/*
 * Appends events of one user in one statement. outcomes_r[i] is 0, EVENT_STORED_BEFORE (only the id
 * is read back) or EVENT_KEY_REUSED. EVENT_KEY_AT_WORK as the result of the whole: one of the keys
 * is, and nothing was stored. All or nothing in case of an error.
 */
int event_store_append_many(struct event_store *store, struct cm_arena *arena,
                            struct recorded_event *events, size_t count,
                            int *outcomes_r) CM_MUST_CHECK;

/* Appends a further version of an event, events[version - 1] being the current one. 0,
 * EVENT_STORED_BEFORE, EVENT_KEY_REUSED, EVENT_KEY_AT_WORK or EVENT_VERSION_TAKEN. */
int event_store_append_version(struct event_store *store, struct cm_arena *arena,
                               struct recorded_event *event) CM_MUST_CHECK;

/* The current version. 0 or EVENT_NOT_FOUND. */
int event_store_read(struct event_store *store, struct cm_arena *arena, const struct cm_uuid *user,
                     const struct cm_uuid *id, struct recorded_event *event_r) CM_MUST_CHECK;

/* What was stored under a key. 0 (none), EVENT_STORED_BEFORE or EVENT_KEY_REUSED. */
int event_store_find_key(struct event_store *store, struct cm_arena *arena,
                         const struct cm_uuid *user, struct cm_str key, struct cm_str body,
                         struct recorded_event *event_r) CM_MUST_CHECK;

struct event_list {
        struct recorded_event *items;
        size_t count;
};

/* All times that there are: the years 1 to 9999. */
#define EVENT_EARLIEST INT64_C(-62135596800000000)
#define EVENT_LATEST   INT64_C(253402300800000000)

/* A stretch of the timeline. */
struct event_query {
        struct cm_uuid user;
        int16_t event_type;    /* 0: all */
        int16_t event_subtype; /* 0: all */
        cm_time from;          /* at or after */
        cm_time before; /* strictly; with before_id: what comes after (before, before_id) in the
                           list */
        struct cm_uuid before_id; /* nil: none */
        bool include_voided;
        int32_t limit;
};

/* Current versions, newest first. */
int event_store_list(struct event_store *store, struct cm_arena *arena,
                     const struct event_query *query, struct event_list *list_r) CM_MUST_CHECK;

/* Versions of one event below `before_version`, newest first. */
int event_store_history(struct event_store *store, struct cm_arena *arena,
                        const struct cm_uuid *user, const struct cm_uuid *id,
                        int16_t before_version, int32_t limit,
                        struct event_list *list_r) CM_MUST_CHECK;

/* The newest current event of each vital subtype. */
int event_store_latest_vitals(struct event_store *store, struct cm_arena *arena,
                              const struct cm_uuid *user, struct event_list *list_r) CM_MUST_CHECK;

/* Current, not voided events whose local_date is from `from` to `to`, by day, then oldest first. */
int event_store_days(struct event_store *store, struct cm_arena *arena, const struct cm_uuid *user,
                     cm_date from, cm_date to, struct event_list *list_r) CM_MUST_CHECK;

/* Days on which the person recorded something themselves, anything but vitals; newest first. */
int event_store_own_days(struct event_store *store, struct cm_arena *arena,
                         const struct cm_uuid *user, cm_date **days_r,
                         size_t *count_r) CM_MUST_CHECK;

/* ---- imports */

/* An event that an import found. Its id is made from its source's identity (version 8: 48 bits of
 * occurred_at in milliseconds, then a hash), so that the same record never comes in twice. Check
 * its values with plausible_ranges.h first, and make local_date with event_local_date(). */
struct imported_event {
        struct cm_uuid id;
        int16_t event_type;
        int16_t event_subtype;
        int16_t flags;
        cm_time occurred_at;
        cm_time ended_at; /* or EVENT_NO_END */
        cm_date local_date;
        struct cm_str zone;
        struct cm_str source;     /* "apple_health:Watch": app or format, then device */
        struct cm_str event_data; /* JSON, as the schemas of proto/ have it for the type */
};

struct import_counts {
        int64_t added;
        int64_t known;        /* were there already, or twice among the rows */
        int64_t known_before; /* of these, the ones that were there already */
};

/*
 * Appends rows of `user` inside the caller's transaction, whose scope must name that user, with one
 * health.updated for those that were new. Works best with 1,000 to 10,000 rows. Suspends.
 *
 * With `all_new` none of them is expected to be there already: a third cheaper, but if one is, the
 * outcome is CM_PG_DUPLICATE and nothing is stored.
 */
int event_store_import(struct cm_pg_tx *tx, const struct cm_uuid *user,
                       const struct imported_event *rows, size_t count, bool all_new,
                       struct import_counts *counts_r) CM_MUST_CHECK;
