#include "tenant_commands.h"

#include <stdio.h>

#include "admin/admin_facts.h"
#include "admin/admin_store.h"
#include "audit/audit_rows.h"
#include "auth.h"
#include "base/error.h"
#include "codec/text.h"
#include "passwords/stored_hash.h"
#include "tenant_store.h"

enum { DONE = 0, FAILED = 1, USAGE = 2, NAME_MAX_CHARS = 100 };

static int failed(const char *what, int r)
{
        (void)fprintf(stderr, "%s: %s\n", what, cm_error_name(r));
        return FAILED;
}

static void print_tenant(const struct tenant *tenant)
{
        char id[CM_UUID_TEXT_SIZE], created[CM_TIME_TEXT_SIZE];

        printf("%s  %-27s  %9lld  %.*s%s\n", cm_uuid_format(&tenant->id, id),
               cm_time_format(tenant->created_at, created), (long long)tenant->people,
               CM_STR_ARG(tenant->name),
               tenant->is_default ? "  (who registers by themselves)" : "");
}

int tenant_list_command(struct cm_worker *worker, const char *argument CM_UNUSED)
{
        CM_CLEANUP(cm_arena_deinit) struct cm_arena arena;
        struct tenant_list list;
        int r;

        cm_arena_init(&arena, 4096);
        r = tenant_store_list(worker->pg, &arena, &list);
        if (r)
                return failed("the tenants cannot be read", r);
        printf("%-36s  %-27s  %9s  %s\n", "tenant", "created", "people", "name");
        for (size_t i = 0; i < list.count; i++)
                print_tenant(&list.items[i]);
        return DONE;
}

/* ---- --add-tenant */

struct wanted {
        struct cm_str name, email;
};

/* "Clinic North <admin@north.example>" */
static bool parse(struct cm_str text, struct wanted *wanted_r)
{
        struct cm_str rest = text, name;

        if (!text.len || text.data[text.len - 1] != '>' || !cm_str_split(&rest, '<', &name) ||
            !rest.len)
                return false;
        wanted_r->name = cm_str_trim(name);
        wanted_r->email = (struct cm_str){ rest.data, rest.len - 1 };
        return wanted_r->name.len && cm_utf8_length(wanted_r->name) <= NAME_MAX_CHARS &&
               cm_line_is_valid(wanted_r->name) && cm_email_is_valid(wanted_r->email);
}

static struct account admin_of(const struct wanted *wanted, cm_time now)
{
        return (struct account){
                .id = cm_uuid7(now),
                .tenant_id = cm_uuid7(now),
                .user_type = USER_TYPE_ADMIN,
                .status = USER_STATUS_ACTIVE,
                .email = wanted->email,
                .language = CM_STR("en"),
                .time_zone = CM_STR("UTC"),
                .version = 1,
                .created_at = now,
                .updated_at = now,
        };
}

static int add(const struct auth *auth, struct cm_pg *pg, struct cm_arena *arena,
               const struct wanted *wanted, const struct account *admin)
{
        static const struct cm_pg_scope service_scope = { .role = "service" };
        struct cm_audit_entry made = { .user = &admin->id,
                                       .action = "tenant.create",
                                       .method = "command" };
        CM_CLEANUP(cm_pg_rollback) struct cm_pg_tx *tx = NULL;
        int r = cm_pg_begin(pg, &service_scope, &tx);

        if (!r)
                r = tenant_store_insert(tx, &admin->tenant_id, wanted->name);
        if (!r)
                r = admin_store_insert(tx, admin, cm_email_canonical(arena, admin->email),
                                       CM_STR(HASH_NO_PASSWORD));
        if (!r)
                r = admin_facts_created(auth, tx, arena, admin);
        if (!r)
                r = audit_own(tx, arena, &made, &admin->tenant_id, admin->created_at);
        made.action = "account.create";
        if (!r)
                r = audit_own(tx, arena, &made, &admin->id, admin->created_at);
        return r ? r : cm_pg_commit(&tx);
}

static int tell(int r, const struct wanted *wanted, const struct account *admin)
{
        char id[CM_UUID_TEXT_SIZE];

        switch (r) {
        case 0:
                printf("%s  %.*s\n", cm_uuid_format(&admin->tenant_id, id),
                       CM_STR_ARG(wanted->name));
                return DONE;
        case TENANT_NAME_TAKEN:
                (void)fprintf(stderr, "there is a tenant of this name\n");
                return FAILED;
        case ADMIN_EMAIL_TAKEN:
                (void)fprintf(stderr, "the address is of another account\n");
                return FAILED;
        default:
                return failed("no tenant was made", r);
        }
}

int tenant_add_command(struct cm_worker *worker, const char *argument)
{
        CM_CLEANUP(cm_arena_deinit) struct cm_arena arena;
        const struct auth_settings *settings = worker->settings;
        struct auth auth = { .settings = settings };
        struct wanted wanted;
        struct account admin;
        int r = USAGE;

        cm_arena_init(&arena, 4096);
        if (!argument || !parse(cm_str_from(argument), &wanted))
                (void)fprintf(stderr, "--add-tenant needs 'NAME <ADDRESS OF ITS FIRST ADMIN>'\n");
        else if (settings->contact_keys &&
                 cm_seal_keys_parse(cm_str_from(settings->contact_keys), &auth.contact_keys))
                (void)fprintf(stderr, "SALUS_CONTACT_KEYS cannot be read\n");
        else {
                admin = admin_of(&wanted, cm_now(&cm_clock_system));
                r = tell(add(&auth, worker->pg, &arena, &wanted, &admin), &wanted, &admin);
        }
        cm_seal_keys_free(&auth.contact_keys);
        return r;
}
