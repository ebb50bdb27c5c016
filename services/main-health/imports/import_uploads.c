#include <unistd.h>

#include "base/error.h"
#include "errors.h"
#include "events/event_replies.h"
#include "import_files.h"
#include "import_store.h"
#include "imports_internal.h"

/* How files come in: resumable uploads, which speak tus, and small ones in one request. */

static struct imports *imports_of(struct cm_request *request)
{
        return ((struct health *)cm_request_service(request))->imports;
}

static const struct cm_uuid *user_of(struct cm_request *request)
{
        return &cm_request_claims(request)->sub;
}

int import_upload_options(struct cm_request *request)
{
        return cm_tus_options(imports_of(request)->tus, request);
}

int import_upload_create(struct cm_request *request)
{
        return cm_tus_create(imports_of(request)->tus, request, user_of(request));
}

int import_upload_offset(struct cm_request *request,
                         const struct import_upload_offset_params *params)
{
        return cm_tus_head(imports_of(request)->tus, request, user_of(request), &params->id);
}

int import_upload_append(struct cm_request *request,
                         const struct import_upload_append_params *params)
{
        return cm_tus_patch(imports_of(request)->tus, request, user_of(request), &params->id);
}

/* An upload that is complete is an import by now, which ends with it. */
int import_upload_end(struct cm_request *request, const struct import_upload_end_params *params)
{
        struct imports *imports = imports_of(request);
        int r = import_store_cancel(imports->pg, user_of(request), &params->id);

        if (r < 0)
                return r;
        return cm_tus_delete(imports->tus, request, user_of(request), &params->id);
}

/* ---- one request */

enum { WRITE_SIZE = 256 << 10 };

struct reception {
        struct imports *imports;
        struct cm_request *request;
        struct cm_uuid id;
        int fd;
        struct cm_buf bytes; /* not written yet */
        int64_t size;
};

static int lane_create(void *arg)
{
        struct reception *reception = arg;

        return import_file_create(reception->imports->folder, &reception->id, &reception->fd);
}

static int lane_append(void *arg)
{
        struct reception *reception = arg;

        return import_file_append(reception->fd, cm_buf_str(&reception->bytes));
}

static int lane_sync(void *arg)
{
        struct reception *reception = arg;

        return import_file_sync(reception->imports->folder, reception->fd);
}

static int lane_remove(void *arg)
{
        struct reception *reception = arg;

        import_file_remove(reception->imports->folder, &reception->id);
        return 0;
}

static int on_lane(struct reception *reception, cm_work_fn *fn)
{
        return cm_work_run(reception->imports->files, fn, reception);
}

static int write_out(struct reception *reception)
{
        int r = reception->bytes.len ? on_lane(reception, lane_append) : 0;

        reception->size += (int64_t)reception->bytes.len;
        cm_buf_reset(&reception->bytes);
        return r;
}

static int receive(struct reception *reception)
{
        struct cm_str piece;
        int r;

        do {
                r = cm_request_read(reception->request, &piece);
                if (r == 0)
                        cm_buf_add_str(&reception->bytes, piece);
                if (r == 0 && (reception->bytes.len >= WRITE_SIZE || !piece.len))
                        r = write_out(reception);
        } while (r == 0 && piece.len);
        return r ? r : on_lane(reception, lane_sync);
}

static int add(struct reception *reception)
{
        const struct import_upload upload = {
                .id = reception->id,
                .user = *user_of(reception->request),
                .scratch = reception->imports->folder_id,
                .file_size = reception->size,
                .created_at = cm_request_now(reception->request),
        };

        return import_store_add(reception->imports->pg, &upload);
}

static int reply_accepted(struct reception *reception)
{
        struct cm_request *request = reception->request;
        struct cm_arena *arena = cm_request_arena(request);
        char id[CM_UUID_TEXT_SIZE];
        struct import import;
        int r = import_store_read(reception->imports->pg, arena, user_of(request), &reception->id,
                                  &import);

        if (r)
                return r < 0 ? r : -CM_E_INTERNAL;
        cm_reply_header(request, "Location",
                        cm_arena_printf(arena, "%.*s/%s", CM_STR_ARG(cm_request_path(request)),
                                        cm_uuid_format(&reception->id, id)));
        return cm_reply_json(request, 202, &import_schema, &import);
}

int import_create(struct cm_request *request)
{
        struct reception reception = {
                .imports = imports_of(request),
                .request = request,
                .id = cm_uuid7(cm_request_now(request)),
                .fd = -1,
        };
        int r = on_lane(&reception, lane_create);

        if (r == 0)
                r = receive(&reception);
        if (reception.fd >= 0)
                close(reception.fd);
        cm_buf_deinit(&reception.bytes);
        if (r == 0)
                r = add(&reception);
        if (r && r != -CM_E_UNCERTAIN) /* else it may have become an import */
                (void)on_lane(&reception, lane_remove);
        if (r)
                return r < 0 ? r : -CM_E_INTERNAL;
        import_jobs_wake(reception.imports->jobs);
        return reply_accepted(&reception);
}
