#include "announcements.h"
#include "auth_api.h"
#include "http/request.h"
#include "session_store.h"

int auth_logout(struct cm_request *request)
{
        struct auth *auth = cm_request_service(request);
        const struct cm_claims *claims = cm_request_claims(request);
        int r = session_store_end(auth->worker->pg, &claims->sub, &claims->sid);

        if (r)
                return r;
        announce_ended_session(auth, cm_request_arena(request), &claims->sid,
                               cm_request_now(request));
        return cm_reply_empty(request, 204);
}
