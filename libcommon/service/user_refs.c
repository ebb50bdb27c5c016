#include <string.h>

#include "base/error.h"
#include "base/list.h"
#include "base/map.h"
#include "base/mem.h"
#include "events.h"
#include "service/daemon.h"
#include "service/user_refs_internal.h"

/*
 * The consumer runs in one worker and the caches are in all. When an event has been applied, each
 * worker is told the version that it must have seen; until the transaction is committed a reader
 * may still load the older row, and then does not keep it.
 */
#define MAX_ENTRIES 4096
#define FRESH_US    CM_MINUTE
#define UNKNOWN_US  CM_SECOND /* somebody whose event has not come: asked for again soon */

struct entry {
        struct cm_list recent; /* most recently used last */
        struct cm_user_ref ref;
        bool known;
        int64_t until_us; /* monotonic; 0: not loaded */
        int64_t least_version;
};

struct user_ref_cache {
        struct cm_map *entries;
        struct cm_list recent;
};

struct user_ref_cache *user_ref_cache_new(void)
{
        struct user_ref_cache *cache = CM_NEW(struct user_ref_cache);

        cache->entries = cm_map_new();
        cm_list_init(&cache->recent);
        return cache;
}

void user_ref_cache_free(struct user_ref_cache **cache)
{
        if (!*cache)
                return;
        cm_map_free(&(*cache)->entries, cm_free);
        cm_free(*cache);
        *cache = NULL;
}

static struct cm_str key_of(const struct cm_uuid *user_id)
{
        return (struct cm_str){ (const char *)user_id->bytes, sizeof(user_id->bytes) };
}

static void drop_oldest(struct user_ref_cache *cache)
{
        struct entry *oldest = CM_CONTAINER(cache->recent.next, struct entry, recent);

        (void)cm_map_remove(cache->entries, key_of(&oldest->ref.user_id));
        cm_list_remove(&oldest->recent);
        cm_free(oldest);
}

/* Found or made, and now the most recently used. */
static struct entry *entry_of(struct user_ref_cache *cache, const struct cm_uuid *user_id)
{
        struct entry *entry = cm_map_get(cache->entries, key_of(user_id));

        if (!entry) {
                if (cm_map_count(cache->entries) >= MAX_ENTRIES)
                        drop_oldest(cache);
                entry = CM_NEW(struct entry);
                entry->ref.user_id = *user_id;
                cm_list_init(&entry->recent);
                (void)cm_map_put(cache->entries, key_of(user_id), entry);
        }
        cm_list_remove(&entry->recent);
        cm_list_append(&cache->recent, &entry->recent);
        return entry;
}

void user_ref_cache_expect(struct user_ref_cache *cache, const struct cm_uuid *user_id,
                           int64_t version)
{
        struct entry *entry = entry_of(cache, user_id);

        if (version > entry->least_version)
                entry->least_version = version;
        if (!entry->known || entry->ref.version < version)
                entry->until_us = 0;
}

bool user_ref_cache_find(struct user_ref_cache *cache, const struct cm_uuid *user_id,
                         int64_t now_us, bool *known_r, struct cm_user_ref *ref_r)
{
        struct entry *entry = cm_map_get(cache->entries, key_of(user_id));

        if (!entry || now_us >= entry->until_us)
                return false;
        *known_r = entry->known;
        *ref_r = entry->ref;
        cm_list_remove(&entry->recent);
        cm_list_append(&cache->recent, &entry->recent);
        return true;
}

void user_ref_cache_keep(struct user_ref_cache *cache, const struct cm_uuid *user_id,
                         int64_t now_us, const struct cm_user_ref *ref)
{
        struct entry *entry = entry_of(cache, user_id);

        if ((ref ? ref->version : 0) < entry->least_version)
                return;
        entry->known = ref != NULL;
        if (ref)
                entry->ref = *ref;
        entry->until_us = now_us + (ref ? FRESH_US : UNKNOWN_US);
}

/* ---- the table */

static const struct cm_pg_statement select_ref = {
        .name = "user_ref",
        .sql = "SELECT tenant_id, user_type, status, language, time_zone, version"
               " FROM user_refs WHERE user_id = $1::uuid",
};

/* In the order of the ids, so that two consumers do not wait for each other; of one person's
 * versions the newest. */
static const struct cm_pg_statement upsert_refs = {
        .name = "user_refs_upsert",
        .sql = "INSERT INTO user_refs AS u (user_id, tenant_id, user_type, status, language,"
               " time_zone, version, updated_at)"
               " SELECT DISTINCT ON (user_id) * FROM unnest($1::uuid[], $2::uuid[], $3::int2[],"
               "  $4::int2[], $5::text[], $6::text[], $7::int8[], $8::timestamptz[])"
               "  AS f(user_id, tenant_id, user_type, status, language, time_zone, version,"
               "  updated_at) ORDER BY user_id, version DESC"
               " ON CONFLICT (user_id) DO UPDATE SET tenant_id = EXCLUDED.tenant_id,"
               " user_type = EXCLUDED.user_type, status = EXCLUDED.status,"
               " language = EXCLUDED.language, time_zone = EXCLUDED.time_zone,"
               " version = EXCLUDED.version, updated_at = EXCLUDED.updated_at"
               " WHERE u.version < EXCLUDED.version",
        .writes = true,
};

void user_ref_copy_text(char *out, size_t size, struct cm_str text)
{
        size_t len = text.len < size - 1 ? text.len : size - 1;

        memcpy(out, text.data, len);
        out[len] = '\0';
}

