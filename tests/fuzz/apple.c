/*
 * Apple Health XML: the scanner must say the same however its input is cut into pieces, and
 * whatever it says must be mapped without harm. The first byte chooses the size of the pieces.
 */
#include <stdlib.h>
#include <string.h>

#include "../../services/main-health/apple/apple_map.h"
#include "../../services/main-health/apple/apple_scan.h"
#include "base/assert.h"
#include "base/mem.h"

static void digest(uint64_t *sum, const void *data, size_t len)
{
        for (size_t i = 0; i < len; i++)
                *sum = (*sum ^ ((const uint8_t *)data)[i]) * UINT64_C(1099511628211);
}

static void digest_token(uint64_t *sum, struct apple_scan *scan, const struct apple_token *token)
{
        int64_t line = apple_scan_line(scan);

        digest(sum, &token->kind, sizeof(token->kind));
        digest(sum, &token->offset, sizeof(token->offset));
        digest(sum, &line, sizeof(line));
        if (token->kind == APPLE_DAMAGED)
                return;
        digest(sum, token->name.data, token->name.len);
        for (size_t i = 0; i < token->count; i++) {
                CM_ASSERT(cm_utf8_is_valid(token->attributes[i].value));
                digest(sum, token->attributes[i].name.data, token->attributes[i].name.len);
                digest(sum, token->attributes[i].value.data, token->attributes[i].value.len);
        }
}

static uint64_t scan_in_pieces(const uint8_t *data, size_t size, size_t step)
{
        const struct apple_scan_config config = { .max_token = 200, .max_doctype = 4000 };
        struct apple_scan *scan = apple_scan_new(&config);
        struct apple_token token;
        uint64_t sum = UINT64_C(14695981039346656037);
        int r = APPLE_SCAN_MORE;

        for (size_t at = 0; at < size && r == APPLE_SCAN_MORE; at += step) {
                size_t len = size - at < step ? size - at : step;
                char *piece = malloc(len);

                memcpy(piece, data + at, len);
                apple_scan_feed(scan, piece, len);
                while ((r = apple_scan_next(scan, &token)) == 0)
                        digest_token(&sum, scan, &token);
                if (r == APPLE_SCAN_MORE)
                        apple_scan_feed(scan, "", 0);
                free(piece);
        }
        digest(&sum, &r, sizeof(r));
        apple_scan_free(&scan);
        return sum;
}

static void map(const uint8_t *data, size_t size)
{
        static struct cm_zones *zones;
        static struct import_batch *batch;
        struct apple_facts facts = { .home_zone = CM_STR("UTC"), .now = CM_DAY * 20000 };
        struct import_tally *tally = import_tally_new();
        struct apple_map *mapper;
        struct apple_scan *scan = apple_scan_new(NULL);
        struct import_progress counts;
        struct apple_token token;
        int r = 0;

        zones = zones ?: cm_zones_new(NULL);
        facts.zones = zones;
        mapper = apple_map_new(&facts, tally);
        batch = batch ?: CM_NEW(struct import_batch);
        batch->event_count = batch->finding_count = 0;
        cm_arena_init(&batch->arena, 4096);
        apple_map_resume(mapper, 0, 0);
        apple_scan_feed(scan, (const char *)data, size);
        while (r == 0 && batch->event_count + 2 <= IMPORT_BATCH_EVENTS &&
               apple_scan_next(scan, &token) == 0)
                r = apple_map_token(mapper, scan, &token, batch);
        apple_map_counts(mapper, &counts);
        CM_ASSERT(counts.records == counts.understood + counts.without_fact +
                                            counts.not_understood + counts.rejected);
        CM_ASSERT((int64_t)batch->event_count == counts.understood);
        import_tally_encode(tally, &batch->summary);
        cm_buf_deinit(&batch->summary);
        cm_arena_deinit(&batch->arena);
        apple_scan_free(&scan);
        apple_map_free(&mapper);
        import_tally_free(&tally);
        cm_buf_deinit(&facts.scratch);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
        if (size < 2)
                return 0;
        CM_ASSERT(scan_in_pieces(data + 1, size - 1, 1 + data[0] % 64) ==
                  scan_in_pieces(data + 1, size - 1, size));
        map(data + 1, size - 1);
        return 0;
}
