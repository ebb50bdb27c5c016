#include <pthread.h>
#include <string.h>

#include "base/assert.h"
#include "base/error.h"
#include "base/mem.h"
#include "bus/outbox_document.h"
#include "bus/relay_internal.h"
#include "schemas.h"
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
 * Which documents have events is told in memory by whoever wrote them; other processes put hints
 * into the lease, which the leader reads as often as it naps. Everything is looked through at the
 * start of a lead (and so after each error), and from time to time, for the hint of a process that
 * was killed before it could give it.
 */
#define LEASE_US      (5 * CM_SECOND)
#define LOOK_US       (50 * CM_MILLISECOND)
#define SCAN_US       (30 * CM_SECOND)
#define SCAN_LIMIT    200
#define MAX_DOCUMENTS 200  /* in one batch */
#define MAX_EVENTS    1000 /* roughly: a document's events are taken whole */
#define MAX_HINTS     20000
#define READ_STEP     1000

static const struct cm_collection records = { .name = "events", .schema = &published_event_schema };
static const struct cm_collection leases = { .name = "relay", .schema = &relay_lease_schema };
static const struct cm_collection groups = { .name = "relay_groups",
                                             .schema = &outbox_group_schema };
static const struct cm_sort by_position[] = { { CM_FIELD(published_event, id), false } };
static const struct cm_sort by_position_down[] = { { CM_FIELD(published_event, id), true } };
static const struct cm_sort by_event[] = { { CM_FIELD(published_event, event_id), false } };
static const struct cm_sort by_pending[] = { { CM_FIELD(outbox_part, pending), false } };
static const struct cm_sort by_id[] = { { CM_FIELD(waiting_document, id), false } };

struct hint {
        struct cm_list link;
        const char *collection;
        struct cm_str id; /* behind the struct */
};

struct relay_documents {
        struct cm_mongo *mongo;
        struct cm_uuid owner; /* this relay */
        pthread_mutex_t lock; /* of the three below */
        struct cm_list hints;
        size_t hint_count;
        bool wants_scan;
        bool has_indexes;
        int64_t next_look_us;
        int64_t next_scan_us;
        int64_t waiting_since_us; /* monotonic; 0: nothing waits */
};

/* What one batch is made of. */
struct source {
        const char *collection;
        struct waiting_document document;
};

struct cargo {
        struct source *sources;
        size_t source_count;
        struct published_event *events;
        size_t event_count;
};

static struct cm_str key_of_lease(void)
{
        return CM_STR("relay");
}

/* ---- hints */

static void add_hint(struct relay_documents *documents, const char *collection, struct cm_str id)
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

static struct hint *next_hint(struct relay_documents *documents)
{
        struct cm_list *node;

        pthread_mutex_lock(&documents->lock);
        node = cm_list_pop(&documents->hints);
        if (node)
                documents->hint_count--;
        pthread_mutex_unlock(&documents->lock);
        return node ? CM_CONTAINER(node, struct hint, link) : NULL;
}

static void want_scan(struct relay_documents *documents, bool wants)
{
        pthread_mutex_lock(&documents->lock);
        documents->wants_scan = wants;
        pthread_mutex_unlock(&documents->lock);
}

static bool is_idle(struct relay_documents *documents)
{
        bool idle;

        pthread_mutex_lock(&documents->lock);
        idle = !documents->hint_count;
        pthread_mutex_unlock(&documents->lock);
        return idle;
}

