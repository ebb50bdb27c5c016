#include "announcements.h"
#include "auth_api.h"
#include "http/request.h"
#include "session_store.h"

int auth_logout(struct cm_request *request)
{
        struct auth *auth = cm_request_service(request);
        const struct cm_claims *claims = cm_request_claims(request);
        const struct session_end end = { .user_id = &claims->sub,
                                         .only = &claims->sid,
                                         .reason = SESSION_END_LOGOUT };
        struct ended_sessions ended;
        int r = session_store_end(auth->worker->pg, request, &end, &ended);

        if (r)
                return r;
        announce_ended_sessions(auth, cm_request_arena(request), &ended);
        return cm_reply_empty(request, 204);
}
