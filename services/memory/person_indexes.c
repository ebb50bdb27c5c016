#include "person_indexes.h"

#include "base/error.h"
#include "base/list.h"
#include "base/map.h"
#include "base/mem.h"
#include "sys/fiber.h"
#include "sys/log.h"
#include "sys/metrics.h"

static struct cm_metric people_metric =
        CM_GAUGE("salus_memory_index_people", "People whose index is in memory, in all workers");
static struct cm_metric bytes_metric =
        CM_GAUGE("salus_memory_index_bytes", "Memory that these indexes take");
static struct cm_metric loads_metric =
        CM_COUNTER("salus_memory_index_loads_total", "Indexes made from the database");
static struct cm_metric dropped_metric =
        CM_COUNTER("salus_memory_index_dropped_total", "Indexes dropped because memory was short");
static struct cm_metric behind_metric = CM_COUNTER(
        "salus_memory_index_behind_total", "Questions asked again because the index was behind");
static struct cm_metric search_metric =
        CM_HISTOGRAM("salus_memory_search_seconds", "Time of a search, without the database");

struct entry {
        struct cm_list link; /* in indexes->used, the latest last */
        struct cm_uuid user;
        struct recall_index *index; /* NULL: to be made */
        int64_t generation;         /* up to which it knows all */
        size_t bytes;
        int pins; /* fibers that use it */
        bool is_loading;
        struct cm_cond loaded;
};

struct person_indexes {
        struct person_indexes_config config;
        struct cm_map *entries;
        struct cm_list used;
        size_t bytes;
};

struct person_indexes *person_indexes_new(const struct person_indexes_config *config)
{
        struct person_indexes *indexes = CM_NEW(struct person_indexes);

        indexes->config = *config;
        indexes->entries = cm_map_new();
        cm_list_init(&indexes->used);
        return indexes;
}

static void set_bytes(struct person_indexes *indexes, struct entry *entry)
{
        size_t bytes = entry->index ? recall_index_bytes(entry->index) : 0;

        cm_gauge_add(&bytes_metric, (int64_t)bytes - (int64_t)entry->bytes);
        indexes->bytes = indexes->bytes - entry->bytes + bytes;
        entry->bytes = bytes;
}

static void drop_index(struct person_indexes *indexes, struct entry *entry)
{
        recall_index_free(&entry->index);
        entry->generation = 0;
        set_bytes(indexes, entry);
}

static struct cm_str key_of(const struct cm_uuid *user)
{
        return (struct cm_str){ (const char *)user->bytes, sizeof(user->bytes) };
}

static void remove_entry(struct person_indexes *indexes, struct entry *entry)
{
        drop_index(indexes, entry);
        cm_gauge_add(&people_metric, -1);
        cm_map_remove(indexes->entries, key_of(&entry->user));
        cm_list_remove(&entry->link);
        cm_free(entry);
}

void person_indexes_free(struct person_indexes **indexes)
{
        if (!*indexes)
                return;
        CM_LIST_EACH_SAFE (node, &(*indexes)->used)
                remove_entry(*indexes, CM_CONTAINER(node, struct entry, link));
        cm_map_free(&(*indexes)->entries, NULL);
        cm_free(*indexes);
        *indexes = NULL;
}

/* The longest unused go first; what somebody is using stays. */
static void make_room(struct person_indexes *indexes)
{
        CM_LIST_EACH_SAFE (node, &indexes->used) {
                struct entry *entry = CM_CONTAINER(node, struct entry, link);

                if (indexes->bytes <= indexes->config.max_bytes)
                        return;
                if (entry->pins)
                        continue;
                remove_entry(indexes, entry);
                cm_counter_add(&dropped_metric, 1);
        }
}

static struct entry *pin(struct person_indexes *indexes, const struct cm_uuid *user)
{
        struct entry *entry = cm_map_get(indexes->entries, key_of(user));

        if (entry) {
                cm_list_remove(&entry->link);
        } else {
                entry = CM_NEW(struct entry);
                entry->user = *user;
                cm_list_init(&entry->link);
                cm_cond_init(&entry->loaded);
                cm_map_put(indexes->entries, key_of(user), entry);
                cm_gauge_add(&people_metric, 1);
        }
        cm_list_append(&indexes->used, &entry->link);
        entry->pins++;
        return entry;
}