static bool must_scan(struct relay_documents *documents)
{
        bool must;

        pthread_mutex_lock(&documents->lock);
        must = documents->wants_scan || cm_monotonic_us() >= documents->next_scan_us;
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

void cm_relay_wake_document(struct cm_relay *relay, const char *collection, struct cm_str id)
{
        collection = known_collection(relay, cm_str_from(collection));
        CM_ASSERT(collection);
        add_hint(relay->documents, collection, id);
        cm_relay_wake(relay);
}

/* ---- life */

static int documents_open(struct cm_relay *relay)
{
        struct relay_documents *documents = CM_NEW(struct relay_documents);

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
        while ((hint = next_hint(relay->documents)))
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
                &records, "event", by_event, 1, .is_unique = true,
        };
        int r = documents->has_indexes
                        ? 0
                        : cm_mongo_ensure_indexes(documents->mongo, &unique, 1);

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
        const struct relay_lease first = { .id = key_of_lease() };
        CM_CLEANUP(cm_filter_deinit) struct cm_filter filter = { 0 };
        CM_CLEANUP(cm_update_deinit) struct cm_update update = { 0 };
        int r;

        CM_FILTER_IS(&filter, relay_lease, id, &first.id);
        cm_update_insert(&update, &relay_lease_schema, &first);
        r = cm_mongo_update(relay->documents->mongo, &leases, first.id, &filter, &update,
                            CM_MONGO_UPSERT);
        return r == CM_MONGO_DUPLICATE ? 0 : r; /* somebody else has made it */
}

/* Takes the lease when it is ours already, or nobody's any more. */
static int seize(struct cm_relay *relay, bool is_ours, struct relay_lease *lease_r)
{
        CM_CLEANUP(cm_filter_deinit) struct cm_filter filter = { 0 };
        CM_CLEANUP(cm_update_deinit) struct cm_update update = { 0 };
        struct cm_str id = key_of_lease();
        cm_time now = cm_now(&cm_clock_system), until = now + LEASE_US;

        CM_FILTER_IS(&filter, relay_lease, id, &id);
        if (is_ours)
                CM_FILTER_IS(&filter, relay_lease, owner, &relay->documents->owner);
        else
                CM_FILTER_COMPARE(&filter, relay_lease, until, CM_COMPARE_LESS_OR_IS, &now);
        CM_UPDATE_SET(&update, relay_lease, owner, &relay->documents->owner);
        CM_UPDATE_SET(&update, relay_lease, until, &until);
        CM_UPDATE_INC(&update, relay_lease, term, 1);
        return cm_mongo_modify(relay->documents->mongo, &leases, id, &filter, &update,
                               CM_MONGO_UPDATE, &relay->arena, lease_r);
}

static int read_cursor(struct cm_relay *relay)
{
        const struct cm_mongo_page newest = { by_position_down, 1, .limit = 1 };
        struct cm_items found;
        int r = cm_mongo_list(relay->documents->mongo, &records, key_of_lease(), NULL, &newest,
                              &relay->arena, &found, NULL);

        relay->cursor = (struct relay_cursor){ 0 };
        if (r == 0 && found.count)
                relay->cursor.position = ((const struct published_event *)found.items)->id;
        return r;
}

/* What nobody here expects is the database's fault. */
static int expect_none(int r)
{
        return r > 0 ? -CM_E_DATABASE : r;
}

static int documents_lead(struct cm_relay *relay)
{
        struct relay_lease lease;
        int r = expect_none(ensure_indexes(relay));

        if (r == 0)
                r = expect_none(ensure_lease(relay));
        if (r)
                return r;
        r = seize(relay, true, &lease);
        if (r == CM_MONGO_NO_MATCH)
                r = seize(relay, false, &lease);
        if (r == CM_MONGO_NO_MATCH)
                return RELAY_NOT_LEADING;
        if (r)
                return expect_none(r);
        relay->term = lease.term;
        want_scan(relay->documents, true);
        return expect_none(read_cursor(relay));
}

static void filter_own_lease(const struct cm_relay *relay, struct cm_filter *filter)
{
        struct cm_str id = key_of_lease();

        CM_FILTER_IS(filter, relay_lease, id, &id);
        CM_FILTER_IS(filter, relay_lease, term, &relay->term);
}

static int set_lease(struct cm_relay *relay, cm_time until)
{
        CM_CLEANUP(cm_filter_deinit) struct cm_filter filter = { 0 };
        CM_CLEANUP(cm_update_deinit) struct cm_update update = { 0 };
        int r;

        filter_own_lease(relay, &filter);
        CM_UPDATE_SET(&update, relay_lease, until, &until);
        r = cm_mongo_update(relay->documents->mongo, &leases, key_of_lease(), &filter, &update,
                            CM_MONGO_UPDATE);
        return r == CM_MONGO_NO_MATCH ? RELAY_NOT_LEADING : expect_none(r);
}

