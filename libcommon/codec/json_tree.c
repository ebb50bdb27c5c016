#include "codec/json_tree.h"

#include <string.h>

#include "base/map.h"
#include "codec/json_scan.h"

/*
 * Recursive descent, at most CM_JSON_MAX_DEPTH levels, because fibers have small stacks. Nodes are
 * cut from the arena and never freed one by one. A general library costs twice as much here: it
 * reads byte by byte, copies every text and makes a hash table of every object, where our objects
 * have a dozen members that are read once, in order.
 */
static bool read_value(struct cm_json_reader *reader, struct cm_json_node *node, int depth);

static void skip_blanks(struct cm_json_reader *reader)
{
        while (reader->p < reader->end && (*reader->p == ' ' || *reader->p == '\n' ||
                                           *reader->p == '\r' || *reader->p == '\t'))
                reader->p++;
}

/* The next character that is no blank; 0 at the end or at a NUL, noted as a fault. */
static char next(struct cm_json_reader *reader)
{
        char c;

        skip_blanks(reader);
        c = reader->p < reader->end ? *reader->p : 0;
        if (!c)
                (void)cm_json_fail(reader,
                                   reader->p == reader->end ? "ends too early" : "is not JSON");
        return c;
}

static bool take(struct cm_json_reader *reader, char wanted)
{
        char c = next(reader);

        if (c != wanted)
                return c ? cm_json_fail(reader, "is not JSON") : false;
        reader->p++;
        return true;
}

static struct cm_json_node *append(struct cm_json_reader *reader, struct cm_json_node *parent,
                                   struct cm_json_node *last)
{
        struct cm_json_node *node = CM_ARENA_NEW(reader->arena, struct cm_json_node);

        if (last)
                last->next = node;
        else
                parent->first = node;
        parent->count++;
        return node;
}

/* After an item: true to go on, false when the list has ended or there was a fault. */
static bool more(struct cm_json_reader *reader, char end)
{
        char c = next(reader);

        if (c != ',' && c != end)
                return c ? cm_json_fail(reader, "is not JSON") : false;
        reader->p++;
        return c == ',';
}

/* ---- members that stand twice */

#define FEW 24

static bool few_are_unique(const struct cm_json_node *object)
{
        for (const struct cm_json_node *a = object->first; a; a = a->next)
                for (const struct cm_json_node *b = object->first; b != a; b = b->next)
                        if (cm_str_equal(a->name, b->name))
                                return false;
        return true;
}

static bool many_are_unique(struct cm_json_reader *reader, const struct cm_json_node *object)
{
        const struct cm_json_node **table;
        size_t size = 64;

        while (size < 2 * object->count)
                size *= 2;
        table = cm_arena_array(reader->arena, size, sizeof(*table));
        for (const struct cm_json_node *node = object->first; node; node = node->next) {
                size_t i = cm_hash(node->name.data, node->name.len) & (size - 1);

                for (; table[i]; i = (i + 1) & (size - 1))
                        if (cm_str_equal(table[i]->name, node->name))
                                return false;
                table[i] = node;
        }
        return true;
}

/* ---- values */

static bool read_member(struct cm_json_reader *reader, struct cm_json_node *node, int depth)
{
        char c = next(reader);

        if (c != '"')
                return c ? cm_json_fail(reader, "is not JSON") : false;
        return cm_json_scan_text(reader, &node->name) && take(reader, ':') &&
               read_value(reader, node, depth);
}

static bool read_object(struct cm_json_reader *reader, struct cm_json_node *object, int depth)
{
        struct cm_json_node *last = NULL;

        object->type = CM_JSON_OBJECT;
        reader->p++;
        if (next(reader) == '}') {
                reader->p++;
                return true;
        }
        do {
                last = append(reader, object, last);
                if (!read_member(reader, last, depth))
                        return false;
        } while (more(reader, '}'));
        if (reader->what)
                return false;
        return (object->count <= FEW ? few_are_unique(object) : many_are_unique(reader, object)) ||
               cm_json_fail(reader, "a member appears twice");
}

static bool read_array(struct cm_json_reader *reader, struct cm_json_node *array, int depth)
{
        struct cm_json_node *last = NULL;

        array->type = CM_JSON_ARRAY;
        reader->p++;
        if (next(reader) == ']') {
                reader->p++;
                return true;
        }
        do {
                last = append(reader, array, last);
                if (!read_value(reader, last, depth))
                        return false;
        } while (more(reader, ']'));
        return !reader->what;
}

static bool read_word(struct cm_json_reader *reader, struct cm_json_node *node)
{
        static const struct {
                struct cm_str word;
                enum cm_json_type type;
                bool boolean;
        } words[] = {
                { { "true", 4 }, CM_JSON_BOOL, true },
                { { "false", 5 }, CM_JSON_BOOL, false },
                { { "null", 4 }, CM_JSON_NULL, false },
        };
        struct cm_str rest = { reader->p, (size_t)(reader->end - reader->p) };

        for (size_t i = 0; i < CM_COUNT(words); i++)
                if (cm_str_starts(rest, words[i].word)) {
                        node->type = words[i].type;
                        node->boolean = words[i].boolean;
                        reader->p += words[i].word.len;
                        return true;
                }
        return cm_json_fail(reader, "is not JSON");
}

static bool read_value(struct cm_json_reader *reader, struct cm_json_node *node, int depth)
{
        char c = next(reader);

        if (!c)
                return false;
        if ((c == '{' || c == '[') && depth == CM_JSON_MAX_DEPTH)
                return cm_json_fail(reader, "is nested deeper than 32 levels");
        if (c == '{')
                return read_object(reader, node, depth + 1);
        if (c == '[')
                return read_array(reader, node, depth + 1);
        if (c == '"') {
                node->type = CM_JSON_TEXT;
                return cm_json_scan_text(reader, &node->text);
        }
        if (c == '-' || (c >= '0' && c <= '9'))
                return cm_json_scan_number(reader, node);
        return read_word(reader, node);
}

/* Lines and columns, from 1; columns count bytes. */
static void explain(const struct cm_json_reader *reader, struct cm_json_error *error_r)
{
        *error_r = (struct cm_json_error){ 1, 1, reader->what };
        for (const char *p = reader->start; p < reader->p; p++) {
                error_r->column++;
                if (*p == '\n') {
                        error_r->line++;
                        error_r->column = 1;
                }
        }
}

struct cm_json_node *cm_json_parse(struct cm_str text, struct cm_arena *arena,
                                   struct cm_json_error *error_r)
{
        const char *start = text.data ? text.data : "";
        struct cm_json_reader reader = { start, start, start + text.len, arena, NULL };
        struct cm_json_node *node = CM_ARENA_NEW(arena, struct cm_json_node);
        bool ok = read_value(&reader, node, 0);

        if (ok) {
                skip_blanks(&reader);
                ok = reader.p == reader.end ||
                     cm_json_fail(&reader, "something follows the document");
        }
        if (ok)
                return node;
        explain(&reader, error_r);
        return NULL;
}
