#include "phrase.h"

#include <ctype.h>
#include <stdio.h>
#include <string.h>

#include "base/map.h"
#include "base/mem.h"

/*
 * A pattern becomes a chain of nodes, each with its continuation, so that a group's alternatives
 * simply continue behind the group and matching needs no stack of its own. Matching tries and goes
 * back; patterns are short and gaps small, so what it can try is bounded by the pattern.
 */
enum node_kind {
        NODE_WORDS,
        NODE_FORK,
        NODE_GAP,
        NODE_CAPTURE,
        NODE_NUMBER,
        NODE_START,
        NODE_SENTENCE,
        NODE_END,
        NODE_ACCEPT
};

struct word_choice {
        struct cm_str text;
        uint64_t hash;
        bool prefix;
        bool hebrew;
};

/* Small, because a table is tens of thousands of them. */
struct node {
        enum node_kind kind;
        uint32_t count; /* words, forks, width of the gap, number of the capture */
        const struct node *next;
        union {
                const struct word_choice *words; /* NODE_WORDS */
                const struct node **forks;       /* NODE_FORK */
        };
};

struct phrase {
        struct cm_str columns[PHRASE_COLUMNS];
        const struct node *start;
};

/* Numbers of phrases, ascending. */
struct postings {
        uint32_t *items;
        size_t count, cap;
};

struct phrases {
        struct cm_arena arena;
        struct phrase *items;
        size_t count;
        struct cm_map *macros;  /* name: struct cm_str * */
        struct cm_map *words;   /* that phrases have: anything */
        struct cm_map *firsts;  /* that phrases can begin with: struct postings * */
        struct postings others; /* phrases that can begin with other words */
};

/* ---- from text to nodes */

struct builder {
        struct phrases *phrases;
        struct cm_arena scratch; /* of one word */
        struct cm_map
                *choices;    /* a term of words, as written: struct choices *; macros repeat them */
        const char *problem; /* of the present line */
        int depth;
};

struct choices {
        struct word_choice *words;
        size_t count;
};

static const struct node *build(struct builder *builder, struct cm_str pattern,
                                const struct node *next);

static struct node *node_new(struct builder *builder, enum node_kind kind, const struct node *next)
{
        struct node *node = CM_ARENA_NEW(&builder->phrases->arena, struct node);

        node->kind = kind;
        node->next = next;
        return node;
}

/* The first term at the front of *rest: a bracketed group or what stands up to the next blank. */
static struct cm_str take_term(struct cm_str *rest)
{
        struct cm_str term;
        size_t i = 0;
        int depth = 0;

        *rest = cm_str_trim(*rest);
        for (; i < rest->len && (depth || rest->data[i] != ' '); i++) {
                char c = rest->data[i];

                depth += (c == '(' || c == '[') - (c == ')' || c == ']');
        }
        term = (struct cm_str){ rest->data, i };
        *rest = (struct cm_str){ rest->data + i, rest->len - i };
        return term;
}

/* Cuts at the next '|' that stands in no bracket. */
static bool take_alternative(struct cm_str *rest, struct cm_str *part_r)
{
        int depth = 0;

        if (!rest->data)
                return false;
        for (size_t i = 0; i < rest->len; i++) {
                char c = rest->data[i];

                depth += (c == '(' || c == '[') - (c == ')' || c == ']');
                if (c != '|' || depth)
                        continue;
                *part_r = (struct cm_str){ rest->data, i };
                *rest = (struct cm_str){ rest->data + i + 1, rest->len - i - 1 };
                return true;
        }
        *part_r = *rest;
        *rest = CM_STR_NONE;
        return true;
}

static size_t count_alternatives(struct cm_str text)
{
        struct cm_str part;
        size_t count = 0;

        while (take_alternative(&text, &part))
                count++;
        return count;
}

