#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/arena.h"
#include "events/event_store.h"
#include "schemas.h"

/*
 * A chunk of an import: what one transaction stores. The reader fills it on a worker thread, the
 * job writes it; then it is reset and filled again. All its text lives in its arena.
 */
enum { IMPORT_BATCH_EVENTS = 8192, IMPORT_BATCH_FINDINGS = 256 };

/* Where the reader is after the batch, and what it has seen from the start of the file. */
struct import_progress {
        int64_t offset; /* of the unpacked file, between two records */
        int64_t line;
        int64_t records;
        int64_t understood;
        int64_t without_fact;
        int64_t not_understood;
        int64_t rejected;
};

struct import_batch {
        struct cm_arena arena;
        struct imported_event events[IMPORT_BATCH_EVENTS];
        size_t event_count;
        struct import_finding findings[IMPORT_BATCH_FINDINGS]; /* the first ones */
        size_t finding_count;
        struct import_progress progress;
        struct cm_buf summary; /* JSON of ImportSummary */
        int64_t start;         /* offset where the batch begins */
        bool last;             /* the file ends with it */
};
