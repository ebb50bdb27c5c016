#include <string.h>

#include "audit_rows.h"
#include "auth.h"
#include "auth_api.h"
#include "base/error.h"
#include "http/cursor.h"
#include "service/audit.h"
#include "service/audit_list.h"

/* The audit log, read: by everybody what concerns them, by administrators all of it. */

enum { DEFAULT_LIMIT = 30 };

/* The search as text: what a cursor is bound to, and what is written down of it. */
static struct cm_str describe(struct cm_request *request, const struct cm_audit_query *query)
{
        struct cm_arena *arena = cm_request_arena(request);
        char user[CM_UUID_TEXT_SIZE] = "", actor[CM_UUID_TEXT_SIZE] = "";

        if (query->user)
                cm_uuid_format(query->user, user);
        if (query->actor)
                cm_uuid_format(query->actor, actor);
        return cm_arena_printf(arena, "user=%s actor=%s action=%.*s since=%lld until=%lld", user,
                               actor, CM_STR_ARG(query->action),
                               (long long)(query->since / CM_SECOND),
                               (long long)(query->until / CM_SECOND));
}

static int read_place(struct cm_request *request, const struct cm_audit_query *query,
                      struct cm_str cursor, int64_t *before_r)
{
        struct cm_str place;
        int r;

        *before_r = INT64_MAX;
        if (!cursor.data)
                return 0;
        r = cm_request_cursor_open(request, describe(request, query), cursor, &place);
        if (!r)
                memcpy(before_r, place.data, sizeof(*before_r));
        return r;
}

static int reply(struct cm_request *request, const struct cm_audit_query *query,
                 const struct cm_audit_list *list)
{
        struct audit_page page = { .items = { list->items, list->count } };
        size_t limit = (size_t)query->limit - 1;

        if (list->count > limit) {
                const int64_t *last = &list->items[limit - 1].position;

                page.items.count = limit;
                page.next_cursor = cm_request_cursor_seal(
                        request, describe(request, query),
                        (struct cm_str){ (const char *)last, sizeof(*last) });
                page.has_next_cursor = CM_PRESENT;
        }
        return cm_reply_json(request, 200, &audit_page_schema, &page);
}

/* `audit` NULL: looking is not written down. */
static int search(struct cm_request *request, const struct cm_pg_scope *scope,
                  struct cm_audit_query *query, struct cm_str cursor,
                  const struct cm_pg_params *audit)
{
        struct auth *auth = cm_request_service(request);
        CM_CLEANUP(cm_pg_params_deinit) struct cm_pg_params params = { 0 };
        CM_CLEANUP(cm_pg_result_clear) struct cm_pg_result rows = { 0 };
        const struct cm_pg_flight_item items[] = {
                { cm_audit_list_statement(query), &params, &rows },
                { &cm_audit_insert, audit, NULL },
        };
        struct cm_audit_list list;
        int r = read_place(request, query, cursor, &query->before);

        if (r)
                return r < 0 ? r : 0;
        cm_audit_list_params(query, &params);
        r = cm_pg_flight(auth->worker->pg, scope, items, audit ? 2 : 1, NULL);
        if (r)
                return r < 0 ? r : -CM_E_DATABASE;
        cm_audit_list_read(&rows, cm_request_arena(request), &list);
        return reply(request, query, &list);
}

/* The page's rows and one more, which tells whether there is a next page. */
static int32_t rows_of(uint8_t has_limit, int64_t limit)
{
        return (int32_t)(has_limit == CM_PRESENT ? limit : DEFAULT_LIMIT) + 1;
}

int auth_audit_own(struct cm_request *request, const struct auth_audit_own_params *params)
{
        const struct cm_uuid *user_id = &cm_request_claims(request)->sub;
        const struct cm_pg_scope scope = { .users = user_id, .count = 1 };
        struct cm_audit_query query = {
                .user = user_id,
                .action = params->has_action == CM_PRESENT ? params->action : CM_STR_NONE,
                .since = params->has_since == CM_PRESENT ? params->since : 0,
                .until = params->has_until == CM_PRESENT ? params->until : CM_AUDIT_ALWAYS,
                .limit = rows_of(params->has_limit, params->limit),
        };

        return search(request, &scope, &query,
                      params->has_cursor == CM_PRESENT ? params->cursor : CM_STR_NONE, NULL);
}

int auth_audit_search(struct cm_request *request, const struct auth_audit_search_params *params)
{
        const struct cm_pg_scope scope = { .users = &cm_request_claims(request)->sub,
                                           .count = 1,
                                           .role = "admin" };
        CM_CLEANUP(cm_pg_params_deinit) struct cm_pg_params audit = { 0 };
        struct cm_audit_query query = {
                .user = params->has_user_id == CM_PRESENT ? &params->user_id : NULL,
                .actor = params->has_actor == CM_PRESENT ? &params->actor : NULL,
                .action = params->has_action == CM_PRESENT ? params->action : CM_STR_NONE,
                .since = params->has_since == CM_PRESENT ? params->since : 0,
                .until = params->has_until == CM_PRESENT ? params->until : CM_AUDIT_ALWAYS,
                .limit = rows_of(params->has_limit, params->limit),
        };

        audit_log_read(request, query.user, describe(request, &query), &audit);
        return search(request, &scope, &query,
                      params->has_cursor == CM_PRESENT ? params->cursor : CM_STR_NONE, &audit);
}
