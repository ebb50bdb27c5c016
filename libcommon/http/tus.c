#include "http/tus.h"

#include <dirent.h>
#include <fcntl.h>
#include <openssl/evp.h>
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

/*
 * The bytes of a PATCH gather in a buffer that the lane writes; every CHECKPOINT of them, and at
 * the end, data and then offset are made durable. When the client goes away in the middle, what it
 * has sent so far is kept. With a checksum nothing counts until all of it is there and right.
 */
#define VERSION         "1.0.0"
#define EXTENSIONS      "creation,creation-with-upload,expiration,termination,checksum"
#define ALGORITHMS      "sha1,sha256"
#define MEDIA           "application/offset+octet-stream"
#define WRITE_SIZE      (256 << 10)
#define CHECKPOINT      (32 << 20)
#define LAST_WORDS_US   (10 * CM_SECOND) /* to keep what a client sent before it went away */
#define STATUS_CHECKSUM 460
#define STATUS_LOCKED   423

struct cm_tus {
        struct cm_tus_config config;
        int dir;
};

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

/* ---- files, on the lane */

/* One upload being worked on. Lives on the fiber's stack. */
struct transfer {
        struct cm_tus *tus;
        struct cm_request *request;
        struct cm_arena *arena;
        struct cm_tus_upload upload;
        struct cm_tus_file file;
        struct cm_buf bytes;  /* not written yet */
        int64_t position;     /* where they go */
        int64_t acknowledged; /* at the last checkpoint */
        bool has_checksum;
        struct cm_tus_checksum checksum;
        EVP_MD_CTX *digest;
};

static void transfer_init(struct transfer *transfer, struct cm_tus *tus, struct cm_request *request,
                          const struct cm_uuid *id)
{
        *transfer = (struct transfer){ .tus = tus,
                                       .request = request,
                                       .upload = { .id = *id },
                                       .file = { .dir = tus->dir, .fd = -1 } };
        if (request)
                transfer->arena = cm_request_arena(request);
}

static void transfer_deinit(struct transfer *transfer)
{
        cm_tus_file_close(&transfer->file);
        cm_buf_deinit(&transfer->bytes);
        EVP_MD_CTX_free(transfer->digest);
}

static int job_create(void *arg)
{
        struct transfer *transfer = arg;

        return cm_tus_file_create(&transfer->file, &transfer->upload);
}

static int job_load(void *arg)
{
        struct transfer *transfer = arg;
        struct cm_uuid id = transfer->upload.id;

        return cm_tus_file_load(&transfer->file, &id, transfer->arena, &transfer->upload);
}

static int job_open(void *arg)
{
        struct transfer *transfer = arg;
        struct cm_uuid id = transfer->upload.id;

        return cm_tus_file_open(&transfer->file, &id, transfer->arena, &transfer->upload);
}

static int job_write(void *arg)
{
        struct transfer *transfer = arg;

        return cm_tus_file_write(&transfer->file, cm_buf_str(&transfer->bytes), transfer->position);
}

static int job_commit(void *arg)
{
        struct transfer *transfer = arg;

        return cm_tus_file_commit(&transfer->file, &transfer->upload.id);
}

static int job_remove(void *arg)
{
        struct transfer *transfer = arg;

        return cm_tus_file_remove(transfer->tus->dir, &transfer->upload.id);
}

static int on_lane(struct transfer *transfer, cm_work_fn *job)
{
        return cm_work_run(transfer->tus->config.lane, job, transfer);
}

