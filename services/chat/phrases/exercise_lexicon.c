#include "exercise_lexicon.h"

#include <string.h>

#include "base/attr.h"
#include "base/map.h"
#include "base/mem.h"

#define MAX_ALIAS_WORDS  6
#define MIN_SLIP_LETTERS 5

struct alias {
        struct alias *next; /* that begins with the same word; longer ones first */
        const struct exercise *exercise;
        struct cm_str words[MAX_ALIAS_WORDS];
        size_t count;
        bool is_done;
};

struct exercise_lexicon {
        struct cm_arena arena;
        struct exercise *exercises;
        size_t count;
        struct cm_map *aliases; /* first word: struct alias * */
};

static bool read_kind(struct cm_str text, enum exercise_kind *kind_r)
{
        static const char *const names[] = { "reps", "weight", "time", "distance" };

        for (size_t i = 0; i < CM_COUNT(names); i++)
                if (cm_str_equal(text, cm_str_from(names[i]))) {
                        *kind_r = (enum exercise_kind)i;
                        return true;
                }
        return false;
}

static void link_alias(struct exercise_lexicon *lexicon, struct alias *alias)
{
        struct alias *head = cm_map_get(lexicon->aliases, alias->words[0]), **at = &head;

        while (*at && (*at)->count >= alias->count)
                at = &(*at)->next;
        alias->next = *at;
        *at = alias;
        (void)cm_map_put(lexicon->aliases, alias->words[0], head);
}

static bool add_alias(struct exercise_lexicon *lexicon, const struct exercise *exercise,
                      struct cm_str name)
{
        struct alias *alias = CM_ARENA_NEW(&lexicon->arena, struct alias);
        CM_CLEANUP(cm_arena_deinit) struct cm_arena scratch;
        struct chat_text text;

        cm_arena_init(&scratch, 1024);
        alias->exercise = exercise;
        alias->is_done = name.len && name.data[0] == '!';
        name.data += alias->is_done;
        name.len -= alias->is_done;
        if (!chat_text_read(&scratch, name, &text) || !text.count || text.count > MAX_ALIAS_WORDS)
                return false;
        for (size_t i = 0; i < text.count; i++)
                alias->words[i] = cm_arena_str(&lexicon->arena, text.words[i].text);
        alias->count = text.count;
        link_alias(lexicon, alias);
        return true;
}

static bool add_aliases(struct exercise_lexicon *lexicon, const struct exercise *exercise,
                        struct cm_str names, struct cm_str *shown_r)
{
        struct cm_str name;

        *shown_r = CM_STR_NONE;
        while (cm_str_split(&names, '|', &name)) {
                if (!shown_r->data)
                        *shown_r = name;
                if (!add_alias(lexicon, exercise, name))
                        return false;
        }
        return shown_r->data != NULL;
}

static bool add_line(struct exercise_lexicon *lexicon, struct cm_str line)
{
        struct exercise *exercise = &lexicon->exercises[lexicon->count++];
        struct cm_str kind, english, hebrew;

        return cm_str_split(&line, '\t', &exercise->id) && cm_str_split(&line, '\t', &kind) &&
               cm_str_split(&line, '\t', &english) && cm_str_split(&line, '\t', &hebrew) &&
               !line.data && read_kind(kind, &exercise->kind) &&
               add_aliases(lexicon, exercise, english, &exercise->name_en) &&
               add_aliases(lexicon, exercise, hebrew, &exercise->name_he);
}

struct exercise_lexicon *exercise_lexicon_new(struct cm_str table, const char **error_r)
{
        struct exercise_lexicon *lexicon = CM_NEW(struct exercise_lexicon);
        size_t lines = 1;
        struct cm_str line;

        for (size_t i = 0; i < table.len; i++)
                lines += table.data[i] == '\n';
        cm_arena_init(&lexicon->arena, 65536);
        lexicon->aliases = cm_map_new();
        lexicon->exercises = cm_arena_array(&lexicon->arena, lines, sizeof(*lexicon->exercises));
        while (cm_str_split(&table, '\n', &line)) {
                if (!line.len || line.data[0] == '#' || add_line(lexicon, line))
                        continue;
                *error_r = "an exercise has an id, a kind, English and Hebrew names";
                exercise_lexicon_free(&lexicon);
                return NULL;
        }
        return lexicon;
}

