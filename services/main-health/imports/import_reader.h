#pragma once
#include "apple/apple_facts.h"
#include "base/attr.h"
#include "import_batch.h"
#include "import_source.h"

/*
 * Reads an upload batch by batch: unpack, scan, map. It blocks and computes, so it runs on a worker
 * thread; one thread at a time may use a reader.
 */
struct import_reader;

struct import_reader_config {
        const char *path;
        struct import_limits limits;
        struct cm_str home_zone;
        cm_time now;
        /* Where to go on; offset 0 starts from the beginning. */
        struct import_progress from;
        const struct import_summary *summary; /* of what was seen before `from` */
};

enum import_reader_outcome {
        /* import_source_outcome comes first, then: */
        IMPORT_TRUNCATED = SOURCE_TOO_LARGE + 1, /* the document ends before its root does */
};

/* Returns 0, an import_source_outcome, or an error. Copies what it keeps. */
int import_reader_open(const struct import_reader_config *config,
                       struct import_reader **reader_r) CM_MUST_CHECK;
void import_reader_close(struct import_reader **reader);
int64_t import_reader_size(const struct import_reader *reader); /* of the unpacked document */

/* Resets the batch and fills it; batch->last when the document is complete. When it returns an
 * outcome or error, the batch holds what was read before that. */
int import_reader_fill(struct import_reader *reader, struct import_batch *batch) CM_MUST_CHECK;

void import_batch_init(struct import_batch *batch);
void import_batch_deinit(struct import_batch *batch);
