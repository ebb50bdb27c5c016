#include "import_source.h"

#include <string.h>

#include "codec/json.h"

enum framing {
        FRAMED_BY_LINES = 1, /* JSON lines */
        FRAMED_BY_COMMAS,    /* in an array, up to its ] */
        FRAMED_BY_CSV,
};

static bool is_blank(char c)
{
        return c == ' ' || c == '\t' || c == '\n' || c == '\r';
}

static char here(const struct import_source *source)
{
        return source->at < source->text.len ? source->text.data[source->at] : 0;
}

static void step(struct import_source *source)
{
        if (source->text.data[source->at++] == '\n')
                source->line++;
}

static void skip(struct import_source *source, char also)
{
        while (source->at < source->text.len && (is_blank(here(source)) || here(source) == also))
                step(source);
}

/* ---- JSON by its brackets */

/* `at` is at a quote; behind the one that closes it. False at the end. */
static bool skip_text(struct import_source *source)
{
        for (step(source); source->at < source->text.len; step(source)) {
                if (here(source) == '"') {
                        step(source);
                        return true;
                }
                if (here(source) == '\\' && source->at + 1 < source->text.len)
                        step(source);
        }
        return false;
}

/* `at` is at the beginning of an object or array; behind its end. False when it has none. */
static bool skip_value(struct import_source *source)
{
        int64_t depth = 0;

        while (source->at < source->text.len) {
                char c = here(source);

                if (c == '"') {
                        if (!skip_text(source))
                                return false;
                        continue;
                }
                step(source);
                if (c == '{' || c == '[')
                        depth++;
                if ((c == '}' || c == ']') && --depth == 0)
                        return true;
        }
        return false;
}

/* `at` is at a value of any type; behind it. */
static bool skip_any(struct import_source *source)
{
        char c = here(source);

        if (c == '{' || c == '[')
                return skip_value(source);
        if (c == '"')
                return skip_text(source);
        while (source->at < source->text.len && !strchr(",}]", here(source)) &&
               !is_blank(here(source)))
                step(source);
        return true;
}

/* Whether the file is one object, with nothing behind it. */
static bool is_one_object(struct import_source source)
{
        if (here(&source) != '{' || !skip_value(&source))
                return false;
        skip(&source, ' ');
        return source.at == source.text.len;
}

/* `at` is at an object; then at the first item of its member "users". False when it has none. */
static bool enter_users(struct import_source *source)
{
        step(source);
        for (;;) {
                size_t name;

                skip(source, ',');
                name = source->at;
                if (here(source) != '"' || !skip_text(source))
                        return false;
                skip(source, ':');
                if (here(source) == '[' &&
                    strncmp(source->text.data + name, "\"users\"", strlen("\"users\"")) == 0) {
                        step(source);
                        return true;
                }
                if (!skip_any(source))
                        return false;
        }
}

/* ---- CSV (RFC 4180) */

enum csv_end { CSV_FIELD, CSV_ROW, CSV_BROKEN };

/* The next field, unquoted into `out`. *quoted_r tells an empty text from none. */
static enum csv_end read_field(struct import_source *source, struct cm_buf *out, bool *quoted_r)
{
        *quoted_r = here(source) == '"';
        if (*quoted_r) {
                step(source);
                for (;; step(source)) {
                        if (source->at >= source->text.len)
                                return CSV_BROKEN;
                        if (here(source) == '"') {
                                step(source);
                                if (here(source) != '"')
                                        break;
                        }
                        cm_buf_add_char(out, here(source));
                }
        }
        while (source->at < source->text.len && here(source) != ',' && here(source) != '\n') {
                if (here(source) != '\r')
                        cm_buf_add_char(out, here(source));
                step(source);
        }
        if (source->at >= source->text.len)
                return CSV_ROW;
        if (here(source) == ',') {
                step(source);
                return CSV_FIELD;
        }
        step(source);
        return CSV_ROW;
}