static const struct node *build_group(struct builder *builder, struct cm_str inside, bool optional,
                                      const struct node *next)
{
        struct node *fork = node_new(builder, NODE_FORK, NULL);
        struct cm_str part;

        fork->forks = cm_arena_array(&builder->phrases->arena, count_alternatives(inside) + 1,
                                     sizeof(struct node *));
        while (take_alternative(&inside, &part))
                fork->forks[fork->count++] = build(builder, part, next);
        if (optional)
                fork->forks[fork->count++] = next;
        return fork;
}

static bool read_choice(struct builder *builder, struct cm_str part, struct word_choice *choice)
{
        struct chat_text text;

        cm_arena_reset(&builder->scratch);
        choice->prefix = part.len > 1 && part.data[part.len - 1] == '*';
        part.len -= choice->prefix;
        if (!chat_text_read(&builder->scratch, part, &text) || text.count != 1)
                return false;
        choice->text = cm_arena_str(&builder->phrases->arena, text.words[0].text);
        choice->hash = text.words[0].hash;
        choice->hebrew = text.language == CHAT_LANGUAGE_HE;
        if (!choice->prefix)
                (void)cm_map_put(builder->phrases->words, choice->text, builder->phrases);
        return true;
}

static const struct choices *choices_of(struct builder *builder, struct cm_str term)
{
        struct cm_arena *arena = &builder->phrases->arena;
        struct choices *choices = cm_map_get(builder->choices, term);
        struct cm_str part;

        if (choices)
                return choices;
        choices = CM_ARENA_NEW(arena, struct choices);
        choices->words = cm_arena_array(arena, count_alternatives(term), sizeof(*choices->words));
        (void)cm_map_put(builder->choices, term, choices);
        while (take_alternative(&term, &part))
                if (!read_choice(builder, part, &choices->words[choices->count++]))
                        builder->problem =
                                cm_arena_printf(arena, "\"%.*s\" is no word", CM_STR_ARG(part))
                                        .data;
        return choices;
}

static const struct node *build_words(struct builder *builder, struct cm_str term,
                                      const struct node *next)
{
        struct node *node = node_new(builder, NODE_WORDS, next);
        const struct choices *choices = choices_of(builder, term);

        node->words = choices->words;
        node->count = (uint32_t)choices->count;
        return node;
}

static const struct node *build_numbered(struct builder *builder, enum node_kind kind, char digit,
                                         const struct node *next)
{
        struct node *node = node_new(builder, kind, next);

        if (!isdigit((unsigned char)digit) || (kind != NODE_GAP && digit - '0' >= PHRASE_CAPTURES))
                builder->problem = "a digit is expected";
        node->count = (uint32_t)(digit - '0');
        return node;
}

static const struct node *build_term(struct builder *builder, struct cm_str term,
                                     const struct node *next)
{
        struct cm_str inside = { term.data + 1, term.len > 1 ? term.len - 2 : 0 };
        const struct cm_str *macro;
        char last = term.data[term.len - 1], digit = term.len > 1 ? term.data[1] : 0;

        switch (term.data[0]) {
        case '(':
        case '[':
                if (last != (term.data[0] == '(' ? ')' : ']'))
                        builder->problem = "a bracket is not closed";
                return build_group(builder, inside, term.data[0] == '[', next);
        case '~':
                return build_numbered(builder, NODE_GAP, digit, next);
        case '{':
                return build_numbered(builder, NODE_CAPTURE, digit, next);
        case '#':
                return build_numbered(builder, NODE_NUMBER, digit, next);
        case '^':
                return node_new(builder, digit == 's' ? NODE_SENTENCE : NODE_START, next);
        case '$':
                return node_new(builder, NODE_END, next);
        case '@':
                macro = cm_map_get(builder->phrases->macros,
                                   (struct cm_str){ term.data + 1, term.len - 1 });
                if (!macro)
                        builder->problem = "nothing has that name";
                return macro ? build_group(builder, *macro, false, next) : next;
        default:
                return build_words(builder, term, next);
        }
}