static void unpin(struct person_indexes *indexes, struct entry *entry)
{
        entry->pins--;
        set_bytes(indexes, entry);
        make_room(indexes);
}

/* ---- from the database */

static struct recall_item item_of(const struct person_indexes *indexes,
                                  const struct memory_change *change)
{
        bool is_short = change->storage_type == MEMORY_STORAGE_TYPE_SHORT_TERM;

        return (struct recall_item){
                .id = change->id,
                .version = change->version,
                .memory_type = (uint8_t)change->memory_type,
                .consent = change->consent,
                .is_active = change->is_active,
                .is_archived = change->is_archived,
                .valid_from = change->valid_from,
                .valid_until = change->valid_until,
                .expires_at = is_short ? change->updated_at + indexes->config.short_term_life_us
                                       : RECALL_ALWAYS,
        };
}

static int put(struct person_indexes *indexes, struct recall_index *index,
               const struct memory_change *change)
{
        struct recall_item item = item_of(indexes, change);
        struct embedding vector;
        struct analysis text;
        struct cm_arena arena;
        int r;

        cm_arena_init(&arena, 4096);
        r = analyse(indexes->config.analyser, change->content, &arena, &text);
        if (r == 0)
                r = indexes->config.embedder->embed(indexes->config.embedder, &text, &vector);
        if (r == 0)
                r = recall_index_put(index, &item, &text, &vector);
        cm_arena_deinit(&arena);
        return r;
}

/* A page of all; *after moves to its end. *is_last_r says that there is none behind it. */
static int load_page(struct person_indexes *indexes, const struct cm_uuid *user,
                     struct recall_index *index, struct cm_uuid *after, bool *is_last_r)
{
        struct memory_changes page;
        struct cm_arena arena;
        int r;

        cm_arena_init(&arena, 65536);
        r = memory_store_load(indexes->config.pg, &arena, user, after, &page);
        for (size_t i = 0; i < page.count && r == 0; i++) {
                r = put(indexes, index, &page.items[i]);
                *after = page.items[i].id;
        }
        *is_last_r = page.count < MEMORY_LOAD_PAGE;
        cm_arena_deinit(&arena);
        return r;
}

/* The generation is read first: what changes while the pages are read comes again as a change. */
static int load(struct person_indexes *indexes, const struct cm_uuid *user,
                struct recall_index *index, int64_t *generation_r)
{
        struct cm_uuid after = { { 0 } };
        bool is_last = false;
        int r = memory_store_generation(indexes->config.pg, user, generation_r);

        while (r == 0 && !is_last)
                r = load_page(indexes, user, index, &after, &is_last);
        cm_counter_add(&loads_metric, 1);
        return r;
}

/* Of several fibers that ask about the same person at once, one loads and the others wait. */
static int ensure_index(struct person_indexes *indexes, struct entry *entry)
{
        struct recall_index *index;
        int64_t generation = 0;
        int r = 0;

        while (r == 0 && entry->is_loading)
                r = cm_cond_wait(&entry->loaded);
        if (r || entry->index)
                return r;
        entry->is_loading = true;
        index = recall_index_new(indexes->config.vectors);
        r = load(indexes, &entry->user, index, &generation);
        entry->is_loading = false;
        if (r == 0) {
                entry->index = index;
                entry->generation = generation;
                set_bytes(indexes, entry);
        } else {
                recall_index_free(&index);
        }
        cm_cond_broadcast(&entry->loaded);
        return r;
}

/* ---- catching up */

/* Another fiber may have been faster: what is not newer than the index is passed over. */
static int apply(struct person_indexes *indexes, struct entry *entry,
                 const struct memory_changes *changes)
{
        int64_t known = entry->generation, newest = changes->generation;
        int r = 0;

        for (size_t i = 0; i < changes->count && r == 0; i++) {
                const struct memory_change *change = &changes->items[i];

                if (change->generation <= known)
                        continue;
                r = change->is_forgotten ? recall_index_remove(entry->index, &change->id)
                                         : put(indexes, entry->index, change);
                newest = change->generation > newest ? change->generation : newest;
        }
        if (r)
                drop_index(indexes, entry); /* half done: made anew by the next question */
        else if (newest > entry->generation)
                entry->generation = newest;
        return r;
}

