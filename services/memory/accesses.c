#include "accesses.h"

#include "base/error.h"
#include "base/mem.h"
#include "sys/fiber.h"
#include "sys/log.h"
#include "sys/metrics.h"

#define WRITE_EVERY_US   (5 * CM_SECOND)
#define WRITE_TIMEOUT_US (10 * CM_SECOND)
enum { MAX_NOTED = 2000 };

static struct cm_metric lost_metric =
        CM_COUNTER("salus_memory_accesses_lost_total", "Recalls whose time was not written down");

struct access {
        struct cm_uuid user;
        struct cm_uuid id;
        cm_time at;
};

struct accesses {
        struct cm_pg *pg;
        struct access noted[MAX_NOTED];
        size_t count;
        struct cm_group group;
        bool is_stopping;
        struct cm_fiber *writer;
};

/* The rows of a batch are locked in the order of their ids, so that two batches do not wait for
 * each other. */
static const struct cm_pg_statement write_statement = {
        .name = "memory_accessed",
        .writes = true,
        .sql = "WITH noted AS (SELECT user_id, id, max(at) AS at"
               "  FROM unnest($1::uuid[], $2::uuid[], $3::timestamptz[]) AS t(user_id, id, at)"
               "  GROUP BY user_id, id"
               "), locked AS (SELECT m.user_id, m.id, noted.at FROM memory_items m"
               "  JOIN noted USING (user_id, id) ORDER BY m.user_id, m.id FOR UPDATE OF m"
               ") UPDATE memory_items m SET last_accessed_at = locked.at FROM locked"
               " WHERE m.user_id = locked.user_id AND m.id = locked.id"
               "  AND (m.last_accessed_at IS NULL OR m.last_accessed_at < locked.at)",
};

static void put(const struct access *noted, size_t count, struct cm_pg_params *params)
{
        cm_pg_array_begin(params, CM_PG_UUID_ARRAY);
        for (size_t i = 0; i < count; i++)
                cm_pg_array_uuid(params, &noted[i].user);
        cm_pg_array_end(params);
        cm_pg_array_begin(params, CM_PG_UUID_ARRAY);
        for (size_t i = 0; i < count; i++)
                cm_pg_array_uuid(params, &noted[i].id);
        cm_pg_array_end(params);
        cm_pg_array_begin(params, CM_PG_TIME_ARRAY);
        for (size_t i = 0; i < count; i++)
                cm_pg_array_int(params, noted[i].at);
        cm_pg_array_end(params);
}

static void write_noted(struct accesses *accesses)
{
        CM_CLEANUP(cm_pg_params_deinit) struct cm_pg_params params = { 0 };
        size_t count = accesses->count;
        struct cm_uuid *users;
        struct cm_pg_scope scope;
        int r;

        if (!count)
                return;
        users = cm_alloc_array(count, sizeof(*users));
        for (size_t i = 0; i < count; i++)
                users[i] = accesses->noted[i].user;
        put(accesses->noted, count, &params);
        accesses->count = 0;
        scope = (struct cm_pg_scope){ users, count, NULL };
        r = cm_pg_query(accesses->pg, &scope, &write_statement, &params, NULL);
        cm_free(users);
        if (r) {
                cm_counter_add(&lost_metric, (int64_t)count);
                cm_log(CM_LOG_INFO, "times of recalls were not written", CM_F_ERROR(r));
        }
}

static void write_now_and_then(void *arg)
{
        struct accesses *accesses = arg;

        accesses->writer = cm_fiber_self();
        (void)cm_fiber_set_deadline(CM_NEVER); /* not that of the start */
        while (!accesses->is_stopping && cm_fiber_sleep(WRITE_EVERY_US) == 0) {
                (void)cm_fiber_set_deadline(cm_monotonic_us() + WRITE_TIMEOUT_US);
                write_noted(accesses);
                (void)cm_fiber_set_deadline(CM_NEVER);
        }
        accesses->writer = NULL;
}

int accesses_start(struct cm_pg *pg, struct accesses **accesses_r)
{
        struct accesses *accesses = CM_NEW(struct accesses);

        accesses->pg = pg;
        cm_group_init(&accesses->group);
        *accesses_r = accesses;
        return cm_group_start(&accesses->group, "accesses", write_now_and_then, accesses);
}

void accesses_stop(struct accesses **accesses_ptr)
{
        struct accesses *accesses = *accesses_ptr;

        if (!accesses)
                return;
        accesses->is_stopping = true;
        if (accesses->writer)
                cm_fiber_cancel(accesses->writer);
        (void)cm_group_join(&accesses->group);
        write_noted(accesses);
        cm_free(accesses);
        *accesses_ptr = NULL;
}

void accesses_note(struct accesses *accesses, const struct cm_uuid *user, const struct cm_uuid *id,
                   cm_time at)
{
        if (accesses->count < MAX_NOTED)
                accesses->noted[accesses->count++] = (struct access){ *user, *id, at };
        else
                cm_counter_add(&lost_metric, 1);
}
