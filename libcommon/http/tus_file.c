#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/assert.h"
#include "base/error.h"
#include "http/tus_internal.h"
#include "sys/log.h"

/*
 * ID.info begins with a record of fixed size that is written in place: offset, expiry, state and a
 * checksum. It is smaller than a sector, so it changes as a whole; should it be broken anyhow, the
 * upload begins again at 0. Behind it stands what never changes: length, owner, metadata. The info
 * is made under another name and renamed, so that an upload exists with all of it or not at all.
 */
#define RECORD_SIZE 66
#define MAX_INFO    (RECORD_SIZE + 128 + CM_TUS_MAX_METADATA)
#define NAME_SIZE   (CM_UUID_TEXT_SIZE + 8)

static const char *name_of(const struct cm_uuid *id, const char *suffix, char out[NAME_SIZE])
{
        char text[CM_UUID_TEXT_SIZE];

        (void)snprintf(out, NAME_SIZE, "%s%s", cm_uuid_format(id, text), suffix);
        return out;
}

/* A full disk may have room again; anything else is our trouble. */
static int failed(const char *what)
{
        int error = errno;

        cm_log(CM_LOG_ERROR, "upload file", CM_F_TEXT("what", what),
               CM_F_TEXT("reason", strerror(error)));
        return error == ENOSPC || error == EDQUOT ? -CM_E_UNAVAILABLE : -CM_E_IO;
}

/* FNV-1a */
static unsigned long long checksum(const char *text, size_t len)
{
        uint64_t hash = UINT64_C(0xcbf29ce484222325);

        for (size_t i = 0; i < len; i++)
                hash = (hash ^ (unsigned char)text[i]) * UINT64_C(0x100000001b3);
        return hash;
}

static void format_record(const struct cm_tus_file *file, char out[RECORD_SIZE + 1])
{
        int len =
                snprintf(out, RECORD_SIZE + 1, "tus1 %020lld %020lld %c ", (long long)file->offset,
                         (long long)file->expires_at, file->done ? 'd' : 'o');

        (void)snprintf(out + len, (size_t)(RECORD_SIZE + 1 - len), "%016llx\n",
                       checksum(out, (size_t)len));
}

/* One field of the record, up to the next blank. */
static bool next_number(struct cm_str *rest, int64_t *number_r)
{
        struct cm_str word;

        return cm_str_split(rest, ' ', &word) && cm_str_to_int(word, number_r);
}

static bool parse_record(const char *text, struct cm_tus_file *file)
{
        struct cm_str rest = { text, RECORD_SIZE }, word;
        struct cm_tus_file found = { 0 };
        char again[RECORD_SIZE + 1];

        if (!cm_str_split(&rest, ' ', &word) || !next_number(&rest, &found.offset) ||
            !next_number(&rest, &found.expires_at) || !rest.len)
                return false;
        found.done = rest.data[0] == 'd';
        format_record(&found, again);
        if (memcmp(again, text, RECORD_SIZE) != 0)
                return false;
        file->offset = found.offset;
        file->expires_at = found.expires_at;
        file->done = found.done;
        return true;
}

static int write_all(int fd, struct cm_str bytes, int64_t at)
{
        while (bytes.len) {
                ssize_t n = pwrite(fd, bytes.data, bytes.len, at);

                if (n < 0 && errno == EINTR)
                        continue;
                if (n < 0)
                        return failed("write");
                bytes.data += n;
                bytes.len -= (size_t)n;
                at += n;
        }
        return 0;
}

static void close_fd(const int *fd)
{
        if (*fd >= 0)
                close(*fd);
}

