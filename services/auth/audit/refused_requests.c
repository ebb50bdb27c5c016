#include "refused_requests.h"

#include <stdio.h>

#include "base/error.h"
#include "http/route.h"
#include "refusal_store.h"
#include "sessions/session_rules.h"
#include "sys/log.h"
#include "sys/metrics.h"

#define WINDOW_US CM_MINUTE
#define WRITE_US  CM_SECOND
#define STOP_US   CM_SECOND

static struct cm_metric unwritten = CM_COUNTER(
        "salus_auth_refusals_unwritten_total",
        "Refused requests that are in no row of the audit log, because the database took none");

static void failed(int64_t count, int r)
{
        cm_counter_add(&unwritten, count);
        cm_log(CM_LOG_ERROR, "refused requests are not in the audit log", CM_F_INT("count", count),
               CM_F_ERROR(r));
}

/* ---- the end of a window */

static void write_more(struct auth *auth, const struct refusal *refusal, int64_t more)
{
        char reason[64];
        int r;

        (void)snprintf(reason, sizeof(reason), "%s, %lld more", refusal->reason, (long long)more);
        r = refusal_store_write(auth->worker->pg, refusal, reason);
        if (r)
                failed(more, r);
}

static void write_counted(struct auth *auth, const struct refusal_tally *tally)
{
        const struct refusal *refusal;
        size_t position = 0;
        int64_t more;

        while (refusal_tally_next(tally, &position, &refusal, &more))
                write_more(auth, refusal, more);
        if (refusal_tally_others(tally)) {
                const struct refusal others = {
                        .action = "access.refuse",
                        .reason = "beyond_the_limit_of_rows",
                        .context = { .at = cm_now(&cm_clock_system),
                                     .ip = CM_STR(""),
                                     .user_agent = CM_STR(""),
                                     .request_id = CM_STR("") },
                };

                write_more(auth, &others, refusal_tally_others(tally));
        }
}

static struct refusal_tally *new_tally(const struct auth *auth)
{
        return refusal_tally_new((size_t)auth->settings->audit_refusals);
}

/* One a window in which something was refused. */
static void window_fiber(void *arg)
{
        struct auth *auth = arg;
        struct refusal_tally *tally;

        cm_fiber_set_deadline(CM_NEVER);
        (void)!cm_fiber_sleep(WINDOW_US); /* or the daemon stops */
        cm_fiber_shield();
        cm_fiber_set_deadline(cm_monotonic_us() + STOP_US);
        tally = auth->refusals;
        auth->refusals = new_tally(auth);
        write_counted(auth, tally);
        refusal_tally_free(&tally);
}

/* ---- a refusal */

static bool count(struct auth *auth, const struct refusal *refusal)
{
        bool begins = refusal_tally_is_empty(auth->refusals);
        bool is_row = refusal_tally_count(auth->refusals, refusal);
        int r = 0;

        if (begins)
                r = cm_group_start(&auth->refusing, "refusals", window_fiber, auth);
        if (r) {
                cm_log(CM_LOG_ERROR, "refused requests are not counted: no fiber", CM_F_ERROR(r));
                refusal_tally_free(&auth->refusals); /* or this window had no end */
                auth->refusals = new_tally(auth);
        }
        return is_row;
}

/* A database that hangs may not hold the refusal up. */
static void write_first(struct auth *auth, const struct refusal *refusal)
{
        int64_t soon = cm_monotonic_us() + WRITE_US, before = cm_fiber_deadline_us();
        int r;

        (void)cm_fiber_set_deadline(before < soon ? before : soon);
        r = refusal_store_write(auth->worker->pg, refusal, refusal->reason);
        (void)cm_fiber_set_deadline(before);
        if (r)
                failed(1, r);
}

static struct cm_str route_of(struct cm_request *request)
{
        const struct cm_route *route = cm_request_route(request);

        return cm_arena_printf(cm_request_arena(request), "%s %s", route->method, route->path);
}

void refused_request_note(struct cm_request *request, const struct refused_request *refused)
{
        struct auth *auth = cm_request_service(request);
        const struct cm_context *context = cm_fiber_context();
        struct refusal refusal = {
                .action = refused->action ? refused->action : "access.refuse",
                .reason = refused->reason,
                .method = context->has_user ? "token" : refused->method,
                .network =
                        session_rules_network(cm_request_arena(request), cm_request_peer(request)),
                .email_key = refused->email_key,
                .target = refused->target.data ? refused->target : route_of(request),
                .by_target = refused->target.data != NULL,
                .context = cm_audit_context(request),
        };

        if (context->has_user)
                refusal.actor = context->user_id;
        if (refused->user)
                refusal.user = *refused->user;
        if (count(auth, &refusal))
                write_first(auth, &refusal);
}

void refused_request_note_on(struct cm_request *request, const char *action, const char *reason,
                             const struct cm_uuid *target)
{
        char text[CM_UUID_TEXT_SIZE];
        const struct refused_request refused = {
                .action = action,
                .reason = reason,
                .target = cm_arena_str(cm_request_arena(request),
                                       cm_str_from(cm_uuid_format(target, text))),
        };

        refused_request_note(request, &refused);
}

void refused_requests_by_guard(struct cm_request *request, const char *reason)
{
        refused_request_note(request, &(const struct refused_request){ .reason = reason });
}

/* ---- */

void refused_requests_start(struct auth *auth)
{
        cm_group_init(&auth->refusing);
        auth->refusals = new_tally(auth);
}

void refused_requests_stop(struct auth *auth)
{
        int64_t before;

        if (!auth->refusals)
                return;
        before = cm_fiber_set_deadline(cm_monotonic_us()); /* cancels the wait for its end */
        (void)!cm_group_join(&auth->refusing);
        cm_fiber_set_deadline(before);
        refusal_tally_free(&auth->refusals);
}
