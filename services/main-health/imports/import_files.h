#pragma once
#include <stdbool.h>

#include "base/attr.h"
#include "base/str.h"
#include "base/uuid.h"

/*
 * The files of imports in the scratch folder: ID.data is an upload, ID.lock belongs to whoever
 * works it through. The lock is the kernel's (flock), so it ends with its process however that
 * ends, and the next one goes on at once. All of it blocks: worker threads only.
 */

/* The folder's own id, made when it has none: imports name it, so that a service with another
 * folder leaves them alone. -CM_E_IO. */
int import_folder_id(const char *folder, struct cm_uuid *id_r) CM_MUST_CHECK;

enum import_file_outcome { IMPORT_FILE_LOCKED = 1 /* somebody else works on it */ };

/* 0 with the lock in *fd_r, which close() releases. */
int import_file_lock(const char *folder, const struct cm_uuid *id, int *fd_r) CM_MUST_CHECK;
/* Removes data and lock, which the caller holds. Absent ones are none the worse. */
void import_file_remove(const char *folder, const struct cm_uuid *id);

#define IMPORT_PATH_SIZE 4200
const char *import_file_path(const char *folder, const struct cm_uuid *id,
                             char out[IMPORT_PATH_SIZE]);

/* A new data file, for uploads in one request. -CM_E_IO. */
int import_file_create(const char *folder, const struct cm_uuid *id, int *fd_r) CM_MUST_CHECK;
int import_file_append(int fd, struct cm_str bytes) CM_MUST_CHECK;
/* After this the bytes and the name survive a crash. */
int import_file_sync(const char *folder, int fd) CM_MUST_CHECK;
