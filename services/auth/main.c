#include "auth.h"
#include "auth_api.h"
#include "auth_migrations.h"
#include "key_commands.h"

/*
 * salus-auth: who somebody is, and what they may do. Accounts, sessions, tokens, signing keys; says
 * on the bus who was created and what changed.
 */
static const struct cm_setting *const settings[] = {
        cm_service_setting_table,
        auth_setting_table,
        NULL,
};

int main(int argc, char **argv)
{
        static const struct cm_service service = {
                .name = "auth",
                .program = "salus-auth",
                .settings = settings,
                .settings_size = sizeof(struct auth_settings),
                .migrations = &auth_migrations,
                .routes = &auth_routes,
                .publishes = true,
                .commands = key_commands,
                .worker_start = auth_worker_start,
                .worker_stop = auth_worker_stop,
        };

        return cm_service_main(&service, argc, argv);
}
