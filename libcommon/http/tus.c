#include "http/tus.h"

#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/error.h"
#include "base/mem.h"
#include "errors.h"
#include "http/tus_internal.h"
#include "sys/fiber.h"
#include "sys/log.h"

#define VERSION         "1.0.0"
#define EXTENSIONS      "creation,creation-with-upload,expiration,termination,checksum"
#define ALGORITHMS      "sha1,sha256"
#define MEDIA           "application/offset+octet-stream"
#define STATUS_CHECKSUM 460
#define STATUS_LOCKED   423

int cm_tus_new(const struct cm_tus_config *config, struct cm_tus **tus_r)
{
        int dir = open(config->folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        struct cm_tus *tus;

        if (dir < 0 || faccessat(dir, ".", W_OK, 0) < 0) {
                cm_log(CM_LOG_ERROR, "cannot use the folder of uploads",
                       CM_F_TEXT("folder", config->folder));
                if (dir >= 0)
                        close(dir);
                return -CM_E_IO;
        }
        tus = CM_NEW(struct cm_tus);
        tus->config = *config;
        tus->dir = dir;
        *tus_r = tus;
        return 0;
}

void cm_tus_free(struct cm_tus **tus)
{
        if (!*tus)
                return;
        close((*tus)->dir);
        cm_free(*tus);
        *tus = NULL;
}

/* ---- replies */

static void add_number(struct cm_request *request, const char *name, int64_t number)
{
        char text[24];

        (void)snprintf(text, sizeof(text), "%lld", (long long)number);
        cm_reply_header(request, name, cm_str_from(text));
}

static void add_expiry(struct cm_request *request, cm_time expires_at)
{
        time_t second = (time_t)(expires_at / CM_SECOND);
        char text[40];
        struct tm tm;

        if (expires_at == INT64_MAX || !gmtime_r(&second, &tm))
                return;
        (void)strftime(text, sizeof(text), "%a, %d %b %Y %H:%M:%S GMT", &tm);
        cm_reply_header(request, "Upload-Expires", cm_str_from(text));
}

static int problem(struct cm_request *request, int status, const char *code, const char *detail)
{
        return cm_reply_problem(request, &(struct cm_problem){ .status = status,
                                                               .code = code,
                                                               .detail = cm_str_from(detail) });
}

/* What finding or opening an upload came to. */
static int reply_outcome(struct cm_request *request, int outcome)
{
        if (outcome < 0)
                return outcome;
        if (outcome == CM_TUS_REPLIED)
                return 0;
        if (outcome == CM_TUS_DAMAGED)
                return problem(request, STATUS_CHECKSUM, CM_CODE_UPLOAD_INCOMPLETE,
                               "the bytes that came do not have the checksum");
        if (outcome == CM_TUS_GONE)
                return problem(request, 410, CM_CODE_GONE, "the time of this upload is over");
        if (outcome == CM_TUS_LOCKED)
                return problem(request, STATUS_LOCKED, CM_CODE_LOCKED,
                               "another request is writing to this upload");
        return cm_reply_not_found(request);
}

/* Each reply names the version; a request must speak it. False after a reply. */
static bool speaks_tus(struct cm_request *request)
{
        cm_reply_header(request, "Tus-Resumable", CM_STR(VERSION));
        if (cm_str_equal(cm_request_header(request, "tus-resumable"), CM_STR(VERSION)))
                return true;
        cm_reply_header(request, "Tus-Version", CM_STR(VERSION));
        (void)problem(request, 412, CM_CODE_PRECONDITION_FAILED, "Tus-Resumable must be " VERSION);
        return false;
}

int cm_tus_options(struct cm_tus *tus, struct cm_request *request)
{
        cm_reply_header(request, "Tus-Resumable", CM_STR(VERSION));
        cm_reply_header(request, "Tus-Version", CM_STR(VERSION));
        cm_reply_header(request, "Tus-Extension", CM_STR(EXTENSIONS));
        cm_reply_header(request, "Tus-Checksum-Algorithm", CM_STR(ALGORITHMS));
        add_number(request, "Tus-Max-Size", tus->config.max_size);
        return cm_reply_empty(request, 204);
}

/* ---- finding */

int cm_tus_find(struct cm_tus *tus, const struct cm_uuid *owner, const struct cm_uuid *id,
                struct cm_arena *arena, struct cm_tus_upload *upload_r)
{
        struct cm_tus_transfer transfer;
        int r;

        cm_tus_transfer_init(&transfer, tus, NULL, id);
        transfer.arena = arena;
        r = cm_tus_load(&transfer, owner, cm_now(&cm_clock_system));
        *upload_r = transfer.upload;
        cm_tus_transfer_deinit(&transfer);
        return r;
}

struct cm_str cm_tus_path(const struct cm_tus *tus, const struct cm_uuid *id,
                          struct cm_arena *arena)
{
        char text[CM_UUID_TEXT_SIZE];

        return cm_arena_printf(arena, "%s/%s.data", tus->config.folder, cm_uuid_format(id, text));
}

struct cm_str cm_tus_metadata(const struct cm_tus_upload *upload, const char *key,
                              struct cm_arena *arena)
{
        return cm_tus_metadata_find(upload->metadata, cm_str_from(key), arena);
}

/* ---- what a request must have. Each is false after a reply. */

static bool read_checksum(struct cm_tus_transfer *transfer)
{
        struct cm_str text = cm_request_header(transfer->request, "upload-checksum");

        if (!text.data)
                return true;
        if (!cm_tus_parse_checksum(text, &transfer->expected)) {
                (void)cm_reply_invalid(transfer->request, "/header/upload-checksum",
                                       "must be sha1 or sha256 and the digest in base64");
                return false;
        }
        transfer->checksum = cm_checksum_new(transfer->expected.kind);
        return true;
}

static bool is_upload_media(struct cm_request *request)
{
        return cm_str_equal_nocase(cm_str_trim(cm_request_header(request, "content-type")),
                                   CM_STR(MEDIA));
}

static bool wants_media(struct cm_request *request)
{
        if (is_upload_media(request))
                return true;
        (void)problem(request, 415, CM_CODE_UNSUPPORTED_MEDIA, "Content-Type must be " MEDIA);
        return false;
}

static bool read_length(struct cm_tus_transfer *transfer)
{
        struct cm_request *request = transfer->request;

        if (!cm_tus_parse_number(cm_request_header(request, "upload-length"),
                                 &transfer->upload.length)) {
                (void)cm_reply_invalid(request, "/header/upload-length",
                                       "must be the number of bytes of the whole upload");
                return false;
        }
        if (transfer->upload.length <= transfer->tus->config.max_size)
                return true;
        add_number(request, "Tus-Max-Size", transfer->tus->config.max_size);
        (void)problem(request, 413, CM_CODE_TOO_LARGE, "the upload would be too large");
        return false;
}

static bool read_metadata(struct cm_tus_transfer *transfer)
{
        struct cm_str metadata = cm_request_header(transfer->request, "upload-metadata");

        if (metadata.len && !cm_tus_metadata_is_valid(metadata)) {
                (void)cm_reply_invalid(transfer->request, "/header/upload-metadata",
                                       "must be pairs of key and base64, with commas between");
                return false;
        }
        transfer->upload.metadata = cm_arena_str(transfer->arena, metadata);
        return true;
}

/* ---- the operations */

static int reply_created(struct cm_tus_transfer *transfer, bool with_data)
{
        struct cm_request *request = transfer->request;
        char id[CM_UUID_TEXT_SIZE];

        cm_reply_header(request, "Location",
                        cm_arena_printf(transfer->arena, "%s%s", transfer->tus->config.prefix,
                                        cm_uuid_format(&transfer->upload.id, id)));
        add_expiry(request, transfer->upload.expires_at);
        if (with_data)
                add_number(request, "Upload-Offset", transfer->upload.offset);
        return cm_reply_empty(request, 201);
}

int cm_tus_create(struct cm_tus *tus, struct cm_request *request, const struct cm_uuid *owner)
{
        cm_time now = cm_request_now(request);
        struct cm_uuid id = cm_uuid7(now);
        bool with_data = is_upload_media(request);
        CM_CLEANUP(cm_tus_transfer_deinit) struct cm_tus_transfer transfer;
        int r;

        cm_tus_transfer_init(&transfer, tus, request, &id);
        transfer.upload.owner = *owner;
        transfer.upload.expires_at = now + tus->config.life_us;
        if (!speaks_tus(request) || !read_length(&transfer) || !read_metadata(&transfer) ||
            !read_checksum(&transfer))
                return 0;
        if (!with_data && cm_request_content_length(request) != 0 && !wants_media(request))
                return 0;
        if (with_data && cm_request_content_length(request) > transfer.upload.length)
                return -CM_E_TOO_LARGE;
        r = cm_tus_begin(&transfer);
        if (r == 0)
                r = with_data ? cm_tus_receive(&transfer) : cm_tus_complete(&transfer);
        return r ? reply_outcome(request, r) : reply_created(&transfer, with_data);
}

int cm_tus_head(struct cm_tus *tus, struct cm_request *request, const struct cm_uuid *owner,
                const struct cm_uuid *id)
{
        CM_CLEANUP(cm_tus_transfer_deinit) struct cm_tus_transfer transfer;
        int r;

        cm_tus_transfer_init(&transfer, tus, request, id);
        if (!speaks_tus(request))
                return 0;
        r = cm_tus_load(&transfer, owner, cm_request_now(request));
        if (r)
                return reply_outcome(request, r);
        r = cm_tus_complete(&transfer);
        if (r)
                return reply_outcome(request, r);
        add_number(request, "Upload-Offset", transfer.upload.offset);
        add_number(request, "Upload-Length", transfer.upload.length);
        if (transfer.upload.metadata.len)
                cm_reply_header(request, "Upload-Metadata", transfer.upload.metadata);
        add_expiry(request, transfer.upload.expires_at);
        return cm_reply_empty(request, 200);
}

static int patch(struct cm_tus_transfer *transfer, int64_t offset)
{
        struct cm_request *request = transfer->request;
        int r;

        if (offset != transfer->upload.offset) {
                add_number(request, "Upload-Offset", transfer->upload.offset);
                return problem(request, 409, CM_CODE_OFFSET_MISMATCH,
                               "Upload-Offset is not where the upload stands");
        }
        if (offset + cm_request_content_length(request) > transfer->upload.length)
                return -CM_E_TOO_LARGE;
        r = cm_tus_receive(transfer);
        if (r)
                return reply_outcome(request, r);
        add_number(request, "Upload-Offset", transfer->upload.offset);
        add_expiry(request, transfer->upload.expires_at);
        return cm_reply_empty(request, 204);
}

int cm_tus_patch(struct cm_tus *tus, struct cm_request *request, const struct cm_uuid *owner,
                 const struct cm_uuid *id)
{
        CM_CLEANUP(cm_tus_transfer_deinit) struct cm_tus_transfer transfer;
        int64_t offset;
        int r;

        cm_tus_transfer_init(&transfer, tus, request, id);
        if (!speaks_tus(request) || !wants_media(request))
                return 0;
        if (!cm_tus_parse_number(cm_request_header(request, "upload-offset"), &offset))
                return cm_reply_invalid(request, "/header/upload-offset",
                                        "must be the offset at which these bytes stand");
        if (!read_checksum(&transfer))
                return 0;
        r = cm_tus_open(&transfer, owner, cm_request_now(request));
        return r ? reply_outcome(request, r) : patch(&transfer, offset);
}

int cm_tus_delete(struct cm_tus *tus, struct cm_request *request, const struct cm_uuid *owner,
                  const struct cm_uuid *id)
{
        CM_CLEANUP(cm_tus_transfer_deinit) struct cm_tus_transfer transfer;
        int r;

        cm_tus_transfer_init(&transfer, tus, request, id);
        if (!speaks_tus(request))
                return 0;
        r = cm_tus_open(&transfer, owner, cm_request_now(request));
        if (r)
                return reply_outcome(request, r);
        if (transfer.file.done)
                return problem(request, 409, CM_CODE_CONFLICT, "the upload is complete and in use");
        r = cm_tus_discard(&transfer);
        return r < 0 ? r : cm_reply_empty(request, 204);
}

int cm_tus_remove(struct cm_tus *tus, const struct cm_uuid *id)
{
        struct cm_tus_transfer transfer;

        cm_tus_transfer_init(&transfer, tus, NULL, id);
        return cm_tus_discard(&transfer);
}

/* ---- expiry */

struct listing {
        struct cm_tus *tus;
        struct cm_uuid *ids;
        size_t count;
};

static int job_list(void *arg)
{
        struct listing *listing = arg;
        DIR *dir = opendir(listing->tus->config.folder);
        const struct dirent *entry;
        struct cm_uuid id;

        if (!dir)
                return -CM_E_IO;
        while ((entry = readdir(dir))) {
                struct cm_str name = cm_str_from(entry->d_name);

                if (name.len != CM_UUID_TEXT_SIZE - 1 + 5 ||
                    !cm_uuid_parse((struct cm_str){ name.data, name.len - 5 }, &id) ||
                    strcmp(name.data + name.len - 5, ".info") != 0)
                        continue;
                listing->ids =
                        cm_realloc(listing->ids, (listing->count + 1) * sizeof(*listing->ids));
                listing->ids[listing->count++] = id;
        }
        closedir(dir);
        return 0;
}

/* Only under the lock: a PATCH that runs keeps its upload alive. */
static int expire_one(struct cm_tus *tus, const struct cm_uuid *id, cm_time now, bool *removed_r)
{
        struct cm_arena arena;
        struct cm_tus_transfer transfer;
        int r;

        *removed_r = false;
        cm_arena_init(&arena, 1024);
        cm_tus_transfer_init(&transfer, tus, NULL, id);
        transfer.arena = &arena;
        r = cm_tus_open(&transfer, NULL, now);
        if (r == CM_TUS_GONE) {
                r = cm_tus_discard(&transfer);
                *removed_r = r == 0;
        }
        cm_tus_transfer_deinit(&transfer);
        cm_arena_deinit(&arena);
        return r < 0 ? r : 0;
}

int cm_tus_expire(struct cm_tus *tus, cm_time now, int64_t *removed_r)
{
        struct listing listing = { .tus = tus };
        int r = cm_work_run(tus->config.lane, job_list, &listing);

        *removed_r = 0;
        for (size_t i = 0; i < listing.count && r == 0; i++) {
                bool removed;

                r = expire_one(tus, &listing.ids[i], now, &removed);
                *removed_r += removed;
        }
        cm_free(listing.ids);
        return r;
}
