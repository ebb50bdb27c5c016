#include "imports.h"

#include <stdio.h>
#include <string.h>

#include "base/mem.h"
#include "import_files.h"
#include "import_store.h"
#include "imports_internal.h"
#include "settings.h"
#include "sys/log.h"

enum { MAX_NAME = 255 };

static int read_folder_id(void *arg)
{
        struct imports *imports = arg;

        return import_folder_id(imports->folder, &imports->folder_id);
}

/* The last byte is durable: from here on it is an import. */
static int upload_completed(struct cm_request *request, const struct cm_tus_upload *upload,
                            void *arg)
{
        struct imports *imports = arg;
        struct cm_str name = cm_tus_metadata(upload, "filename", cm_request_arena(request));
        const struct import_upload import = {
                .id = upload->id,
                .user = upload->owner,
                .scratch = imports->folder_id,
                .file_name = name.len <= MAX_NAME && cm_utf8_is_valid(name) ? name : CM_STR_NONE,
                .file_size = upload->length,
                .created_at = cm_request_now(request),
        };
        int r = import_store_add(imports->pg, &import);

        if (r == 0)
                import_jobs_wake(imports->jobs);
        return r;
}

static void expire_uploads(void *arg)
{
        struct imports *imports = arg;
        int64_t removed;
        int r = cm_tus_expire(imports->tus, cm_now(&cm_clock_system), &removed);

        if (r)
                cm_log(CM_LOG_WARN, "uploads could not be tidied", CM_F_ERROR(r));
        else if (removed)
                cm_log(CM_LOG_INFO, "unfinished uploads removed", CM_F_INT("count", removed));
}

/* Where uploads are created, as the contract says: theirs are the paths below it. */
static const char *uploads_prefix(const struct cm_routes *routes, char out[64])
{
        for (size_t i = 0; i < routes->count; i++)
                if (strcmp(routes->items[i].operation, "import_upload_create") == 0)
                        (void)snprintf(out, 64, "%s/", routes->items[i].path);
        return out;
}

static int start_tus(struct imports *imports, const struct cm_worker *worker)
{
        const struct main_health_settings *settings = worker->settings;
        const struct cm_tus_config config = {
                .folder = settings->scratch,
                .prefix = uploads_prefix(worker->service->routes, imports->prefix),
                .max_size = settings->max_upload,
                .life_us = settings->upload_life_us,
                .lane = imports->files,
                .completed = upload_completed,
                .arg = imports,
        };

        return cm_tus_new(&config, &imports->tus);
}

static int start_jobs(struct imports *imports, const struct cm_worker *worker,
                      struct person_store *persons, struct vitals_cache *vitals)
{
        const struct main_health_settings *settings = worker->settings;
        const struct import_jobs_config config = {
                .loop = worker->loop,
                .pg = worker->pg,
                .lane = imports->reading,
                .persons = persons,
                .vitals = vitals,
                .folder = settings->scratch,
                .folder_id = imports->folder_id,
                .limits = { .max_unpacked = settings->max_unpacked,
                            .max_ratio = settings->max_zip_ratio },
                .tidy = expire_uploads,
                .arg = imports,
        };

        return import_jobs_start(&config, &imports->jobs);
}

int imports_start(const struct cm_worker *worker, struct person_store *persons,
                  struct vitals_cache *vitals, struct imports **imports_r)
{
        const struct main_health_settings *settings = worker->settings;
        struct imports *imports = CM_NEW(struct imports);
        int r;

        imports->pg = worker->pg;
        imports->folder = settings->scratch;
        r = cm_work_lane_new("imports", 1, 16, &imports->reading);
        if (r == 0)
                r = cm_work_lane_new("uploads", 2, 256, &imports->files);
        if (r == 0)
                r = cm_work_run(imports->files, read_folder_id, imports);
        if (r == 0)
                r = start_tus(imports, worker);
        if (r == 0)
                r = start_jobs(imports, worker, persons, vitals);
        if (r)
                imports_stop(&imports);
        *imports_r = imports;
        return r;
}

void imports_stop(struct imports **imports)
{
        if (!*imports)
                return;
        import_jobs_stop(&(*imports)->jobs);
        cm_tus_free(&(*imports)->tus);
        cm_work_lane_free(&(*imports)->reading);
        cm_work_lane_free(&(*imports)->files);
        cm_free(*imports);
        *imports = NULL;
}
