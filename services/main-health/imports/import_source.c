/*
 * What an archive claims is not believed. The number of entries is read from its end record before
 * libzip builds its table of them, so a directory of millions costs nothing; sizes are counted as
 * bytes come out; names serve only to choose, they never become paths.
 */
#include "import_source.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <zip.h>

#include "base/error.h"
#include "base/mem.h"

enum { SNIFF_SIZE = 64 << 10, MAX_SNIFFED = 16 };

enum ignored_kind {
        IGNORED_ROUTES,
        IGNORED_ECG,
        IGNORED_CDA,
        IGNORED_CLINICAL,
        IGNORED_OTHER,
        IGNORED_KINDS
};

struct import_source {
        int fd; /* of a plain file; -1 for archives */
        zip_t *archive;
        zip_file_t *entry;
        int64_t size;
        int64_t packed;
        int64_t unpacked; /* so far */
        int64_t max_unpacked;
        int64_t max_ratio;
        int64_t ignored[IGNORED_KINDS];
};

/* ---- how many entries the end record names */

static uint32_t le32(const unsigned char *at)
{
        return (uint32_t)at[0] | (uint32_t)at[1] << 8 | (uint32_t)at[2] << 16 |
               (uint32_t)at[3] << 24;
}

static uint64_t le64(const unsigned char *at)
{
        return le32(at) | (uint64_t)le32(at + 4) << 32;
}

/* The number of entries in a zip64 end record, which the locator before the end record points at.
 */
static int64_t zip64_entries(int fd, const unsigned char *locator)
{
        unsigned char record[56];
        uint64_t offset = le64(locator + 8);

        if (memcmp(locator, "PK\x06\x07", 4) != 0 || offset > INT64_MAX)
                return -1;
        if (pread(fd, record, sizeof(record), (off_t)offset) != (ssize_t)sizeof(record) ||
            memcmp(record, "PK\x06\x06", 4) != 0)
                return -1;
        return (int64_t)(le64(record + 32) & INT64_MAX);
}

/* Entries as the archive's end says; -1 when there is no end record. */
static int64_t count_entries(int fd, int64_t file_size)
{
        enum { END_SIZE = 22, LOCATOR_SIZE = 20, TAIL = END_SIZE + LOCATOR_SIZE + 0xFFFF };
        unsigned char *tail = cm_alloc(TAIL);
        int64_t start = file_size > TAIL ? file_size - TAIL : 0, entries = -1;
        ssize_t len = pread(fd, tail, TAIL, (off_t)start);

        for (ssize_t i = len - END_SIZE; i >= 0; i--) {
                if (memcmp(tail + i, "PK\x05\x06", 4) != 0)
                        continue;
                entries = tail[i + 10] | tail[i + 11] << 8;
                if (i >= LOCATOR_SIZE && memcmp(tail + i - LOCATOR_SIZE, "PK\x06\x07", 4) == 0)
                        entries = zip64_entries(fd, tail + i - LOCATOR_SIZE);
                break;
        }
        cm_free(tail);
        return entries;
}

/* ---- which entry it is */

static struct cm_str base_name(struct cm_str name)
{
        const char *slash = memrchr(name.data, '/', name.len);

        if (!slash)
                return name;
        return (struct cm_str){ slash + 1, (size_t)(name.data + name.len - slash - 1) };
}

static bool ends_nocase(struct cm_str text, struct cm_str end)
{
        return text.len >= end.len &&
               cm_str_equal_nocase((struct cm_str){ text.data + text.len - end.len, end.len }, end);
}

static bool has_folder(struct cm_str name, const char *folder)
{
        return memmem(name.data, name.len, folder, strlen(folder)) != NULL;
}

static bool is_cda(struct cm_str name)
{
        return ends_nocase(name, CM_STR("_cda.xml"));
}

static void count_ignored(struct import_source *source, struct cm_str name)
{
        enum ignored_kind kind = IGNORED_OTHER;

        if (name.len && name.data[name.len - 1] == '/')
                return;
        if (ends_nocase(name, CM_STR(".gpx")))
                kind = IGNORED_ROUTES;
        else if (has_folder(name, "electrocardiogram"))
                kind = IGNORED_ECG;
        else if (is_cda(name))
                kind = IGNORED_CDA;
        else if (has_folder(name, "clinical"))
                kind = IGNORED_CLINICAL;
        source->ignored[kind]++;
}

/* The better a name, the lower: export.xml first, then any XML by its depth. */
static int name_rank(struct cm_str name)
{
        int depth = 0;

        for (size_t i = 0; i < name.len; i++)
                depth += name.data[i] == '/';
        return depth + (cm_str_equal_nocase(base_name(name), CM_STR("export.xml")) ? 0 : 1000);
}

