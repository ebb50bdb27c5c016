#include "lexical_index.h"

#include <math.h>
#include <string.h>

#include "base/assert.h"
#include "base/mem.h"
#include "term_table.h"

/*
 * A term has a list of postings, sorted by place: 24 bits of place, 8 bits of how often (255: as
 * often or more). A text keeps the numbers of its terms, so that taking it out touches only its own
 * lists and leaves nothing behind: what was forgotten is not in memory either, and counts are
 * exact.
 */
enum { PLACE_BITS = 24, MAX_OFTEN = 255 };

#define K1         0.9F
#define B          0.5F
#define BACKGROUND 30.0F

struct postings {
        uint64_t term;
        uint32_t *list;
        uint32_t count, capacity;
};

struct text {
        uint32_t *terms; /* numbers of postings, each once */
        uint32_t term_count;
        uint32_t length; /* content words */
};

struct lexical_index {
        struct term_table table; /* term -> number of postings */
        struct postings *postings;
        size_t postings_count, postings_capacity;
        uint32_t *unused; /* numbers of postings that may be used again */
        size_t unused_count, unused_capacity;
        struct text *texts;
        size_t text_capacity;
        size_t text_count;
        int64_t total_length;
        size_t bytes; /* of lists and of the terms of texts */
};

struct lexical_index *lexical_index_new(void)
{
        return CM_NEW(struct lexical_index);
}

void lexical_index_free(struct lexical_index **index_ptr)
{
        struct lexical_index *index = *index_ptr;

        if (!index)
                return;
        for (size_t i = 0; i < index->postings_count; i++)
                cm_free(index->postings[i].list);
        for (size_t i = 0; i < index->text_capacity; i++)
                cm_free(index->texts[i].terms);
        term_table_deinit(&index->table);
        cm_free(index->postings);
        cm_free(index->unused);
        cm_free(index->texts);
        cm_free(index);
        *index_ptr = NULL;
}

/* Room for one more in an array that doubles; new room is zeroed. */
static void *room(void *array, size_t needed, size_t *capacity, size_t size)
{
        size_t larger = *capacity ? *capacity : 16;

        if (needed <= *capacity)
                return array;
        while (larger < needed)
                larger *= 2;
        array = cm_realloc(array, larger * size);
        memset((char *)array + *capacity * size, 0, (larger - *capacity) * size);
        *capacity = larger;
        return array;
}

static uint32_t postings_of(struct lexical_index *index, uint64_t term)
{
        uint32_t number = term_table_get(&index->table, term);

        if (number != TERM_TABLE_NONE)
                return number;
        if (index->unused_count) {
                number = index->unused[--index->unused_count];
        } else {
                index->postings = room(index->postings, index->postings_count + 1,
                                       &index->postings_capacity, sizeof(*index->postings));
                number = (uint32_t)index->postings_count++;
        }
        index->postings[number].term = term;
        term_table_put(&index->table, term, number);
        return number;
}

/* The first posting that is not before the place. */
static uint32_t lower_bound(const struct postings *postings, size_t place)
{
        uint32_t low = 0, high = postings->count;

        if (high && postings->list[high - 1] >> 8 < place)
                return high;
        while (low < high) {
                uint32_t middle = low + (high - low) / 2;

                if (postings->list[middle] >> 8 < place)
                        low = middle + 1;
                else
                        high = middle;
        }
        return low;
}

/* False when the text had the term before. */
static bool add_posting(struct lexical_index *index, struct postings *postings, size_t place)
{
        uint32_t at = lower_bound(postings, place);

        if (at < postings->count && postings->list[at] >> 8 == place) {
                postings->list[at] += (postings->list[at] & MAX_OFTEN) < MAX_OFTEN;
                return false;
        }
        if (postings->count == postings->capacity) {
                uint32_t capacity = postings->capacity ? postings->capacity * 2 : 2;

                index->bytes += (capacity - postings->capacity) * sizeof(*postings->list);
                postings->list = cm_realloc(postings->list, capacity * sizeof(*postings->list));
                postings->capacity = capacity;
        }
        memmove(postings->list + at + 1, postings->list + at,
                (postings->count - at) * sizeof(*postings->list));
        postings->list[at] = (uint32_t)place << 8 | 1;
        postings->count++;
        return true;
}

static size_t count_variants(const struct analysis *text)
{
        size_t count = 0;

        for (size_t i = 0; i < text->count; i++)
                if (text->tokens[i].role == TOKEN_CONTENT)
                        count += text->tokens[i].variant_count;
        return count;
}

void lexical_index_put(struct lexical_index *index, size_t place, const struct analysis *text)
{
        struct text *entry;
        size_t most = count_variants(text);

        CM_ASSERT(place < 1U << PLACE_BITS);
        index->texts = room(index->texts, place + 1, &index->text_capacity, sizeof(*index->texts));
        entry = &index->texts[place];
        CM_ASSERT(!entry->terms);
        entry->terms = cm_alloc_array(most + 1, sizeof(*entry->terms));
        for (size_t i = 0; i < text->count; i++) {
                const struct token *token = &text->tokens[i];

                for (size_t v = 0; token->role == TOKEN_CONTENT && v < token->variant_count; v++) {
                        uint32_t number = postings_of(index, token->variants[v].term);

                        if (add_posting(index, &index->postings[number], place))
                                entry->terms[entry->term_count++] = number;
                }
        }
        entry->terms = cm_realloc(entry->terms, (entry->term_count + 1) * sizeof(*entry->terms));
        entry->length = (uint32_t)text->content;
        index->bytes += (entry->term_count + 1) * sizeof(*entry->terms);
        index->total_length += entry->length;
        index->text_count++;
}

