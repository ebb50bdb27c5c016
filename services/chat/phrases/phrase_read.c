#include <ctype.h>
#include <stdio.h>
#include <string.h>

#include "base/map.h"
#include "base/mem.h"
#include "phrase_internal.h"

/* ---- from text to nodes */

struct builder {
        struct phrases *phrases;
        struct cm_arena arena;   /* as long as the builder */
        struct cm_arena scratch; /* of one word */
        struct cm_map *macros;   /* name: struct cm_str * */
        struct cm_map *words;    /* as written: number_kept() of the word */
        struct cm_map *terms;    /* of words, as written: number_kept() of its links; macros repeat
                                    them */
        struct array firsts;     /* struct first */
        const char *problem;     /* of the present line */
        int depth;
};

struct first {
        uint32_t word, phrase;
};

/* Adds zeroed items; returns the number of the first. */
static uint32_t extend(struct array *array, size_t size, size_t more)
{
        uint32_t first = array->count;

        if (array->cap - array->count <= more) {
                array->cap += array->cap / 2 + (uint32_t)more + 64;
                array->items = cm_realloc(array->items, array->cap * size);
        }
        memset((char *)array->items + first * size, 0, more * size);
        array->count += (uint32_t)more;
        return first;
}

static void fit(struct array *array, size_t size)
{
        array->cap = array->count;
        array->items = cm_realloc(array->items, array->cap * size);
}

/* Numbers as values of a map, which are not NULL. */
static void *number_kept(uint32_t number)
{
        return (void *)((uintptr_t)number + 1); /* NOLINT(performance-no-int-to-ptr) */
}

static bool number_get(const struct cm_map *map, struct cm_str key, uint32_t *number_r)
{
        uintptr_t kept = (uintptr_t)cm_map_get(map, key);

        *number_r = (uint32_t)(kept - 1);
        return kept != 0;
}

static uint32_t build(struct builder *builder, struct cm_str pattern, uint32_t next);