/* From the last term to the first, because each needs its continuation. */
static const struct node *build(struct builder *builder, struct cm_str pattern,
                                const struct node *next)
{
        struct cm_str terms[64];
        size_t count = 0;

        pattern = cm_str_trim(pattern);
        if (!pattern.len || ++builder->depth > 64)
                builder->problem = "a pattern is expected";
        while (pattern.len && count < CM_COUNT(terms) && !builder->problem) {
                terms[count++] = take_term(&pattern);
                pattern = cm_str_trim(pattern);
        }
        while (count > 0 && !builder->problem)
                next = build_term(builder, terms[--count], next);
        builder->depth--;
        return next;
}

/* ---- which phrases can begin with a word */

static void post(struct phrases *phrases, struct postings *postings, size_t phrase)
{
        if (postings->count && postings->items[postings->count - 1] == phrase)
                return;
        if (postings->count == postings->cap) {
                size_t cap = postings->cap ? 2 * postings->cap : 4;
                uint32_t *items = cm_arena_array(&phrases->arena, cap, sizeof(*items));

                if (postings->count)
                        memcpy(items, postings->items, postings->count * sizeof(*items));
                postings->items = items;
                postings->cap = cap;
        }
        postings->items[postings->count++] = (uint32_t)phrase;
}

static void post_word(struct phrases *phrases, struct cm_str word, size_t phrase)
{
        struct postings *postings = cm_map_get(phrases->firsts, word);

        if (!postings) {
                postings = CM_ARENA_NEW(&phrases->arena, struct postings);
                (void)cm_map_put(phrases->firsts, word, postings);
        }
        post(phrases, postings, phrase);
}

static void post_firsts(struct phrases *phrases, const struct node *node, size_t phrase)
{
        switch (node->kind) {
        case NODE_WORDS:
                for (size_t i = 0; i < node->count; i++)
                        if (node->words[i].prefix)
                                post(phrases, &phrases->others, phrase);
                        else
                                post_word(phrases, node->words[i].text, phrase);
                break;
        case NODE_FORK:
                for (size_t i = 0; i < node->count; i++)
                        post_firsts(phrases, node->forks[i], phrase);
                break;
        case NODE_START:
        case NODE_SENTENCE:
                post_firsts(phrases, node->next, phrase);
                break;
        default:
                post(phrases, &phrases->others, phrase);
        }
}

/* ---- the table */

static void add_macro(struct phrases *phrases, struct cm_str name, struct cm_str pattern)
{
        struct cm_str *kept = CM_ARENA_NEW(&phrases->arena, struct cm_str);

        *kept = pattern;
        (void)cm_map_put(phrases->macros, (struct cm_str){ name.data + 1, name.len - 1 }, kept);
}

static const char *add_line(struct builder *builder, struct cm_str line)
{
        struct phrases *phrases = builder->phrases;
        struct phrase *phrase = &phrases->items[phrases->count];
        struct cm_str columns[PHRASE_COLUMNS + 1] = { CM_STR_NONE };
        struct cm_str rest = line, part;
        size_t count = 0;

        while (cm_str_split(&rest, '\t', &part)) {
                if (count > PHRASE_COLUMNS)
                        return "there are too many columns";
                columns[count++] = cm_str_trim(part);
        }
        if (count < 2)
                return "columns and a pattern are expected, separated by tabs";
        if (columns[0].len > 1 && columns[0].data[0] == '@') {
                add_macro(phrases, columns[0], columns[count - 1]);
                return NULL;
        }
        memcpy(phrase->columns, columns, (count - 1) * sizeof(*columns));
        phrase->start = build(builder, columns[count - 1], node_new(builder, NODE_ACCEPT, NULL));
        if (!builder->problem)
                post_firsts(phrases, phrase->start, phrases->count);
        phrases->count++;
        return builder->problem;
}

static size_t count_lines(struct cm_str table)
{
        size_t lines = 1;

        for (size_t i = 0; i < table.len; i++)
                lines += table.data[i] == '\n';
        return lines;
}