void exercise_lexicon_free(struct exercise_lexicon **lexicon)
{
        struct exercise_lexicon *it = *lexicon;

        if (!it)
                return;
        cm_map_free(&it->aliases, NULL);
        cm_arena_deinit(&it->arena);
        cm_free(it);
        *lexicon = NULL;
}

const struct exercise *exercise_find(const struct exercise_lexicon *lexicon, struct cm_str id)
{
        for (size_t i = 0; i < lexicon->count; i++)
                if (cm_str_equal(lexicon->exercises[i].id, id))
                        return &lexicon->exercises[i];
        return NULL;
}

/* ---- finding */

static bool continues(const struct alias *alias, const struct chat_text *text, size_t at)
{
        if (at + alias->count > text->count)
                return false;
        for (size_t i = 1; i < alias->count; i++)
                if (!cm_str_equal(alias->words[i], text->words[at + i].text))
                        return false;
        return true;
}

static const struct alias *longest(const struct alias *alias, const struct chat_text *text,
                                   size_t at)
{
        while (alias && !continues(alias, text, at))
                alias = alias->next;
        return alias;
}

/* At most one letter too many, too few or wrong, or two neighbours that changed places; in bytes of
 * ASCII, in letters of Hebrew. */
static bool is_one_slip(struct cm_str a, struct cm_str b)
{
        size_t unit = (unsigned char)b.data[0] >= 0x80 ? 2 : 1, front = 0, back = 0;
        size_t shorter = a.len < b.len ? a.len : b.len, rest_a, rest_b;

        while (front < shorter && memcmp(a.data + front, b.data + front, unit) == 0)
                front += unit;
        while (back < shorter - front &&
               memcmp(a.data + a.len - back - unit, b.data + b.len - back - unit, unit) == 0)
                back += unit;
        rest_a = a.len - front - back;
        rest_b = b.len - front - back;
        if (rest_a == 2 * unit && rest_b == 2 * unit)
                return memcmp(a.data + front, b.data + front + unit, unit) == 0 &&
                       memcmp(a.data + front + unit, b.data + front, unit) == 0;
        return rest_a <= unit && rest_b <= unit;
}

static const struct alias *nearly(const struct exercise_lexicon *lexicon, struct cm_str word)
{
        size_t unit, position = 0;
        struct cm_str name;
        void *value;

        if (!word.data || word.len < MIN_SLIP_LETTERS)
                return NULL;
        unit = (unsigned char)word.data[0] >= 0x80 ? 2 : 1;
        if (word.len < MIN_SLIP_LETTERS * unit || word.len > 40 || word.len % unit)
                return NULL;
        while (cm_map_next(lexicon->aliases, &position, &name, &value)) {
                const struct alias *alias = value;

                while (alias && alias->count > 1)
                        alias = alias->next;
                if (alias && !alias->is_done && name.len >= MIN_SLIP_LETTERS * unit &&
                    name.len % unit == 0 && name.data[0] == word.data[0] && is_one_slip(word, name))
                        return alias;
        }
        return NULL;
}

/* A Hebrew name behind "ו", "ב", "ה", "ל", "מ": והסקוואט is two letters in. */
static struct cm_str without_prefix(struct cm_str word)
{
        static const char *const prefixes[] = { "ו", "ב", "ה", "ל", "מ", "ש" };

        for (size_t i = 0; i < CM_COUNT(prefixes); i++)
                if (word.len > 6 && cm_str_starts(word, cm_str_from(prefixes[i])))
                        return (struct cm_str){ word.data + 2, word.len - 2 };
        return CM_STR_NONE;
}

bool exercise_mention_at(const struct exercise_lexicon *lexicon, const struct chat_text *text,
                         size_t at, struct exercise_mention *mention_r)
{
        struct cm_str word = text->words[at].text;
        const struct alias *alias = NULL;

        if (text->words[at].is_number)
                return false;
        for (struct cm_str part = word; !alias && part.data; part = without_prefix(part))
                alias = longest(cm_map_get(lexicon->aliases, part), text, at);
        if (!alias)
                alias = nearly(lexicon, word);
        if (!alias)
                return false;
        *mention_r = (struct exercise_mention){ alias->exercise, at, at + alias->count - 1,
                                                alias->is_done };
        return true;
}