static void drop_postings(struct lexical_index *index, uint32_t number)
{
        struct postings *postings = &index->postings[number];

        term_table_remove(&index->table, postings->term);
        index->bytes -= postings->capacity * sizeof(*postings->list);
        cm_free(postings->list);
        *postings = (struct postings){ 0 };
        index->unused = room(index->unused, index->unused_count + 1, &index->unused_capacity,
                             sizeof(*index->unused));
        index->unused[index->unused_count++] = number;
}

void lexical_index_remove(struct lexical_index *index, size_t place)
{
        struct text *text = &index->texts[place];

        CM_ASSERT(place < index->text_capacity && text->terms);
        for (uint32_t i = 0; i < text->term_count; i++) {
                struct postings *postings = &index->postings[text->terms[i]];
                uint32_t at = lower_bound(postings, place);

                postings->count--;
                memmove(postings->list + at, postings->list + at + 1,
                        (postings->count - at) * sizeof(*postings->list));
                if (!postings->count)
                        drop_postings(index, text->terms[i]);
        }
        index->bytes -= (text->term_count + 1) * sizeof(*text->terms);
        index->total_length -= text->length;
        index->text_count--;
        cm_free(text->terms);
        *text = (struct text){ 0 };
}

/* ln of a number above 1, as exact as a float is: libm's own is 0.3 MiB of the process. */
static float natural_log(float value)
{
        union {
                float value;
                uint32_t bits; /* of which 8, above 23, are the exponent */
        } part = { value };
        int exponent = (int)(part.bits >> 23) - 126;
        double ratio, square;

        part.bits = (part.bits & 0x7fffff) | 126U << 23; /* 0.5 to 1 */
        ratio = (part.value - 0.75) / (part.value + 0.75);
        square = ratio * ratio;

        return (float)(exponent * M_LN2 - 0.28768207245178093 + /* ln 0.75 */
                       2 * ratio *
                               (1 + square * (1. / 3 +
                                              square * (1. / 5 + square * (1. / 7 + square / 9)))));
}

static float rarity(const struct lexical_index *index, uint32_t found)
{
        float all = (float)index->text_count + BACKGROUND;

        return natural_log(1 + (all - (float)found + 0.5F) / ((float)found + 0.5F));
}

static const struct postings *find(const struct lexical_index *index, uint64_t term)
{
        uint32_t number = term_table_get(&index->table, term);

        return number == TERM_TABLE_NONE ? NULL : &index->postings[number];
}

/* A word weighs what its commonest form does; one that no text has weighs most. */
static float weight_of(const struct lexical_index *index, const struct token *token)
{
        uint32_t commonest = 0;

        for (size_t v = 0; v < token->variant_count; v++) {
                const struct postings *postings = find(index, token->variants[v].term);

                if (postings && postings->count > commonest)
                        commonest = postings->count;
        }
        return rarity(index, commonest);
}

/* One word of the question: in each text that has it, by its best form. */
struct word {
        float *best;     /* by place; zero between words */
        uint32_t *found; /* the places that are not zero */
        size_t found_count;
};

static void add_form(const struct lexical_index *index, const struct postings *postings,
                     float form_weight, size_t count, struct word *word)
{
        float slope = K1 * B * (float)index->text_count / (float)index->total_length;
        float weight = rarity(index, postings->count) * form_weight * (K1 + 1);

        for (uint32_t i = 0; i < postings->count; i++) {
                size_t place = postings->list[i] >> 8;
                float often = (float)(postings->list[i] & MAX_OFTEN), score;

                if (place >= count)
                        break;
                score = weight * often /
                        (often + K1 * (1 - B) + slope * (float)index->texts[place].length);
                if (word->best[place] == 0)
                        word->found[word->found_count++] = (uint32_t)place;
                if (score > word->best[place])
                        word->best[place] = score;
        }
}

static void look_up(const struct lexical_index *index, const struct token *token, size_t count,
                    struct word *word)
{
        word->found_count = 0;
        for (size_t v = 0; v < token->variant_count; v++) {
                const struct postings *postings = find(index, token->variants[v].term);

                if (postings)
                        add_form(index, postings, token->variants[v].weight, count, word);
        }
}

static bool is_repeated(const struct analysis *query, size_t at)
{
        for (size_t i = 0; i < at; i++)
                if (query->tokens[i].role == TOKEN_CONTENT &&
                    query->tokens[i].canonical == query->tokens[at].canonical)
                        return true;
        return false;
}

/* Whether the word counts: each one once. */
static bool counts(const struct analysis *query, size_t at)
{
        return query->tokens[at].role == TOKEN_CONTENT && !is_repeated(query, at);
}

void lexical_index_compare(const struct lexical_index *index, const struct analysis *query,
                           struct lexical_scores *scores)
{
        struct word word = { .best = scores->best, .found = scores->found };
        float whole = 0;

        for (size_t i = 0; i < query->count; i++)
                if (counts(query, i))
                        whole += weight_of(index, &query->tokens[i]);
        for (size_t i = 0; i < query->count && index->text_count; i++) {
                float weight;

                if (!counts(query, i))
                        continue;
                weight = weight_of(index, &query->tokens[i]);
                look_up(index, &query->tokens[i], scores->count, &word);
                for (size_t f = 0; f < word.found_count; f++) {
                        uint32_t place = word.found[f];

                        scores->scores[place] += word.best[place] / whole;
                        scores->coverage[place] +=
                                (word.best[place] < weight ? word.best[place] : weight) / whole;
                        word.best[place] = 0;
                }
        }
}

size_t lexical_index_bytes(const struct lexical_index *index)
{
        return sizeof(*index) + term_table_bytes(&index->table) + index->bytes +
               index->postings_capacity * sizeof(*index->postings) +
               index->unused_capacity * sizeof(*index->unused) +
               index->text_capacity * sizeof(*index->texts);
}
