#include "analysis.h"

#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "base/mem.h"
#include "codec/text.h"
#include "english.h"
#include "hebrew.h"
#include "lexicon.h"
#include "stop_words.h"
#include "term.h"

/*
 * Each word is looked for under several forms: itself, without Hebrew prefixes, stems, and the
 * concept that the lexicon has for it. They share one space of terms, so that "בית" as a word meets
 * "בית" as the core of "הבית"; concepts have one of their own. How much a match by a form counts is
 * a weight of the form, and a word counts by its best form only (lexical_index.c).
 */
#define WEIGHT_WORD    1.0F
#define WEIGHT_CORE    0.85F
#define WEIGHT_STEM    0.6F
#define WEIGHT_CONCEPT 0.7F

_Static_assert(TOKEN_CONTENT == 0, "what the table of roles says of words that it does not have");

enum { TABLE_BITS = 12, TABLE_SIZE = 1 << TABLE_BITS, MAX_STEMMED = 64 };

/* Terms with a value; open addressing, never full. */
struct table {
        uint64_t keys[TABLE_SIZE];
        uint64_t values[TABLE_SIZE];
};

struct analyser {
        struct SN_env *english;
        struct table roles;
        struct table concepts;
        struct table phrases;
};

static uint64_t table_get(const struct table *table, uint64_t key)
{
        size_t at = key >> (64 - TABLE_BITS);

        while (table->keys[at] && table->keys[at] != key)
                at = (at + 1) % TABLE_SIZE;
        return table->keys[at] ? table->values[at] : 0;
}

/* The first one stays. */
static void table_put(struct table *table, uint64_t key, uint64_t value)
{
        size_t at = key >> (64 - TABLE_BITS);

        while (table->keys[at] && table->keys[at] != key)
                at = (at + 1) % TABLE_SIZE;
        if (!table->keys[at]) {
                table->keys[at] = key;
                table->values[at] = value;
        }
}

static uint64_t word_term(struct cm_str word)
{
        return term_of('w', word.data, word.len);
}

static bool is_latin(struct cm_str word)
{
        for (size_t i = 0; i < word.len; i++)
                if (word.data[i] < 'a' || word.data[i] > 'z')
                        return false;
        return word.len > 0;
}

/* "dan's" is "dan", "don't" is "dont". */
static size_t normalise_latin(char *word, size_t len)
{
        if (len > 2 && word[len - 1] == 's' && word[len - 2] == '\'')
                len -= 2;
        else if (len > 4 && word[len - 1] == 's' && memcmp(word + len - 4, "\u2019", 3) == 0)
                len -= 4;
        return hebrew_normalise(word, len); /* takes out apostrophes */
}

static struct cm_str normalise(struct cm_str word, struct cm_arena *arena)
{
        struct cm_str copy = cm_arena_str(arena, word);
        char *bytes = (char *)copy.data;

        copy.len = hebrew_is(copy) ? hebrew_normalise(bytes, copy.len)
                                   : normalise_latin(bytes, copy.len);
        return copy;
}

static void add_variant(struct token *token, uint64_t term, float weight)
{
        for (size_t i = 0; i < token->variant_count; i++)
                if (token->variants[i].term == term)
                        return;
        if (token->variant_count < MAX_VARIANTS)
                token->variants[token->variant_count++] = (struct variant){ term, weight };
}

static void add_hebrew(struct token *token)
{
        struct cm_str stem = hebrew_stem(token->core);

        add_variant(token, word_term(token->core), WEIGHT_CORE);
        add_variant(token, word_term(hebrew_stem(token->word)), WEIGHT_STEM);
        add_variant(token, word_term(stem), WEIGHT_STEM);
        token->canonical = word_term(stem);
}

static void add_english(struct analyser *analyser, struct token *token)
{
        struct SN_env *stem = analyser->english;

        if (!is_latin(token->word) || token->word.len > MAX_STEMMED)
                return;
        if (SN_set_current(stem, (int)token->word.len, (const unsigned char *)token->word.data) ||
            english_UTF_8_stem(stem) < 0)
                return;
        token->canonical = term_of('w', (const char *)stem->p, (size_t)stem->l);
        add_variant(token, token->canonical, WEIGHT_STEM);
}

