#include "common_passwords.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/arena.h"
#include "base/error.h"
#include "base/map.h"
#include "base/mem.h"
#include "codec/text.h"
#include "sys/log.h"

struct common_passwords {
        uint64_t *hashes; /* sorted, none twice */
        size_t count;
};

static bool lower_ascii(char *text, size_t len)
{
        for (size_t i = 0; i < len; i++) {
                if ((signed char)text[i] < 0)
                        return false;
                if (text[i] >= 'A' && text[i] <= 'Z')
                        text[i] += 'a' - 'A';
        }
        return true;
}

/* The folded form of a line, or absent when it is none that could be asked for. */
static struct cm_str read_line(struct cm_arena *arena, char *line, size_t len)
{
        struct cm_str text;

        while (len && (line[len - 1] == '\n' || line[len - 1] == '\r'))
                len--;
        text = (struct cm_str){ line, len };
        if (cm_str_starts(text, CM_STR("#!comment:")) || !cm_utf8_is_valid(text) ||
            cm_utf8_length(text) < COMMON_PASSWORDS_MIN_LENGTH)
                return CM_STR_NONE;
        return lower_ascii(line, len) ? text : cm_text_fold(arena, text);
}

static int compare(const void *a, const void *b)
{
        const uint64_t *left = a, *right = b;

        return (*left > *right) - (*left < *right);
}

static void sort_and_trim(struct common_passwords *common)
{
        size_t kept = 0;

        if (!common->count)
                return;
        qsort(common->hashes, common->count, sizeof(*common->hashes), compare);
        for (size_t i = 0; i < common->count; i++)
                if (!kept || common->hashes[i] != common->hashes[kept - 1])
                        common->hashes[kept++] = common->hashes[i];
        common->count = kept;
        common->hashes = cm_realloc(common->hashes, kept * sizeof(*common->hashes));
}

struct reading {
        struct common_passwords *common;
        size_t max;
        size_t room; /* of common->hashes */
        struct cm_arena arena;
};

static void add(struct reading *reading, struct cm_str folded)
{
        struct common_passwords *common = reading->common;

        if (common->count == reading->room) {
                reading->room = reading->room ? 2 * reading->room : 4096;
                common->hashes = cm_realloc(common->hashes, reading->room * sizeof(uint64_t));
        }
        common->hashes[common->count++] = cm_hash(folded.data, folded.len);
}

static int read_file(struct reading *reading, const char *path)
{
        FILE *file = fopen(path, "re");
        size_t line_room = 0;
        char *line = NULL;
        bool failed = !file;
        ssize_t len;

        while (file && reading->common->count < reading->max &&
               (len = getline(&line, &line_room, file)) >= 0) {
                struct cm_str folded = read_line(&reading->arena, line, (size_t)len);

                if (folded.data)
                        add(reading, folded);
                cm_arena_reset(&reading->arena);
        }
        failed = failed || ferror(file);
        if (failed)
                cm_log(CM_LOG_ERROR, "the list of common passwords cannot be read",
                       CM_F_TEXT("path", path), CM_F_TEXT("why", strerror(errno)));
        if (file)
                (void)fclose(file);
        free(line);
        return failed ? -CM_E_IO : 0;
}

int common_passwords_load(const char *paths, size_t max, struct common_passwords **common_r)
{
        struct reading reading = { .common = CM_NEW(struct common_passwords), .max = max };
        struct cm_str rest = cm_str_from(paths);
        struct cm_str part;
        int r = 0;

        cm_arena_init(&reading.arena, 1024);
        while (!r && cm_str_split(&rest, ',', &part)) {
                char *path = cm_strdup(cm_arena_str(&reading.arena, part).data);

                r = read_file(&reading, path);
                cm_free(path);
        }
        cm_arena_deinit(&reading.arena);
        sort_and_trim(reading.common);
        if (r)
                common_passwords_free(&reading.common);
        *common_r = reading.common;
        return r;
}

void common_passwords_free(struct common_passwords **common)
{
        struct common_passwords *c = *common;

        *common = NULL;
        if (!c)
                return;
        cm_free(c->hashes);
        cm_free(c);
}

size_t common_passwords_count(const struct common_passwords *common)
{
        return common ? common->count : 0;
}

bool common_passwords_has(const struct common_passwords *common, struct cm_str folded)
{
        uint64_t hash = cm_hash(folded.data, folded.len);

        return common && common->count &&
               bsearch(&hash, common->hashes, common->count, sizeof(hash), compare);
}
