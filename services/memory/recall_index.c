#include "recall_index.h"

#include <string.h>

#include "base/map.h"
#include "base/mem.h"
#include "lexical_index.h"
#include "recall_rules.h"

/* What the map takes for an entry, about; what a search writes on, for a memory. */
enum { MAX_RESTATED = 50, MAP_BYTES = 80, ROOM_BYTES = 28 };

/* What is looked at of each memory that answers; apart from the rest, so that much of it fits into
 * the processor's cache. */
struct sight {
        uint64_t fingerprint;
        uint8_t memory_type;
        uint8_t consent;
        uint8_t state;
};
enum { IS_ACTIVE = 1, IS_ARCHIVED = 2, IS_OVER = 4, MAY_EXPIRE = 8 }; /* bits; 0: not used */

struct recall_index {
        struct lexical_index *words;
        struct vector_store *vectors;
        struct sight *sights;
        struct recall_item *items;
        size_t count, capacity; /* places that were ever used; room */
        uint32_t *free_places;
        size_t free_count;
        struct cm_map *by_id; /* the place + 1, as a pointer */
        struct room *room;    /* of the last search, for the next */
};

struct candidate {
        uint32_t place;
        float score;
};

/* What a search writes on: kept, because to get that much memory anew costs more than the search.
 * One that runs while another waits for its vector store has its own. */
struct room {
        size_t capacity;
        struct lexical_scores words;
        float *cosines;
        struct candidate *heap;
};

static void free_room(struct room *room)
{
        if (!room)
                return;
        cm_free(room->words.scores);
        cm_free(room->words.coverage);
        cm_free(room->words.best);
        cm_free(room->words.found);
        cm_free(room->cosines);
        cm_free(room->heap);
        cm_free(room);
}

static struct room *take_room(struct recall_index *index)
{
        size_t size = index->capacity + 1;
        struct room *room = index->room;

        index->room = NULL;
        if (!room || room->capacity < size) {
                free_room(room);
                room = CM_NEW(struct room);
                room->capacity = size;
                room->words.scores = cm_alloc_array(size, sizeof(float));
                room->words.coverage = cm_alloc_array(size, sizeof(float));
                room->words.best = cm_alloc_array(size, sizeof(float));
                room->words.found = cm_alloc_array(size, sizeof(uint32_t));
                room->cosines = cm_alloc_array(size, sizeof(float));
                room->heap = cm_alloc_array(size, sizeof(struct candidate));
        }
        room->words.count = index->count;
        memset(room->words.scores, 0, index->count * sizeof(float));
        memset(room->words.coverage, 0, index->count * sizeof(float));
        return room;
}

static void give_room(struct recall_index *index, struct room *room)
{
        free_room(index->room);
        index->room = room;
}

struct recall_index *recall_index_new(const struct vector_store_kind *vectors)
{
        struct recall_index *index = CM_NEW(struct recall_index);

        index->words = lexical_index_new();
        index->vectors = vectors->open();
        index->by_id = cm_map_new();
        return index;
}

void recall_index_free(struct recall_index **index_ptr)
{
        struct recall_index *index = *index_ptr;

        if (!index)
                return;
        lexical_index_free(&index->words);
        vector_store_free(&index->vectors);
        cm_map_free(&index->by_id, NULL);
        free_room(index->room);
        cm_free(index->sights);
        cm_free(index->items);
        cm_free(index->free_places);
        cm_free(index);
        *index_ptr = NULL;
}

static struct cm_str key_of(const struct cm_uuid *id)
{
        return (struct cm_str){ (const char *)id->bytes, sizeof(id->bytes) };
}

static size_t take_place(struct recall_index *index)
{
        if (index->free_count)
                return index->free_places[--index->free_count];
        if (index->count == index->capacity) {
                index->capacity = index->capacity ? index->capacity * 2 : 16;
                index->sights = cm_realloc(index->sights, index->capacity * sizeof(*index->sights));
                index->items = cm_realloc(index->items, index->capacity * sizeof(*index->items));
                index->free_places = cm_realloc(index->free_places,
                                                index->capacity * sizeof(*index->free_places));
        }
        return index->count++;
}