/* The forms of a word without what the lexicon knows. */
static void read_word(struct analyser *analyser, struct cm_str word, struct cm_arena *arena,
                      struct token *token)
{
        token->word = token->core = normalise(word, arena);
        token->canonical = word_term(token->word);
        add_variant(token, token->canonical, WEIGHT_WORD);
        if (hebrew_is(token->word)) {
                token->core = hebrew_core(token->word);
                add_hebrew(token);
        } else {
                add_english(analyser, token);
        }
}

/* What the table has for a word: for itself, or without some of its prefixes ("השינה": "שינה"; its
 * core is "ינה", because the ש of a word looks like a prefix). */
static uint64_t look_up(const struct table *table, const struct token *token, bool by_stem)
{
        struct cm_str word = token->word;
        uint64_t value;

        do {
                value = table_get(table, word_term(word));
                if (!value && by_stem && hebrew_is(word))
                        value = table_get(table, word_term(hebrew_stem(word)));
        } while (!value && hebrew_strip(&word));
        return value;
}

static uint8_t role_of(const struct analyser *analyser, const struct token *token)
{
        return (uint8_t)look_up(&analyser->roles, token, false);
}

static void set_concept(struct token *token, uint64_t concept)
{
        add_variant(token, concept, WEIGHT_CONCEPT);
        token->concept = token->canonical = concept;
}

static void find_concept(const struct analyser *analyser, struct token *token)
{
        uint64_t found = look_up(&analyser->concepts, token, true)
                                 ?: table_get(&analyser->concepts, token->canonical);

        if (found != 0)
                set_concept(token, found);
}

static uint64_t phrase_key(uint64_t first, uint64_t second)
{
        return term_mix(first * 31 + second);
}

/* Two words that mean something together; both then stand for it. */
static void find_phrases(const struct analyser *analyser, struct token *tokens,
                         const uint64_t *stems, size_t count)
{
        for (size_t i = 1; i < count; i++) {
                uint64_t concept =
                        table_get(&analyser->phrases, phrase_key(stems[i - 1], stems[i]));

                if (!concept)
                        continue;
                set_concept(&tokens[i - 1], concept);
                set_concept(&tokens[i], concept);
                tokens[i - 1].role = tokens[i].role = TOKEN_CONTENT;
        }
}

static size_t count_words(struct cm_str text)
{
        struct cm_str word;
        size_t count = 0;

        while (cm_text_next_word(&text, &word))
                count++;
        return count;
}

static void read_words(struct analyser *analyser, struct cm_arena *arena, struct analysis *analysis)
{
        size_t words = count_words(analysis->bare);
        uint64_t *stems = cm_arena_array(arena, words + 1, sizeof(*stems));
        struct cm_str rest = analysis->bare, word;

        analysis->tokens = cm_arena_array(arena, words + 1, sizeof(*analysis->tokens));
        while (cm_text_next_word(&rest, &word)) {
                struct token *token = &analysis->tokens[analysis->count];

                read_word(analyser, word, arena, token);
                if (!token->word.len)
                        continue;
                token->role = role_of(analyser, token);
                stems[analysis->count++] = token->canonical;
                if (token->role == TOKEN_CONTENT)
                        find_concept(analyser, token);
        }
        find_phrases(analyser, analysis->tokens, stems, analysis->count);
}

/* "Who am I?" is made of nothing else: then they count. */
static void count_content(struct analysis *analysis)
{
        for (size_t i = 0; i < analysis->count; i++)
                analysis->content += analysis->tokens[i].role == TOKEN_CONTENT;
        if (analysis->content)
                return;
        for (size_t i = 0; i < analysis->count; i++)
                analysis->tokens[i].role = TOKEN_CONTENT;
        analysis->content = analysis->count;
}

static int compare_terms(const void *a, const void *b)
{
        uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

        return x < y ? -1 : x > y;
}

static uint64_t fingerprint(const struct analysis *analysis, struct cm_arena *arena)
{
        uint64_t *terms = cm_arena_array(arena, analysis->count + 1, sizeof(*terms));
        uint64_t sum = 0;
        size_t count = 0;

        for (size_t i = 0; i < analysis->count; i++)
                if (analysis->tokens[i].role != TOKEN_STOP)
                        terms[count++] = analysis->tokens[i].canonical;
        qsort(terms, count, sizeof(*terms), compare_terms);
        for (size_t i = 0; i < count; i++)
                if (i == 0 || terms[i] != terms[i - 1])
                        sum = term_mix(sum ^ terms[i]);
        return sum;
}

