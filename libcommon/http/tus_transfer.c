#include <string.h>

#include "base/error.h"
#include "http/tus_internal.h"
#include "sys/fiber.h"

/*
 * The bytes of a PATCH gather in a buffer that the lane writes; every CHECKPOINT of them, and at
 * the end, data and then offset are made durable. When the client goes away in the middle, what it
 * has sent so far is kept. With a checksum nothing counts until all of it is there and right.
 */
#define WRITE_SIZE    (256 << 10)
#define CHECKPOINT    (32 << 20)
#define LAST_WORDS_US (10 * CM_SECOND) /* to keep what a client sent before it went away */

void cm_tus_transfer_init(struct cm_tus_transfer *transfer, struct cm_tus *tus,
                          struct cm_request *request, const struct cm_uuid *id)
{
        *transfer = (struct cm_tus_transfer){ .tus = tus,
                                              .request = request,
                                              .upload = { .id = *id },
                                              .file = { .dir = tus->dir, .fd = -1 } };
        if (request)
                transfer->arena = cm_request_arena(request);
}

void cm_tus_transfer_deinit(struct cm_tus_transfer *transfer)
{
        cm_tus_file_close(&transfer->file);
        cm_buf_deinit(&transfer->bytes);
        cm_checksum_free(&transfer->checksum);
}

static int job_create(void *arg)
{
        struct cm_tus_transfer *transfer = arg;

        return cm_tus_file_create(&transfer->file, &transfer->upload);
}

static int job_load(void *arg)
{
        struct cm_tus_transfer *transfer = arg;
        struct cm_uuid id = transfer->upload.id;

        return cm_tus_file_load(&transfer->file, &id, transfer->arena, &transfer->upload);
}

static int job_open(void *arg)
{
        struct cm_tus_transfer *transfer = arg;
        struct cm_uuid id = transfer->upload.id;

        return cm_tus_file_open(&transfer->file, &id, transfer->arena, &transfer->upload);
}

static int job_write(void *arg)
{
        struct cm_tus_transfer *transfer = arg;

        return cm_tus_file_write(&transfer->file, cm_buf_str(&transfer->bytes), transfer->position);
}

static int job_commit(void *arg)
{
        struct cm_tus_transfer *transfer = arg;

        return cm_tus_file_commit(&transfer->file, &transfer->upload.id);
}

static int job_remove(void *arg)
{
        struct cm_tus_transfer *transfer = arg;

        return cm_tus_file_remove(transfer->tus->dir, &transfer->upload.id);
}

static int on_lane(struct cm_tus_transfer *transfer, cm_work_fn *job)
{
        return cm_work_run(transfer->tus->config.lane, job, transfer);
}

/* Calls the service; positive is CM_TUS_REPLIED. */
static int ask_service(struct cm_tus_transfer *transfer,
                       int (*fn)(struct cm_request *request, const struct cm_tus_upload *upload,
                                 void *arg))
{
        int r = fn ? fn(transfer->request, &transfer->upload, transfer->tus->config.arg) : 0;

        return r > 0 ? CM_TUS_REPLIED : r;
}

/* Whose it is, and whether its time is over. A finished upload stays until the service removes it.
 */
static int check_access(const struct cm_tus_transfer *transfer, const struct cm_uuid *owner,
                        cm_time now)
{
        if (owner && !cm_uuid_equal(owner, &transfer->upload.owner))
                return CM_TUS_NOT_FOUND;
        if (!transfer->file.done && now > transfer->upload.expires_at)
                return CM_TUS_GONE;
        return 0;
}

int cm_tus_load(struct cm_tus_transfer *transfer, const struct cm_uuid *owner, cm_time now)
{
        int r = on_lane(transfer, job_load);

        return r ? r : check_access(transfer, owner, now);
}

int cm_tus_open(struct cm_tus_transfer *transfer, const struct cm_uuid *owner, cm_time now)
{
        int r = on_lane(transfer, job_open);

        if (r == 0)
                r = check_access(transfer, owner, now);
        transfer->position = transfer->acknowledged = transfer->upload.offset;
        return r;
}

int cm_tus_begin(struct cm_tus_transfer *transfer)
{
        int r = ask_service(transfer, transfer->tus->config.created);

        if (r == 0)
                r = on_lane(transfer, job_create);
        return r ? r : on_lane(transfer, job_open);
}

/* Data, then offset. */
static int commit(struct cm_tus_transfer *transfer)
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

static int write_out(struct cm_tus_transfer *transfer)
{
        int r = transfer->bytes.len ? on_lane(transfer, job_write) : 0;

        if (r)
                return r;
        transfer->position += (int64_t)transfer->bytes.len;
        cm_buf_reset(&transfer->bytes);
        if (transfer->checksum || transfer->position - transfer->acknowledged < CHECKPOINT)
                return 0;
        return commit(transfer);
}

/* Takes the body in. Returns 0 at its end, -CM_E_TOO_LARGE when it goes beyond the length, or why
 * it ended early. */
static int receive(struct cm_tus_transfer *transfer)
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
                if (transfer->checksum)
                        cm_checksum_add(transfer->checksum, piece);
                cm_buf_add_str(&transfer->bytes, piece);
                if (transfer->bytes.len >= WRITE_SIZE)
                        r = write_out(transfer);
        } while (r == 0 && piece.len);
        return r;
}

static bool checksum_holds(struct cm_tus_transfer *transfer)
{
        uint8_t digest[CM_CHECKSUM_MAX_SIZE];
        size_t size = cm_checksum_finish(transfer->checksum, digest);

        return size == transfer->expected.size &&
               memcmp(digest, transfer->expected.digest, size) == 0;
}

int cm_tus_complete(struct cm_tus_transfer *transfer)
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

int cm_tus_receive(struct cm_tus_transfer *transfer)
{
        int received = receive(transfer), r;

        if (received == -CM_E_TOO_LARGE || (received < 0 && transfer->checksum))
                return received;
        if (received < 0)
                cm_fiber_set_deadline(cm_monotonic_us() + LAST_WORDS_US);
        if (received == 0 && transfer->checksum && !checksum_holds(transfer))
                return CM_TUS_DAMAGED;
        r = write_out(transfer);
        if (r == 0)
                r = commit(transfer);
        if (received < 0)
                return received;
        return r ? r : cm_tus_complete(transfer);
}

int cm_tus_discard(struct cm_tus_transfer *transfer)
{
        const struct cm_tus_config *config = &transfer->tus->config;

        /* Open: somebody asked for it, or its time is over; else the service itself is at it. */
        if (config->removed && transfer->file.fd >= 0)
                config->removed(&transfer->upload, config->arg);
        return on_lane(transfer, job_remove);
}
