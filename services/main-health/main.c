#include "health.h"
#include "main_health_api.h"
#include "main_health_migrations.h"
#include "main_health_rpc.h"
#include "people/person_events.h"

/* salus-main-health: the health record. Events first, everything else derived. */

static const struct cm_setting *const settings[] = { cm_service_setting_table,
                                                     main_health_setting_table, NULL };

static const struct cm_service service = {
        .name = "main-health",
        .program = "salus-main-health",
        .settings = settings,
        .settings_size = sizeof(struct main_health_settings),
        .migrations = &main_health_migrations,
        .routes = &main_health_routes,
        .rpc = &main_health_rpc,
        .subscriptions = person_subscriptions,
        .publishes = true,
        .user_refs = true,
        .worker_start = health_worker_start,
        .worker_stop = health_worker_stop,
};

int main(int argc, char **argv)
{
        return cm_service_main(&service, argc, argv);
}