static uint32_t node_new(struct builder *builder, struct node node)
{
        uint32_t number = extend(&builder->phrases->nodes, sizeof(node), 1);

        *node_at(builder->phrases, number) = node;
        return number;
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

static uint32_t build_group(struct builder *builder, struct cm_str inside, bool optional,
                            uint32_t next)
{
        size_t count = count_alternatives(inside);
        uint32_t links = extend(&builder->phrases->links, sizeof(uint32_t), count + optional);
        struct cm_str part;

        for (uint32_t i = 0; take_alternative(&inside, &part); i++) {
                uint32_t way = build(builder, part, next);

                *link_at(builder->phrases, links + i) = way;
        }
        if (optional)
                *link_at(builder->phrases, links + (uint32_t)count) = next;
        return node_new(builder, (struct node){ .kind = NODE_FORK,
                                                .count = (uint32_t)(count + optional),
                                                .links = links });
}

static uint32_t word_new(struct builder *builder, const struct chat_text *text, bool prefix)
{
        struct phrases *phrases = builder->phrases;
        struct cm_str word = text->words[0].text;
        uint32_t number = extend(&phrases->words, sizeof(struct word), 1);
        uint32_t at = extend(&phrases->texts, 1, word.len);

        memcpy((char *)phrases->texts.items + at, word.data, word.len);
        *word_at(phrases, number) = (struct word){ .hash = text->words[0].hash,
                                                   .text = at,
                                                   .len = (uint16_t)word.len,
                                                   .prefix = prefix,
                                                   .hebrew = text->language == CHAT_LANGUAGE_HE };
        return number;
}

/* The number of the word; false when it is none. */
static bool read_word(struct builder *builder, struct cm_str part, uint32_t *number_r)
{
        bool prefix = part.len > 1 && part.data[part.len - 1] == '*';
        struct chat_text text;
        struct cm_str key;

        cm_arena_reset(&builder->scratch);
        part.len -= prefix;
        if (!chat_text_read(&builder->scratch, part, &text) || text.count != 1 ||
            text.words[0].text.len > UINT16_MAX)
                return false;
        key = cm_arena_printf(&builder->scratch, "%.*s%s", CM_STR_ARG(text.words[0].text),
                              prefix ? "*" : "");
        if (number_get(builder->words, key, number_r))
                return true;
        *number_r = word_new(builder, &text, prefix);
        (void)cm_map_put(builder->words, key, number_kept(*number_r));
        return true;
}

static uint32_t links_of_term(struct builder *builder, struct cm_str term)
{
        struct cm_str rest = term, part;
        uint32_t links, word;

        if (number_get(builder->terms, term, &links))
                return links;
        links = extend(&builder->phrases->links, sizeof(uint32_t), count_alternatives(term));
        (void)cm_map_put(builder->terms, term, number_kept(links));
        for (uint32_t i = 0; take_alternative(&rest, &part); i++) {
                if (read_word(builder, part, &word))
                        *link_at(builder->phrases, links + i) = word;
                else
                        builder->problem = cm_arena_printf(&builder->arena, "\"%.*s\" is no word",
                                                           CM_STR_ARG(part))
                                                   .data;
        }
        return links;
}

static uint32_t build_words(struct builder *builder, struct cm_str term, uint32_t next)
{
        return node_new(builder, (struct node){ .kind = NODE_WORDS,
                                                .count = (uint32_t)count_alternatives(term),
                                                .next = next,
                                                .links = links_of_term(builder, term) });
}

static uint32_t build_numbered(struct builder *builder, enum node_kind kind, char digit,
                               uint32_t next)
{
        if (!isdigit((unsigned char)digit) || (kind != NODE_GAP && digit - '0' >= PHRASE_CAPTURES))
                builder->problem = "a digit is expected";
        return node_new(builder, (struct node){ .kind = kind,
                                                .count = (uint32_t)(digit - '0') & 0xf,
                                                .next = next });
}

static uint32_t build_term(struct builder *builder, struct cm_str term, uint32_t next)
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
                return node_new(builder,
                                (struct node){ .kind = digit == 's' ? NODE_SENTENCE : NODE_START,
                                               .next = next });
        case '$':
                return node_new(builder, (struct node){ .kind = NODE_END, .next = next });
        case '@':
                macro = cm_map_get(builder->macros, (struct cm_str){ term.data + 1, term.len - 1 });
                if (!macro)
                        builder->problem = "nothing has that name";
                return macro ? build_group(builder, *macro, false, next) : next;
        default:
                return build_words(builder, term, next);
        }
}

/* From the last term to the first, because each needs its continuation. */
static uint32_t build(struct builder *builder, struct cm_str pattern, uint32_t next)
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

static void post(struct builder *builder, uint32_t number)
{
        struct word *word = word_at(builder->phrases, number);
        uint32_t phrase = (uint32_t)builder->phrases->count, first;

        if (word->posted == phrase + 1)
                return;
        word->posted = phrase + 1;
        word->posting_count++;
        first = extend(&builder->firsts, sizeof(struct first), 1);
        ((struct first *)builder->firsts.items)[first] = (struct first){ number, phrase };
}

static void post_firsts(struct builder *builder, uint32_t number)
{
        const struct phrases *phrases = builder->phrases;
        const struct node *node = node_at(phrases, number);

        switch (node->kind) {
        case NODE_WORDS:
                for (uint32_t i = 0; i < node->count; i++) {
                        uint32_t word = *link_at(phrases, node->links + i);

                        post(builder, word_at(phrases, word)->prefix ? OTHERS : word);
                }
                break;
        case NODE_FORK:
                for (uint32_t i = 0; i < node->count; i++)
                        post_firsts(builder, *link_at(phrases, node->links + i));
                break;
        case NODE_START:
        case NODE_SENTENCE:
                post_firsts(builder, node->next);
                break;
        default:
                post(builder, OTHERS);
        }
}

