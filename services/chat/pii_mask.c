#include <ctype.h>
#include <stdio.h>
#include <string.h>

#include "base/map.h"
#include "base/mem.h"
#include "codec/json.h"
#include "pii.h"

/* Pseudonyms: "[KIND_number]"; numbers count by kind, in the order of appearance. */
#define MAX_PSEUDONYM 32

struct pii_map {
        struct cm_map *by_value;     /* value: char * pseudonym */
        struct cm_map *by_pseudonym; /* pseudonym: char * value */
        int counts[PII_KINDS];
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
        cm_map_free(&it->by_value, cm_free);
        cm_map_free(&it->by_pseudonym, free_value);
        cm_free(it);
        *map = NULL;
}

static const char *pseudonym_of(struct pii_map *map, enum pii_kind kind, struct cm_str value)
{
        char *known = cm_map_get(map->by_value, value), *copy;
        char pseudonym[MAX_PSEUDONYM];

        if (known)
                return known;
        (void)snprintf(pseudonym, sizeof(pseudonym), "[%s_%d]", pii_kind_name(kind),
                       ++map->counts[kind]);
        known = cm_strdup(pseudonym);
        copy = cm_alloc(value.len + 1);
        memcpy(copy, value.data, value.len);
        (void)cm_map_put(map->by_value, value, known);
        (void)cm_map_put(map->by_pseudonym, cm_str_from(known), copy);
        return known;
}

struct cm_str pii_hide(struct pii_map *map, struct cm_arena *arena, struct cm_str text)
{
        CM_CLEANUP(cm_buf_deinit) struct cm_buf out = { 0 };
        size_t count, from = 0;
        const struct pii_span *spans = pii_find(arena, text, &count);

        for (size_t i = 0; i < count; i++) {
                const struct pii_span *span = &spans[i];
                struct cm_str value = { text.data + span->from, span->to - span->from };

                cm_buf_add(&out, text.data + from, span->from - from);
                cm_buf_add_str(&out, cm_str_from(pseudonym_of(map, span->kind, value)));
                from = span->to;
        }
        cm_buf_add(&out, text.data + from, text.len - from);
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
