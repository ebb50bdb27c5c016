#pragma once
#include <stdint.h>

#include "base/arena.h"
#include "base/attr.h"
#include "base/str.h"

/*
 * The records of a file of accounts, one after the other, each as the text of one JSON object. The
 * shape is found out:
 *
 *   IMPORT_ROWS   rows of supabase's auth.users: JSON lines, one JSON array, or CSV with a header
 *   IMPORT_REALM  a realm of Keycloak, or one of its user files: the objects of its "users"
 *
 * Only one record is taken apart at a time, so a file may be larger than the memory. What is
 * damaged costs its record; damage that leaves nobody sure where the next one begins ends the file.
 */
enum import_shape { IMPORT_ROWS = 1, IMPORT_REALM };

struct import_source {
        struct cm_str text;
        enum import_shape shape;
        int framing; /* enum in import_source.c */
        size_t at;
        int64_t line;               /* at `at`, from 1 */
        int64_t index;              /* of the next record, from 1 */
        struct cm_str columns[200]; /* CSV */
        size_t column_count;
        struct cm_arena header;
};

struct import_record {
        struct cm_str json; /* a view, or in the arena */
        int64_t line;       /* where it begins */
        int64_t index;
};

enum import_source_outcome {
        IMPORT_END = 1,
        IMPORT_RECORD_DAMAGED, /* there is line and index; the next record can be asked for */
        IMPORT_FILE_DAMAGED,   /* there is line; nothing more comes */
        IMPORT_NO_ACCOUNTS,    /* at the beginning: the file has none of the shapes */
};

/* `text` must live as long. 0 or IMPORT_NO_ACCOUNTS. */
int import_source_init(struct import_source *source, struct cm_str text) CM_MUST_CHECK;
void import_source_deinit(struct import_source *source);

/* 0 with the next record, or an outcome. */
int import_source_next(struct import_source *source, struct cm_arena *arena,
                       struct import_record *record_r) CM_MUST_CHECK;
