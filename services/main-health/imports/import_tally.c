#include "import_tally.h"

#include <string.h>

#include "base/arena.h"
#include "base/map.h"
#include "base/mem.h"

enum { MAX_NAMES = 600, MAX_LINES = 5, MAX_NAME_LEN = 200 };

struct tally_list {
        struct cm_map *names; /* to the places in items */
        struct import_count *last;
        struct import_count items[MAX_NAMES];
        size_t count;
        int64_t total;
};

struct import_tally {
        struct cm_arena arena; /* names and lines */
        struct tally_list lists[IMPORT_LISTS];
};

struct import_tally *import_tally_new(void)
{
        struct import_tally *tally = CM_NEW(struct import_tally);

        cm_arena_init(&tally->arena, 4096);
        for (size_t i = 0; i < IMPORT_LISTS; i++)
                tally->lists[i].names = cm_map_new();
        return tally;
}

void import_tally_free(struct import_tally **tally)
{
        if (!*tally)
                return;
        for (size_t i = 0; i < IMPORT_LISTS; i++)
                cm_map_free(&(*tally)->lists[i].names, NULL);
        cm_arena_deinit(&(*tally)->arena);
        cm_free(*tally);
        *tally = NULL;
}

/* At most MAX_NAME_LEN bytes, whole characters. */
static struct cm_str shorten(struct cm_str name)
{
        if (name.len <= MAX_NAME_LEN)
                return name;
        name.len = MAX_NAME_LEN;
        while (name.len && ((unsigned char)name.data[name.len] & 0xC0) == 0x80)
                name.len--;
        return name;
}

/* Files are sorted by type, so the name is nearly always the one before. */
static struct import_count *find(struct import_tally *tally, struct tally_list *list,
                                 struct cm_str name)
{
        struct import_count *item = list->last;

        if (item && cm_str_equal(item->name, name))
                return item;
        item = cm_map_get(list->names, name);
        if (!item && list->count >= MAX_NAMES - 1) {
                name = CM_STR("(others)");
                item = cm_map_get(list->names, name);
        }
        if (!item) {
                item = &list->items[list->count++];
                item->name = cm_arena_str(&tally->arena, name);
                item->first_lines.items = cm_arena_array(&tally->arena, MAX_LINES, sizeof(int64_t));
                cm_map_put(list->names, name, item);
        }
        list->last = item;
        return item;
}

void import_tally_add(struct import_tally *tally, enum import_list list, struct cm_str name,
                      int64_t line)
{
        struct import_count *item = find(tally, &tally->lists[list], shorten(name));

        item->count++;
        tally->lists[list].total++;
        if (item->first_lines.count < MAX_LINES && line > 0)
                item->first_lines.items[item->first_lines.count++] = line;
}

int64_t import_tally_total(const struct import_tally *tally, enum import_list list)
{
        return tally->lists[list].total;
}

void import_tally_encode(const struct import_tally *tally, struct cm_buf *out)
{
        const struct tally_list *lists = tally->lists;
        const struct import_summary summary = {
                .understood = { (struct import_count *)lists[IMPORT_UNDERSTOOD].items,
                                lists[IMPORT_UNDERSTOOD].count },
                .without_fact = { (struct import_count *)lists[IMPORT_WITHOUT_FACT].items,
                                  lists[IMPORT_WITHOUT_FACT].count },
                .not_understood = { (struct import_count *)lists[IMPORT_NOT_UNDERSTOOD].items,
                                    lists[IMPORT_NOT_UNDERSTOOD].count },
                .ignored_files = { (struct import_count *)lists[IMPORT_IGNORED_FILES].items,
                                   lists[IMPORT_IGNORED_FILES].count },
        };

        cm_schema_encode(&import_summary_schema, &summary, out);
}

static void load(struct import_tally *tally, enum import_list list,
                 const struct import_count *items, size_t count)
{
        for (size_t i = 0; i < count; i++) {
                struct import_count *item =
                        find(tally, &tally->lists[list], shorten(items[i].name));

                item->count += items[i].count;
                tally->lists[list].total += items[i].count;
                item->first_lines.count = items[i].first_lines.count;
                memcpy(item->first_lines.items, items[i].first_lines.items,
                       items[i].first_lines.count * sizeof(int64_t));
        }
}

void import_tally_load(struct import_tally *tally, const struct import_summary *summary)
{
        load(tally, IMPORT_UNDERSTOOD, summary->understood.items, summary->understood.count);
        load(tally, IMPORT_WITHOUT_FACT, summary->without_fact.items, summary->without_fact.count);
        load(tally, IMPORT_NOT_UNDERSTOOD, summary->not_understood.items,
             summary->not_understood.count);
        load(tally, IMPORT_IGNORED_FILES, summary->ignored_files.items,
             summary->ignored_files.count);
}
