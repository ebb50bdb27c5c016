#include "base/assert.h"
#include "base/error.h"
#include "base/mem.h"
#include "bus/outbox_document.h"
#include "bus/relay_documents_internal.h"
#include "sys/log.h"

/*
 * The outbox inside documents, from the relay's side. Events are moved, in the order in which each
 * document holds them, into the collection `events`, where an event's `_id` is its position; then
 * they are taken out of their document; then they are sent. What happens when the relay dies in
 * between:
 *
 *   before the record      the event still waits in its document
 *   before it is taken out it is recorded once: the unique index on its id refuses a second time
 *   before it is sent      the stream is behind the records, and relay_compare() sends the rest
 *
 * The lead is a lease in a document, with a term that grows with each leader. It only saves work:
 * what fences is the insert of a position, which succeeds for one relay only.
 *
 * Each of these steps is a write that others wait behind, above all who has just written: so news
 * gather for a moment, and what is said and answered within it goes together.
 *
 * Which documents have events is told in memory by whoever wrote them; other processes put hints
 * into the lease, which the leader reads as often as it naps. Everything is looked through at the
 * start of a lead (and so after each error), and from time to time, for the hint of a process that
 * was killed before it could give it.
 */
#define LEASE_US  (5 * CM_SECOND)
#define READ_STEP 1000

const struct cm_collection relay_records = { .name = "events", .schema = &published_event_schema };
const struct cm_collection relay_leases = { .name = "relay", .schema = &relay_lease_schema };
static const struct cm_collection groups = { .name = "relay_groups",
                                             .schema = &outbox_group_schema };
static const struct cm_sort by_position[] = { { CM_FIELD(published_event, id), false } };
static const struct cm_sort by_position_down[] = { { CM_FIELD(published_event, id), true } };
static const struct cm_sort by_event[] = { { CM_FIELD(published_event, event_id), false } };
static const struct cm_sort by_pending[] = { { CM_FIELD(outbox_part, pending), false } };

struct cm_str relay_lease_key(void)
{
        return CM_STR("relay");
}

/* ---- life */

static int documents_open(struct cm_relay *relay)
{
        struct relay_documents *documents = CM_NEW(struct relay_documents);

        if (!relay->config.lease_us)
                relay->config.lease_us = LEASE_US;
        documents->mongo = relay->config.mongo;
        documents->owner = cm_uuid7(cm_now(&cm_clock_system));
        pthread_mutex_init(&documents->lock, NULL);
        cm_list_init(&documents->hints);
        relay->documents = documents;
        return 0;
}

static void documents_close(struct cm_relay *relay)
{
        struct hint *hint;

        if (!relay->documents)
                return;
        while ((hint = relay_hint_next(relay->documents)))
                cm_free(hint);
        pthread_mutex_destroy(&relay->documents->lock);
        cm_free(relay->documents);
        relay->documents = NULL;
}

/* ---- the lead */

static int ensure_indexes(struct cm_relay *relay)
{
        struct relay_documents *documents = relay->documents;
        const struct cm_mongo_index unique = {
                &relay_records, "event", by_event, 1, .is_unique = true,
        };
        int r = documents->has_indexes ? 0 : cm_mongo_ensure_indexes(documents->mongo, &unique, 1);

        for (const char *const *it = relay->config.collections;
             *it && !r && !documents->has_indexes; it++) {
                const struct cm_collection collection = { *it, &outbox_part_schema, true };
                const struct cm_mongo_index pending = {
                        &collection, "pending", by_pending, 1, .is_sparse = true,
                };

                r = cm_mongo_ensure_indexes(documents->mongo, &pending, 1);
        }
        documents->has_indexes = r == 0;
        return r;
}

static int ensure_lease(struct cm_relay *relay)
{
        const struct relay_lease first = { .id = relay_lease_key() };
        CM_CLEANUP(cm_filter_deinit) struct cm_filter filter = { 0 };
        CM_CLEANUP(cm_update_deinit) struct cm_update update = { 0 };
        int r;

        CM_FILTER_IS(&filter, relay_lease, id, &first.id);
        cm_update_insert(&update, &relay_lease_schema, &first);
        r = cm_mongo_update(relay->documents->mongo, &relay_leases, first.id, &filter, &update,
                            CM_MONGO_UPSERT);
        return r == CM_MONGO_DUPLICATE ? 0 : r; /* somebody else has made it */
}

/* Takes the lease when it is ours already, or nobody's any more. */
static int seize(struct cm_relay *relay, bool is_ours, struct relay_lease *lease_r)
{
        CM_CLEANUP(cm_filter_deinit) struct cm_filter filter = { 0 };
        CM_CLEANUP(cm_update_deinit) struct cm_update update = { 0 };
        struct cm_str id = relay_lease_key();
        cm_time now = cm_now(&cm_clock_system), until = now + relay->config.lease_us;

        CM_FILTER_IS(&filter, relay_lease, id, &id);
        if (is_ours)
                CM_FILTER_IS(&filter, relay_lease, owner, &relay->documents->owner);
        else
                CM_FILTER_COMPARE(&filter, relay_lease, until, CM_COMPARE_LESS_OR_IS, &now);
        CM_UPDATE_SET(&update, relay_lease, owner, &relay->documents->owner);
        CM_UPDATE_SET(&update, relay_lease, until, &until);
        CM_UPDATE_INC(&update, relay_lease, term, 1);
        return cm_mongo_modify(relay->documents->mongo, &relay_leases, id, &filter, &update,
                               CM_MONGO_UPDATE, &relay->arena, lease_r);
}

