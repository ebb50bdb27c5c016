#include <string.h>

#include "base/error.h"
#include "errors.h"
#include "explain.h"
#include "http/cursor.h"
#include "http/idempotency.h"
#include "schedule_plan.h"
#include "schedule_store.h"
#include "scheduler_api.h"

/* Schedules: creating, reading, changing, pausing, deleting. */

enum { DEFAULT_LIMIT = 30, REPLIED = 1 };

static const struct cm_uuid *user_of(struct cm_request *request)
{
        return &cm_request_claims(request)->sub;
}

/* ---- what replies have beside the row */

static void complete_view(struct cm_arena *arena, struct stored_schedule *schedule)
{
        struct schedule_record *view = &schedule->view;
        struct recurrence recurrence;
        struct cron_fault fault;

        view->warnings.items =
                cm_arena_array(arena, EXPLAIN_MAX_WARNINGS, sizeof(*view->warnings.items));
        view->explanation = (struct explanation){ CM_STR(""), CM_STR("") };
        if (recurrence_parse(view->cron_expression, schedule_rules_seed(&view->id), &recurrence,
                             &fault))
                return;
        explain_recurrence(&recurrence, arena, &view->explanation);
        view->warnings.count = explain_warnings(&recurrence, view->warnings.items);
}

static struct cm_str tag_of(struct cm_arena *arena, const struct schedule_record *view)
{
        return cm_arena_printf(arena, "%lld", (long long)view->version);
}

static int reply_schedule(struct cm_request *request, struct stored_schedule *schedule)
{
        struct cm_arena *arena = cm_request_arena(request);

        complete_view(arena, schedule);
        return cm_reply_json_tagged(request, 200, &schedule_record_schema, &schedule->view,
                                    tag_of(arena, &schedule->view));
}

static int refuse(struct cm_request *request, int outcome, const struct cron_fault *fault)
{
        char text[CRON_FAULT_TEXT_SIZE];

        switch (outcome) {
        case SCHEDULE_NEVER_FIRES:
                return scheduler_problem(request, CM_CODE_NEVER_FIRES, CM_STR_NONE, NULL);
        case SCHEDULE_BAD_EXPRESSION:
                return cm_reply_invalid(request, "/cron_expression", "%s",
                                        cron_fault_format(fault, text));
        case SCHEDULE_BAD_METHOD:
                return cm_reply_invalid(request, "/reminder_method",
                                        "only email and none are set up here");
        case SCHEDULE_BAD_PHONE:
                return cm_reply_invalid(request, "/phone_number",
                                        "must be \"+\" and 7 to 15 digits");
        default:
                return outcome < 0 ? outcome : -CM_E_INTERNAL;
        }
}

/* ---- creating */

static int store_new(struct cm_request *request, struct cm_idempotency *attempt,
                     struct cm_pg_tx **tx, struct stored_schedule *schedule)
{
        struct scheduler *scheduler = cm_request_service(request);
        struct cm_arena *arena = cm_request_arena(request);
        int r = schedule_store_save(scheduler, *tx, arena, schedule);

        if (r)
                return r > 0 ? -CM_E_DATABASE : r;
        complete_view(arena, schedule);
        cm_reply_header(request, "ETag", cm_arena_printf(arena, "\"%lld\"", 1LL));
        r = cm_idempotency_commit_json(attempt, tx, 201, &schedule_record_schema, &schedule->view);
        if (r == 0)
                scheduler_wake(scheduler);
        return r;
}

/* The key comes first: what was stored under it is answered again even when its time has passed. */
int schedule_create(struct cm_request *request,
                    const struct schedule_create_params *params CM_UNUSED,
                    const struct schedule_input *in)
{
        struct scheduler *scheduler = cm_request_service(request);
        struct cm_idempotency attempt;
        CM_CLEANUP(cm_pg_rollback) struct cm_pg_tx *tx = NULL;
        struct stored_schedule schedule;
        struct cron_fault fault;
        int r = cm_idempotency_init(&attempt, request);

        if (r == 0)
                r = cm_pg_begin(scheduler->pg, SCOPE_OF(user_of(request)), &tx);
        if (r == 0)
                r = cm_idempotency_claim(&attempt, tx);
        if (r)
                return r < 0 ? r : 0;
        schedule_rules_create(in, &schedule);
        r = schedule_plan_new(scheduler, cm_request_arena(request), user_of(request),
                              cm_request_now(request), &schedule, &fault);
        return r ? refuse(request, r, &fault) : store_new(request, &attempt, &tx, &schedule);
}

/* ---- reading */

int schedule_read(struct cm_request *request, const struct schedule_read_params *params)
{
        struct stored_schedule schedule;
        int r = schedule_store_read(cm_request_service(request), cm_request_arena(request),
                                    user_of(request), &params->id, &schedule);

        if (r == SCHEDULE_NOT_FOUND)
                return cm_reply_not_found(request);
        return r ? r : reply_schedule(request, &schedule);
}

static int open_place(struct cm_request *request, const struct schedule_list_params *params,
                      struct schedule_place *place_r)
{
        struct cm_str text;
        int r = cm_request_cursor_open(request, CM_STR_NONE, params->cursor, &text);

        if (r)
                return r;
        if (text.len != sizeof(*place_r))
                return cm_reply_invalid(request, "/query/cursor", "is not a cursor of this list")
                               ?: REPLIED;
        memcpy(place_r, text.data, sizeof(*place_r));
        return 0;
}

