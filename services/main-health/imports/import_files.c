#include "import_files.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/file.h>
#include <unistd.h>

#include "base/error.h"
#include "base/time.h"
#include "sys/log.h"

static int failed(const char *what)
{
        cm_log(CM_LOG_ERROR, "file of an import", CM_F_TEXT("what", what),
               CM_F_INT("errno", errno));
        return -CM_E_IO;
}

static const char *path_of(const char *folder, const struct cm_uuid *id, const char *suffix,
                           char out[IMPORT_PATH_SIZE])
{
        char text[CM_UUID_TEXT_SIZE];

        (void)snprintf(out, IMPORT_PATH_SIZE, "%s/%s%s", folder, cm_uuid_format(id, text), suffix);
        return out;
}

const char *import_file_path(const char *folder, const struct cm_uuid *id,
                             char out[IMPORT_PATH_SIZE])
{
        return path_of(folder, id, ".data", out);
}

static int sync_folder(const char *folder)
{
        int fd = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        int r = 0;

        if (fd < 0 || fsync(fd) < 0)
                r = failed("sync folder");
        if (fd >= 0)
                close(fd);
        return r;
}

/* Reads the id; writes one when the file is new. The caller holds the file's lock. */
static int read_or_make_id(int fd, struct cm_uuid *id_r)
{
        char text[CM_UUID_TEXT_SIZE];
        ssize_t len = pread(fd, text, sizeof(text) - 1, 0);

        if (len < 0)
                return failed("read folder id");
        if (cm_uuid_parse((struct cm_str){ text, (size_t)len }, id_r))
                return 0;
        *id_r = cm_uuid7(cm_now(&cm_clock_system));
        cm_uuid_format(id_r, text);
        if (pwrite(fd, text, sizeof(text) - 1, 0) != (ssize_t)sizeof(text) - 1 || fsync(fd) < 0)
                return failed("write folder id");
        return 0;
}

int import_folder_id(const char *folder, struct cm_uuid *id_r)
{
        char path[IMPORT_PATH_SIZE];
        int fd, r;

        (void)snprintf(path, sizeof(path), "%s/folder-id", folder);
        fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
        if (fd < 0)
                return failed("open folder id");
        r = flock(fd, LOCK_EX) < 0 ? failed("lock folder id") : read_or_make_id(fd, id_r);
        close(fd);
        return r ? r : sync_folder(folder);
}

int import_file_lock(const char *folder, const struct cm_uuid *id, int *fd_r)
{
        char path[IMPORT_PATH_SIZE];
        int r;

        *fd_r = open(path_of(folder, id, ".lock", path), O_RDWR | O_CREAT | O_CLOEXEC, 0600);
        if (*fd_r < 0)
                return failed("open lock");
        if (flock(*fd_r, LOCK_EX | LOCK_NB) == 0)
                return 0;
        r = errno == EWOULDBLOCK ? IMPORT_FILE_LOCKED : failed("lock");
        close(*fd_r);
        *fd_r = -1;
        return r;
}

void import_file_remove(const char *folder, const struct cm_uuid *id)
{
        static const char *const suffixes[] = { ".data", ".info", ".lock" };
        char path[IMPORT_PATH_SIZE];

        for (size_t i = 0; i < CM_COUNT(suffixes); i++)
                if (unlink(path_of(folder, id, suffixes[i], path)) < 0 && errno != ENOENT)
                        (void)failed("remove");
}

int import_file_create(const char *folder, const struct cm_uuid *id, int *fd_r)
{
        char path[IMPORT_PATH_SIZE];

        *fd_r = open(import_file_path(folder, id, path), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC,
                     0600);
        return *fd_r < 0 ? failed("create") : 0;
}

int import_file_append(int fd, struct cm_str bytes)
{
        while (bytes.len) {
                ssize_t n = write(fd, bytes.data, bytes.len);

                if (n < 0 && errno == EINTR)
                        continue;
                if (n < 0)
                        return failed("write");
                bytes.data += n;
                bytes.len -= (size_t)n;
        }
        return 0;
}

int import_file_sync(const char *folder, int fd)
{
        return fsync(fd) < 0 ? failed("sync") : sync_folder(folder);
}