int recall_index_remove(struct recall_index *index, const struct cm_uuid *id)
{
        uintptr_t found = (uintptr_t)cm_map_remove(index->by_id, key_of(id));
        size_t place = found - 1;

        if (!found)
                return 0;
        lexical_index_remove(index->words, place);
        index->sights[place].state = 0;
        index->free_places[index->free_count++] = (uint32_t)place;
        return index->vectors->kind->remove(index->vectors, place);
}

static uint8_t state_of(const struct recall_item *item)
{
        if (!item->is_active)
                return 0;
        return (uint8_t)(IS_ACTIVE | (item->is_archived ? IS_ARCHIVED : 0) |
                         (item->valid_until != RECALL_ALWAYS ? IS_OVER : 0) |
                         (item->expires_at != RECALL_ALWAYS ? MAY_EXPIRE : 0));
}

int recall_index_put(struct recall_index *index, const struct recall_item *item,
                     const struct analysis *text, const struct embedding *vector)
{
        size_t place;
        int r = recall_index_remove(index, &item->id);

        if (r)
                return r;
        place = take_place(index);
        index->items[place] = *item;
        index->sights[place] = (struct sight){ text->fingerprint, item->memory_type, item->consent,
                                               state_of(item) };
        lexical_index_put(index->words, place, text);
        cm_map_put(index->by_id, key_of(&item->id), (void *)(uintptr_t)(place + 1));
        return index->vectors->kind->put(index->vectors, place, vector);
}

/* ---- search */

struct search {
        const struct recall_index *index;
        const struct recall_query *query;
        const struct lexical_scores *words;
        const float *cosines;
        struct candidate *heap; /* the best on top */
        size_t count;
};

/* What holds still is told without a clock, so that replicas whose clocks differ agree. */
static bool held(const struct search *search, size_t place)
{
        const struct recall_item *item = &search->index->items[place];
        cm_time at = search->query->held_at;

        if (at == RECALL_ALWAYS)
                return !(search->index->sights[place].state & IS_OVER);
        return item->valid_from <= at && at < item->valid_until;
}

static bool is_archived(const struct search *search, size_t place)
{
        uint8_t state = search->index->sights[place].state;

        return state & IS_ARCHIVED ||
               (state & MAY_EXPIRE && search->index->items[place].expires_at <= search->query->now);
}

static bool may_be_shown(const struct search *search, size_t place)
{
        const struct sight *sight = &search->index->sights[place];
        const struct recall_query *query = search->query;

        return sight->state && (sight->consent & query->consent) == query->consent &&
               (!query->memory_types || query->memory_types & 1U << sight->memory_type) &&
               held(search, place) && (query->include_archived || !is_archived(search, place));
}

static float score_of(const struct search *search, size_t place)
{
        return recall_score(&(struct relevance){ search->words->scores[place],
                                                 search->words->coverage[place],
                                                 search->cosines[place] });
}

static void collect(struct search *search)
{
        const struct recall_gate *gate =
                search->query->certain ? &recall_certain : &recall_relevant;
        uint32_t *relevant = search->words->found;
        size_t count = 0;

        for (size_t i = 0; i < search->words->count; i++) {
                relevant[count] = (uint32_t)i;
                count += recall_passes(gate, search->words->coverage[i], search->cosines[i]);
        }
        for (size_t i = 0; i < count; i++)
                if (may_be_shown(search, relevant[i]))
                        search->heap[search->count++] =
                                (struct candidate){ relevant[i], score_of(search, relevant[i]) };
}

/* By score; of equals the newer first, and then any fixed order. */
static bool is_better(const struct search *search, struct candidate a, struct candidate b)
{
        const struct recall_item *x = &search->index->items[a.place];
        const struct recall_item *y = &search->index->items[b.place];

        if (a.score < b.score || a.score > b.score)
                return a.score > b.score;
        if (x->valid_from != y->valid_from)
                return x->valid_from > y->valid_from;
        return memcmp(x->id.bytes, y->id.bytes, sizeof(x->id.bytes)) > 0;
}

