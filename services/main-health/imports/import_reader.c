#include "import_reader.h"

#include <string.h>

#include "apple/apple_map.h"
#include "apple/apple_scan.h"
#include "base/error.h"
#include "base/mem.h"

enum { PIECE_SIZE = 128 << 10, MAX_STRETCH = 16 << 20 };

struct import_reader {
        struct import_source *source;
        struct apple_scan *scan;
        struct apple_map *map;
        struct import_tally *tally;
        struct apple_facts facts;
        struct cm_arena arena; /* the home zone's name */
        bool fed;              /* the scanner has a piece */
        int64_t offset;        /* where the next batch begins */
        char piece[PIECE_SIZE];
};

void import_batch_init(struct import_batch *batch)
{
        cm_arena_init(&batch->arena, 256 << 10);
}

void import_batch_deinit(struct import_batch *batch)
{
        cm_arena_deinit(&batch->arena);
        cm_buf_deinit(&batch->summary);
}

static int read_piece(struct import_reader *reader, size_t *len_r)
{
        return import_source_read(reader->source, reader->piece, sizeof(reader->piece), len_r);
}

/* Unpacks and drops what was worked through before. */
static int skip_to(struct import_reader *reader, const struct import_progress *from)
{
        int64_t left = from->offset;
        size_t len = 0;

        while (left > 0) {
                int r = read_piece(reader, &len);

                if (r != 0)
                        return r;
                if (len == 0)
                        return IMPORT_TRUNCATED;
                if ((int64_t)len > left)
                        break;
                left -= (int64_t)len;
                len = 0;
        }
        reader->offset = from->offset;
        apple_scan_resume(reader->scan, from->offset, from->line);
        apple_map_resume(reader->map, from->records, from->rejected);
        if (left > 0) {
                apple_scan_feed(reader->scan, reader->piece + left, len - (size_t)left);
                reader->fed = true;
        }
        return 0;
}

static void tally_ignored_files(struct import_reader *reader)
{
        struct cm_str kind;
        int64_t count;
        size_t position = 0;

        while (import_source_ignored(reader->source, &position, &kind, &count))
                while (count-- > 0)
                        import_tally_add(reader->tally, IMPORT_IGNORED_FILES, kind, 0);
}

static int start(struct import_reader *reader, const struct import_reader_config *config)
{
        if (config->from.offset == 0) {
                tally_ignored_files(reader);
                return 0;
        }
        import_tally_load(reader->tally, config->summary);
        return skip_to(reader, &config->from);
}

int import_reader_open(const struct import_reader_config *config, struct import_reader **reader_r)
{
        struct import_reader *reader = CM_NEW(struct import_reader);
        int r;

        cm_arena_init(&reader->arena, 256);
        reader->facts.zones = cm_zones_new(NULL);
        reader->facts.home_zone = cm_arena_str(&reader->arena, config->home_zone);
        reader->facts.now = config->now;
        reader->tally = import_tally_new();
        reader->scan = apple_scan_new(NULL);
        reader->map = apple_map_new(&reader->facts, reader->tally);
        r = import_source_open(config->path, &config->limits, &reader->source);
        if (r == 0)
                r = start(reader, config);
        if (r != 0)
                import_reader_close(&reader);
        *reader_r = reader;
        return r;
}

void import_reader_close(struct import_reader **reader)
{
        if (!*reader)
                return;
        apple_map_free(&(*reader)->map);
        apple_scan_free(&(*reader)->scan);
        import_tally_free(&(*reader)->tally);
        import_source_close(&(*reader)->source);
        cm_zones_free(&(*reader)->facts.zones);
        cm_buf_deinit(&(*reader)->facts.scratch);
        cm_arena_deinit(&(*reader)->arena);
        cm_free(*reader);
        *reader = NULL;
}

int64_t import_reader_size(const struct import_reader *reader)
{
        return import_source_size(reader->source);
}

static int next_piece(struct import_reader *reader)
{
        size_t len;
        int r = read_piece(reader, &len);

        if (r != 0)
                return r;
        if (len == 0)
                return IMPORT_TRUNCATED;
        apple_scan_feed(reader->scan, reader->piece, len);
        reader->fed = true;
        return 0;
}

/* Also after a long stretch in which nothing was understood, so that progress is seen and kept. */
static bool is_full(const struct import_batch *batch, const struct apple_token *last)
{
        return batch->event_count + 2 > IMPORT_BATCH_EVENTS ||
               last->offset - batch->start > MAX_STRETCH;
}

/* Until the batch is full between two records, or the document ends. */
static int fill(struct import_reader *reader, struct import_batch *batch)
{
        struct apple_token token = { .offset = batch->start };
        int r;

        while (!apple_map_is_complete(reader->map)) {
                if (is_full(batch, &token) && apple_map_is_between(reader->map))
                        return 0;
                r = reader->fed ? apple_scan_next(reader->scan, &token) : APPLE_SCAN_MORE;
                if (r == APPLE_SCAN_MORE)
                        r = next_piece(reader);
                else if (r == APPLE_SCAN_TOO_LARGE)
                        r = SOURCE_TOO_LARGE;
                else
                        r = apple_map_token(reader->map, reader->scan, &token, batch)
                                    ? SOURCE_NOT_APPLE
                                    : 0;
                if (r != 0)
                        return r;
        }
        batch->last = true;
        return 0;
}

int import_reader_fill(struct import_reader *reader, struct import_batch *batch)
{
        int r;

        cm_arena_reset(&batch->arena);
        batch->event_count = batch->finding_count = 0;
        batch->last = false;
        batch->start = reader->offset;
        cm_buf_reset(&batch->summary);
        r = fill(reader, batch);
        apple_scan_position(reader->scan, &batch->progress.offset, &batch->progress.line);
        reader->offset = batch->progress.offset;
        apple_map_counts(reader->map, &batch->progress);
        import_tally_encode(reader->tally, &batch->summary);
        return r;
}