static int create_file(int dir, const char *name, struct cm_str text)
{
        CM_CLEANUP(close_fd)
        int fd = openat(dir, name, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
        int r;

        if (fd < 0)
                return failed("create");
        r = write_all(fd, text, 0);
        if (r == 0 && fsync(fd) < 0)
                r = failed("sync");
        return r;
}

int cm_tus_file_create(struct cm_tus_file *file, const struct cm_tus_upload *upload)
{
        CM_CLEANUP(cm_buf_deinit) struct cm_buf text = { 0 };
        char data[NAME_SIZE], info[NAME_SIZE], draft[NAME_SIZE], owner[CM_UUID_TEXT_SIZE];
        char record[RECORD_SIZE + 1];
        int r;

        file->offset = 0;
        file->expires_at = upload->expires_at;
        file->done = false;
        format_record(file, record);
        cm_buf_printf(&text, "%slength %lld\nowner %s\nmetadata %.*s\n", record,
                      (long long)upload->length, cm_uuid_format(&upload->owner, owner),
                      CM_STR_ARG(upload->metadata));
        r = create_file(file->dir, name_of(&upload->id, ".data", data), CM_STR(""));
        if (r == 0)
                r = create_file(file->dir, name_of(&upload->id, ".draft", draft),
                                cm_buf_str(&text));
        if (r < 0)
                return r;
        if (renameat(file->dir, draft, file->dir, name_of(&upload->id, ".info", info)) < 0 ||
            fsync(file->dir) < 0)
                return failed("rename");
        return 0;
}

static int open_info(int dir, const struct cm_uuid *id, int flags, int *fd_r)
{
        char name[NAME_SIZE];

        *fd_r = openat(dir, name_of(id, ".info", name), flags | O_CLOEXEC);
        if (*fd_r >= 0)
                return 0;
        return errno == ENOENT ? CM_TUS_NOT_FOUND : failed("open");
}

static int read_info(int dir, const struct cm_uuid *id, char text[MAX_INFO + 1], size_t *len_r)
{
        int fd, r = open_info(dir, id, O_RDONLY, &fd);
        ssize_t n;

        if (r)
                return r;
        n = pread(fd, text, MAX_INFO, 0);
        r = n < 0 ? failed("read") : n < RECORD_SIZE ? -CM_E_IO : 0;
        close(fd);
        *len_r = n < 0 ? 0 : (size_t)n;
        text[*len_r] = '\0';
        return r;
}

/* The value of a line "name value"; absent when there is none. */
static struct cm_str line_value(struct cm_str text, struct cm_str name)
{
        struct cm_str line, word;

        while (cm_str_split(&text, '\n', &line))
                if (cm_str_split(&line, ' ', &word) && cm_str_equal(word, name))
                        return line.data ? line : CM_STR("");
        return CM_STR_NONE;
}

int cm_tus_file_load(struct cm_tus_file *file, const struct cm_uuid *id, struct cm_arena *arena,
                     struct cm_tus_upload *upload_r)
{
        char text[MAX_INFO + 1];
        struct cm_str rest = { text + RECORD_SIZE, 0 };
        size_t len = 0;
        int r = read_info(file->dir, id, text, &len);

        if (r)
                return r;
        rest.len = len - RECORD_SIZE;
        *upload_r = (struct cm_tus_upload){ .id = *id };
        if (!cm_str_to_int(line_value(rest, CM_STR("length")), &upload_r->length) ||
            !cm_uuid_parse(line_value(rest, CM_STR("owner")), &upload_r->owner)) {
                cm_log(CM_LOG_ERROR, "upload file", CM_F_TEXT("what", "info is broken"));
                return -CM_E_IO;
        }
        if (!parse_record(text, file)) {
                cm_log(CM_LOG_WARN, "upload begins again: its record is broken",
                       CM_F_UUID("upload", *id));
                file->offset = 0;
                file->expires_at = INT64_MAX;
                file->done = false;
        }
        upload_r->metadata = cm_arena_str(arena, line_value(rest, CM_STR("metadata")));
        upload_r->offset = file->offset;
        upload_r->expires_at = file->expires_at;
        return 0;
}

int cm_tus_file_open(struct cm_tus_file *file, const struct cm_uuid *id, struct cm_arena *arena,
                     struct cm_tus_upload *upload_r)
{
        char name[NAME_SIZE];
        int r;

        file->fd = openat(file->dir, name_of(id, ".data", name), O_WRONLY | O_CLOEXEC);
        if (file->fd < 0)
                return errno == ENOENT ? CM_TUS_NOT_FOUND : failed("open");
        if (flock(file->fd, LOCK_EX | LOCK_NB) < 0)
                r = errno == EWOULDBLOCK ? CM_TUS_LOCKED : failed("lock");
        else
                r = cm_tus_file_load(file, id, arena, upload_r);
        if (r == 0 && ftruncate(file->fd, file->offset) < 0)
                r = failed("truncate");
        if (r)
                cm_tus_file_close(file);
        return r;
}

void cm_tus_file_close(struct cm_tus_file *file)
{
        close_fd(&file->fd);
        file->fd = -1;
}

int cm_tus_file_write(struct cm_tus_file *file, struct cm_str bytes, int64_t at)
{
        return write_all(file->fd, bytes, at);
}

int cm_tus_file_commit(struct cm_tus_file *file, const struct cm_uuid *id)
{
        char record[RECORD_SIZE + 1];
        int fd, r = open_info(file->dir, id, O_WRONLY, &fd);

        if (r)
                return r;
        format_record(file, record);
        if (file->fd >= 0 && fdatasync(file->fd) < 0)
                r = failed("sync");
        if (r == 0)
                r = write_all(fd, (struct cm_str){ record, RECORD_SIZE }, 0);
        if (r == 0 && fdatasync(fd) < 0)
                r = failed("sync");
        close(fd);
        return r;
}

int cm_tus_file_remove(int dir, const struct cm_uuid *id)
{
        static const char *const suffixes[] = { ".info", ".data", ".draft" };
        char name[NAME_SIZE];

        for (size_t i = 0; i < CM_COUNT(suffixes); i++)
                if (unlinkat(dir, name_of(id, suffixes[i], name), 0) < 0 && errno != ENOENT)
                        return failed("remove");
        return fsync(dir) < 0 ? failed("sync") : 0;
}