static void sink(struct search *search, size_t at)
{
        struct candidate *heap = search->heap;

        for (;;) {
                size_t best = at, left = 2 * at + 1;

                for (size_t child = left; child < left + 2 && child < search->count; child++)
                        if (is_better(search, heap[child], heap[best]))
                                best = child;
                if (best == at)
                        return;
                struct candidate moved = heap[at];

                heap[at] = heap[best];
                heap[best] = moved;
                at = best;
        }
}

static struct candidate pop(struct search *search)
{
        struct candidate best = search->heap[0];

        search->heap[0] = search->heap[--search->count];
        sink(search, 0);
        return best;
}

static struct recall_hit *find_same(const struct search *search, struct recall_hit *hits,
                                    const uint64_t *fingerprints, size_t count, uint32_t place)
{
        uint64_t fingerprint = search->index->sights[place].fingerprint;

        for (size_t i = 0; fingerprint && i < count; i++)
                if (fingerprints[i] == fingerprint)
                        return &hits[i];
        return NULL;
}

static void add_restated(struct recall_hit *hit, const struct cm_uuid *id, struct cm_arena *arena)
{
        if (!hit->restated_by)
                hit->restated_by = cm_arena_array(arena, MAX_RESTATED, sizeof(*hit->restated_by));
        if (hit->restated_count < MAX_RESTATED)
                hit->restated_by[hit->restated_count++] = *id;
}

/* Takes the best until there are enough; what says the same as one that was taken goes with it,
 * also from what is left. */
static size_t take(struct search *search, struct cm_arena *arena, struct recall_hit *hits)
{
        uint64_t *fingerprints =
                cm_arena_array(arena, search->query->limit + 1, sizeof(*fingerprints));
        size_t count = 0;

        while (search->count && count < search->query->limit) {
                struct candidate best = pop(search);
                const struct cm_uuid *id = &search->index->items[best.place].id;
                struct recall_hit *same = find_same(search, hits, fingerprints, count, best.place);

                if (same) {
                        add_restated(same, id, arena);
                        continue;
                }
                fingerprints[count] = search->index->sights[best.place].fingerprint;
                hits[count++] = (struct recall_hit){
                        .id = *id,
                        .version = search->index->items[best.place].version,
                        .score = best.score,
                        .lexical = search->words->coverage[best.place],
                        .cosine = search->cosines[best.place],
                };
        }
        for (size_t i = 0; i < search->count; i++) {
                uint32_t place = search->heap[i].place;
                struct recall_hit *same = find_same(search, hits, fingerprints, count, place);

                if (same)
                        add_restated(same, &search->index->items[place].id, arena);
        }
        return count;
}

int recall_index_search(struct recall_index *index, const struct recall_query *query,
                        struct cm_arena *arena, struct recall_hit **hits_r, size_t *count_r)
{
        struct room *room = take_room(index);
        struct search search = { index, query, &room->words, room->cosines, room->heap, 0 };
        int r = index->vectors->kind->compare(index->vectors, query->vector, room->cosines,
                                              room->words.count);

        if (r == 0) {
                lexical_index_compare(index->words, query->text, &room->words);
                collect(&search);
                for (size_t i = search.count / 2; i-- > 0;)
                        sink(&search, i);
                *hits_r = cm_arena_array(arena, query->limit + 1, sizeof(**hits_r));
                *count_r = take(&search, arena, *hits_r);
        }
        give_room(index, room);
        return r;
}

size_t recall_index_count(const struct recall_index *index)
{
        return index->count - index->free_count;
}

size_t recall_index_bytes(const struct recall_index *index)
{
        return sizeof(*index) + lexical_index_bytes(index->words) +
               index->vectors->kind->bytes(index->vectors) +
               index->capacity * (sizeof(*index->sights) + sizeof(*index->items) +
                                  sizeof(*index->free_places)) +
               (index->room ? index->room->capacity * ROOM_BYTES : 0) +
               recall_index_count(index) * MAP_BYTES;
}
