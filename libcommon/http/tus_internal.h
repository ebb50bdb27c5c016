#pragma once
#include "codec/checksum.h"
#include "http/tus.h"

/* What the files of tus share: tus_header.c reads headers, tus_file.c keeps files (blocking, on the
 * lane's threads), tus_transfer.c moves bytes from a request to a file, tus.c speaks the protocol.
 */

#define CM_TUS_MAX_METADATA 4096

/* ---- tus_header.c: pure */

/* Decimal digits, at most 2^53. */
bool cm_tus_parse_number(struct cm_str text, int64_t *number_r);
/* "key base64[,key base64…]": keys unique, values base64, CM_TUS_MAX_METADATA in all. */
bool cm_tus_metadata_is_valid(struct cm_str metadata);
/* The value of a key, decoded; absent when there is none or it is not UTF-8. */
struct cm_str cm_tus_metadata_find(struct cm_str metadata, struct cm_str key,
                                   struct cm_arena *arena);

struct cm_tus_checksum {
        enum cm_checksum_kind kind;
        uint8_t digest[CM_CHECKSUM_MAX_SIZE];
        size_t size;
};
/* "sha1 base64": false when malformed or of another algorithm. */
bool cm_tus_parse_checksum(struct cm_str text, struct cm_tus_checksum *checksum_r);

/* Outcomes beside enum cm_tus_outcome. */
#define CM_TUS_LOCKED  3 /* another request writes to it */
#define CM_TUS_REPLIED 4 /* the request has its reply */
#define CM_TUS_DAMAGED 5 /* the bytes do not have their checksum */

/* ---- tus_file.c: blocking. 0, NOT_FOUND, LOCKED, or a negative error that was logged. */

struct cm_tus_file {
        int dir;
        int fd; /* of the data, locked; -1: not open */
        int64_t offset;
        cm_time expires_at;
        bool done; /* the service has taken it over */
};

int cm_tus_file_create(struct cm_tus_file *file, const struct cm_tus_upload *upload);
/* Reads what is known. Text goes to the arena. */
int cm_tus_file_load(struct cm_tus_file *file, const struct cm_uuid *id, struct cm_arena *arena,
                     struct cm_tus_upload *upload_r);
/* Loads it, and opens the data for writing at the acknowledged offset; what lies behind is cut. */
int cm_tus_file_open(struct cm_tus_file *file, const struct cm_uuid *id, struct cm_arena *arena,
                     struct cm_tus_upload *upload_r);
void cm_tus_file_close(struct cm_tus_file *file);
int cm_tus_file_write(struct cm_tus_file *file, struct cm_str bytes, int64_t at);
/* Makes the data durable, then offset, expiry and state. */
int cm_tus_file_commit(struct cm_tus_file *file, const struct cm_uuid *id);
int cm_tus_file_remove(int dir, const struct cm_uuid *id);

/* ---- tus_transfer.c: one upload being worked on; lives on the fiber's stack. All suspend; they
 * return 0, an outcome, or a negative error. */
struct cm_tus {
        struct cm_tus_config config;
        int dir;
};

struct cm_tus_transfer {
        struct cm_tus *tus;
        struct cm_request *request; /* NULL: not for a request */
        struct cm_arena *arena;
        struct cm_tus_upload upload;
        struct cm_tus_file file;
        struct cm_buf bytes;  /* not written yet */
        int64_t position;     /* where they go */
        int64_t acknowledged; /* at the last checkpoint */
        struct cm_tus_checksum expected;
        struct cm_checksum *checksum; /* NULL: none is asked for */
};

void cm_tus_transfer_init(struct cm_tus_transfer *transfer, struct cm_tus *tus,
                          struct cm_request *request, const struct cm_uuid *id);
void cm_tus_transfer_deinit(struct cm_tus_transfer *transfer);
/* What is known of the upload; of this owner, unless NULL. */
int cm_tus_load(struct cm_tus_transfer *transfer, const struct cm_uuid *owner, cm_time now);
/* The same, open for writing. */
int cm_tus_open(struct cm_tus_transfer *transfer, const struct cm_uuid *owner, cm_time now);
/* Asks the service, makes the files and opens them. */
int cm_tus_begin(struct cm_tus_transfer *transfer);
/* Takes the request's body in: received, checked, durable, and taken over by the service when it
 * was the last of the upload. */
int cm_tus_receive(struct cm_tus_transfer *transfer);
/* The service takes a finished upload over, once. */
int cm_tus_complete(struct cm_tus_transfer *transfer);
int cm_tus_discard(struct cm_tus_transfer *transfer);