/* False at the first line that is wrong. */
static bool add_lines(struct builder *builder, struct cm_str table, const char **error_r)
{
        static _Thread_local char error[256];
        struct cm_str line;
        int number = 0;

        while (cm_str_split(&table, '\n', &line)) {
                const char *problem = NULL;

                number++;
                if (line.len && line.data[0] != '#')
                        problem = add_line(builder, line);
                if (!problem)
                        continue;
                (void)snprintf(error, sizeof(error), "line %d: %s: %.*s", number, problem,
                               (int)(line.len < 150 ? line.len : 150), line.data);
                *error_r = error;
                return false;
        }
        return true;
}

struct phrases *phrases_new(struct cm_str table, const char **error_r)
{
        struct phrases *phrases = CM_NEW(struct phrases);
        struct builder builder = { .phrases = phrases, .choices = cm_map_new() };

        cm_arena_init(&builder.scratch, 4096);
        cm_arena_init(&phrases->arena, 65536);
        phrases->macros = cm_map_new();
        phrases->words = cm_map_new();
        phrases->firsts = cm_map_new();
        phrases->items =
                cm_arena_array(&phrases->arena, count_lines(table), sizeof(*phrases->items));
        if (!add_lines(&builder, table, error_r))
                phrases_free(&phrases);
        cm_map_free(&builder.choices, NULL);
        cm_arena_deinit(&builder.scratch);
        return phrases;
}

void phrases_free(struct phrases **phrases)
{
        struct phrases *it = *phrases;

        if (!it)
                return;
        cm_map_free(&it->macros, NULL);
        cm_map_free(&it->words, NULL);
        cm_map_free(&it->firsts, NULL);
        cm_arena_deinit(&it->arena);
        cm_free(it);
        *phrases = NULL;
}

size_t phrases_count(const struct phrases *phrases)
{
        return phrases->count;
}

bool phrases_know(const struct phrases *phrases, struct cm_str word)
{
        return cm_map_get(phrases->words, word) != NULL;
}

/* ---- matching */

struct attempt {
        const struct chat_text *text;
        struct phrase_match *match;
        int steps; /* how much is left to try at this place */
};
#define MAX_STEPS 20000

/* Letters of two bytes that stand before a Hebrew word and leave its meaning: and, that, when. */
static size_t prefix_length(struct cm_str word)
{
        static const struct cm_str prefixes[] = {
                { "כש", 4 }, { "וש", 4 }, { "ו", 2 }, { "ש", 2 }
        };

        for (size_t i = 0; i < CM_COUNT(prefixes); i++)
                if (word.len >= prefixes[i].len + 4 && cm_str_starts(word, prefixes[i]))
                        return prefixes[i].len;
        return 0;
}

static bool is_choice(const struct word_choice *choice, const struct chat_word *word)
{
        struct cm_str text = word->text;
        size_t cut;

        if (choice->prefix ? cm_str_starts(text, choice->text)
                           : choice->hash == word->hash && cm_str_equal(text, choice->text))
                return true;
        cut = choice->hebrew ? prefix_length(text) : 0;
        if (!cut)
                return false;
        text = (struct cm_str){ text.data + cut, text.len - cut };
        if (choice->prefix ? cm_str_starts(text, choice->text) : cm_str_equal(text, choice->text))
                return true;
        return cut == 4 &&
               cm_str_equal((struct cm_str){ text.data - 2, text.len + 2 }, choice->text);
}

static bool is_word(const struct node *node, const struct chat_word *word)
{
        for (size_t i = 0; i < node->count; i++)
                if (is_choice(&node->words[i], word))
                        return true;
        return false;
}

static bool is_same_sentence(const struct chat_text *text, size_t at)
{
        return at < text->count && !(text->words[at].breaks & CHAT_BREAK_SENTENCE);
}

static bool try_node(struct attempt *attempt, const struct node *node, size_t at);

static bool try_gap(struct attempt *attempt, const struct node *node, size_t at)
{
        for (size_t width = 0; width <= node->count; width++) {
                if (try_node(attempt, node->next, at + width))
                        return true;
                if (!is_same_sentence(attempt->text, at + width))
                        return false;
        }
        return false;
}

