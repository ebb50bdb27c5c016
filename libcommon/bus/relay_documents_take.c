#include <string.h>

#include "base/error.h"
#include "base/mem.h"
#include "bus/outbox_document.h"
#include "bus/relay_documents_internal.h"

/* From documents to records: see relay_documents.c. */

#define SCAN_US    (30 * CM_SECOND)
#define SCAN_LIMIT 200
#define MAX_EVENTS 1000 /* roughly: a document's events are taken whole */

static const struct cm_sort by_id[] = { { CM_FIELD(waiting_document, id), false } };

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
        r = cm_mongo_list(relay->documents->mongo, &collection, relay_lease_key(), &filter, &page,
                          &relay->arena, &found, &further);
        for (size_t i = 0; r == 0 && i < found.count; i++)
                relay_hint_add(relay->documents, name,
                               ((const struct waiting_document *)found.items)[i].id);
        *more = *more || (further && found.count);
        return relay_expect_none(r);
}

static int scan(struct cm_relay *relay)
{
        struct relay_documents *documents = relay->documents;
        bool more = false;
        int r = 0;

        relay_want_scan(documents, false);
        documents->next_scan_us = cm_monotonic_us() + SCAN_US;
        for (const char *const *it = relay->config.collections; *it && r == 0; it++)
                r = scan_collection(relay, *it, &more);
        if (r || more)
                relay_want_scan(documents, true);
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

        cargo->sources = cm_arena_array(&relay->arena, RELAY_MAX_DOCUMENTS, sizeof(struct source));
        while (r == 0 && events < MAX_EVENTS && cargo->source_count < RELAY_MAX_DOCUMENTS &&
               (hint = relay_hint_next(relay->documents))) {
                if (!has_source(cargo, hint)) {
                        r = read_source(relay, hint, &cargo->sources[cargo->source_count], &count);
                        events += count;
                        cargo->source_count += count > 0;
                }
                cm_free(hint);
        }
        cargo->events =
                cm_arena_array(&relay->arena, events ? events : 1, sizeof(struct published_event));
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
        r = cm_mongo_count(relay->documents->mongo, &relay_records, relay_lease_key(), &filter,
                           &count);
        *found_r = count > 0;
        return relay_expect_none(r);
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
                r = cm_mongo_insert_many(relay->documents->mongo, &relay_records, relay_lease_key(),
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
        return relay_expect_none(r);
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
                cm_filter_compare(filter,
                                  CM_ITEM_FIELD(outbox_part, outbox, last, outbox_event, id),
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
                return relay_expect_none(r);
        for (size_t i = 0; i < count; i++)
                ids[i] = document->outbox.items[i].id;
        CM_FILTER_IS(&filter, waiting_document, id, &document->id);
        cm_update_pull(&pull, CM_ITEM_FIELD(outbox_part, outbox, CM_EACH_ITEM, outbox_event, id),
                       ids, count);
        r = cm_mongo_update(relay->documents->mongo, &collection, document->id, &filter, &pull,
                            CM_MONGO_UPDATE);
        relay_hint_add(relay->documents, source->collection, document->id); /* the new ones */
        return r == CM_MONGO_NO_MATCH ? 0 : relay_expect_none(r);
}

void relay_documents_batch(struct cm_relay *relay, const struct published_event *events,
                           size_t count, struct relay_batch *batch)
{
        batch->events = cm_arena_array(&relay->arena, count ? count : 1, sizeof(*batch->events));
        for (size_t i = 0; i < count; i++) {
                batch->events[i] = cm_outbox_event_read(&events[i].event);
                batch->events[i].position = events[i].id;
        }
        batch->count = count;
}

int relay_documents_take(struct cm_relay *relay, struct relay_batch *batch_r)
{
        struct relay_documents *documents = relay->documents;
        struct cargo cargo = { 0 };
        int r = 0;

        if (relay_must_scan(documents))
                r = scan(relay);
        if (r == 0 && cm_monotonic_us() >= documents->next_look_us)
                r = relay_hints_look(relay);
        if (r == 0)
                r = collect_sources(relay, &cargo);
        if (r == 0)
                r = record(relay, &cargo);
        for (size_t i = 0; r == 0 && i < cargo.source_count; i++)
                r = take_out(relay, &cargo.sources[i]);
        if (r == 0)
                relay_documents_batch(relay, cargo.events, cargo.event_count, batch_r);
        return r;
}
