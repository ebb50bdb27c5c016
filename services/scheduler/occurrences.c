#include <string.h>

#include "base/error.h"
#include "errors.h"
#include "http/cursor.h"
#include "occurrence_store.h"
#include "schedule_store.h"
#include "scheduler_api.h"

/* What became of planned times, and what the person answers. An answer names its time: confirming
 * after midnight does not touch the next one. */

enum { DEFAULT_LIMIT = 30, REPLIED = 1 };

static struct cm_pg *pg_of(struct cm_request *request)
{
        return ((struct scheduler *)cm_request_service(request))->pg;
}

static const struct cm_uuid *user_of(struct cm_request *request)
{
        return &cm_request_claims(request)->sub;
}

int occurrence_read(struct cm_request *request, const struct occurrence_read_params *params)
{
        struct occurrence occurrence;
        int r = occurrence_store_read(pg_of(request), cm_request_arena(request), user_of(request),
                                      &params->id, &occurrence);

        if (r == OCCURRENCE_NOT_FOUND)
                return cm_reply_not_found(request);
        return r ? r : cm_reply_json(request, 200, &occurrence_schema, &occurrence);
}

/* ---- lists */

static int open_place(struct cm_request *request, struct cm_str filters, struct cm_str cursor,
                      struct occurrence_place *place_r)
{
        struct cm_str text;
        int r = cm_request_cursor_open(request, filters, cursor, &text);

        if (r)
                return r;
        if (text.len != sizeof(*place_r))
                return cm_reply_invalid(request, "/query/cursor", "is not a cursor of this list")
                               ?: REPLIED;
        memcpy(place_r, text.data, sizeof(*place_r));
        return 0;
}

struct page_wish {
        const struct cm_uuid *schedule; /* NULL: all */
        size_t limit;
        struct cm_str cursor; /* absent: from the newest */
};

static int reply_page(struct cm_request *request, const struct page_wish *wish)
{
        const struct cm_str filters = { (const void *)wish->schedule,
                                        wish->schedule ? sizeof(*wish->schedule) : 0 };
        struct occurrence_page page = { 0 };
        struct occurrence_place place = { 0 };
        struct occurrence_array list;
        int r = wish->cursor.data ? open_place(request, filters, wish->cursor, &place) : 0;

        if (r)
                return r < 0 ? r : 0;
        r = occurrence_store_list(pg_of(request), cm_request_arena(request), user_of(request),
                                  wish->schedule, wish->cursor.data ? &place : NULL,
                                  (int32_t)wish->limit + 1, &list);
        if (r)
                return r;
        page.items.items = list.items;
        page.items.count = list.count > wish->limit ? wish->limit : list.count;
        if (list.count > wish->limit) {
                const struct occurrence *last = &list.items[wish->limit - 1];

                place = (struct occurrence_place){ last->nominal_at, last->id };
                page.next_cursor = cm_request_cursor_seal(
                        request, filters, (struct cm_str){ (void *)&place, sizeof(place) });
                page.has_next_cursor = CM_PRESENT;
        }
        return cm_reply_json(request, 200, &occurrence_page_schema, &page);
}

int occurrence_list(struct cm_request *request, const struct occurrence_list_params *params)
{
        const struct page_wish wish = {
                .limit = params->has_limit == CM_PRESENT ? (size_t)params->limit : DEFAULT_LIMIT,
                .cursor = params->has_cursor == CM_PRESENT ? params->cursor : CM_STR_NONE,
        };

        return reply_page(request, &wish);
}

/* Those of a schedule that is gone are still in the list of all. */
int schedule_runs(struct cm_request *request, const struct schedule_runs_params *params)
{
        const struct page_wish wish = {
                .schedule = &params->id,
                .limit = params->has_limit == CM_PRESENT ? (size_t)params->limit : DEFAULT_LIMIT,
                .cursor = params->has_cursor == CM_PRESENT ? params->cursor : CM_STR_NONE,
        };
        struct stored_schedule schedule;
        int r = schedule_store_read(cm_request_service(request), cm_request_arena(request),
                                    user_of(request), &params->id, &schedule);

        if (r == SCHEDULE_NOT_FOUND)
                return cm_reply_not_found(request);
        return r ? r : reply_page(request, &wish);
}

/* ---- answers */

static int answer(struct cm_request *request, const struct cm_uuid *id,
                  const struct occurrence_answer *answer)
{
        struct occurrence occurrence;
        int r = occurrence_store_answer(pg_of(request), cm_request_arena(request), user_of(request),
                                        id, answer, &occurrence);

        switch (r) {
        case 0:
                scheduler_wake(cm_request_service(request));
                return cm_reply_json(request, 200, &occurrence_schema, &occurrence);
        case OCCURRENCE_NOT_FOUND:
                return cm_reply_not_found(request);
        case OCCURRENCE_ANSWERED:
                return scheduler_problem(request, CM_CODE_CONFLICT,
                                         CM_STR("it was answered in another way"), NULL);
        case OCCURRENCE_NOT_FIRED:
                return scheduler_problem(request, CM_CODE_CONFLICT,
                                         CM_STR("nobody was reminded of it"), NULL);
        case OCCURRENCE_TOO_OFTEN:
                return scheduler_problem(request, CM_CODE_CONFLICT,
                                         CM_STR("it was put off too often"), NULL);
        default:
                return r;
        }
}

int occurrence_confirm(struct cm_request *request, const struct occurrence_confirm_params *params,
                       const struct occurrence_confirm *in)
{
        cm_time now = cm_request_now(request);
        const struct occurrence_answer done = {
                .ack = OCCURRENCE_ACK_DONE,
                .at = in->has_at == CM_PRESENT ? in->at : now,
        };

        if (done.at > now + CM_MINUTE)
                return cm_reply_invalid(request, "/at", "must not be in the future");
        return answer(request, &params->id, &done);
}

int occurrence_snooze(struct cm_request *request, const struct occurrence_snooze_params *params,
                      const struct occurrence_snooze *in)
{
        cm_time now = cm_request_now(request);
        const struct occurrence_answer later = {
                .ack = OCCURRENCE_ACK_SNOOZED,
                .at = now,
                .snoozed_until = now + in->minutes * CM_MINUTE,
        };

        return answer(request, &params->id, &later);
}

int occurrence_skip(struct cm_request *request, const struct occurrence_skip_params *params,
                    const struct occurrence_skip *in)
{
        const struct occurrence_answer not_done = {
                .ack = OCCURRENCE_ACK_SKIPPED,
                .at = cm_request_now(request),
                .reason = in->has_reason == CM_PRESENT ? in->reason : CM_STR_NONE,
        };

        return answer(request, &params->id, &not_done);
}