static int documents_still_leads(struct cm_relay *relay)
{
        return set_lease(relay, cm_now(&cm_clock_system) + LEASE_US);
}

static void documents_resign(struct cm_relay *relay)
{
        /* When this fails the lease ends by itself. */
        if (relay->term)
                (void)!set_lease(relay, 0);
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
        filter_own_lease(relay, &filter);
        cm_update_pull(&update, CM_ITEM_FIELD(relay_lease, hints, CM_EACH_ITEM, outbox_hint, id),
                       ids, lease->hints.count);
        r = cm_mongo_update(relay->documents->mongo, &leases, key_of_lease(), &filter, &update,
                            CM_MONGO_UPDATE);
        return r == CM_MONGO_NO_MATCH ? RELAY_NOT_LEADING : expect_none(r);
}

/* Hints are taken out before their documents are looked at: one that comes later is kept. */
static int look_for_hints(struct cm_relay *relay)
{
        CM_CLEANUP(cm_filter_deinit) struct cm_filter filter = { 0 };
        struct relay_lease lease;
        int r;

        relay->documents->next_look_us = cm_monotonic_us() + LOOK_US;
        filter_own_lease(relay, &filter);
        r = cm_mongo_find(relay->documents->mongo, &leases, key_of_lease(), &filter, &relay->arena,
                          &lease);
        if (r == CM_MONGO_NO_MATCH)
                return RELAY_NOT_LEADING;
        if (r || !lease.hints.count)
                return expect_none(r);
        r = take_out_hints(relay, &lease);
        for (size_t i = 0; i < lease.hints.count && r == 0; i++) {
                const char *collection = known_collection(relay, lease.hints.items[i].collection);

                if (collection)
                        add_hint(relay->documents, collection, lease.hints.items[i].id);
        }
        return r;
}

static int give_hints(struct cm_relay *relay, const struct outbox_hint *hints, size_t count)
{
        CM_CLEANUP(cm_filter_deinit) struct cm_filter filter = { 0 };
        CM_CLEANUP(cm_update_deinit) struct cm_update update = { 0 };
        struct cm_str id = key_of_lease();

        CM_FILTER_IS(&filter, relay_lease, id, &id);
        CM_UPDATE_PUSH(&update, relay_lease, hints, hints, count);
        return expect_none(cm_mongo_update(relay->documents->mongo, &leases, id, &filter, &update,
                                           CM_MONGO_UPDATE));
}

