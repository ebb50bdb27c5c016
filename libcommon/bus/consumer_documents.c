#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "bus/consumer_internal.h"
#include "schemas.h"

/*
 * The inbox of a service that keeps documents. Nothing spans two documents, so the order is what
 * holds it together: effect, inbox entry, range of positions, acknowledgement. Whatever is cut off
 * in between, what comes after it is done again, and the effect itself is idempotent.
 *
 * How far a stream is done with is one document with the ranges beyond its position; its revision
 * lets two replicas write it.
 */
#define IDS_SEPARATOR "#"

static const struct cm_collection inbox = { .name = "inbox", .schema = &inbox_entry_schema };
static const struct cm_collection streams = { .name = "inbox_streams",
                                              .schema = &inbox_stream_schema };
static const struct cm_sort by_id[] = { { CM_FIELD(inbox_entry, id), false } };

static struct cm_str entry_id(struct cm_arena *arena, const struct cm_event *event)
{
        char id[CM_UUID_TEXT_SIZE];

        return cm_arena_printf(arena, "%.*s" IDS_SEPARATOR "%s", CM_STR_ARG(event->source),
                               cm_uuid_format(&event->id, id));
}

/* ---- entries */

static int documents_open(struct cm_consumer *consumer, struct cm_str stream)
{
        const struct inbox_stream first = { .id = stream };
        CM_CLEANUP(cm_filter_deinit) struct cm_filter filter = { 0 };
        CM_CLEANUP(cm_update_deinit) struct cm_update update = { 0 };
        int r;

        CM_FILTER_IS(&filter, inbox_stream, id, &stream);
        cm_update_insert(&update, &inbox_stream_schema, &first);
        r = cm_mongo_update(consumer->config.mongo, &streams, stream, &filter, &update,
                            CM_MONGO_UPSERT);
        return r == CM_MONGO_DUPLICATE ? 0 : r;
}

static bool is_kept(const struct consumer_entry *entry)
{
        return entry->fate == ENTRY_EFFECT && !entry->subscription->is_repeatable;
}

static size_t effects(struct cm_consumer *consumer, const struct consumer_entry *entries,
                      size_t count, struct cm_str *ids)
{
        size_t found = 0;

        for (size_t i = 0; i < count; i++)
                if (is_kept(&entries[i]))
                        ids[found++] = entry_id(&consumer->attempt, &entries[i].event);
        return found;
}

static int compare_entries(const void *a, const void *b)
{
        const struct inbox_entry *left = a, *right = b;

        return strcmp(left->id.data, right->id.data);
}

static bool is_known(const struct cm_items *known, struct cm_str id)
{
        const struct inbox_entry wanted = { .id = id };

        return known->count && bsearch(&wanted, known->items, known->count,
                                       sizeof(struct inbox_entry), compare_entries);
}

/* The same event twice in one read has one effect. */
static bool came_before(const struct consumer_entry *entries, size_t i)
{
        for (size_t j = 0; j < i; j++)
                if (entries[j].is_new &&
                    cm_uuid_equal(&entries[j].event.id, &entries[i].event.id) &&
                    cm_str_equal(entries[j].event.source, entries[i].event.source))
                        return true;
        return false;
}

static int documents_begin(struct cm_consumer *consumer, const struct cm_pg_scope *scope CM_UNUSED,
                           struct consumer_entry *entries, size_t count,
                           struct cm_pg_tx **tx_r CM_UNUSED)
{
        struct cm_str *ids = cm_arena_array(&consumer->attempt, count, sizeof(*ids));
        size_t wanted = effects(consumer, entries, count, ids);
        const struct cm_mongo_page page = { by_id, 1, .limit = (int64_t)count };
        CM_CLEANUP(cm_filter_deinit) struct cm_filter filter = { 0 };
        struct cm_items known = { 0 };
        int r = 0;

        CM_FILTER_IN(&filter, inbox_entry, id, ids, wanted);
        if (wanted)
                r = cm_mongo_list(consumer->config.mongo, &inbox, consumer->group, &filter, &page,
                                  &consumer->attempt, &known, NULL);
        for (size_t i = 0; i < count; i++) {
                entries[i].is_new = false;
                if (r == 0 && entries[i].fate == ENTRY_EFFECT)
                        entries[i].is_new = !is_known(&known, entry_id(&consumer->attempt,
                                                                       &entries[i].event)) &&
                                            !came_before(entries, i);
        }
        return r;
}

/* One that is there already is another replica's, whose effect was the same. */
static int enter(struct cm_consumer *consumer, const struct inbox_entry *entered, size_t count)
{
        size_t first = 0, inserted;
        int r = 0;

        while (first < count && r == 0) {
                r = cm_mongo_insert_many(consumer->config.mongo, &inbox, consumer->group,
                                         &entered[first], count - first, &inserted);
                first += inserted;
                if (r == CM_MONGO_DUPLICATE) {
                        first++;
                        r = 0;
                }
        }
        return r;
}

static int push_run(struct cm_consumer *consumer, const struct consumer_stream *stream,
                    const struct consumer_range *run)
{
        const struct position_range range = { run->first, run->last };
        CM_CLEANUP(cm_filter_deinit) struct cm_filter filter = { 0 };
        CM_CLEANUP(cm_update_deinit) struct cm_update update = { 0 };

        CM_FILTER_IS(&filter, inbox_stream, id, &stream->name);
        CM_UPDATE_PUSH(&update, inbox_stream, done, &range, 1);
        CM_UPDATE_INC(&update, inbox_stream, revision, 1);
        return cm_mongo_update(consumer->config.mongo, &streams, stream->name, &filter, &update,
                               CM_MONGO_UPDATE);
}