/* An index that is too far behind is dropped: the next question makes it anew. */
static int catch_up(struct person_indexes *indexes, struct entry *entry, struct cm_arena *arena)
{
        int64_t known = entry->generation;
        struct memory_changes changes;
        int r = memory_store_catch_up(indexes->config.pg, arena, &entry->user, known, &changes);

        if (r || !entry->index)
                return r;
        if (changes.generation - known <= MEMORY_MAX_BEHIND && changes.count <= MEMORY_MAX_BEHIND)
                return apply(indexes, entry, &changes);
        if (entry->generation == known)
                drop_index(indexes, entry);
        return 0;
}

static const struct memory *find_memory(const struct memory_list *list, const struct cm_uuid *id)
{
        for (size_t i = 0; i < list->count; i++)
                if (cm_uuid_equal(&list->items[i].id, id))
                        return &list->items[i];
        return NULL;
}

struct question {
        const struct recall_query *query;
        struct analysis text;
        struct embedding vector;
        struct recall_hit *hits;
        size_t hit_count;
};

static int search(struct entry *entry, struct cm_arena *arena, struct question *question)
{
        struct recall_query query = *question->query;
        int64_t begin = cm_monotonic_us();
        int r;

        query.text = &question->text;
        query.vector = &question->vector;
        r = recall_index_search(entry->index, &query, arena, &question->hits, &question->hit_count);
        cm_histogram_observe_us(&search_metric, cm_monotonic_us() - begin);
        return r;
}

/* What the database has of the hits, in their order. What it has no more was just forgotten, and
 * what has another version by now may not be shown any more. */
static void join(const struct question *question, const struct memory_list *memories,
                 struct cm_arena *arena, struct recalled_list *list_r)
{
        list_r->count = 0;
        list_r->items = cm_arena_array(arena, question->hit_count + 1, sizeof(*list_r->items));
        for (size_t i = 0; i < question->hit_count; i++) {
                const struct recall_hit *hit = &question->hits[i];
                const struct memory *memory = find_memory(memories, &hit->id);

                if (memory && memory->version == hit->version)
                        list_r->items[list_r->count++] = (struct recalled){ *hit, *memory };
        }
}

static struct forgotten_ids ids_of(const struct question *question, struct cm_arena *arena)
{
        struct forgotten_ids ids = {
                .items = cm_arena_array(arena, question->hit_count + 1, sizeof(*ids.items)),
                .count = question->hit_count,
        };

        for (size_t i = 0; i < question->hit_count; i++)
                ids.items[i] = question->hits[i].id;
        return ids;
}

enum { ASK_AGAIN = 1 };

/* One search and one round trip; a second one when the index was behind. */
static int ask_once(struct person_indexes *indexes, struct entry *entry, struct cm_arena *arena,
                    struct question *question, struct recalled_list *list_r)
{
        struct memory_list memories;
        struct forgotten_ids ids;
        int64_t searched, generation;
        int r = ensure_index(indexes, entry);

        searched = entry->generation;
        if (r == 0)
                r = search(entry, arena, question);
        if (r)
                return r;
        ids = ids_of(question, arena);
        r = memory_store_check(indexes->config.pg, arena, &entry->user, &ids, &generation,
                               &memories);
        if (r)
                return r;
        join(question, &memories, arena, list_r);
        if (generation <= searched)
                return 0;
        return catch_up(indexes, entry, arena) ?: ASK_AGAIN;
}

/* A person who writes without a pause is answered after some attempts with what still holds: all
 * that was acknowledged before the first of them is known by the second. */
enum { MAX_ATTEMPTS = 5 };

int person_indexes_ask(struct person_indexes *indexes, struct cm_arena *arena,
                       const struct cm_uuid *user, struct cm_str text,
                       const struct recall_query *query, struct recalled_list *list_r)
{
        struct question question = { .query = query };
        struct entry *entry;
        int r = analyse(indexes->config.analyser, text, arena, &question.text);

        if (r == 0)
                r = indexes->config.embedder->embed(indexes->config.embedder, &question.text,
                                                    &question.vector);
        if (r)
                return r;
        entry = pin(indexes, user);
        *list_r = (struct recalled_list){ 0 };
        for (int i = 0; i < MAX_ATTEMPTS; i++) {
                r = ask_once(indexes, entry, arena, &question, list_r);
                if (r != ASK_AGAIN)
                        break;
                cm_counter_add(&behind_metric, 1);
        }
        unpin(indexes, entry);
        return r == ASK_AGAIN ? 0 : r;
}