static int read_cursor(struct cm_relay *relay)
{
        const struct cm_mongo_page newest = { by_position_down, 1, .limit = 1 };
        struct cm_items found;
        int r = cm_mongo_list(relay->documents->mongo, &relay_records, relay_lease_key(), NULL,
                              &newest, &relay->arena, &found, NULL);

        relay->cursor = (struct relay_cursor){ 0 };
        if (r == 0 && found.count)
                relay->cursor.position = ((const struct published_event *)found.items)->id;
        return r;
}

/* What nobody here expects is the database's fault. */
int relay_expect_none(int r)
{
        return r > 0 ? -CM_E_DATABASE : r;
}

static int documents_lead(struct cm_relay *relay)
{
        struct relay_lease lease;
        int r = relay_expect_none(ensure_indexes(relay));

        if (r == 0)
                r = relay_expect_none(ensure_lease(relay));
        if (r)
                return r;
        r = seize(relay, true, &lease);
        if (r == CM_MONGO_NO_MATCH)
                r = seize(relay, false, &lease);
        if (r == CM_MONGO_NO_MATCH)
                return RELAY_NOT_LEADING;
        if (r)
                return relay_expect_none(r);
        relay->term = lease.term;
        relay_want_scan(relay->documents, true);
        return relay_expect_none(read_cursor(relay));
}

void relay_filter_own_lease(const struct cm_relay *relay, struct cm_filter *filter)
{
        struct cm_str id = relay_lease_key();

        CM_FILTER_IS(filter, relay_lease, id, &id);
        CM_FILTER_IS(filter, relay_lease, term, &relay->term);
}

static int set_lease(struct cm_relay *relay, cm_time until)
{
        CM_CLEANUP(cm_filter_deinit) struct cm_filter filter = { 0 };
        CM_CLEANUP(cm_update_deinit) struct cm_update update = { 0 };
        int r;

        relay_filter_own_lease(relay, &filter);
        CM_UPDATE_SET(&update, relay_lease, until, &until);
        r = cm_mongo_update(relay->documents->mongo, &relay_leases, relay_lease_key(), &filter,
                            &update, CM_MONGO_UPDATE);
        return r == CM_MONGO_NO_MATCH ? RELAY_NOT_LEADING : relay_expect_none(r);
}

static int documents_still_leads(struct cm_relay *relay)
{
        return set_lease(relay, cm_now(&cm_clock_system) + relay->config.lease_us);
}

static void documents_resign(struct cm_relay *relay)
{
        /* When this fails the lease ends by itself. */
        if (relay->term)
                (void)!set_lease(relay, 0);
}

/* ---- events again */

static int documents_read(struct cm_relay *relay, int64_t first, int64_t last,
                          struct relay_batch *batch_r)
{
        size_t count = (size_t)(last - first + 1);
        int64_t *ids = cm_arena_array(&relay->arena, count, sizeof(*ids));
        const struct cm_mongo_page page = { by_position, 1, .limit = (int64_t)count };
        CM_CLEANUP(cm_filter_deinit) struct cm_filter filter = { 0 };
        static const bool is_void = false;
        struct cm_items found;
        int r;

        CM_ASSERT(count <= READ_STEP);
        for (size_t i = 0; i < count; i++)
                ids[i] = first + (int64_t)i;
        CM_FILTER_IN(&filter, published_event, id, ids, count);
        CM_FILTER_IS(&filter, published_event, void_, &is_void);
        r = relay_expect_none(cm_mongo_list(relay->documents->mongo, &relay_records,
                                            relay_lease_key(), &filter, &page, &relay->arena,
                                            &found, NULL));
        if (r == 0)
                relay_documents_batch(relay, found.items, found.count, batch_r);
        return r;
}

static int documents_next(struct cm_relay *relay, int64_t from, int64_t *position_r)
{
        const struct cm_mongo_page page = { by_position, 1, .limit = 1 };
        CM_CLEANUP(cm_filter_deinit) struct cm_filter filter = { 0 };
        static const bool is_void = false;
        struct cm_items found;
        int r;

        CM_FILTER_COMPARE(&filter, published_event, id, CM_COMPARE_MORE_OR_IS, &from);
        CM_FILTER_IS(&filter, published_event, void_, &is_void);
        r = relay_expect_none(cm_mongo_list(relay->documents->mongo, &relay_records,
                                            relay_lease_key(), &filter, &page, &relay->arena,
                                            &found, NULL));
        if (r == 0)
                *position_r = found.count ? ((const struct published_event *)found.items)->id
                                          : relay->cursor.position + 1;
        return r;
}