int schedule_list(struct cm_request *request, const struct schedule_list_params *params)
{
        struct cm_arena *arena = cm_request_arena(request);
        size_t limit = params->has_limit == CM_PRESENT ? (size_t)params->limit : DEFAULT_LIMIT;
        bool is_next = params->has_cursor == CM_PRESENT;
        struct schedule_page page = { 0 };
        struct schedule_place place = { 0 };
        struct schedule_array list;
        int r = is_next ? open_place(request, params, &place) : 0;

        if (r)
                return r < 0 ? r : 0;
        r = schedule_store_list(cm_request_service(request), arena, user_of(request),
                                is_next ? &place : NULL, (int32_t)limit + 1, &list);
        if (r)
                return r;
        page.items.count = list.count > limit ? limit : list.count;
        page.items.items = cm_arena_array(arena, page.items.count + 1, sizeof(*page.items.items));
        for (size_t i = 0; i < page.items.count; i++) {
                complete_view(arena, &list.items[i]);
                page.items.items[i] = list.items[i].view;
        }
        if (list.count > limit) {
                const struct schedule_record *last = &list.items[limit - 1].view;

                place = (struct schedule_place){ last->created_at, last->id };
                page.next_cursor = cm_request_cursor_seal(
                        request, CM_STR_NONE, (struct cm_str){ (void *)&place, sizeof(place) });
                page.has_next_cursor = CM_PRESENT;
        }
        return cm_reply_json(request, 200, &schedule_page_schema, &page);
}

/* ---- changing */

/* Begins a transaction that holds the schedule: 0, REPLIED, or an error. */
static int hold(struct cm_request *request, const struct cm_uuid *id, struct cm_pg_tx **tx_r,
                struct stored_schedule *schedule_r)
{
        struct scheduler *scheduler = cm_request_service(request);
        int r = cm_pg_begin(scheduler->pg, SCOPE_OF(user_of(request)), tx_r);

        if (r == 0)
                r = schedule_store_lock(scheduler, *tx_r, cm_request_arena(request),
                                        user_of(request), id, schedule_r);
        if (r == SCHEDULE_NOT_FOUND)
                return cm_reply_not_found(request) ?: REPLIED;
        return r;
}

static int save_and_reply(struct cm_request *request, struct cm_pg_tx **tx,
                          struct stored_schedule *schedule)
{
        struct scheduler *scheduler = cm_request_service(request);
        int r;

        schedule->view.version++;
        schedule->view.updated_at = cm_request_now(request);
        r = schedule_store_save(scheduler, *tx, cm_request_arena(request), schedule);
        if (r == 0)
                r = cm_pg_commit(tx);
        if (r)
                return r > 0 ? -CM_E_DATABASE : r;
        scheduler_wake(scheduler);
        return reply_schedule(request, schedule);
}

int schedule_change(struct cm_request *request, const struct schedule_change_params *params,
                    const struct schedule_patch *in)
{
        CM_CLEANUP(cm_pg_rollback) struct cm_pg_tx *tx = NULL;
        struct stored_schedule schedule;
        struct cron_fault fault;
        bool anew;
        int r = hold(request, &params->id, &tx, &schedule);

        if (r == 0 && params->has_if_match == CM_PRESENT)
                r = cm_request_if_match(request, tag_of(cm_request_arena(request), &schedule.view));
        if (r)
                return r < 0 ? r : 0;
        schedule_rules_change(&schedule, in, &anew);
        if (in->has_cron_expression == CM_PRESENT)
                schedule.anchor_at = cm_request_now(request) - cm_request_now(request) % CM_SECOND;
        r = schedule_rules_check(&schedule.view);
        if (r == 0 && anew)
                r = schedule_plan_next(cm_request_service(request), cm_request_arena(request),
                                       cm_request_now(request), &schedule, &fault);
        return r ? refuse(request, r, &fault) : save_and_reply(request, &tx, &schedule);
}

int schedule_pause(struct cm_request *request, const struct schedule_pause_params *params,
                   const struct schedule_pause *in)
{
        CM_CLEANUP(cm_pg_rollback) struct cm_pg_tx *tx = NULL;
        struct stored_schedule schedule;
        struct schedule_record *view = &schedule.view;
        int r;

        if (in->has_until == CM_PRESENT && in->until <= cm_request_now(request))
                return cm_reply_invalid(request, "/until", "must be in the future");
        r = hold(request, &params->id, &tx, &schedule);
        if (r)
                return r < 0 ? r : 0;
        view->is_active = false;
        view->pause_reason = in->reason;
        view->has_pause_reason = in->has_reason;
        view->paused_until = in->until;
        view->has_paused_until = in->has_until;
        return save_and_reply(request, &tx, &schedule);
}

int schedule_resume(struct cm_request *request, const struct schedule_resume_params *params)
{
        CM_CLEANUP(cm_pg_rollback) struct cm_pg_tx *tx = NULL;
        struct stored_schedule schedule;
        int r = hold(request, &params->id, &tx, &schedule);

        if (r)
                return r < 0 ? r : 0;
        schedule.view.is_active = schedule.has_next;
        schedule.view.has_pause_reason = schedule.view.has_paused_until = CM_ABSENT;
        return save_and_reply(request, &tx, &schedule);
}

int schedule_delete(struct cm_request *request, const struct schedule_delete_params *params)
{
        CM_CLEANUP(cm_pg_rollback) struct cm_pg_tx *tx = NULL;
        struct stored_schedule schedule;
        int r = hold(request, &params->id, &tx, &schedule);

        if (r)
                return r < 0 ? r : 0;
        r = schedule_store_delete(tx, user_of(request), &params->id);
        if (r == 0)
                r = cm_pg_commit(&tx);
        if (r)
                return r > 0 ? -CM_E_DATABASE : r;
        return cm_reply_empty(request, 204);
}
