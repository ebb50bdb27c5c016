#include "account_rules.h"
#include "account_store.h"
#include "audit_rows.h"
#include "base/error.h"
#include "bus/outbox.h"
#include "codec/text.h"
#include "errors.h"
#include "events.h"
#include "keys.h"
#include "refusals.h"
#include "service/audit.h"
#include "session_rules.h"
#include "sign_in.h"
#include "store/ratelimit.h"
#include "sys/fiber.h"
#include "user_facts.h"

/* An account, its first session and the fact for the bus: one flight, all or nothing. */

static int email_taken(struct cm_request *request)
{
        const struct cm_problem problem = {
                .status = 409,
                .code = CM_CODE_EMAIL_TAKEN,
                .title = "There is an account with this e-mail address",
        };

        return cm_reply_problem(request, &problem);
}

static int count_registration(struct cm_request *request, struct cm_rate_decision *decision_r)
{
        struct auth *auth = cm_request_service(request);
        struct cm_arena *arena = cm_request_arena(request);
        struct cm_str network = session_rules_network(arena, cm_request_peer(request));
        int r = cm_rate_limit(auth->worker->bus,
                              key_rate_limit(arena, network, CM_STR("auth_register")),
                              auth->settings->register_limit, CM_HOUR, decision_r);

        return r == -CM_E_UNCERTAIN ? -CM_E_UNAVAILABLE : r;
}

static struct user new_user(struct cm_request *request, const struct registration *in)
{
        const struct auth *auth = cm_request_service(request);
        cm_time now = cm_request_now(request);

        return (struct user){
                .id = cm_uuid7(now),
                .tenant_id = auth->default_tenant,
                .user_type = USER_TYPE_PATIENT,
                .status = USER_STATUS_ACTIVE,
                .email = in->email,
                .display_name = in->has_display_name ? in->display_name : CM_STR_NONE,
                .has_display_name = in->has_display_name,
                .first_name = in->has_first_name ? in->first_name : CM_STR_NONE,
                .has_first_name = in->has_first_name,
                .language = in->language,
                .time_zone = in->time_zone,
                .preferences = CM_STR("{}"),
                .version = 1,
                .created_at = now,
                .updated_at = now,
        };
}

static void user_created(struct cm_request *request, const struct user *user,
                         struct cm_pg_params *params)
{
        struct cm_event event;
        struct user_ref ref;

        user_facts_ref(cm_request_service(request), cm_request_arena(request), user, &ref);
        event_user_created(&event, cm_request_arena(request), cm_fiber_context(), user->created_at,
                           &user->id, &ref);
        event.tenant = user->tenant_id;
        cm_outbox_params(&event, 1, params);
}

static int store(struct cm_request *request, const struct user *user, struct cm_str email_key,
                 const struct session_start *start)
{
        static const struct cm_pg_scope service_scope = { .role = "service" };
        struct auth *auth = cm_request_service(request);
        CM_CLEANUP(cm_pg_params_deinit) struct cm_pg_params account = { 0 };
        CM_CLEANUP(cm_pg_params_deinit) struct cm_pg_params session = { 0 };
        CM_CLEANUP(cm_pg_params_deinit) struct cm_pg_params audit = { 0 };
        CM_CLEANUP(cm_pg_params_deinit) struct cm_pg_params fact = { 0 };
        const struct cm_pg_flight_item items[] = {
                { &account_store_insert, &account, NULL },
                { &session_store_insert, &session, NULL },
                { &cm_audit_insert, &audit, NULL },
                { &cm_outbox_insert, &fact, NULL },
        };
        size_t failed = 0;
        int r;

        account_store_insert_params(user, email_key, start->password_hash, &account);
        session_store_insert_params(start, &session);
        audit_account_created(request, &user->id, &audit);
        user_created(request, user, &fact);
        r = cm_pg_flight(auth->worker->pg, &service_scope, items, CM_COUNT(items), &failed);
        if (r == CM_PG_DUPLICATE && failed == 0)
                return ACCOUNT_EMAIL_TAKEN;
        return r > 0 ? -CM_E_DATABASE : r;
}

static int create(struct cm_request *request, const struct registration *in)
{
        struct auth *auth = cm_request_service(request);
        struct cm_arena *arena = cm_request_arena(request);
        struct user user = new_user(request, in);
        struct cm_str hash = CM_STR_NONE;
        struct sign_in sign_in;
        int r;

        r = passwords_hash(auth->passwords, arena, in->password, &hash);
        if (r)
                return r;
        sign_in_prepare(request, &user, hash, in->has_device_name ? in->device_name : CM_STR_NONE,
                        &sign_in);
        r = store(request, &user, cm_email_canonical(arena, in->email), &sign_in.start);
        if (r == ACCOUNT_EMAIL_TAKEN)
                return email_taken(request);
        return r ? r : sign_in_reply(request, 201, &sign_in, &user);
}

int auth_register(struct cm_request *request, const struct registration *in)
{
        struct cm_rate_decision decision = { 0 };
        int r;

        if (account_rules_password_is_email(cm_request_arena(request), in->password, in->email))
                return cm_reply_invalid(request, "/password", "must not be the e-mail address");
        r = count_registration(request, &decision);
        if (r)
                return r;
        if (!decision.allowed)
                return refuse_too_many(request, "Too many registrations from this network",
                                       decision.reset_us);
        return create(request, in);
}