static int load(struct cm_pg *pg, const struct cm_uuid *user_id, struct cm_user_ref *ref_r)
{
        const struct cm_pg_scope scope = { .users = user_id, .count = 1 };
        CM_CLEANUP(cm_pg_params_deinit) struct cm_pg_params params = { 0 };
        CM_CLEANUP(cm_pg_result_clear) struct cm_pg_result row = { 0 };
        int r;

        cm_pg_put_uuid(&params, user_id);
        r = cm_pg_query(pg, &scope, &select_ref, &params, &row);
        if (r)
                return r > 0 ? -CM_E_DATABASE : r;
        if (row.rows == 0)
                return CM_USER_REF_UNKNOWN;
        *ref_r = (struct cm_user_ref){ .user_id = *user_id,
                                       .tenant_id = cm_pg_uuid(&row, 0, 0),
                                       .user_type = (int32_t)cm_pg_int(&row, 0, 1),
                                       .status = (int32_t)cm_pg_int(&row, 0, 2),
                                       .version = cm_pg_int(&row, 0, 5) };
        user_ref_copy_text(ref_r->language, sizeof(ref_r->language), cm_pg_text(&row, 0, 3));
        user_ref_copy_text(ref_r->time_zone, sizeof(ref_r->time_zone), cm_pg_text(&row, 0, 4));
        return 0;
}

int cm_user_ref_get(struct cm_worker *worker, const struct cm_uuid *user_id,
                    struct cm_user_ref *ref_r)
{
        struct user_ref_cache *cache = worker_of(worker)->refs;
        const struct cm_documents *documents = worker->service->documents;
        bool known;
        int r;

        if (user_ref_cache_find(cache, user_id, cm_monotonic_us(), &known, ref_r))
                return known ? 0 : CM_USER_REF_UNKNOWN;
        r = documents ? documents->store->find_user(worker->mongo, user_id, ref_r)
                      : load(worker->pg, user_id, ref_r);
        if (r >= 0)
                user_ref_cache_keep(cache, user_id, cm_monotonic_us(), r == 0 ? ref_r : NULL);
        return r;
}

/* ---- the events */

/* Versions that a worker must have seen. */
struct expectations {
        struct worker *worker;
        size_t count;
        struct {
                struct cm_uuid user_id;
                int64_t version;
        } items[];
};

static void expect(void *arg)
{
        struct expectations *expected = arg;

        for (size_t i = 0; i < expected->count; i++)
                user_ref_cache_expect(expected->worker->refs, &expected->items[i].user_id,
                                      expected->items[i].version);
        cm_free(expected);
}

static void tell_worker(struct worker *worker, const struct user_ref *const *users, size_t count)
{
        struct expectations *expected =
                cm_alloc(sizeof(*expected) + count * sizeof(*expected->items));

        expected->worker = worker;
        expected->count = count;
        for (size_t i = 0; i < count; i++) {
                expected->items[i].user_id = users[i]->user_id;
                expected->items[i].version = users[i]->version;
        }
        cm_loop_post(worker->public.loop, expect, expected);
}

static void tell_workers(const struct user_ref *const *users, size_t count)
{
        struct worker *here = worker_here();

        for (size_t i = 0; here && i < here->daemon->worker_count; i++)
                if (atomic_load(&here->daemon->workers[i].open))
                        tell_worker(&here->daemon->workers[i], users, count);
}

/* A column of the statement: the expression's value of each user. */
#define PUT_COLUMN(params, kind, put, value)                                                       \
        do {                                                                                       \
                cm_pg_array_begin(params, kind);                                                   \
                for (size_t i = 0; i < count; i++)                                                 \
                        put(params, value);                                                        \
                cm_pg_array_end(params);                                                           \
        } while (0)

static void put_users(struct cm_pg_params *params, const struct user_ref *const *users,
                      size_t count)
{
        PUT_COLUMN(params, CM_PG_UUID_ARRAY, cm_pg_array_uuid, &users[i]->user_id);
        PUT_COLUMN(params, CM_PG_UUID_ARRAY, cm_pg_array_uuid, &users[i]->tenant_id);
        PUT_COLUMN(params, CM_PG_INT2_ARRAY, cm_pg_array_int, users[i]->user_type);
        PUT_COLUMN(params, CM_PG_INT2_ARRAY, cm_pg_array_int, users[i]->status);
        PUT_COLUMN(params, CM_PG_TEXT_ARRAY, cm_pg_array_text, users[i]->language);
        PUT_COLUMN(params, CM_PG_TEXT_ARRAY, cm_pg_array_text, users[i]->time_zone);
        PUT_COLUMN(params, CM_PG_INT8_ARRAY, cm_pg_array_int, users[i]->version);
        PUT_COLUMN(params, CM_PG_TIME_ARRAY, cm_pg_array_int, users[i]->changed_at);
}

int cm_user_ref_apply_batch(struct cm_delivery *deliveries, const void *const *facts, size_t count)
{
        const struct user_ref **users = cm_arena_array(deliveries->arena, count, sizeof(*users));
        CM_CLEANUP(cm_pg_params_deinit) struct cm_pg_params params = { 0 };
        int r;

        for (size_t i = 0; i < count; i++)
                users[i] = facts[i];
        if (deliveries->mongo) {
                r = worker_here()->public.service->documents->store->put_users(
                        deliveries->mongo, deliveries->arena, users, count);
        } else {
                put_users(&params, users, count);
                r = cm_pg_tx_query(deliveries->tx, &upsert_refs, &params, NULL);
        }
        if (r)
                return r > 0 ? -CM_E_DATABASE : r;
        tell_workers(users, count);
        return 0;
}

int cm_user_ref_apply(struct cm_delivery *delivery, const void *fact)
{
        return cm_user_ref_apply_batch(delivery, &fact, 1);
}
