#include <ctype.h>
#include <stdio.h>
#include <string.h>

#include "base/map.h"
#include "base/mem.h"
#include "codec/json.h"
#include "pii.h"
#include "pii_names.h"

/* Pseudonyms: "[KIND_number]"; numbers count by kind, in the order of appearance. */
#define MAX_PSEUDONYM 32
#define MAX_NAMES     64

struct pii_map {
        struct cm_map *by_value;     /* value: char * pseudonym */
        struct cm_map *by_pseudonym; /* pseudonym: char * value */
        int counts[PII_KINDS];
        char *names[MAX_NAMES]; /* words of known names */
        size_t name_count;
};

struct pii_map *pii_map_new(void)
{
        struct pii_map *map = CM_NEW(struct pii_map);

        map->by_value = cm_map_new();
        map->by_pseudonym = cm_map_new();
        return map;
}

static void free_value(void *value)
{
        cm_wipe(value, strlen(value));
        cm_free(value);
}

void pii_map_free(struct pii_map **map)
{
        struct pii_map *it = *map;

        if (!it)
                return;
        for (size_t i = 0; i < it->name_count; i++)
                free_value(it->names[i]);
        cm_map_free(&it->by_value, cm_free);
        cm_map_free(&it->by_pseudonym, free_value);
        cm_free(it);
        *map = NULL;
}

static char *copy_of(struct cm_str text)
{
        char *copy = cm_alloc(text.len + 1);

        memcpy(copy, text.data, text.len);
        copy[text.len] = '\0';
        return copy;
}

static const char *pseudonym_of(struct pii_map *map, enum pii_kind kind, struct cm_str value)
{
        char *known = cm_map_get(map->by_value, value);
        char pseudonym[MAX_PSEUDONYM];

        if (known)
                return known;
        (void)snprintf(pseudonym, sizeof(pseudonym), "[%s_%d]", pii_kind_name(kind),
                       ++map->counts[kind]);
        known = cm_strdup(pseudonym);
        (void)cm_map_put(map->by_value, value, known);
        (void)cm_map_put(map->by_pseudonym, cm_str_from(known), copy_of(value));
        return known;
}

/* ---- names: their words are known for as long as the map lives */

static void learn_word(struct pii_map *map, struct cm_str word)
{
        for (size_t i = 0; i < map->name_count; i++)
                if (cm_str_equal(word, cm_str_from(map->names[i])))
                        return;
        if (map->name_count < MAX_NAMES)
                map->names[map->name_count++] = copy_of(word);
}

static void learn_spans(struct pii_map *map, struct cm_str text, const struct pii_span *spans,
                        size_t count)
{
        for (size_t i = 0; i < count; i++) {
                struct cm_str name = { text.data + spans[i].from, spans[i].to - spans[i].from };
                struct cm_str word;
                size_t place = 0;

                while (spans[i].kind == PII_NAME && pii_name_next_word(name, &place, &word))
                        learn_word(map, word);
        }
}

void pii_learn(struct pii_map *map, struct cm_arena *arena, struct cm_str text)
{
        size_t count;
        const struct pii_span *spans = pii_find(arena, text, &count);

        learn_spans(map, text, spans, count);
}

/* The known word that stands at a place; absent: none. */
static struct cm_str known_at(const struct pii_map *map, struct cm_str text, size_t at)
{
        for (size_t i = 0; i < map->name_count; i++) {
                struct cm_str word = cm_str_from(map->names[i]);

                if (text.data[at] == word.data[0] && pii_name_stands_at(text, at, word))
                        return word;
        }
        return CM_STR_NONE;
}

/* A part without spans; names that are known from elsewhere may still be in it. */
static void hide_known(struct pii_map *map, struct cm_str text, size_t from, size_t end,
                       struct cm_buf *out)
{
        const struct cm_str until_end = { text.data, end };

