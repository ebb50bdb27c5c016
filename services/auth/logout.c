#include "announcements.h"
#include "audit_rows.h"
#include "auth_api.h"
#include "http/request.h"
#include "session_store.h"

int auth_logout(struct cm_request *request)
{
        struct auth *auth = cm_request_service(request);
        const struct cm_claims *claims = cm_request_claims(request);
        CM_CLEANUP(cm_pg_params_deinit) struct cm_pg_params audit = { 0 };
        int r;

        audit_logout(request, &claims->sid, &audit);
        r = session_store_end(auth->worker->pg, &claims->sub, &claims->sid, &audit);
        if (r)
                return r;
        announce_ended_session(auth, cm_request_arena(request), &claims->sid,
                               cm_request_now(request));
        return cm_reply_empty(request, 204);
}