int analyse(struct analyser *analyser, struct cm_str text, struct cm_arena *arena,
            struct analysis *analysis_r)
{
        *analysis_r = (struct analysis){ .bare = cm_text_bare(arena, text) };
        if (!analysis_r->bare.data)
                return -CM_E_MALFORMED;
        read_words(analyser, arena, analysis_r);
        count_content(analysis_r);
        analysis_r->fingerprint = fingerprint(analysis_r, arena);
        return 0;
}

struct cm_str analysis_language(const struct analysis *analysis)
{
        size_t hebrew = 0;

        for (size_t i = 0; i < analysis->count; i++)
                hebrew += hebrew_is(analysis->tokens[i].word);
        return hebrew * 2 > analysis->count ? CM_STR("he") : CM_STR("und");
}

struct cm_str analysis_same_text(const struct analysis *analysis, struct cm_arena *arena)
{
        struct cm_str rest = analysis->bare;
        char *text = cm_arena_alloc(arena, rest.len + 1);
        size_t len = 0;

        for (size_t i = 0; i < rest.len; i++) {
                bool blank = (unsigned char)rest.data[i] <= ' ';

                if (blank && (len == 0 || text[len - 1] == ' '))
                        continue;
                text[len++] = blank ? ' ' : rest.data[i];
        }
        while (len && strchr(" .!?", text[len - 1]))
                len--;
        return len ? (struct cm_str){ text, len } : rest;
}

/* ---- the tables */

static void put_roles(struct analyser *analyser, const char *words, enum token_role role,
                      struct cm_arena *arena)
{
        struct cm_str rest = cm_str_from(words), word;

        while (cm_text_next_word(&rest, &word))
                table_put(&analyser->roles, word_term(normalise(word, arena)), role);
}

/* "blood_pressure": the stems of both. */
static void put_phrase(struct analyser *analyser, struct cm_str phrase, uint64_t concept,
                       struct cm_arena *arena)
{
        struct token tokens[2] = { 0 };
        struct cm_str word;

        for (size_t i = 0; i < CM_COUNT(tokens) && cm_text_next_word(&phrase, &word); i++)
                read_word(analyser, word, arena, &tokens[i]);
        table_put(&analyser->phrases, phrase_key(tokens[0].canonical, tokens[1].canonical),
                  concept);
}

static void put_concept(struct analyser *analyser, const struct concept *concept,
                        struct cm_arena *arena)
{
        uint64_t term = term_of('c', concept->name, strlen(concept->name));
        struct cm_str rest = cm_str_from(concept->words), word;

        while (cm_str_split(&rest, ' ', &word)) {
                struct token token = { 0 };

                if (memchr(word.data, '_', word.len)) {
                        put_phrase(analyser, word, term, arena);
                        continue;
                }
                read_word(analyser, word, arena, &token);
                table_put(&analyser->concepts, token.variants[0].term, term);
                if (hebrew_is(token.word))
                        table_put(&analyser->concepts, word_term(hebrew_stem(token.word)), term);
                else
                        table_put(&analyser->concepts, token.canonical, term);
        }
}

int analyser_new(struct analyser **analyser_r)
{
        struct analyser *analyser = CM_NEW(struct analyser);
        struct cm_arena arena;

        analyser->english = english_UTF_8_create_env();
        if (!analyser->english) {
                cm_free(analyser);
                return -CM_E_INTERNAL;
        }
        cm_arena_init(&arena, 4096);
        for (size_t i = 0; i < stop_words_count; i++)
                put_roles(analyser, stop_words[i], TOKEN_STOP, &arena);
        put_roles(analyser, negations, TOKEN_NEGATION, &arena);
        for (size_t i = 0; i < concepts_count; i++)
                put_concept(analyser, &concepts[i], &arena);
        cm_arena_deinit(&arena);
        *analyser_r = analyser;
        return 0;
}

void analyser_free(struct analyser **analyser)
{
        if (!*analyser)
                return;
        english_UTF_8_close_env((*analyser)->english);
        cm_free(*analyser);
        *analyser = NULL;
}