struct candidates {
        zip_uint64_t index[MAX_SNIFFED];
        int rank[MAX_SNIFFED];
        size_t count;
};

/* Keeps the best, sorted. */
static void add_candidate(struct candidates *found, zip_uint64_t index, int rank)
{
        size_t i = found->count < MAX_SNIFFED ? found->count++ : MAX_SNIFFED - 1;

        if (i == MAX_SNIFFED - 1 && found->count == MAX_SNIFFED && found->rank[i] &&
            rank >= found->rank[i])
                return;
        for (; i > 0 && found->rank[i - 1] > rank; i--) {
                found->rank[i] = found->rank[i - 1];
                found->index[i] = found->index[i - 1];
        }
        found->rank[i] = rank;
        found->index[i] = index;
}

static void list_entries(struct import_source *source, struct candidates *found)
{
        zip_int64_t count = zip_get_num_entries(source->archive, 0);

        for (zip_int64_t i = 0; i < count; i++) {
                struct cm_str name = cm_str_from(
                        zip_get_name(source->archive, (zip_uint64_t)i, ZIP_FL_ENC_GUESS));

                if (!name.data)
                        continue;
                if (ends_nocase(name, CM_STR(".xml")) && !is_cda(name) &&
                    !has_folder(name, "__MACOSX"))
                        add_candidate(found, (zip_uint64_t)i, name_rank(name));
                count_ignored(source, name);
        }
}

static bool looks_like_export(const char *text, size_t len)
{
        return memmem(text, len, "<HealthData", 11) || memmem(text, len, "DOCTYPE HealthData", 18);
}

/* libzip's reasons as ours. */
static int outcome_of(int zip_error)
{
        switch (zip_error) {
        case ZIP_ER_NOPASSWD:
        case ZIP_ER_WRONGPASSWD:
        case ZIP_ER_ENCRNOTSUPP:
                return SOURCE_ENCRYPTED;
        case ZIP_ER_READ:
        case ZIP_ER_OPEN:
                return -CM_E_IO;
        case ZIP_ER_MEMORY:
                return -CM_E_INTERNAL;
        default:
                return SOURCE_BROKEN;
        }
}

static int open_entry(struct import_source *source, zip_uint64_t index)
{
        source->entry = zip_fopen_index(source->archive, index, 0);
        if (source->entry)
                return 0;
        return outcome_of(zip_error_code_zip(zip_get_error(source->archive)));
}

static void close_entry(struct import_source *source)
{
        if (source->entry)
                zip_fclose(source->entry);
        source->entry = NULL;
}

/* Reads until `buf` is full or the entry ends. */
static int64_t read_full(zip_file_t *entry, char *buf, size_t size)
{
        size_t len = 0;

        while (len < size) {
                zip_int64_t n = zip_fread(entry, buf + len, size - len);

                if (n < 0)
                        return -1;
                if (n == 0)
                        break;
                len += (size_t)n;
        }
        return (int64_t)len;
}

/* 0 when the entry is the export, SOURCE_NOT_APPLE when it is not, or why it cannot be read. */
static int sniff(struct import_source *source, zip_uint64_t index)
{
        char *text = cm_alloc(SNIFF_SIZE);
        int64_t len = 0;
        int r = open_entry(source, index);

        if (r == 0) {
                len = read_full(source->entry, text, SNIFF_SIZE);
                if (len < 0)
                        r = outcome_of(zip_error_code_zip(zip_file_get_error(source->entry)));
                else if (!looks_like_export(text, (size_t)len))
                        r = SOURCE_NOT_APPLE;
        }
        close_entry(source);
        cm_free(text);
        return r;
}

static int choose_entry(struct import_source *source, zip_uint64_t *index_r)
{
        struct candidates found = { 0 };
        int worst = SOURCE_NOT_APPLE;

        list_entries(source, &found);
        for (size_t i = 0; i < found.count; i++) {
                int r = sniff(source, found.index[i]);

                if (r == 0) {
                        *index_r = found.index[i];
                        source->ignored[IGNORED_OTHER]--;
                        return 0;
                }
                if (r < 0)
                        return r;
                worst = r > worst ? r : worst;
        }
        return worst;
}

static int check_sizes(struct import_source *source, zip_uint64_t index)
{
        zip_stat_t stat;

        if (zip_stat_index(source->archive, index, 0, &stat) != 0 ||
            !(stat.valid & ZIP_STAT_SIZE) || !(stat.valid & ZIP_STAT_COMP_SIZE))
                return SOURCE_BROKEN;
        if (stat.size > (zip_uint64_t)source->max_unpacked)
                return SOURCE_TOO_LARGE;
        source->size = (int64_t)stat.size;
        source->packed = (int64_t)(stat.comp_size & INT64_MAX);
        if (source->size > 1 << 20 && source->size / source->max_ratio > source->packed)
                return SOURCE_TOO_LARGE;
        return 0;
}