/* Calls the service; positive is CM_TUS_REPLIED. */
static int ask_service(struct transfer *transfer,
                       int (*fn)(struct cm_request *request, const struct cm_tus_upload *upload,
                                 void *arg))
{
        int r = fn ? fn(transfer->request, &transfer->upload, transfer->tus->config.arg) : 0;

        return r > 0 ? CM_TUS_REPLIED : r;
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

/* Whose it is, and whether its time is over. A finished upload stays until the service removes it.
 */
static int check_access(const struct transfer *transfer, const struct cm_uuid *owner, cm_time now)
{
        if (owner && !cm_uuid_equal(owner, &transfer->upload.owner))
                return CM_TUS_NOT_FOUND;
        if (!transfer->file.done && now > transfer->upload.expires_at)
                return CM_TUS_GONE;
        return 0;
}

static int load(struct transfer *transfer, const struct cm_uuid *owner)
{
        int r = on_lane(transfer, job_load);

        return r ? r : check_access(transfer, owner, cm_request_now(transfer->request));
}

static int open_locked(struct transfer *transfer, const struct cm_uuid *owner)
{
        int r = on_lane(transfer, job_open);

        if (r == 0)
                r = check_access(transfer, owner, cm_request_now(transfer->request));
        transfer->position = transfer->acknowledged = transfer->upload.offset;
        return r;
}

int cm_tus_find(struct cm_tus *tus, const struct cm_uuid *owner, const struct cm_uuid *id,
                struct cm_arena *arena, struct cm_tus_upload *upload_r)
{
        struct transfer transfer;
        int r;

        transfer_init(&transfer, tus, NULL, id);
        transfer.arena = arena;
        r = on_lane(&transfer, job_load);
        if (r == 0)
                r = check_access(&transfer, owner, cm_now(&cm_clock_system));
        *upload_r = transfer.upload;
        transfer_deinit(&transfer);
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

/* ---- writing */

/* Data, then offset. */
static int commit(struct transfer *transfer)
{
        int r;

        transfer->file.offset = transfer->position;
        transfer->file.expires_at = cm_now(&cm_clock_system) + transfer->tus->config.life_us;
        r = on_lane(transfer, job_commit);
        if (r)
                return r;
        transfer->acknowledged = transfer->upload.offset = transfer->position;
        transfer->upload.expires_at = transfer->file.expires_at;
        return 0;
}

static int write_out(struct transfer *transfer)
{
        int r = transfer->bytes.len ? on_lane(transfer, job_write) : 0;

        if (r)
                return r;
        transfer->position += (int64_t)transfer->bytes.len;
        cm_buf_reset(&transfer->bytes);
        if (transfer->has_checksum || transfer->position - transfer->acknowledged < CHECKPOINT)
                return 0;
        return commit(transfer);
}

/* Takes the body in. Returns 0 at its end, -CM_E_TOO_LARGE when it goes beyond the length, or why
 * it ended early. */
static int receive(struct transfer *transfer)
{
        struct cm_str piece;
        int r;

        do {
                r = cm_request_read(transfer->request, &piece);
                if (r < 0)
                        return r;
                if (transfer->position + (int64_t)(transfer->bytes.len + piece.len) >
                    transfer->upload.length)
                        return -CM_E_TOO_LARGE;
                if (transfer->digest &&
                    EVP_DigestUpdate(transfer->digest, piece.data, piece.len) != 1)
                        return -CM_E_INTERNAL;
                cm_buf_add_str(&transfer->bytes, piece);
                if (transfer->bytes.len >= WRITE_SIZE)
                        r = write_out(transfer);
        } while (r == 0 && piece.len);
        return r;
}

static bool checksum_holds(struct transfer *transfer)
{
        uint8_t digest[EVP_MAX_MD_SIZE];
        unsigned size = 0;

        return EVP_DigestFinal_ex(transfer->digest, digest, &size) == 1 &&
               size == transfer->checksum.size &&
               memcmp(digest, transfer->checksum.digest, size) == 0;
}

/* The service takes a finished upload over, once. */
static int complete(struct transfer *transfer)
{
        int r, marked;

        if (transfer->upload.offset < transfer->upload.length || transfer->file.done)
                return 0;
        r = ask_service(transfer, transfer->tus->config.completed);
        if (r < 0)
                return r;
        transfer->file.done = true;
        marked = on_lane(transfer, job_commit);
        /* Not found: the service has used it up and removed it already. */
        return marked < 0 ? marked : r;
}

/* The whole of a body: received, checked, durable, and taken over when it was the last. */
static int transfer_body(struct transfer *transfer)
{
        int received = receive(transfer), r;

        if (received == -CM_E_TOO_LARGE || (received < 0 && transfer->has_checksum))
                return received;
        if (received < 0)
                cm_fiber_set_deadline(cm_monotonic_us() + LAST_WORDS_US);
        if (received == 0 && transfer->digest && !checksum_holds(transfer)) {
                (void)problem(transfer->request, STATUS_CHECKSUM, CM_CODE_UPLOAD_INCOMPLETE,
                              "the bytes that came do not have the checksum");
                return CM_TUS_REPLIED;
        }
        r = write_out(transfer);
        if (r == 0)
                r = commit(transfer);
        if (received < 0)
                return received;
        return r ? r : complete(transfer);
}

/* ---- what a request must have. Each is false after a reply. */

static bool read_checksum(struct transfer *transfer)
{
        struct cm_str text = cm_request_header(transfer->request, "upload-checksum");
        const EVP_MD *algorithm;

        if (!text.data)
                return true;
        if (!cm_tus_parse_checksum(text, &transfer->checksum)) {
                (void)cm_reply_invalid(transfer->request, "/header/upload-checksum",
                                       "must be sha1 or sha256 and the digest in base64");
                return false;
        }
        algorithm = transfer->checksum.algorithm == CM_TUS_SHA1 ? EVP_sha1() : EVP_sha256();
        transfer->digest = EVP_MD_CTX_new();
        transfer->has_checksum = true;
        return transfer->digest && EVP_DigestInit_ex(transfer->digest, algorithm, NULL) == 1;
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

static bool read_length(struct transfer *transfer)
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

static bool read_metadata(struct transfer *transfer)
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

static int create(struct transfer *transfer, bool with_data)
{
        int r = ask_service(transfer, transfer->tus->config.created);

        if (r == 0)
                r = on_lane(transfer, job_create);
        if (r == 0)
                r = on_lane(transfer, job_open);
        if (r)
                return r;
        return with_data ? transfer_body(transfer) : complete(transfer);
}

static int reply_created(struct transfer *transfer, bool with_data)
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
        CM_CLEANUP(transfer_deinit) struct transfer transfer;
        int r;

        transfer_init(&transfer, tus, request, &id);
        transfer.upload.owner = *owner;
        transfer.upload.expires_at = now + tus->config.life_us;
        if (!speaks_tus(request) || !read_length(&transfer) || !read_metadata(&transfer) ||
            !read_checksum(&transfer))
                return 0;
        if (!with_data && cm_request_content_length(request) != 0 && !wants_media(request))
                return 0;
        if (with_data && cm_request_content_length(request) > transfer.upload.length)
                return -CM_E_TOO_LARGE;
        r = create(&transfer, with_data);
        return r ? reply_outcome(request, r) : reply_created(&transfer, with_data);
}

int cm_tus_head(struct cm_tus *tus, struct cm_request *request, const struct cm_uuid *owner,
                const struct cm_uuid *id)
{
        CM_CLEANUP(transfer_deinit) struct transfer transfer;
        int r;

        transfer_init(&transfer, tus, request, id);
        if (!speaks_tus(request))
                return 0;
        r = load(&transfer, owner);
        if (r)
                return reply_outcome(request, r);
        r = complete(&transfer);
        if (r)
                return reply_outcome(request, r);
        add_number(request, "Upload-Offset", transfer.upload.offset);
        add_number(request, "Upload-Length", transfer.upload.length);
        if (transfer.upload.metadata.len)
                cm_reply_header(request, "Upload-Metadata", transfer.upload.metadata);
        add_expiry(request, transfer.upload.expires_at);
        return cm_reply_empty(request, 200);
}

static int patch(struct transfer *transfer, int64_t offset)
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
        r = transfer_body(transfer);
        if (r)
                return reply_outcome(request, r);
        add_number(request, "Upload-Offset", transfer->upload.offset);
        add_expiry(request, transfer->upload.expires_at);
        return cm_reply_empty(request, 204);
}

int cm_tus_patch(struct cm_tus *tus, struct cm_request *request, const struct cm_uuid *owner,
                 const struct cm_uuid *id)
{
        CM_CLEANUP(transfer_deinit) struct transfer transfer;
        int64_t offset;
        int r;

        transfer_init(&transfer, tus, request, id);
        if (!speaks_tus(request) || !wants_media(request))
                return 0;
        if (!cm_tus_parse_number(cm_request_header(request, "upload-offset"), &offset))
                return cm_reply_invalid(request, "/header/upload-offset",
                                        "must be the offset at which these bytes stand");
        if (!read_checksum(&transfer))
                return 0;
        r = open_locked(&transfer, owner);
        return r ? reply_outcome(request, r) : patch(&transfer, offset);
}

static int remove_upload(struct transfer *transfer)
{
        const struct cm_tus_config *config = &transfer->tus->config;

        if (config->removed)
                config->removed(&transfer->upload, config->arg);
        return on_lane(transfer, job_remove);
}

int cm_tus_delete(struct cm_tus *tus, struct cm_request *request, const struct cm_uuid *owner,
                  const struct cm_uuid *id)
{
        CM_CLEANUP(transfer_deinit) struct transfer transfer;
        int r;

        transfer_init(&transfer, tus, request, id);
        if (!speaks_tus(request))
                return 0;
        r = open_locked(&transfer, owner);
        if (r)
                return reply_outcome(request, r);
        if (transfer.file.done)
                return problem(request, 409, CM_CODE_CONFLICT, "the upload is complete and in use");
        r = remove_upload(&transfer);
        return r < 0 ? r : cm_reply_empty(request, 204);
}

int cm_tus_remove(struct cm_tus *tus, const struct cm_uuid *id)
{
        struct transfer transfer;

        transfer_init(&transfer, tus, NULL, id);
        return on_lane(&transfer, job_remove);
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
        struct transfer transfer;
        int r;

        *removed_r = false;
        cm_arena_init(&arena, 1024);
        transfer_init(&transfer, tus, NULL, id);
        transfer.arena = &arena;
        r = on_lane(&transfer, job_open);
        if (r == 0 && check_access(&transfer, NULL, now) == CM_TUS_GONE) {
                r = remove_upload(&transfer);
                *removed_r = r == 0;
        }
        transfer_deinit(&transfer);
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