static bool read_header(struct import_source *source)
{
        CM_CLEANUP(cm_buf_deinit) struct cm_buf field = { 0 };
        enum csv_end end = CSV_FIELD;
        bool has_email = false, quoted;

        while (end == CSV_FIELD && source->column_count < CM_COUNT(source->columns)) {
                struct cm_str *column = &source->columns[source->column_count++];

                cm_buf_reset(&field);
                end = read_field(source, &field, &quoted);
                *column = cm_arena_str(&source->header, cm_str_trim(cm_buf_str(&field)));
                has_email = has_email || (column->data && cm_str_equal(*column, CM_STR("email")));
        }
        return has_email && end == CSV_ROW;
}

/* A row as an object of its fields that are there. */
static int read_row(struct import_source *source, struct cm_arena *arena,
                    struct import_record *record)
{
        CM_CLEANUP(cm_buf_deinit) struct cm_buf field = { 0 };
        CM_CLEANUP(cm_buf_deinit) struct cm_buf json = { 0 };
        enum csv_end end = CSV_FIELD;
        struct cm_json_writer writer;
        bool valid = true, quoted;
        size_t i;

        cm_json_writer_init(&writer, &json);
        cm_json_object(&writer);
        for (i = 0; end == CSV_FIELD; i++) {
                cm_buf_reset(&field);
                end = read_field(source, &field, &quoted);
                valid = valid && i < source->column_count && cm_utf8_is_valid(cm_buf_str(&field));
                if (!valid || (!quoted && !field.len))
                        continue;
                cm_json_member(&writer, source->columns[i]);
                cm_json_text(&writer, field.data ? cm_buf_str(&field) : CM_STR(""));
        }
        cm_json_object_end(&writer);
        if (end == CSV_BROKEN)
                return IMPORT_FILE_DAMAGED;
        if (!valid || i != source->column_count)
                return IMPORT_RECORD_DAMAGED;
        record->json = cm_arena_str(arena, cm_buf_str(&json));
        return 0;
}

/* ---- the file */

int import_source_init(struct import_source *source, struct cm_str text)
{
        *source = (struct import_source){ .text = text, .line = 1, .index = 1 };
        cm_arena_init(&source->header, 1024);
        source->shape = IMPORT_ROWS;
        if (cm_str_starts(text, CM_STR("\xef\xbb\xbf")))
                source->at = 3;
        skip(source, ' ');
        if (here(source) == '[') {
                source->framing = FRAMED_BY_COMMAS;
                step(source);
                return 0;
        }
        if (here(source) != '{') {
                source->framing = FRAMED_BY_CSV;
                return read_header(source) ? 0 : IMPORT_NO_ACCOUNTS;
        }
        if (is_one_object(*source)) {
                struct import_source realm = *source;

                if (enter_users(&realm)) {
                        *source = realm;
                        source->shape = IMPORT_REALM;
                        source->framing = FRAMED_BY_COMMAS;
                        return 0;
                }
        }
        source->framing = FRAMED_BY_LINES;
        return 0;
}

void import_source_deinit(struct import_source *source)
{
        cm_arena_deinit(&source->header);
}

static int next_line(struct import_source *source, struct import_record *record)
{
        size_t start = source->at;

        while (source->at < source->text.len && here(source) != '\n')
                source->at++;
        record->json =
                cm_str_trim((struct cm_str){ source->text.data + start, source->at - start });
        return 0;
}

static int next_item(struct import_source *source, struct import_record *record)
{
        size_t start = source->at;
        bool whole = skip_any(source);

        if (!whole || source->at == start)
                return IMPORT_FILE_DAMAGED;
        record->json = (struct cm_str){ source->text.data + start, source->at - start };
        return 0;
}

int import_source_next(struct import_source *source, struct cm_arena *arena,
                       struct import_record *record_r)
{
        skip(source, source->framing == FRAMED_BY_COMMAS ? ',' : ' ');
        *record_r = (struct import_record){ .line = source->line, .index = source->index };
        if (source->at >= source->text.len)
                return source->framing == FRAMED_BY_COMMAS ? IMPORT_FILE_DAMAGED : IMPORT_END;
        if (source->framing == FRAMED_BY_COMMAS && here(source) == ']')
                return IMPORT_END;
        source->index++;
        switch (source->framing) {
        case FRAMED_BY_LINES:
                return next_line(source, record_r);
        case FRAMED_BY_COMMAS:
                return next_item(source, record_r);
        default:
                return read_row(source, arena, record_r);
        }
}
