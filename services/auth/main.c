#include "accounts/tenant_commands.h"
#include "audit/audit_command.h"
#include "audit/refused_requests.h"
#include "auth.h"
#include "auth_api.h"
#include "auth_migrations.h"
#include "import/import_command.h"
#include "keys/key_commands.h"

/*
 * salus-auth: who somebody is, and what they may do. Accounts, sessions, tokens, signing keys; says
 * on the bus who was created and what changed.
 */
static const struct cm_setting *const settings[] = {
        cm_service_setting_table,
        auth_setting_table,
        NULL,
};

static const struct cm_command commands[] = {
        { "--list-keys", "  --list-keys      the signing keys, newest first\n",
          .run_on_stores = key_list_command },
        { "--rotate-keys",
          "  --rotate-keys    announce a new signing key; it takes over when all can have it\n",
          .run_on_stores = key_rotate_command },
        { "--withdraw-key",
          "  --withdraw-key KID  a key that leaked: its tokens are refused from now on\n",
          .run_on_stores = key_withdraw_command },
        { "--list-tenants", "  --list-tenants   with the number of their people\n",
          .run_on_stores = tenant_list_command },
        { "--add-tenant",
          "  --add-tenant 'NAME <ADDRESS>'  a tenant and its first admin, who chooses a password "
          "by\n"
          "                   way of a reset\n",
          .run_on_stores = tenant_add_command },
        { "--import-users",
          "  --import-users FILE  (-: standard input, from a file) bring in accounts: rows of\n"
          "                   supabase's auth.users (JSON lines, a JSON array, CSV with a "
          "header),\n"
          "                   or a realm of Keycloak. Again: goes on, adds nothing twice\n",
          .run_with = import_command },
        { "--verify-audit",
          "  --verify-audit [NUMBER:HASH]  check the audit log, and that it has this head\n",
          .run_with = audit_command },
        { 0 },
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
                .refused = refused_requests_by_guard,
                .commands = commands,
                .worker_start = auth_worker_start,
                .worker_stop = auth_worker_stop,
        };

        return cm_service_main(&service, argc, argv);
}
