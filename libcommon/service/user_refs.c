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

static const struct cm_pg_statement upsert_ref = {
        .name = "user_ref_upsert",
        .sql = "INSERT INTO user_refs AS u (user_id, tenant_id, user_type, status, language,"
               " time_zone, version, updated_at)"
               " VALUES ($1::uuid, $2::uuid, $3::int2, $4::int2, $5::text, $6::text, $7::int8,"
               " $8::timestamptz)"
               " ON CONFLICT (user_id) DO UPDATE SET tenant_id = EXCLUDED.tenant_id,"
               " user_type = EXCLUDED.user_type, status = EXCLUDED.status,"
               " language = EXCLUDED.language, time_zone = EXCLUDED.time_zone,"
               " version = EXCLUDED.version, updated_at = EXCLUDED.updated_at"
               " WHERE u.version < EXCLUDED.version",
        .writes = true,
};

static void copy_text(char *out, size_t size, struct cm_str text)
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
        copy_text(ref_r->language, sizeof(ref_r->language), cm_pg_text(&row, 0, 3));
        copy_text(ref_r->time_zone, sizeof(ref_r->time_zone), cm_pg_text(&row, 0, 4));
        return 0;
}

int cm_user_ref_get(struct cm_worker *worker, const struct cm_uuid *user_id,
                    struct cm_user_ref *ref_r)
{
        struct user_ref_cache *cache = worker_of(worker)->refs;
        bool known;
        int r;

        if (user_ref_cache_find(cache, user_id, cm_monotonic_us(), &known, ref_r))
                return known ? 0 : CM_USER_REF_UNKNOWN;
        r = load(worker->pg, user_id, ref_r);
        if (r >= 0)
                user_ref_cache_keep(cache, user_id, cm_monotonic_us(), r == 0 ? ref_r : NULL);
        return r;
}

/* ---- the events */

struct expectation {
        struct worker *worker;
        struct cm_uuid user_id;
        int64_t version;
};

static void expect(void *arg)
{
        struct expectation *expectation = arg;

        user_ref_cache_expect(expectation->worker->refs, &expectation->user_id,
                              expectation->version);
        cm_free(expectation);
}

static void tell_workers(const struct user_ref *fact)
{
        struct worker *here = worker_here();

        for (size_t i = 0; here && i < here->daemon->worker_count; i++) {
                struct worker *worker = &here->daemon->workers[i];
                struct expectation *expectation;

                if (!atomic_load(&worker->open))
                        continue;
                expectation = CM_NEW(struct expectation);
                expectation->worker = worker;
                expectation->user_id = fact->user_id;
                expectation->version = fact->version;
                cm_loop_post(worker->public.loop, expect, expectation);
        }
}

int cm_user_ref_apply(struct cm_delivery *delivery, const void *fact)
{
        const struct user_ref *user = fact;
        CM_CLEANUP(cm_pg_params_deinit) struct cm_pg_params params = { 0 };
        int r;

        cm_pg_put_uuid(&params, &user->user_id);
        cm_pg_put_uuid(&params, &user->tenant_id);
        cm_pg_put_int2(&params, (int16_t)user->user_type);
        cm_pg_put_int2(&params, (int16_t)user->status);
        cm_pg_put_text(&params, user->language);
        cm_pg_put_text(&params, user->time_zone);
        cm_pg_put_int8(&params, user->version);
        cm_pg_put_time(&params, user->changed_at);
        r = cm_pg_tx_query(delivery->tx, &upsert_ref, &params, NULL);
        if (r)
                return r > 0 ? -CM_E_DATABASE : r;
        tell_workers(user);
        return 0;
}
