#include <string.h>

#include "announcements.h"
#include "auth_api.h"
#include "http/cursor.h"
#include "session_store.h"

/* Where one is signed in, and ending it: one session, or all but this one. */

enum { DEFAULT_LIMIT = 30 };

static struct cm_str bytes_of(const struct cm_uuid *id)
{
        return (struct cm_str){ (const char *)id->bytes, sizeof(id->bytes) };
}

static int read_place(struct cm_request *request, const struct auth_sessions_list_params *params,
                      struct cm_uuid *before_r)
{
        struct cm_str place;
        int r;

        memset(before_r->bytes, 0xff, sizeof(before_r->bytes));
        if (params->has_cursor != CM_PRESENT)
                return 0;
        r = cm_request_cursor_open(request, CM_STR_NONE, params->cursor, &place);
        if (!r)
                memcpy(before_r->bytes, place.data, sizeof(before_r->bytes));
        return r;
}

static int reply_page(struct cm_request *request, struct session_list *list, size_t limit)
{
        const struct cm_uuid *current = &cm_request_claims(request)->sid;
        struct session_page page = { .items = { list->items, list->count } };

        if (list->count > limit) {
                page.items.count = limit;
                page.next_cursor = cm_request_cursor_seal(request, CM_STR_NONE,
                                                          bytes_of(&list->items[limit - 1].id));
                page.has_next_cursor = CM_PRESENT;
        }
        for (size_t i = 0; i < page.items.count; i++)
                page.items.items[i].current = cm_uuid_equal(&list->items[i].id, current);
        return cm_reply_json(request, 200, &session_page_schema, &page);
}

int auth_sessions_list(struct cm_request *request, const struct auth_sessions_list_params *params)
{
        struct auth *auth = cm_request_service(request);
        size_t limit = params->has_limit == CM_PRESENT ? (size_t)params->limit : DEFAULT_LIMIT;
        struct session_list list;
        struct cm_uuid before;
        int r = read_place(request, params, &before);

        if (r)
                return r < 0 ? r : 0;
        r = session_store_list(auth->worker->pg, cm_request_arena(request),
                               &cm_request_claims(request)->sub, &before, (int32_t)limit + 1,
                               &list);
        return r ? r : reply_page(request, &list, limit);
}

int auth_sessions_end_others(struct cm_request *request)
{
        struct auth *auth = cm_request_service(request);
        const struct cm_claims *claims = cm_request_claims(request);
        const struct session_end end = { .user_id = &claims->sub,
                                         .except = &claims->sid,
                                         .reason = SESSION_END_ELSEWHERE };
        struct ended_sessions ended;
        struct sessions_ended reply;
        int r = session_store_end(auth->worker->pg, request, &end, &ended);

        if (r)
                return r;
        announce_ended_sessions(auth, cm_request_arena(request), &ended);
        reply.ended = (int64_t)ended.count;
        return cm_reply_json(request, 200, &sessions_ended_schema, &reply);
}

int auth_session_end(struct cm_request *request, const struct auth_session_end_params *params)
{
        struct auth *auth = cm_request_service(request);
        const struct cm_claims *claims = cm_request_claims(request);
        bool this_one = cm_uuid_equal(&params->id, &claims->sid);
        const struct session_end end = {
                .user_id = &claims->sub,
                .only = &params->id,
                .reason = this_one ? SESSION_END_LOGOUT : SESSION_END_ELSEWHERE,
        };
        struct ended_sessions ended;
        int r = session_store_end(auth->worker->pg, request, &end, &ended);

        if (!r && !ended.count)
                r = session_store_find(auth->worker->pg, &claims->sub, &params->id);
        if (r)
                return r < 0 ? r : cm_reply_not_found(request);
        announce_ended_sessions(auth, cm_request_arena(request), &ended);
        return cm_reply_empty(request, 204);
}
