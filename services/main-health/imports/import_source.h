#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/attr.h"
#include "base/str.h"

/*
 * The one document of an uploaded export, unpacked as it is read: from a zip archive, of which only
 * that one entry is ever read and nothing is written to disk, or from a plain XML file. Memory is
 * flat. Everything here blocks: worker threads only.
 */
struct import_source;

struct import_limits {
        int64_t max_entries;  /* files of an archive. 0: 100,000 */
        int64_t max_unpacked; /* bytes of the document. 0: 64 GiB */
        int64_t max_ratio;    /* unpacked to packed, beyond the first MiB. 0: 200 */
};

enum import_source_outcome {
        SOURCE_NOT_APPLE =
                1, /* neither an archive nor XML, or no document that looks like an export */
        SOURCE_BROKEN,
        SOURCE_ENCRYPTED,
        SOURCE_TOO_LARGE, /* a limit was passed */
};

/* Opens the file and finds the document: the XML entry that looks like an Apple Health export,
 * whatever it is called in the phone's language, in whichever folder; never export_cda.xml. */
int import_source_open(const char *path, const struct import_limits *limits,
                       struct import_source **source_r) CM_MUST_CHECK;
void import_source_close(struct import_source **source);

/* The next bytes; *len_r 0 is the end. 0, SOURCE_BROKEN, SOURCE_TOO_LARGE or -CM_E_IO. */
int import_source_read(struct import_source *source, char *buf, size_t cap,
                       size_t *len_r) CM_MUST_CHECK;

/* Bytes of the document, as far as the archive says. */
int64_t import_source_size(const struct import_source *source);

/* The kinds of files that are left out, and how many there are of each: call until it says false,
 * with *position 0 at first. Names are static text. */
bool import_source_ignored(const struct import_source *source, size_t *position,
                           struct cm_str *kind_r, int64_t *count_r);