/* When it fails its documents are found by the leader's next look at all of them. */
static int documents_tell(struct cm_relay *relay)
{
        struct outbox_hint *hints =
                cm_arena_array(&relay->arena, MAX_DOCUMENTS, sizeof(struct outbox_hint));
        struct hint *hint = NULL;
        int r = 0;

        do {
                size_t count = 0;

                while (count < MAX_DOCUMENTS && (hint = next_hint(relay->documents))) {
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

/* ---- looking for events */

static int scan_collection(struct cm_relay *relay, const char *name, bool *more)
{
        const struct cm_collection collection = { name, &waiting_document_schema, true };
        const struct cm_mongo_page page = { by_id, 1, .limit = SCAN_LIMIT };
        CM_CLEANUP(cm_filter_deinit) struct cm_filter filter = { 0 };
        static const bool pending = true;
        struct cm_items found;
        bool further = false;
        int r;

        CM_FILTER_IS(&filter, outbox_part, pending, &pending);
        r = cm_mongo_list(relay->documents->mongo, &collection, key_of_lease(), &filter, &page,
                          &relay->arena, &found, &further);
        for (size_t i = 0; r == 0 && i < found.count; i++)
                add_hint(relay->documents, name,
                         ((const struct waiting_document *)found.items)[i].id);
        *more = *more || (further && found.count);
        return expect_none(r);
}

static int scan(struct cm_relay *relay)
{
        struct relay_documents *documents = relay->documents;
        bool more = false;
        int r = 0;

        want_scan(documents, false);
        documents->next_scan_us = cm_monotonic_us() + SCAN_US;
        for (const char *const *it = relay->config.collections; *it && r == 0; it++)
                r = scan_collection(relay, *it, &more);
        if (r || more)
                want_scan(documents, true);
        return r;
}

static void load(struct cargo *cargo, const struct waiting_document *document, cm_time now)
{
        for (size_t i = 0; i < document->outbox.count; i++)
                cargo->events[cargo->event_count++] =
                        (struct published_event){ .event_id = document->outbox.items[i].id,
                                                 .event = document->outbox.items[i],
                                                 .has_event = CM_PRESENT,
                                                 .recorded_at = now };
}

/* One that is in the batch already will be looked at again if it has more. */
static bool has_source(const struct cargo *cargo, const struct hint *hint)
{
        for (size_t i = 0; i < cargo->source_count; i++)
                if (cargo->sources[i].collection == hint->collection &&
                    cm_str_equal(cargo->sources[i].document.id, hint->id))
                        return true;
        return false;
}

/* Nothing is in it but the mark: two relays have taken out at a time. */
static int take_off_mark(struct cm_relay *relay, const struct cm_collection *collection,
                         const struct waiting_document *document)
{
        CM_CLEANUP(cm_filter_deinit) struct cm_filter filter = { 0 };
        CM_CLEANUP(cm_update_deinit) struct cm_update update = { 0 };

        CM_FILTER_IS(&filter, waiting_document, id, &document->id);
        cm_filter_exists(&filter, CM_ITEM(outbox_part, outbox, 0), false);
        CM_UPDATE_UNSET(&update, outbox_part, outbox);
        CM_UPDATE_UNSET(&update, outbox_part, pending);
        return cm_mongo_update(relay->documents->mongo, collection, document->id, &filter, &update,
                               CM_MONGO_UPDATE);
}

/* *count_r is the number of its events; 0: there are none, or it is gone, or in quarantine. */
static int read_source(struct cm_relay *relay, const struct hint *hint, struct source *source_r,
                       size_t *count_r)
{
        const struct cm_collection collection = { hint->collection, &waiting_document_schema,
                                                  true };
        CM_CLEANUP(cm_filter_deinit) struct cm_filter filter = { 0 };
        int r;

        CM_FILTER_IS(&filter, waiting_document, id, &hint->id);
        source_r->collection = hint->collection;
        r = cm_mongo_find(relay->documents->mongo, &collection, hint->id, &filter, &relay->arena,
                          &source_r->document);
        *count_r = r == 0 ? source_r->document.outbox.count : 0;
        if (r == 0 && !*count_r && source_r->document.has_outbox == CM_PRESENT)
                r = take_off_mark(relay, &collection, &source_r->document);
        return r > 0 ? 0 : r;
}

/* Reads documents until there is enough, or no hint is left. */
static int collect_sources(struct cm_relay *relay, struct cargo *cargo)
{
        struct hint *hint;
        size_t events = 0, count = 0;
        int r = 0;

        cargo->sources = cm_arena_array(&relay->arena, MAX_DOCUMENTS, sizeof(struct source));
        while (r == 0 && events < MAX_EVENTS && cargo->source_count < MAX_DOCUMENTS &&
               (hint = next_hint(relay->documents))) {
                if (!has_source(cargo, hint)) {
                        r = read_source(relay, hint, &cargo->sources[cargo->source_count], &count);
                        events += count;
                        cargo->source_count += count > 0;
                }
                cm_free(hint);
        }
        cargo->events = cm_arena_array(&relay->arena, events ? events : 1,
                                       sizeof(struct published_event));
        for (size_t i = 0; i < cargo->source_count; i++)
                load(cargo, &cargo->sources[i].document, cm_now(&cm_clock_system));
        return r;
}

/* ---- recording */

static int is_recorded(struct cm_relay *relay, const struct cm_uuid *id, bool *found_r)
{
        CM_CLEANUP(cm_filter_deinit) struct cm_filter filter = { 0 };
        int64_t count;
        int r;

        CM_FILTER_IS(&filter, published_event, event_id, id);
        r = cm_mongo_count(relay->documents->mongo, &records, key_of_lease(), &filter, &count);
        *found_r = count > 0;
        return expect_none(r);
}

/* Records what is left of the cargo from `first` on; *done_r is what is now. A position that is
 * taken means that another relay leads. */
static int record(struct cm_relay *relay, struct cargo *cargo)
{
        size_t first = 0, inserted;
        bool found;
        int r = 0;

        while (r == 0 && first < cargo->event_count) {
                for (size_t i = first; i < cargo->event_count; i++)
                        cargo->events[i].id = relay->cursor.position + 1 + (int64_t)(i - first);
                r = cm_mongo_insert_many(relay->documents->mongo, &records, key_of_lease(),
                                         &cargo->events[first], cargo->event_count - first,
                                         &inserted);
                relay->cursor.position += (int64_t)inserted;
                first += inserted;
                if (r != CM_MONGO_DUPLICATE)
                        continue;
                r = is_recorded(relay, &cargo->events[first].event_id, &found);
                if (r == 0 && !found)
                        return RELAY_NOT_LEADING;
                if (r == 0) { /* before a crash, and not taken out of its document */
                        cargo->event_count--;
                        memmove(&cargo->events[first], &cargo->events[first + 1],
                                (cargo->event_count - first) * sizeof(*cargo->events));
                }
        }
        return expect_none(r);
}

/* It holds these events and no others: between the first and the last one, which are where they
 * were, nothing can have been put. (Its length alone would not do: another relay may have taken
 * some out, and as many new ones have come.) */
static void filter_same(struct cm_filter *filter, const struct waiting_document *document)
{
        int64_t last = (int64_t)document->outbox.count - 1;

        CM_FILTER_IS(filter, waiting_document, id, &document->id);
        cm_filter_compare(filter, CM_ITEM_FIELD(outbox_part, outbox, 0, outbox_event, id),
                          CM_COMPARE_IS, &document->outbox.items[0].id);
        if (last > 0)
                cm_filter_compare(filter, CM_ITEM_FIELD(outbox_part, outbox, last, outbox_event, id),
                                  CM_COMPARE_IS, &document->outbox.items[last].id);
        cm_filter_exists(filter, CM_ITEM(outbox_part, outbox, last + 1), false);
}

/* Leaves the document as if it had never had events, unless new ones have come. */
static int take_out(struct cm_relay *relay, const struct source *source)
{
        const struct cm_collection collection = { source->collection, &waiting_document_schema,
                                                  true };
        const struct waiting_document *document = &source->document;
        size_t count = document->outbox.count;
        struct cm_uuid *ids = cm_arena_array(&relay->arena, count, sizeof(*ids));
        CM_CLEANUP(cm_filter_deinit) struct cm_filter filter = { 0 };
        CM_CLEANUP(cm_filter_deinit) struct cm_filter whole = { 0 };
        CM_CLEANUP(cm_update_deinit) struct cm_update clear = { 0 };
        CM_CLEANUP(cm_update_deinit) struct cm_update pull = { 0 };
        int r;

        filter_same(&whole, document);
        CM_UPDATE_UNSET(&clear, outbox_part, outbox);
        CM_UPDATE_UNSET(&clear, outbox_part, pending);
        r = cm_mongo_update(relay->documents->mongo, &collection, document->id, &whole, &clear,
                            CM_MONGO_UPDATE);
        if (r != CM_MONGO_NO_MATCH)
                return expect_none(r);
        for (size_t i = 0; i < count; i++)
                ids[i] = document->outbox.items[i].id;
        CM_FILTER_IS(&filter, waiting_document, id, &document->id);
        cm_update_pull(&pull,
                       CM_ITEM_FIELD(outbox_part, outbox, CM_EACH_ITEM, outbox_event, id), ids,
                       count);
        r = cm_mongo_update(relay->documents->mongo, &collection, document->id, &filter, &pull,
                            CM_MONGO_UPDATE);
        add_hint(relay->documents, source->collection, document->id); /* the new ones */
        return r == CM_MONGO_NO_MATCH ? 0 : expect_none(r);
}

static void fill_batch(struct cm_relay *relay, const struct published_event *events, size_t count,
                       struct relay_batch *batch)
{
        batch->events = cm_arena_array(&relay->arena, count ? count : 1, sizeof(*batch->events));
        for (size_t i = 0; i < count; i++) {
                batch->events[i] = cm_outbox_event_read(&events[i].event);
                batch->events[i].position = events[i].id;
        }
        batch->count = count;
}

static int documents_take(struct cm_relay *relay, struct relay_batch *batch_r)
{
        struct relay_documents *documents = relay->documents;
        struct cargo cargo = { 0 };
        int r = 0;

        if (is_idle(documents) && must_scan(documents))
                r = scan(relay);
        if (r == 0 && cm_monotonic_us() >= documents->next_look_us)
                r = look_for_hints(relay);
        if (r == 0)
                r = collect_sources(relay, &cargo);
        if (r == 0)
                r = record(relay, &cargo);
        for (size_t i = 0; r == 0 && i < cargo.source_count; i++)
                r = take_out(relay, &cargo.sources[i]);
        if (r == 0)
                fill_batch(relay, cargo.events, cargo.event_count, batch_r);
        return r;
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
        r = expect_none(cm_mongo_list(relay->documents->mongo, &records, key_of_lease(), &filter,
                                      &page, &relay->arena, &found, NULL));
        if (r == 0)
                fill_batch(relay, found.items, found.count, batch_r);
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
        r = expect_none(cm_mongo_list(relay->documents->mongo, &records, key_of_lease(), &filter,
                                      &page, &relay->arena, &found, NULL));
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
        int r = cm_mongo_insert(relay->documents->mongo, &records, key_of_lease(), &gap, NULL);

        if (r == CM_MONGO_DUPLICATE)
                return RELAY_NOT_LEADING;
        if (r == 0)
                relay->cursor.position = last;
        return expect_none(r);
}

/* ---- groups, pruning, measures */

static int documents_groups(struct cm_relay *relay)
{
        static const struct cm_sort by_name[] = { { CM_FIELD(outbox_group, id), false } };
        const struct cm_mongo_page page = { by_name, 1, .limit = 1000 };
        struct cm_items found;
        const struct outbox_group *items;
        int r = expect_none(cm_mongo_list(relay->documents->mongo, &groups, key_of_lease(), NULL,
                                          &page, &relay->arena, &found, NULL));

        items = found.items;
        for (size_t i = 0; r == 0 && i < found.count; i++) {
                struct relay_group *group = relay_group_get(relay, items[i].id);

                group->acked = group->acked_saved = items[i].position;
                group->seen_us = cm_monotonic_us() -
                                 (cm_now(&cm_clock_system) - items[i].seen_at);
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
        return r == CM_MONGO_DUPLICATE ? 0 : expect_none(r);
}

static int documents_prune(struct cm_relay *relay)
{
        CM_CLEANUP(cm_filter_deinit) struct cm_filter filter = { 0 };
        cm_time old = cm_now(&cm_clock_system) - relay->config.keep_us;

        CM_FILTER_COMPARE(&filter, published_event, recorded_at, CM_COMPARE_LESS, &old);
        CM_FILTER_COMPARE(&filter, published_event, id, CM_COMPARE_LESS, &relay->cursor.position);
        return expect_none(cm_mongo_delete_all(relay->documents->mongo, &records, key_of_lease(),
                                               &filter, NULL));
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

                r = expect_none(cm_mongo_count(documents->mongo, &collection, key_of_lease(),
                                               &filter, &count));
                waiting += count;
        }
        if (r)
                return r;
        if (!waiting)
                documents->waiting_since_us = 0;
        else if (!documents->waiting_since_us)
                documents->waiting_since_us = now;
        relay_show_outbox(waiting,
                          waiting ? (now - documents->waiting_since_us) / CM_SECOND : 0);
        return 0;
}

const struct relay_store_ops relay_store_documents = {
        .most_nap_us = LOOK_US,
        .open = documents_open,
        .close = documents_close,
        .lead = documents_lead,
        .still_leads = documents_still_leads,
        .resign = documents_resign,
        .take = documents_take,
        .read = documents_read,
        .next = documents_next,
        .preview = documents_preview,
        .skip = documents_skip,
        .groups = documents_groups,
        .save_group = documents_save_group,
        .prune = documents_prune,
        .measure = documents_measure,
        .tell = documents_tell,
};
