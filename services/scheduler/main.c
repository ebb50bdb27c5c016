#include "next_command.h"
#include "person_events.h"
#include "scheduler.h"
#include "scheduler_api.h"
#include "scheduler_migrations.h"
#include "scheduler_rpc.h"

/* salus-scheduler: reaching people at the right time. */

static const struct cm_setting *const settings[] = { cm_service_setting_table,
                                                     scheduler_setting_table, NULL };

static const struct cm_command commands[] = {
        { "--next",
          "  --next [FOLDER]  rows \"expression, zone, start, count\" (tabs) on standard input; "
          "prints\n"
          "                   the next runs of each. FOLDER holds compiled time zones\n",
          next_command },
        { 0 },
};

static const struct cm_service service = {
        .name = "scheduler",
        .program = "salus-scheduler",
        .settings = settings,
        .settings_size = sizeof(struct scheduler_settings),
        .migrations = &scheduler_migrations,
        .routes = &scheduler_routes,
        .rpc = &scheduler_rpc,
        .subscriptions = scheduler_subscriptions,
        .publishes = true,
        .user_refs = true,
        .commands = commands,
        .worker_start = scheduler_worker_start,
        .worker_stop = scheduler_worker_stop,
};

int main(int argc, char **argv)
{
        return cm_service_main(&service, argc, argv);
}