        for (size_t i = from; i < end;) {
                struct cm_str word = known_at(map, until_end, i);

                if (!word.data) {
                        i++;
                        continue;
                }
                cm_buf_add(out, text.data + from, i - from);
                cm_buf_add_str(out, cm_str_from(pseudonym_of(map, PII_NAME, word)));
                from = i += word.len;
        }
        cm_buf_add(out, text.data + from, end - from);
}

struct cm_str pii_hide(struct pii_map *map, struct cm_arena *arena, struct cm_str text)
{
        CM_CLEANUP(cm_buf_deinit) struct cm_buf out = { 0 };
        size_t count, from = 0;
        const struct pii_span *spans = pii_find(arena, text, &count);

        learn_spans(map, text, spans, count);
        for (size_t i = 0; i < count; i++) {
                const struct pii_span *span = &spans[i];
                struct cm_str value = { text.data + span->from, span->to - span->from };

                hide_known(map, text, from, span->from, &out);
                cm_buf_add_str(&out, cm_str_from(pseudonym_of(map, span->kind, value)));
                from = span->to;
        }
        hide_known(map, text, from, text.len, &out);
        return cm_arena_str(arena, cm_buf_str(&out));
}

/* ---- back */

void pii_restorer_init(struct pii_restorer *restorer, const struct pii_map *map)
{
        *restorer = (struct pii_restorer){ .map = map };
}

static void flush_held(struct pii_restorer *restorer, struct cm_buf *out)
{
        cm_buf_add(out, restorer->held, restorer->len);
        restorer->len = 0;
}

/* Whether what is held, with one more character, can still become a pseudonym. */
static bool may_go_on(const struct pii_restorer *restorer, char c)
{
        return restorer->len < MAX_PSEUDONYM &&
               (isupper((unsigned char)c) || isdigit((unsigned char)c) || c == '_');
}

static void put(struct pii_restorer *restorer, char c, struct cm_buf *out)
{
        const char *value;

        if (c == '[') {
                flush_held(restorer, out);
                restorer->held[restorer->len++] = c;
        } else if (restorer->len && c == ']') {
                restorer->held[restorer->len++] = c;
                value = cm_map_get(restorer->map->by_pseudonym,
                                   (struct cm_str){ restorer->held, restorer->len });
                if (value) {
                        restorer->len = 0;
                        cm_buf_add_str(out, cm_str_from(value));
                }
                flush_held(restorer, out);
        } else if (restorer->len && may_go_on(restorer, c)) {
                restorer->held[restorer->len++] = c;
        } else {
                flush_held(restorer, out);
                cm_buf_add_char(out, c);
        }
}

void pii_restore(struct pii_restorer *restorer, struct cm_str piece, struct cm_buf *out)
{
        for (size_t i = 0; i < piece.len; i++)
                put(restorer, piece.data[i], out);
}

void pii_restore_end(struct pii_restorer *restorer, struct cm_buf *out)
{
        flush_held(restorer, out);
}

/* Between '[' and ']' of a pseudonym there is nothing that JSON would escape. */
void pii_restore_json(const struct pii_map *map, struct cm_str json, struct cm_buf *out)
{
        for (size_t i = 0; i < json.len; i++) {
                const char *end = json.data[i] == '['
                                          ? memchr(json.data + i, ']',
                                                   json.len - i < MAX_PSEUDONYM ? json.len - i
                                                                                : MAX_PSEUDONYM)
                                          : NULL;
                struct cm_str name = { json.data + i, end ? (size_t)(end - json.data) - i + 1 : 0 };
                const char *value = end ? cm_map_get(map->by_pseudonym, name) : NULL;
                CM_CLEANUP(cm_buf_deinit) struct cm_buf text = { 0 };
                struct cm_json_writer writer;

                if (!value) {
                        cm_buf_add_char(out, json.data[i]);
                        continue;
                }
                cm_json_writer_init(&writer, &text);
                cm_json_text(&writer, cm_str_from(value));
                cm_buf_add(out, text.data + 1, text.len - 2); /* without its quotation marks */
                i += name.len - 1;
        }
}