static int documents_commit(struct cm_consumer *consumer, struct cm_pg_tx **tx CM_UNUSED,
                            const struct consumer_entry *entries, size_t count)
{
        struct cm_arena *arena = &consumer->attempt;
        struct inbox_entry *entered = cm_arena_array(arena, count, sizeof(*entered));
        struct consumer_range *runs = cm_arena_array(arena, count, sizeof(*runs));
        const struct consumer_stream **of = cm_arena_array(arena, count, sizeof(*of));
        size_t found = 0, run_count = consumer_runs(entries, count, runs, of);
        int r;

        for (size_t i = 0; i < count; i++)
                if (is_kept(&entries[i]) && entries[i].is_new)
                        entered[found++] = (struct inbox_entry){
                                .id = entry_id(arena, &entries[i].event),
                                .received_at = cm_now(&cm_clock_system),
                        };
        r = enter(consumer, entered, found);
        for (size_t i = 0; i < run_count && r == 0; i++)
                r = push_run(consumer, of[i], &runs[i]);
        return r;
}

/* ---- positions */

static int compare_ranges(const void *a, const void *b)
{
        const struct position_range *left = a, *right = b;

        if (left->first != right->first)
                return left->first < right->first ? -1 : 1;
        return left->last < right->last ? -1 : left->last > right->last;
}

/* Joins to the position what touches it, and what is beyond to each other. */
static void join(struct inbox_stream *stream)
{
        struct position_range *ranges = stream->done.items;
        size_t kept = 0;

        if (stream->done.count)
                qsort(ranges, stream->done.count, sizeof(*ranges), compare_ranges);
        for (size_t i = 0; i < stream->done.count; i++) {
                if (ranges[i].last <= stream->position)
                        continue;
                if (ranges[i].first <= stream->position + 1)
                        stream->position = ranges[i].last;
                else if (kept && ranges[i].first <= ranges[kept - 1].last + 1)
                        ranges[kept - 1].last = ranges[i].last > ranges[kept - 1].last
                                                        ? ranges[i].last
                                                        : ranges[kept - 1].last;
                else
                        ranges[kept++] = ranges[i];
        }
        stream->done.count = kept;
}

/* 0, or CM_MONGO_NO_MATCH when somebody else wrote meanwhile. */
static int save(struct cm_consumer *consumer, const struct inbox_stream *stream)
{
        CM_CLEANUP(cm_filter_deinit) struct cm_filter filter = { 0 };
        CM_CLEANUP(cm_update_deinit) struct cm_update update = { 0 };

        CM_FILTER_IS(&filter, inbox_stream, id, &stream->id);
        CM_FILTER_IS(&filter, inbox_stream, revision, &stream->revision);
        CM_UPDATE_SET(&update, inbox_stream, position, &stream->position);
        cm_update_value(&update, CM_OPERATOR_SET, CM_FIELD(inbox_stream, done), &stream->done);
        CM_UPDATE_INC(&update, inbox_stream, revision, 1);
        return cm_mongo_update(consumer->config.mongo, &streams, stream->id, &filter, &update,
                               CM_MONGO_UPDATE);
}

static void tell_beyond(const struct inbox_stream *stream, struct cm_arena *arena,
                        struct consumer_range **beyond_r, size_t *count_r)
{
        *count_r = stream->done.count;
        *beyond_r = cm_arena_array(arena, *count_r ? *count_r : 1, sizeof(**beyond_r));
        for (size_t i = 0; i < *count_r; i++)
                (*beyond_r)[i] = (struct consumer_range){ stream->done.items[i].first,
                                                          stream->done.items[i].last };
}

static int documents_advance(struct cm_consumer *consumer, struct cm_str stream,
                             struct cm_arena *arena, int64_t *position_r,
                             struct consumer_range **beyond_r, size_t *count_r)
{
        CM_CLEANUP(cm_filter_deinit) struct cm_filter filter = { 0 };
        struct inbox_stream at;
        int r;

        CM_FILTER_IS(&filter, inbox_stream, id, &stream);
        do {
                size_t before;

                r = cm_mongo_find(consumer->config.mongo, &streams, stream, &filter, arena, &at);
                if (r)
                        return r;
                before = at.done.count;
                join(&at);
                if (at.done.count != before)
                        r = save(consumer, &at);
        } while (r == CM_MONGO_NO_MATCH);
        *position_r = at.position;
        tell_beyond(&at, arena, beyond_r, count_r);
        return r;
}

static int documents_prune(struct cm_consumer *consumer)
{
        CM_CLEANUP(cm_filter_deinit) struct cm_filter filter = { 0 };
        cm_time old = cm_now(&cm_clock_system) - consumer->config.keep_us;

        CM_FILTER_COMPARE(&filter, inbox_entry, received_at, CM_COMPARE_LESS, &old);
        return cm_mongo_delete_all(consumer->config.mongo, &inbox, consumer->group, &filter, NULL);
}

const struct cm_inbox cm_inbox_documents = {
        .open = documents_open,
        .begin = documents_begin,
        .commit = documents_commit,
        .advance = documents_advance,
        .prune = documents_prune,
};
