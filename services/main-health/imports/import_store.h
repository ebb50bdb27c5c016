#pragma once
#include "base/arena.h"
#include "base/attr.h"
#include "base/uuid.h"
#include "import_batch.h"
#include "schemas.h"
#include "store/pg.h"

/* The only file that knows the tables imports, import_findings and import_queue. All suspend. */

enum import_store_outcome {
        IMPORT_NOT_FOUND = 1,
        IMPORT_ENDED, /* cancelled, or ended by somebody else: nothing was written */
};

/* An upload that is complete becomes a queued import; once more changes nothing. */
struct import_upload {
        struct cm_uuid id;
        struct cm_uuid user;
        struct cm_uuid scratch;  /* the folder that holds its file */
        struct cm_str file_name; /* may be absent */
        int64_t file_size;
        cm_time created_at;
};
int import_store_add(struct cm_pg *pg, const struct import_upload *upload) CM_MUST_CHECK;

/* ---- for people */

int import_store_read(struct cm_pg *pg, struct cm_arena *arena, const struct cm_uuid *user,
                      const struct cm_uuid *id, struct import *import_r) CM_MUST_CHECK;

struct import_place {
        cm_time created_at;
        struct cm_uuid id;
};
struct import_array {
        struct import *items;
        size_t count;
};
/* Newest first, from behind `after` (NULL: the newest). */
int import_store_list(struct cm_pg *pg, struct cm_arena *arena, const struct cm_uuid *user,
                      const struct import_place *after, int32_t limit,
                      struct import_array *list_r) CM_MUST_CHECK;

struct finding_array {
        struct import_finding *items;
        size_t count;
};
/* In the order of the file, from the one at `place` (from 0) on. */
int import_store_findings(struct cm_pg *pg, struct cm_arena *arena, const struct cm_uuid *user,
                          const struct cm_uuid *id, int64_t place, int32_t limit,
                          struct finding_array *list_r) CM_MUST_CHECK;

/* 0 also when it had ended before; IMPORT_NOT_FOUND. */
int import_store_cancel(struct cm_pg *pg, const struct cm_uuid *user,
                        const struct cm_uuid *id) CM_MUST_CHECK;

/* ---- for the job */

struct import_ticket {
        struct cm_uuid id;
        struct cm_uuid user;
        int attempts;
};
/* The oldest of the folder's unfinished imports. */
int import_store_waiting(struct cm_pg *pg, const struct cm_uuid *scratch,
                         struct import_ticket *tickets, size_t max, size_t *count_r) CM_MUST_CHECK;
/* Counts an attempt and marks the import as running; gives where it was. IMPORT_ENDED when there is
 * nothing to do but to clean up. */
int import_store_start(struct cm_pg *pg, struct cm_arena *arena, const struct import_ticket *ticket,
                       struct import *import_r, int64_t *line_r) CM_MUST_CHECK;
/* The size of the unpacked document, once it is known. */
int import_store_sized(struct cm_pg *pg, const struct import_ticket *ticket,
                       int64_t bytes) CM_MUST_CHECK;
/*
 * A chunk is one transaction in two steps: its events; then its findings, counts and place, and the
 * commit. The first step of a chunk may run beside the second one of the chunk before. The second
 * must wait for that: it fails when the import is not where the batch begins.
 */
struct import_chunk {
        const struct import_batch *batch;
        struct cm_pg_tx *tx; /* between the steps */
        struct import_counts counts;
};

/* The events. *meets_known: whether some of them may have been stored before; then, whether some
 * had been. What holds for one chunk mostly holds for the next, so hand it on. Wrong is only
 * slower. CM_PG_RETRY: again. */
int import_store_events(struct cm_pg *pg, const struct import_ticket *ticket,
                        const struct import_batch *batch, bool *meets_known,
                        struct import_chunk *chunk_r) CM_MUST_CHECK;
/* All the rest. The import ends with the batch when `problem` (a code) is there or batch->last. The
 * transaction has ended then in any case. IMPORT_ENDED, or CM_PG_RETRY: both steps again. */
int import_store_place(struct import_chunk *chunk, const struct import_ticket *ticket,
                       const char *problem, struct cm_str detail) CM_MUST_CHECK;
/* Takes the first step back; also when there was none. */
void import_store_drop(struct import_chunk *chunk);
/* Ends an import of which nothing more can be read. */
int import_store_fail(struct cm_pg *pg, const struct import_ticket *ticket, const char *problem,
                      struct cm_str detail) CM_MUST_CHECK;
/* Takes it out of the queue, after its file is gone. */
int import_store_forget(struct cm_pg *pg, const struct import_ticket *ticket) CM_MUST_CHECK;