/* Nothing is sent before it is recorded: a stream that is ahead has somebody else's entries. */
static int documents_preview(struct cm_relay *relay CM_UNUSED, int64_t position CM_UNUSED,
                             struct cm_uuid *id_r CM_UNUSED, bool *found_r)
{
        *found_r = false;
        return 0;
}

static int documents_skip(struct cm_relay *relay, int64_t last)
{
        const struct published_event gap = { .id = last,
                                             .event_id = cm_uuid7(cm_now(&cm_clock_system)),
                                             .void_ = true,
                                             .first = relay->cursor.position + 1,
                                             .has_first = CM_PRESENT,
                                             .recorded_at = cm_now(&cm_clock_system) };
        int r = cm_mongo_insert(relay->documents->mongo, &relay_records, relay_lease_key(), &gap,
                                NULL);

        if (r == CM_MONGO_DUPLICATE)
                return RELAY_NOT_LEADING;
        if (r == 0)
                relay->cursor.position = last;
        return relay_expect_none(r);
}

/* ---- groups, pruning, measures */

static int documents_groups(struct cm_relay *relay)
{
        static const struct cm_sort by_name[] = { { CM_FIELD(outbox_group, id), false } };
        const struct cm_mongo_page page = { by_name, 1, .limit = 1000 };
        struct cm_items found;
        const struct outbox_group *items;
        int r = relay_expect_none(cm_mongo_list(relay->documents->mongo, &groups, relay_lease_key(),
                                                NULL, &page, &relay->arena, &found, NULL));

        items = found.items;
        for (size_t i = 0; r == 0 && i < found.count; i++) {
                struct relay_group *group = relay_group_get(relay, items[i].id);

                group->acked = group->acked_saved = items[i].position;
                group->seen_us = cm_monotonic_us() - (cm_now(&cm_clock_system) - items[i].seen_at);
        }
        return r;
}

static int documents_save_group(struct cm_relay *relay, const struct relay_group *group)
{
        struct outbox_group saved = { .id = cm_str_from(group->name),
                                      .position = group->acked,
                                      .seen_at = cm_now(&cm_clock_system) -
                                                 (cm_monotonic_us() - group->seen_us) };
        CM_CLEANUP(cm_filter_deinit) struct cm_filter filter = { 0 };
        CM_CLEANUP(cm_update_deinit) struct cm_update update = { 0 };
        int r;

        CM_FILTER_IS(&filter, outbox_group, id, &saved.id);
        CM_UPDATE_SET(&update, outbox_group, position, &saved.position);
        CM_UPDATE_SET(&update, outbox_group, seen_at, &saved.seen_at);
        r = cm_mongo_update(relay->documents->mongo, &groups, saved.id, &filter, &update,
                            CM_MONGO_UPSERT);
        return r == CM_MONGO_DUPLICATE ? 0 : relay_expect_none(r);
}

static int documents_prune(struct cm_relay *relay)
{
        CM_CLEANUP(cm_filter_deinit) struct cm_filter filter = { 0 };
        cm_time old = cm_now(&cm_clock_system) - relay->config.keep_us;

        CM_FILTER_COMPARE(&filter, published_event, recorded_at, CM_COMPARE_LESS, &old);
        CM_FILTER_COMPARE(&filter, published_event, id, CM_COMPARE_LESS, &relay->cursor.position);
        return relay_expect_none(cm_mongo_delete_all(relay->documents->mongo, &relay_records,
                                                     relay_lease_key(), &filter, NULL));
}

/* Documents rather than events, which is what can be counted by an index. */
static int documents_measure(struct cm_relay *relay)
{
        struct relay_documents *documents = relay->documents;
        CM_CLEANUP(cm_filter_deinit) struct cm_filter filter = { 0 };
        static const bool pending = true;
        int64_t waiting = 0, count, now = cm_monotonic_us();
        int r = 0;

        CM_FILTER_IS(&filter, outbox_part, pending, &pending);
        for (const char *const *it = relay->config.collections; *it && r == 0; it++) {
                const struct cm_collection collection = { *it, &outbox_part_schema, true };

                r = relay_expect_none(cm_mongo_count(documents->mongo, &collection,
                                                     relay_lease_key(), &filter, &count));
                waiting += count;
        }
        if (r)
                return r;
        if (!waiting)
                documents->waiting_since_us = 0;
        else if (!documents->waiting_since_us)
                documents->waiting_since_us = now;
        relay_show_outbox(waiting, waiting ? (now - documents->waiting_since_us) / CM_SECOND : 0);
        return 0;
}

const struct cm_outbox cm_outbox_documents = {
        .most_nap_us = RELAY_LOOK_US,
        .gather_us = RELAY_GATHER_US,
        .open = documents_open,
        .close = documents_close,
        .lead = documents_lead,
        .still_leads = documents_still_leads,
        .resign = documents_resign,
        .take = relay_documents_take,
        .read = documents_read,
        .next = documents_next,
        .preview = documents_preview,
        .skip = documents_skip,
        .groups = documents_groups,
        .save_group = documents_save_group,
        .prune = documents_prune,
        .measure = documents_measure,
        .tell = relay_hints_give,
        .hint = relay_hint,
};
