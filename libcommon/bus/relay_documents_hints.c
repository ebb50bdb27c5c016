#include <string.h>

#include "base/assert.h"
#include "base/mem.h"
#include "bus/relay_documents_internal.h"

/* Which documents have events: told in memory, and by other processes through the lease. */

#define MAX_HINTS 20000

/* ---- hints */

void relay_hint_add(struct relay_documents *documents, const char *collection, struct cm_str id)
{
        struct hint *hint;

        pthread_mutex_lock(&documents->lock);
        if (documents->hint_count < MAX_HINTS) {
                hint = cm_alloc(sizeof(*hint) + id.len + 1);
                memcpy(hint + 1, id.data, id.len);
                hint->id = (struct cm_str){ (const char *)(hint + 1), id.len };
                hint->collection = collection;
                cm_list_append(&documents->hints, &hint->link);
                documents->hint_count++;
        } else {
                documents->wants_scan = true;
        }
        pthread_mutex_unlock(&documents->lock);
}

struct hint *relay_hint_next(struct relay_documents *documents)
{
        struct cm_list *node;

        pthread_mutex_lock(&documents->lock);
        node = cm_list_pop(&documents->hints);
        if (node)
                documents->hint_count--;
        pthread_mutex_unlock(&documents->lock);
        return node ? CM_CONTAINER(node, struct hint, link) : NULL;
}

void relay_want_scan(struct relay_documents *documents, bool wants)
{
        pthread_mutex_lock(&documents->lock);
        documents->wants_scan = wants;
        pthread_mutex_unlock(&documents->lock);
}

bool relay_must_scan(struct relay_documents *documents)
{
        bool must;

        pthread_mutex_lock(&documents->lock);
        must = !documents->hint_count &&
               (documents->wants_scan || cm_monotonic_us() >= documents->next_scan_us);
        pthread_mutex_unlock(&documents->lock);
        return must;
}

/* The configuration's own text, or NULL. */
static const char *known_collection(const struct cm_relay *relay, struct cm_str name)
{
        for (const char *const *it = relay->config.collections; *it; it++)
                if (cm_str_equal(cm_str_from(*it), name))
                        return *it;
        return NULL;
}

void relay_hint(struct cm_relay *relay, const char *collection, struct cm_str id)
{
        collection = known_collection(relay, cm_str_from(collection));
        CM_ASSERT(collection);
        relay_hint_add(relay->documents, collection, id);
}

/* ---- hints of other processes */

static int take_out_hints(struct cm_relay *relay, const struct relay_lease *lease)
{
        struct cm_str *ids =
                cm_arena_array(&relay->arena, lease->hints.count, sizeof(struct cm_str));
        CM_CLEANUP(cm_filter_deinit) struct cm_filter filter = { 0 };
        CM_CLEANUP(cm_update_deinit) struct cm_update update = { 0 };
        int r;

        for (size_t i = 0; i < lease->hints.count; i++)
                ids[i] = lease->hints.items[i].id;
        relay_filter_own_lease(relay, &filter);
        cm_update_pull(&update, CM_ITEM_FIELD(relay_lease, hints, CM_EACH_ITEM, outbox_hint, id),
                       ids, lease->hints.count);
        r = cm_mongo_update(relay->documents->mongo, &relay_leases, relay_lease_key(), &filter,
                            &update, CM_MONGO_UPDATE);
        return r == CM_MONGO_NO_MATCH ? RELAY_NOT_LEADING : relay_expect_none(r);
}

/* Hints are taken out before their documents are looked at: one that comes later is kept. */
int relay_hints_look(struct cm_relay *relay)
{
        CM_CLEANUP(cm_filter_deinit) struct cm_filter filter = { 0 };
        struct relay_lease lease;
        int r;

        relay->documents->next_look_us = cm_monotonic_us() + RELAY_LOOK_US;
        relay_filter_own_lease(relay, &filter);
        r = cm_mongo_find(relay->documents->mongo, &relay_leases, relay_lease_key(), &filter,
                          &relay->arena, &lease);
        if (r == CM_MONGO_NO_MATCH)
                return RELAY_NOT_LEADING;
        if (r || !lease.hints.count)
                return relay_expect_none(r);
        r = take_out_hints(relay, &lease);
        for (size_t i = 0; i < lease.hints.count && r == 0; i++) {
                const char *collection = known_collection(relay, lease.hints.items[i].collection);

                if (collection)
                        relay_hint_add(relay->documents, collection, lease.hints.items[i].id);
        }
        return r;
}

static int give_hints(struct cm_relay *relay, const struct outbox_hint *hints, size_t count)
{
        CM_CLEANUP(cm_filter_deinit) struct cm_filter filter = { 0 };
        CM_CLEANUP(cm_update_deinit) struct cm_update update = { 0 };
        struct cm_str id = relay_lease_key();

        CM_FILTER_IS(&filter, relay_lease, id, &id);
        CM_UPDATE_PUSH(&update, relay_lease, hints, hints, count);
        return relay_expect_none(cm_mongo_update(relay->documents->mongo, &relay_leases, id,
                                                 &filter, &update, CM_MONGO_UPDATE));
}

/* When it fails its documents are found by the leader's next look at all of them. */
int relay_hints_give(struct cm_relay *relay)
{
        struct outbox_hint *hints =
                cm_arena_array(&relay->arena, RELAY_MAX_DOCUMENTS, sizeof(struct outbox_hint));
        struct hint *hint = NULL;
        int r = 0;

        do {
                size_t count = 0;

                while (count < RELAY_MAX_DOCUMENTS && (hint = relay_hint_next(relay->documents))) {
                        hints[count].collection = cm_str_from(hint->collection);
                        hints[count++].id = cm_arena_str(&relay->arena, hint->id);
                        cm_free(hint);
                }
                if (count)
                        r = give_hints(relay, hints, count);
        } while (hint && r == 0);
        cm_arena_reset(&relay->arena);
        return r;
}
