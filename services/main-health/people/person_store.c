#include "person_store.h"

#include "base/map.h"
#include "base/mem.h"

#define ENTRY_LIFE_US (5 * CM_SECOND)
enum { MAX_ENTRIES = 10000, MAX_ZONES = 200 };

struct entry {
        struct cm_arena arena;
        struct person person;
        int64_t ends_us; /* monotonic */
};

struct person_store {
        struct cm_pg *pg;
        struct cm_map *entries;
};

struct person_store *person_store_new(struct cm_pg *pg)
{
        struct person_store *store = CM_NEW(struct person_store);

        store->pg = pg;
        store->entries = cm_map_new();
        return store;
}

static void free_entry(void *value)
{
        struct entry *entry = value;

        if (!entry)
                return;
        cm_arena_deinit(&entry->arena);
        cm_free(entry);
}

void person_store_free(struct person_store **store)
{
        if (!*store)
                return;
        cm_map_free(&(*store)->entries, free_entry);
        cm_free(*store);
        *store = NULL;
}

static struct cm_str key_of(const struct cm_uuid *id)
{
        return (struct cm_str){ (const char *)id->bytes, sizeof(id->bytes) };
}

void person_store_drop(struct person_store *store, const struct cm_uuid *id)
{
        free_entry(cm_map_remove(store->entries, key_of(id)));
}

static void copy_person(const struct person *from, struct cm_arena *arena, struct person *to)
{
        *to = *from;
        to->zones = cm_arena_array(arena, from->zone_count + 1, sizeof(*to->zones));
        for (size_t i = 0; i < from->zone_count; i++)
                to->zones[i] = (struct person_zone){ from->zones[i].valid_from,
                                                     cm_arena_str(arena, from->zones[i].name) };
}

static void remember(struct person_store *store, const struct person *person)
{
        struct entry *entry = CM_NEW(struct entry);

        if (cm_map_count(store->entries) >= MAX_ENTRIES) {
                cm_map_free(&store->entries, free_entry);
                store->entries = cm_map_new();
        }
        cm_arena_init(&entry->arena, 256);
        copy_person(person, &entry->arena, &entry->person);
        entry->ends_us = cm_monotonic_us() + ENTRY_LIFE_US;
        free_entry(cm_map_put(store->entries, key_of(&person->id), entry));
}

/* The newest moves; somebody who moved more often than that gets the oldest of these for before. */
static const struct cm_pg_statement zones_statement = {
        .name = "person_zones",
        .sql = "SELECT valid_from, time_zone FROM (SELECT valid_from, time_zone FROM "
               "user_zone_history"
               " WHERE user_id = $1::uuid ORDER BY valid_from DESC LIMIT $2::int4) AS newest ORDER "
               "BY valid_from",
};

static int load(struct person_store *store, struct cm_arena *arena, const struct cm_uuid *id,
                struct person *person_r)
{
        CM_CLEANUP(cm_pg_params_deinit) struct cm_pg_params params = { 0 };
        CM_CLEANUP(cm_pg_result_clear) struct cm_pg_result result = { 0 };
        const struct cm_pg_scope scope = { id, 1, NULL };
        int r;

        cm_pg_put_uuid(&params, id);
        cm_pg_put_int4(&params, MAX_ZONES);
        r = cm_pg_query(store->pg, &scope, &zones_statement, &params, &result);
        if (r)
                return r;
        *person_r = (struct person){ .id = *id, .zone_count = (size_t)result.rows };
        person_r->zones = cm_arena_array(arena, person_r->zone_count + 1, sizeof(*person_r->zones));
        for (int i = 0; i < result.rows; i++)
                person_r->zones[i] =
                        (struct person_zone){ cm_pg_time(&result, i, 0),
                                              cm_arena_str(arena, cm_pg_text(&result, i, 1)) };
        return 0;
}

int person_store_get(struct person_store *store, struct cm_arena *arena, const struct cm_uuid *id,
                     struct person *person_r)
{
        const struct entry *entry = cm_map_get(store->entries, key_of(id));
        int r;

        if (entry && entry->ends_us > cm_monotonic_us()) {
                copy_person(&entry->person, arena, person_r);
                return 0;
        }
        r = load(store, arena, id, person_r);
        if (r == 0)
                remember(store, person_r);
        return r;
}

/* Nothing is written when the zone is the one that holds already, by the history or by an earlier
 * one of these moves. The history is read once for all: row-level security compares each row that
 * an index scan begins at with the whole list of persons. */