static bool try_capture(struct attempt *attempt, const struct node *node, size_t at)
{
        struct phrase_range *range = &attempt->match->captures[node->count];

        for (size_t last = at; last < attempt->text->count; last++) {
                if (last > at && !is_same_sentence(attempt->text, last))
                        return false;
                if (!try_node(attempt, node->next, last + 1))
                        continue;
                *range = (struct phrase_range){ at, last };
                attempt->match->has[node->count] = true;
                return true;
        }
        return false;
}

static bool try_number(struct attempt *attempt, const struct node *node, size_t at)
{
        if (at >= attempt->text->count || !attempt->text->words[at].is_number ||
            !try_node(attempt, node->next, at + 1))
                return false;
        attempt->match->captures[node->count] = (struct phrase_range){ at, at };
        attempt->match->has[node->count] = true;
        return true;
}

static bool try_node(struct attempt *attempt, const struct node *node, size_t at)
{
        const struct chat_text *text = attempt->text;

        if (--attempt->steps < 0)
                return false;
        switch (node->kind) {
        case NODE_WORDS:
                return at < text->count && is_word(node, &text->words[at]) &&
                       try_node(attempt, node->next, at + 1);
        case NODE_FORK:
                for (size_t i = 0; i < node->count; i++)
                        if (try_node(attempt, node->forks[i], at))
                                return true;
                return false;
        case NODE_GAP:
                return try_gap(attempt, node, at);
        case NODE_CAPTURE:
                return try_capture(attempt, node, at);
        case NODE_NUMBER:
                return try_number(attempt, node, at);
        case NODE_START:
                return at == 0 && try_node(attempt, node->next, at);
        case NODE_SENTENCE:
                return (at == 0 || (at < text->count && !is_same_sentence(text, at))) &&
                       try_node(attempt, node->next, at);
        case NODE_END:
                return at == text->count && try_node(attempt, node->next, at);
        case NODE_ACCEPT:
        default:
                attempt->match->range.last = at;
                return true;
        }
}

/* The lists of phrases that can begin with this word, or with what follows a Hebrew prefix. */
static size_t candidates(const struct phrases *phrases, struct cm_str word,
                         const struct postings *lists[4])
{
        size_t cut = prefix_length(word), count = 0;
        const struct postings *found;

        lists[count++] = &phrases->others;
        found = cm_map_get(phrases->firsts, word);
        if (found)
                lists[count++] = found;
        for (; cut > 0; cut = cut == 4 ? 2 : 0) {
                struct cm_str rest = { word.data + cut, word.len - cut };

                found = cm_map_get(phrases->firsts, rest);
                if (found)
                        lists[count++] = found;
        }
        return count;
}

static bool try_phrase(const struct phrases *phrases, size_t phrase, const struct chat_text *text,
                       size_t at, struct phrase_match *match)
{
        struct attempt attempt = { text, match, MAX_STEPS };

        memset(match->has, 0, sizeof(match->has));
        if (!try_node(&attempt, phrases->items[phrase].start, at) || match->range.last == at)
                return false;
        match->columns = phrases->items[phrase].columns;
        match->phrase = phrase;
        match->range.first = at;
        match->range.last--;
        return true;
}

/* A place is a word, and a number among the candidates for that word. */
#define PLACE_BITS 24

bool phrases_next(const struct phrases *phrases, const struct chat_text *text, size_t *place,
                  struct phrase_match *match)
{
        size_t at = *place >> PLACE_BITS, skip = *place & ((1U << PLACE_BITS) - 1);

        for (; at < text->count; at++, skip = 0) {
                const struct postings *lists[4];
                size_t count = candidates(phrases, text->words[at].text, lists), number = 0;

                for (size_t i = 0; i < count; i++)
                        for (size_t j = 0; j < lists[i]->count; j++) {
                                if (number++ < skip ||
                                    !try_phrase(phrases, lists[i]->items[j], text, at, match))
                                        continue;
                                *place = at << PLACE_BITS | number;
                                return true;
                        }
        }
        *place = at << PLACE_BITS;
        return false;
}
