#include "embedding_hash.h"

#include "base/mem.h"
#include "term.h"

/*
 * What a feature weighs, in units of the vector: the forms of a word by what a match by them is
 * worth, each part of three letters a little. A long text has many features; it is then scaled so
 * that the largest place fits into eight bits.
 */
enum { WORD_UNITS = 6, PART_UNITS = 4, PART_LETTERS = 3, MAX_VALUE = 127, MAX_WORD = 64 };

static void add(int32_t *sums, uint64_t feature, int32_t units)
{
        uint64_t place = term_mix(feature ^ UINT64_C(0x9e3779b97f4a7c15));

        sums[place % EMBEDDING_DIMENSIONS] += place >> 63 ? units : -units;
}

/* Where the code point after `at` begins. */
static size_t next(struct cm_str text, size_t at)
{
        do
                at++;
        while (at < text.len && ((unsigned char)text.data[at] & 0xc0) == 0x80);
        return at;
}

/* "squat 3" is not near "squat 4", nor "a1c" near "a2c": what has digits is itself or nothing. */
static bool has_digit(struct cm_str word)
{
        for (size_t i = 0; i < word.len; i++)
                if (word.data[i] >= '0' && word.data[i] <= '9')
                        return true;
        return false;
}

/* Parts of three letters, with marks for the word's both ends: "^ab", "abc", "bc$". */
static void add_parts(int32_t *sums, struct cm_str core)
{
        char word[MAX_WORD + 2];
        struct cm_str text = { word, 0 };
        size_t end;

        if (core.len > MAX_WORD || has_digit(core))
                return;
        word[text.len++] = '^';
        for (size_t i = 0; i < core.len; i++)
                word[text.len++] = core.data[i];
        word[text.len++] = '$';
        for (size_t at = 0; at < text.len; at = next(text, at)) {
                end = at;
                for (int i = 0; i < PART_LETTERS && end < text.len + 1; i++)
                        end = end < text.len ? next(text, end) : text.len + 1;
                if (end > text.len)
                        break;
                add(sums, term_of('p', text.data + at, end - at), PART_UNITS);
        }
}

static void scale(const int32_t *sums, struct embedding *embedding)
{
        int32_t largest = MAX_VALUE;

        for (int i = 0; i < EMBEDDING_DIMENSIONS; i++) {
                int32_t size = sums[i] < 0 ? -sums[i] : sums[i];

                largest = size > largest ? size : largest;
        }
        for (int i = 0; i < EMBEDDING_DIMENSIONS; i++)
                embedding->values[i] = (int8_t)((int64_t)sums[i] * MAX_VALUE / largest);
        embedding_finish(embedding);
}

static int embed(struct embedder *embedder CM_UNUSED, const struct analysis *text,
                 struct embedding *embedding_r)
{
        int32_t sums[EMBEDDING_DIMENSIONS] = { 0 };

        for (size_t i = 0; i < text->count; i++) {
                const struct token *token = &text->tokens[i];

                if (token->role != TOKEN_CONTENT)
                        continue;
                for (size_t v = 0; v < token->variant_count; v++)
                        add(sums, token->variants[v].term,
                            (int32_t)(token->variants[v].weight * WORD_UNITS));
                add_parts(sums, token->core);
        }
        scale(sums, embedding_r);
        return 0;
}

static void free_hash(struct embedder *embedder)
{
        cm_free(embedder);
}

struct embedder *embedding_hash_new(void)
{
        struct embedder *embedder = CM_NEW(struct embedder);

        *embedder = (struct embedder){ .name = "hash", .embed = embed, .free = free_hash };
        return embedder;
}
