#pragma once
#include <stdbool.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/attr.h"
#include "base/str.h"
#include "base/time.h"
#include "base/uuid.h"
#include "http/request.h"
#include "sys/work.h"

/*
 * tus 1.0 resumable uploads (https://tus.io/protocols/resumable-upload): core, creation,
 * creation-with-upload, expiration, termination, checksum (sha1, sha256). A service has its own
 * routes (x-stream: true) whose handlers call the functions below; this module speaks the protocol
 * and keeps the files, the service keeps whose upload it is and what happens when it is complete.
 *
 * An upload is two files in the folder: ID.data, and ID.info with length, owner, metadata, expiry
 * and the offset that was acknowledged. Data are synced before the offset moves, and the offset
 * before the client is told; what a crash left behind it is cut off when the upload is next opened.
 */
struct cm_tus;

/* What is known of an upload. Text lives in the request's arena. */
struct cm_tus_upload {
        struct cm_uuid id;
        struct cm_uuid owner;
        int64_t length;
        int64_t offset; /* acknowledged */
        cm_time expires_at;
        struct cm_str metadata; /* Upload-Metadata as it came, checked */
};

struct cm_tus_config {
        const char *folder;        /* exists; private to the service */
        const char *prefix;        /* of Location: "/v1/imports/uploads/" */
        int64_t max_size;          /* bytes of one upload; more is 413 */
        int64_t life_us;           /* after the last PATCH; then the upload is gone */
        struct cm_work_lane *lane; /* for writing and syncing */
        /* Called before an upload is made; may reply (a positive value) or fail. NULL: none. */
        int (*created)(struct cm_request *request, const struct cm_tus_upload *upload, void *arg);
        /* Called when the last byte is durable, before the client is told; again after a failure
         * or crash, when the client asks again: must be idempotent. May suspend. 0, a positive
         * value after it has replied, or a negative error (the offset stays, the client retries).
         */
        int (*completed)(struct cm_request *request, const struct cm_tus_upload *upload, void *arg);
        /* Called before the files of an ended or expired upload go. NULL: none. */
        void (*removed)(const struct cm_tus_upload *upload, void *arg);
        void *arg;
};

/* One per worker; several workers and processes may share the folder. -CM_E_IO when it cannot be
 * used. */
int cm_tus_new(const struct cm_tus_config *config, struct cm_tus **tus_r) CM_MUST_CHECK;
void cm_tus_free(struct cm_tus **tus);

/* The five operations. Each replies by the protocol and returns 0, or a negative error for the
 * handler to pass up. All suspend. An upload of another owner is not found. */
int cm_tus_options(struct cm_tus *tus, struct cm_request *request);
int cm_tus_create(struct cm_tus *tus, struct cm_request *request, const struct cm_uuid *owner);
int cm_tus_head(struct cm_tus *tus, struct cm_request *request, const struct cm_uuid *owner,
                const struct cm_uuid *id);
int cm_tus_patch(struct cm_tus *tus, struct cm_request *request, const struct cm_uuid *owner,
                 const struct cm_uuid *id);
int cm_tus_delete(struct cm_tus *tus, struct cm_request *request, const struct cm_uuid *owner,
                  const struct cm_uuid *id);

enum cm_tus_outcome { CM_TUS_NOT_FOUND = 1, CM_TUS_GONE };

/* For the service's own use: reads what is known of an upload, NULL owner: anybody's. */
int cm_tus_find(struct cm_tus *tus, const struct cm_uuid *owner, const struct cm_uuid *id,
                struct cm_arena *arena, struct cm_tus_upload *upload_r) CM_MUST_CHECK;
/* Path of the data file; valid while the upload is. */
struct cm_str cm_tus_path(const struct cm_tus *tus, const struct cm_uuid *id,
                          struct cm_arena *arena);
/* One value of the metadata, decoded; absent when there is none. */
struct cm_str cm_tus_metadata(const struct cm_tus_upload *upload, const char *key,
                              struct cm_arena *arena);
/* Removes the upload's files; it need not exist. Suspends. */
int cm_tus_remove(struct cm_tus *tus, const struct cm_uuid *id) CM_MUST_CHECK;
/* Removes uploads whose time is over; returns how many in *removed_r. Suspends. For a fiber that
 * runs it every few minutes. */
int cm_tus_expire(struct cm_tus *tus, cm_time now, int64_t *removed_r) CM_MUST_CHECK;
