#include "accounts/account_store.h"
#include "audit/audit_rows.h"
#include "audit/refused_requests.h"
#include "auth_api.h"
#include "base/error.h"
#include "bus/outbox.h"
#include "codec/text.h"
#include "device_token.h"
#include "errors.h"
#include "mails/mails.h"
#include "refusals.h"
#include "second_login.h"
#include "service/audit.h"
#include "sessions/session_rules.h"
#include "sign_in.h"
#include "sys/log.h"
#include "sys/metrics.h"

/*
 * The order is the point. An attempt is counted before anything is looked at, and nobody is let in
 * when it could not be counted; an unknown address costs the same hash as a known one; whether the
 * account is active is asked after the hash; and a session is only written for the very password
 * that was checked. An attempt that did not fail for its password is given back.
 */
static const struct cm_pg_scope service_scope = { .role = "service" };

static struct cm_metric checks =
        CM_COUNTER("salus_auth_password_checks_total", "Passwords that were compared at a login");
static struct cm_metric logins = CM_COUNTER("salus_auth_logins_total", "Logins by how they ended");

static void count(const char *outcome_label)
{
        cm_counter_add(cm_metric_labeled(&logins, outcome_label), 1);
}

/* A login under way. */
struct attempt {
        const struct login *in;
        struct cm_str email_key;
        struct login_attempt counted;
        struct credentials account; /* without a hash: there is no such account */
        const char *reason;         /* why nobody was let in; for the log, never for the reply */
        struct hash_place *place;   /* until the first hash */
};

/* The owner is told when a limit is used up, once a day; whoever asks for an address without an
 * account causes the same, for nobody. */
static void tell_owner(struct cm_request *request, const struct attempt *attempt,
                       struct cm_pg_params *fact)
{
        const struct user *user = &attempt->account.user;
        bool is_somebody =
                attempt->account.password_hash.data && user->status == USER_STATUS_ACTIVE;

        mails_params(request,
                     &(const struct mail){
                             .template = MAIL_TEMPLATE_UNUSUAL_SIGN_INS,
                             .user = is_somebody ? &user->id : NULL,
                             .to = is_somebody ? user->email : CM_STR_NONE,
                             .language = is_somebody ? user->language : CM_STR("en"),
                             .time_zone = is_somebody ? user->time_zone : CM_STR("UTC"),
                             .life_us = CM_DAY,
                     },
                     fact);
}

/* The reply is the same for all reasons. */
static int refuse(struct cm_request *request, const struct attempt *attempt)
{
        struct auth *auth = cm_request_service(request);
        CM_CLEANUP(cm_pg_params_deinit) struct cm_pg_params audit = { 0 };
        CM_CLEANUP(cm_pg_params_deinit) struct cm_pg_params fact = { 0 };
        const struct cm_pg_flight_item items[] = {
                { &cm_audit_insert, &audit, NULL },
                { &cm_outbox_insert, &fact, NULL },
        };
        bool tells = attempt->counted.is_last && mails_are_possible(auth);
        int r;

        count("outcome=\"refused\"");
        audit_login(request, attempt->account.password_hash.data ? &attempt->account.user.id : NULL,
                    attempt->reason, &audit);
        if (tells)
                tell_owner(request, attempt, &fact);
        r = cm_pg_flight(auth->worker->pg, &service_scope, items, tells ? 2 : 1, NULL);
        if (r)
                return r < 0 ? r : -CM_E_DATABASE;
        return refuse_unauthorized(request, CM_CODE_INVALID_CREDENTIALS,
                                   "Wrong e-mail address or password");
}

/* A password whose stored form is outdated or imported is stored anew; the login succeeds in any
 * case. */
static void upgrade(struct auth *auth, struct cm_arena *arena, struct cm_str password,
                    struct credentials *credentials)
{
        struct cm_str fresh = CM_STR_NONE;
        int r = passwords_hash(auth->passwords, arena, password, &fresh);

        if (!r)
                r = account_store_rehash(auth->worker->pg, &credentials->user.id,
                                         credentials->password_hash, fresh);
        if (!r)
                credentials->password_hash = fresh;
        else
                cm_log(CM_LOG_INFO, "password keeps its outdated form", CM_F_ERROR(r));
}