/* From pairs in the order of phrases to a list for each word. */
static void make_postings(struct builder *builder)
{
        struct phrases *phrases = builder->phrases;
        const struct first *first = builder->firsts.items;
        uint32_t *postings, at = 0;

        (void)extend(&phrases->postings, sizeof(uint32_t), builder->firsts.count);
        postings = phrases->postings.items;
        for (uint32_t i = 0; i < phrases->words.count; i++) {
                struct word *word = word_at(phrases, i);

                word->postings = at;
                at += word->posting_count;
                word->posting_count = 0;
        }
        for (uint32_t i = 0; i < builder->firsts.count; i++) {
                struct word *word = word_at(phrases, first[i].word);

                postings[word->postings + word->posting_count++] = first[i].phrase;
        }
}

static void make_slots(struct phrases *phrases)
{
        size_t size = 16;

        while (size < 2 * (size_t)phrases->words.count)
                size *= 2;
        phrases->slots = cm_alloc_array(size, sizeof(*phrases->slots));
        phrases->mask = size - 1;
        for (uint32_t i = OTHERS + 1; i < phrases->words.count; i++) {
                const struct word *word = word_at(phrases, i);
                size_t at = word->hash & phrases->mask;

                if (word->prefix)
                        continue;
                while (phrases->slots[at])
                        at = (at + 1) & phrases->mask;
                phrases->slots[at] = i + 1;
        }
}

/* ---- the table */

static void add_macro(struct builder *builder, struct cm_str name, struct cm_str pattern)
{
        struct cm_str *kept = CM_ARENA_NEW(&builder->arena, struct cm_str);

        *kept = pattern;
        (void)cm_map_put(builder->macros, (struct cm_str){ name.data + 1, name.len - 1 }, kept);
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
                add_macro(builder, columns[0], columns[count - 1]);
                return NULL;
        }
        memcpy(phrase->columns, columns, (count - 1) * sizeof(*columns));
        phrase->start = build(builder, columns[count - 1],
                              node_new(builder, (struct node){ .kind = NODE_ACCEPT }));
        if (!builder->problem)
                post_firsts(builder, phrase->start);
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

static void finish(struct builder *builder)
{
        struct phrases *phrases = builder->phrases;

        make_postings(builder);
        make_slots(phrases);
        fit(&phrases->nodes, sizeof(struct node));
        fit(&phrases->links, sizeof(uint32_t));
        fit(&phrases->words, sizeof(struct word));
        fit(&phrases->texts, 1);
        fit(&phrases->postings, sizeof(uint32_t));
}

struct phrases *phrases_new(struct cm_str table, const char **error_r)
{
        struct phrases *phrases = CM_NEW(struct phrases);
        struct builder builder = { .phrases = phrases,
                                   .macros = cm_map_new(),
                                   .words = cm_map_new(),
                                   .terms = cm_map_new() };

        cm_arena_init(&builder.arena, 4096);
        cm_arena_init(&builder.scratch, 4096);
        phrases->items = cm_alloc_array(count_lines(table), sizeof(*phrases->items));
        (void)extend(&phrases->words, sizeof(struct word), 1); /* OTHERS */
        if (add_lines(&builder, table, error_r))
                finish(&builder);
        else
                phrases_free(&phrases);
        cm_map_free(&builder.macros, NULL);
        cm_map_free(&builder.words, NULL);
        cm_map_free(&builder.terms, NULL);
        cm_free(builder.firsts.items);
        cm_arena_deinit(&builder.arena);
        cm_arena_deinit(&builder.scratch);
        return phrases;
}

void phrases_free(struct phrases **phrases)
{
        struct phrases *it = *phrases;

        if (!it)
                return;
        cm_free(it->items);
        cm_free(it->nodes.items);
        cm_free(it->links.items);
        cm_free(it->words.items);
        cm_free(it->texts.items);
        cm_free(it->postings.items);
        cm_free(it->slots);
        cm_free(it);
        *phrases = NULL;
}
