#include "scheduler.h"

#include <stdio.h>
#include <string.h>

#include "base/error.h"
#include "base/mem.h"
#include "engine.h"
#include "errors.h"
#include "sys/log.h"
#include "sys/metrics.h"

#define LOOK_EVERY CM_MINUTE

static void set_info(const char *version, int64_t value)
{
        static const struct cm_metric info =
                CM_GAUGE("salus_tzdata_info", "The time zone database in use");
        char labels[64];

        (void)snprintf(labels, sizeof(labels), "version=\"%s\"", version);
        cm_gauge_set(cm_metric_labeled(&info, labels), value);
}

static void note_version(struct scheduler *scheduler)
{
        char version[CM_ZONES_VERSION_SIZE];

        cm_zones_version(scheduler->zones, version);
        if (strcmp(version, scheduler->tz_version) == 0)
                return;
        if (scheduler->tz_version[0])
                set_info(scheduler->tz_version, 0);
        memcpy(scheduler->tz_version, version, sizeof(version));
        set_info(version, 1);
}

/* Files change under a running daemon when the machine is updated. */
static void look_at_zones(struct scheduler *scheduler)
{
        int64_t now = cm_monotonic_us();

        if (now < scheduler->look_at)
                return;
        scheduler->look_at = now + LOOK_EVERY;
        if (cm_zones_reload(scheduler->zones) > 0)
                scheduler->swept = false;
        note_version(scheduler);
}

bool scheduler_zones_changed(struct scheduler *scheduler)
{
        look_at_zones(scheduler);
        return !scheduler->swept;
}

const struct cm_zone *scheduler_zone(struct scheduler *scheduler, struct cm_str name,
                                     int64_t *hash_r)
{
        const struct cm_zone *zone;

        look_at_zones(scheduler);
        zone = cm_zones_get_hashed(scheduler->zones, name, hash_r);
        if (zone)
                return zone;
        cm_log(CM_LOG_WARN, "a time zone is gone from the database: UTC counts instead",
               CM_F_STR("zone", name));
        return cm_zones_get_hashed(scheduler->zones, CM_STR("+00:00"), hash_r);
}

void scheduler_wake(struct scheduler *scheduler)
{
        if (scheduler->engine)
                engine_wake(scheduler->engine);
}

int scheduler_problem(struct cm_request *request, const char *code, struct cm_str detail,
                      const struct cm_faults *faults)
{
        const struct cm_error_code *known = cm_error_code_find(code);
        const struct cm_problem problem = {
                .status = known->status,
                .code = code,
                .title = known->title,
                .detail = detail,
                .faults = faults,
        };

        return cm_reply_problem(request, &problem);
}

static int read_keys(const char *text, const char *setting, struct cm_seal_keys **keys_r)
{
        int r = text ? cm_seal_keys_parse(cm_str_from(text), keys_r) : 0;

        if (r)
                cm_log(CM_LOG_ERROR, "keys cannot be read", CM_F_TEXT("setting", setting));
        return r ? -CM_E_CONFIG : 0;
}

int scheduler_worker_start(struct cm_worker *worker)
{
        struct scheduler *scheduler = CM_NEW(struct scheduler);
        int r;

        worker->object = scheduler;
        scheduler->worker = worker;
        scheduler->settings = worker->settings;
        scheduler->pg = worker->pg;
        scheduler->zones = cm_zones_new(scheduler->settings->zoneinfo);
        note_version(scheduler);
        r = read_keys(scheduler->settings->seal_keys, "SALUS_SEAL_KEYS", &scheduler->seal);
        if (r == 0)
                r = read_keys(scheduler->settings->contact_keys, "SALUS_CONTACT_KEYS",
                              &scheduler->contacts);
        if (r == 0 && worker->index == 0)
                r = engine_start(scheduler, &scheduler->engine);
        return r;
}

void scheduler_worker_stop(struct cm_worker *worker)
{
        struct scheduler *scheduler = worker->object;

        if (!scheduler)
                return;
        engine_stop(&scheduler->engine);
        cm_seal_keys_free(&scheduler->seal);
        cm_seal_keys_free(&scheduler->contacts);
        cm_zones_free(&scheduler->zones);
        cm_free(scheduler);
        worker->object = NULL;
}