/* 0 when the person may sign in; 1 with the reason when not; or an error. */
static int check(struct auth *auth, struct cm_arena *arena, struct attempt *attempt)
{
        struct credentials *account = &attempt->account;
        int found = account_store_credentials(auth->worker->pg, arena, attempt->email_key, account);
        int r;

        if (found < 0)
                return found;
        passwords_pad(auth->passwords,
                      account->imported_left ? auth->settings->imported_check_time_us : 0);
        hash_place_leave(attempt->place);
        r = passwords_check(auth->passwords, attempt->in->password, account->password_hash);
        if (r < 0)
                return r;
        cm_counter_add(&checks, 1);
        if (found == ACCOUNT_NOT_FOUND)
                attempt->reason = "no_account";
        else if (r == PASSWORD_WRONG)
                attempt->reason = "wrong_password";
        else if (account->user.status != USER_STATUS_ACTIVE)
                attempt->reason = "not_active";
        else if (auth->verification == VERIFICATION_REQUIRED &&
                 account->user.has_email_verified_at != CM_PRESENT)
                attempt->reason = "not_verified";
        if (attempt->reason)
                return 1;
        if (r == PASSWORD_OUTDATED)
                upgrade(auth, arena, attempt->in->password, account);
        return 0;
}

static int begin_session(struct cm_request *request, const struct attempt *attempt,
                         struct sign_in *sign_in_r)
{
        struct auth *auth = cm_request_service(request);
        const struct login *in = attempt->in;
        CM_CLEANUP(cm_pg_params_deinit) struct cm_pg_params audit = { 0 };

        audit_login(request, &attempt->account.user.id, NULL, &audit);
        sign_in_prepare(request, &attempt->account.user, attempt->account.password_hash,
                        in->has_device_name ? in->device_name : CM_STR_NONE, sign_in_r);
        return session_store_begin(auth->worker->pg, &sign_in_r->start, &audit);
}

/* Looks once more when the account changed between: a sign-in beside this one may have stored the
 * same password anew. 0; 1 with the reason when nobody comes in; or an error. */
static int enter(struct cm_request *request, struct attempt *attempt, struct sign_in *sign_in_r)
{
        int r = SESSION_NOT_BEGUN;

        for (int looks = 0; r == SESSION_NOT_BEGUN && looks < 2; looks++) {
                r = check(cm_request_service(request), cm_request_arena(request), attempt);
                if (r > 0)
                        return 1;
                if (!r && !attempt->account.second_factor)
                        r = begin_session(request, attempt, sign_in_r);
        }
        if (r != SESSION_NOT_BEGUN)
                return r;
        attempt->reason = "account_changed";
        return 1;
}

static int log_in(struct cm_request *request, struct attempt *attempt)
{
        struct auth *auth = cm_request_service(request);
        struct cm_arena *arena = cm_request_arena(request);
        struct sign_in sign_in;
        int r = enter(request, attempt, &sign_in);

        if (r > 0)
                return refuse(request, attempt);
        login_limit_give_back(auth->worker->bus, arena, &attempt->counted);
        if (r)
                return r;
        if (attempt->account.second_factor) {
                count("outcome=\"second_factor\"");
                return second_login_ask(request, attempt->in, &attempt->account);
        }
        count("outcome=\"done\"");
        return sign_in_reply(request, 200, &sign_in, &attempt->account.user);
}

/* Where the attempt comes from, and whether from a device that this account knows. */
static struct login_source source_of(struct cm_request *request, const struct attempt *attempt)
{
        const struct auth *auth = cm_request_service(request);
        const struct login *in = attempt->in;
        struct login_source source = {
                .email_key = attempt->email_key,
                .network =
                        session_rules_network(cm_request_arena(request), cm_request_peer(request)),
        };

        if (in->has_device_token &&
            device_token_is_good(auth->login_limit.secret, attempt->email_key, in->device_token,
                                 cm_request_now(request), auth->settings->device_token_life_us))
                source.device_token = in->device_token;
        return source;
}

int auth_login(struct cm_request *request, const struct login *in)
{
        struct auth *auth = cm_request_service(request);
        struct cm_arena *arena = cm_request_arena(request);
        CM_CLEANUP(hash_place_leave) struct hash_place place = { 0 };
        struct attempt attempt = { .in = in,
                                   .email_key = cm_email_canonical(arena, in->email),
                                   .place = &place };
        const struct login_source source = source_of(request, &attempt);
        int64_t wait_us = 0;
        int r;

        if (!passwords_keep_place(auth->passwords, &place))
                return -CM_E_OVERLOAD;
        r = login_limit_take(auth->worker->bus, arena, &auth->login_limit, &source,
                             &attempt.counted, &wait_us);
        if (r == LOGIN_LIMIT_REACHED) {
                count("outcome=\"limited\"");
                refused_request_note(
                        request, &(const struct refused_request){ .action = "login.password",
                                                                  .reason = "limit",
                                                                  .method = "password",
                                                                  .email_key = attempt.email_key });
                return refuse_too_many(request, "Too many failed logins", wait_us);
        }
        if (r)
                return r;
        return log_in(request, &attempt);
}