/* ---- opening */

static int open_archive(struct import_source *source, const char *path)
{
        zip_uint64_t index = 0;
        int error = 0, r;

        source->archive = zip_open(path, ZIP_RDONLY, &error);
        if (!source->archive)
                return outcome_of(error);
        r = choose_entry(source, &index);
        if (r == 0)
                r = check_sizes(source, index);
        if (r == 0)
                r = open_entry(source, index);
        return r;
}

static int open_plain(struct import_source *source, const char *start, size_t len, int64_t size)
{
        if (!looks_like_export(start, len))
                return SOURCE_NOT_APPLE;
        source->size = source->packed = size;
        return size > source->max_unpacked ? SOURCE_TOO_LARGE : 0;
}

static int open_any(struct import_source *source, const char *path, int64_t max_entries)
{
        char *start = cm_alloc(SNIFF_SIZE);
        struct stat status;
        ssize_t len;
        int64_t entries;
        int r;

        source->fd = open(path, O_RDONLY | O_CLOEXEC);
        if (source->fd < 0 || fstat(source->fd, &status) != 0 ||
            (len = pread(source->fd, start, SNIFF_SIZE, 0)) < 0) {
                cm_free(start);
                return -CM_E_IO;
        }
        if (len < 4 || memcmp(start, "PK", 2) != 0) {
                r = open_plain(source, start, (size_t)len, status.st_size);
                cm_free(start);
                return r;
        }
        cm_free(start);
        entries = count_entries(source->fd, status.st_size);
        close(source->fd);
        source->fd = -1;
        if (entries < 0)
                return SOURCE_BROKEN;
        return entries > max_entries ? SOURCE_TOO_LARGE : open_archive(source, path);
}

int import_source_open(const char *path, const struct import_limits *limits,
                       struct import_source **source_r)
{
        struct import_source *source = CM_NEW(struct import_source);
        int r;

        source->fd = -1;
        source->max_unpacked = limits->max_unpacked ? limits->max_unpacked : INT64_C(64) << 30;
        source->max_ratio = limits->max_ratio ? limits->max_ratio : 200;
        r = open_any(source, path, limits->max_entries ? limits->max_entries : 100000);
        if (r != 0)
                import_source_close(&source);
        *source_r = source;
        return r;
}

void import_source_close(struct import_source **source)
{
        if (!*source)
                return;
        close_entry(*source);
        if ((*source)->archive)
                zip_discard((*source)->archive);
        if ((*source)->fd >= 0)
                close((*source)->fd);
        cm_free(*source);
        *source = NULL;
}

/* ---- reading */

int import_source_read(struct import_source *source, char *buf, size_t cap, size_t *len_r)
{
        int64_t len;

        *len_r = 0;
        if (source->entry) {
                len = zip_fread(source->entry, buf, cap);
                if (len < 0)
                        return outcome_of(zip_error_code_zip(zip_file_get_error(source->entry)));
        } else {
                do
                        len = read(source->fd, buf, cap);
                while (len < 0 && errno == EINTR);
                if (len < 0)
                        return -CM_E_IO;
        }
        source->unpacked += len;
        if (source->unpacked > source->max_unpacked)
                return SOURCE_TOO_LARGE;
        if (source->unpacked > 1 << 20 && source->unpacked / source->max_ratio > source->packed)
                return SOURCE_TOO_LARGE;
        *len_r = (size_t)len;
        return 0;
}

int64_t import_source_size(const struct import_source *source)
{
        return source->size;
}

bool import_source_ignored(const struct import_source *source, size_t *position,
                           struct cm_str *kind_r, int64_t *count_r)
{
        static const struct cm_str kinds[] = {
                [IGNORED_ROUTES] = { "workout routes (gpx)", 20 },
                [IGNORED_ECG] = { "electrocardiograms", 18 },
                [IGNORED_CDA] = { "clinical documents (export_cda.xml)", 35 },
                [IGNORED_CLINICAL] = { "clinical records", 16 },
                [IGNORED_OTHER] = { "other files", 11 },
        };

        while (*position < IGNORED_KINDS && source->ignored[*position] <= 0)
                ++*position;
        if (*position >= IGNORED_KINDS)
                return false;
        *kind_r = kinds[*position];
        *count_r = source->ignored[(*position)++];
        return true;
}
