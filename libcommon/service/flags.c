#include "service/flags.h"

#include <string.h>

#include "base/error.h"
#include "base/map.h"
#include "base/mem.h"
#include "codec/digest.h"
#include "keys.h"
#include "service/flags_internal.h"
#include "sys/fiber.h"
#include "sys/log.h"

#define KEPT_US         CM_MINUTE
#define LOOK_TIMEOUT_US (500 * CM_MILLISECOND)
#define RETRY_US        CM_SECOND
#define MAX_TENANTS     1000

/* Of one tenant. */
struct flags_entry {
        struct cm_arena arena;
        struct flag_set set;
        int64_t until_us; /* monotonic; past: to be read again */
};

struct flags {
        struct cm_map *tenants; /* struct flags_entry, by id */
        uint64_t changes;       /* heard of so far */
};

/* ---- rules */

/* Evenly over [0, 100), the same for ever. */
static double position_of(struct cm_str key, const struct cm_uuid *user)
{
        uint8_t digest[CM_SHA256_SIZE];
        uint64_t number = 0;

        cm_hmac_sha256(key, user->bytes, sizeof(user->bytes), digest);
        for (size_t i = 0; i < 6; i++)
                number = number << 8 | digest[i];
        return (double)number / (double)(UINT64_C(1) << 48) * 100;
}

bool cm_flag_is_on(const struct flag_set_item *flag, const struct cm_uuid *user)
{
        if (!flag->enabled)
                return false;
        for (size_t i = 0; i < flag->users.count; i++)
                if (cm_uuid_equal(&flag->users.items[i], user))
                        return true;
        return position_of(flag->key, user) < flag->share;
}

/* ---- what a worker keeps */

static void free_entry(void *item)
{
        struct flags_entry *entry = item;

        cm_arena_deinit(&entry->arena);
        cm_free(entry);
}

struct flags *flags_new(void)
{
        struct flags *flags = CM_NEW(struct flags);

        flags->tenants = cm_map_new();
        return flags;
}

void flags_free(struct flags **flags)
{
        if (!*flags)
                return;
        cm_map_free(&(*flags)->tenants, free_entry);
        cm_free(*flags);
        *flags = NULL;
}

/* The words are a tenant, or absent: some may have been missed. What is kept stays in use until it
 * has been read again. */
static void on_change(void *arg, struct cm_str words CM_UNUSED)
{
        struct flags *flags = arg;
        size_t position = 0;
        struct cm_str key;
        void *entry;

        flags->changes++;
        while (cm_map_next(flags->tenants, &position, &key, &entry))
                ((struct flags_entry *)entry)->until_us = 0;
}

int flags_start(struct worker *worker)
{
        return cm_signals_listen(worker->public.signals, CM_STR("auth.flags"), on_change,
                                 worker->flags);
}

/* ---- reading */

static struct cm_str key_of(const struct cm_uuid *tenant)
{
        return (struct cm_str){ (const char *)tenant->bytes, sizeof(tenant->bytes) };
}

/* Takes the place of what was known of the tenant. 0 or -CM_E_MALFORMED. */
static int keep(struct flags *flags, const struct cm_uuid *tenant, struct cm_str json,
                bool is_newest)
{
        struct flags_entry *entry = CM_NEW(struct flags_entry);
        struct cm_faults faults = { 0 };
        void *before;

        cm_arena_init(&entry->arena, 1024);
        entry->until_us = is_newest ? cm_monotonic_us() + KEPT_US : 0;
        if (json.data &&
            cm_schema_decode(&flag_set_schema, json, &entry->arena, &entry->set, &faults)) {
                cm_log(CM_LOG_ERROR, "the published feature flags are not usable");
                free_entry(entry);
                return -CM_E_MALFORMED;
        }
        if (cm_map_count(flags->tenants) >= MAX_TENANTS) {
                cm_map_free(&flags->tenants, free_entry);
                flags->tenants = cm_map_new();
        }
        before = cm_map_put(flags->tenants, key_of(tenant), entry);
        if (before)
                free_entry(before);
        return 0;
}

static int fetch(struct worker *worker, const struct cm_uuid *tenant)
{
        int64_t limit = cm_monotonic_us() + LOOK_TIMEOUT_US, before = cm_fiber_deadline_us();
        uint64_t changes = worker->flags->changes;
        CM_CLEANUP(cm_arena_deinit) struct cm_arena arena;
        struct cm_redis_reply reply = { 0 };
        int r;

        cm_arena_init(&arena, 4096);
        (void)cm_fiber_set_deadline(limit < before ? limit : before);
        r = cm_redis_call(worker->public.bus, &arena, &reply, CM_STR("HGET"),
                          key_flags(&arena, tenant), CM_STR("set"), CM_STR_NONE);
        (void)cm_fiber_set_deadline(before);
        if (!r && reply.kind != CM_REDIS_TEXT && reply.kind != CM_REDIS_NIL)
                r = -CM_E_UNAVAILABLE;
        if (!r)
                r = keep(worker->flags, tenant,
                         reply.kind == CM_REDIS_TEXT ? reply.text : CM_STR_NONE,
                         changes == worker->flags->changes);
        return r > 0 ? -CM_E_UNAVAILABLE : r;
}

int cm_flags_of(struct cm_worker *public, const struct cm_uuid *tenant,
                const struct flag_set **set_r)
{
        struct worker *worker = worker_of(public);
        struct flags_entry *entry = cm_map_get(worker->flags->tenants, key_of(tenant));
        int r = 0;

        if (!entry || cm_monotonic_us() >= entry->until_us) {
                r = fetch(worker, tenant);
                entry = cm_map_get(worker->flags->tenants, key_of(tenant));
        }
        if (r && entry) /* as last known, and looked for again soon */
                entry->until_us = cm_monotonic_us() + RETRY_US;
        if (!entry)
                return r < 0 ? r : -CM_E_UNAVAILABLE;
        *set_r = &entry->set;
        return 0;
}

bool cm_flag(struct cm_worker *worker, const struct cm_uuid *tenant, const struct cm_uuid *user,
             const char *key, bool otherwise)
{
        const struct flag_set *set;

        if (cm_flags_of(worker, tenant, &set))
                return otherwise;
        for (size_t i = 0; i < set->items.count; i++)
                if (cm_str_equal(set->items.items[i].key, cm_str_from(key)))
                        return cm_flag_is_on(&set->items.items[i], user);
        return otherwise;
}
