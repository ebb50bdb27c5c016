#include "events.h"
#include "forget.h"
#include "memory_api.h"
#include "memory_migrations.h"
#include "memory_rpc.h"
#include "memory_service.h"
#include "service/user_refs.h"

/* salus-memory: what the companion knows about a person, and may know. */

static const struct cm_setting *const settings[] = { cm_service_setting_table, memory_setting_table,
                                                     NULL };

static const struct cm_subscription subscriptions[] = {
        CM_USER_REF_SUBSCRIPTIONS,
        { STREAM_AUTH, EVENT_USER_ERASED, &user_erased_schema, memory_on_erased },
        { STREAM_MEMORY, EVENT_MEMORY_FORGOTTEN, &memory_forgotten_schema, memory_on_forgotten },
        { NULL, NULL, NULL, NULL },
};

static const struct cm_service service = {
        .name = "memory",
        .program = "salus-memory",
        .settings = settings,
        .settings_size = sizeof(struct memory_settings),
        .migrations = &memory_migrations,
        .routes = &memory_routes,
        .rpc = &memory_rpc,
        .subscriptions = subscriptions,
        .publishes = true,
        .user_refs = true,
        .worker_start = memory_worker_start,
        .worker_stop = memory_worker_stop,
};

int main(int argc, char **argv)
{
        return cm_service_main(&service, argc, argv);
}