static const struct cm_pg_statement moved_statement = {
        .name = "persons_moved",
        .writes = true,
        .sql = "INSERT INTO user_zone_history (user_id, valid_from, time_zone)"
               " SELECT user_id, since, zone FROM (SELECT user_id, since, zone, n,"
               "  lag(zone) OVER (PARTITION BY user_id ORDER BY since) AS before"
               "  FROM (SELECT DISTINCT ON (user_id, since) * FROM"
               "   (SELECT user_id, valid_from AS since, time_zone AS zone, 0 AS n"
               "    FROM user_zone_history WHERE user_id = ANY ($1::uuid[])"
               "    UNION ALL SELECT * FROM unnest($1::uuid[], $2::timestamptz[], $3::text[])"
               "     WITH ORDINALITY AS given(user_id, since, zone, n)) known"
               "   ORDER BY user_id, since, n) one_at_a_time) moves"
               " WHERE n > 0 AND zone IS DISTINCT FROM before"
               " ORDER BY user_id, since ON CONFLICT DO NOTHING",
};

int person_store_moved(struct cm_pg_tx *tx, const struct person_move *moves, size_t count)
{
        CM_CLEANUP(cm_pg_params_deinit) struct cm_pg_params params = { 0 };

        cm_pg_array_begin(&params, CM_PG_UUID_ARRAY);
        for (size_t i = 0; i < count; i++)
                cm_pg_array_uuid(&params, &moves[i].id);
        cm_pg_array_end(&params);
        cm_pg_array_begin(&params, CM_PG_TIME_ARRAY);
        for (size_t i = 0; i < count; i++)
                cm_pg_array_int(&params, moves[i].from);
        cm_pg_array_end(&params);
        cm_pg_array_begin(&params, CM_PG_TEXT_ARRAY);
        for (size_t i = 0; i < count; i++)
                cm_pg_array_text(&params, moves[i].zone);
        cm_pg_array_end(&params);
        return cm_pg_tx_query(tx, &moved_statement, &params, NULL);
}

/* Only what is the account's newest version here counts. */
static const struct cm_pg_statement claims_statement = {
        .name = "persons_claims",
        .writes = true,
        .sql = "WITH newest AS (SELECT DISTINCT ON (user_id) f.*"
               "  FROM unnest($1::uuid[], $2::int2[], $3::uuid[], $4::int8[], $5::timestamptz[])"
               "   AS f(user_id, user_type, reference_id, version, claimed_at)"
               "  JOIN user_refs u USING (user_id) WHERE f.version >= u.version"
               "  ORDER BY user_id, f.version DESC),"
               " gone AS (DELETE FROM account_references a USING newest n"
               "  WHERE a.user_id = n.user_id AND n.reference_id IS NULL)"
               " INSERT INTO account_references AS a SELECT * FROM newest"
               "  WHERE reference_id IS NOT NULL"
               " ON CONFLICT (user_id) DO UPDATE SET user_type = EXCLUDED.user_type,"
               "  reference_id = EXCLUDED.reference_id, version = EXCLUDED.version,"
               "  claimed_at = EXCLUDED.claimed_at",
};

int person_store_claims(struct cm_pg_tx *tx, const struct user_ref *const *facts, size_t count)
{
        CM_CLEANUP(cm_pg_params_deinit) struct cm_pg_params params = { 0 };

        cm_pg_array_begin(&params, CM_PG_UUID_ARRAY);
        for (size_t i = 0; i < count; i++)
                cm_pg_array_uuid(&params, &facts[i]->user_id);
        cm_pg_array_end(&params);
        cm_pg_array_begin(&params, CM_PG_INT2_ARRAY);
        for (size_t i = 0; i < count; i++)
                cm_pg_array_int(&params, facts[i]->user_type);
        cm_pg_array_end(&params);
        cm_pg_array_begin(&params, CM_PG_UUID_ARRAY);
        for (size_t i = 0; i < count; i++)
                if (facts[i]->has_reference_id == CM_PRESENT)
                        cm_pg_array_uuid(&params, &facts[i]->reference_id);
                else
                        cm_pg_array_null(&params);
        cm_pg_array_end(&params);
        cm_pg_array_begin(&params, CM_PG_INT8_ARRAY);
        for (size_t i = 0; i < count; i++)
                cm_pg_array_int(&params, facts[i]->version);
        cm_pg_array_end(&params);
        cm_pg_array_begin(&params, CM_PG_TIME_ARRAY);
        for (size_t i = 0; i < count; i++)
                cm_pg_array_int(&params, facts[i]->changed_at);
        cm_pg_array_end(&params);
        return cm_pg_tx_query(tx, &claims_statement, &params, NULL);
}

static const struct cm_pg_statement erase_statement = {
        .name = "person_erase",
        .writes = true,
        .sql = "SELECT health_record_erase($1::uuid)",
};

int person_store_erase(struct cm_pg_tx *tx, const struct cm_uuid *id)
{
        CM_CLEANUP(cm_pg_params_deinit) struct cm_pg_params params = { 0 };

        cm_pg_put_uuid(&params, id);
        return cm_pg_tx_query(tx, &erase_statement, &params, NULL);
}
