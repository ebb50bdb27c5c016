#include "auth.h"
#include "auth_api.h"
#include "http/request.h"

/* For gateways and apps. The services of Salus hear of keys over Redis (announcements.c). */
int auth_jwks(struct cm_request *request)
{
        const struct auth *auth = cm_request_service(request);
        struct cm_str tag = cm_arena_printf(cm_request_arena(request), "\"%s\"",
                                            signing_keys_tag(auth->keys).data);

        struct cm_str cache =
                cm_arena_printf(cm_request_arena(request), "public, max-age=%lld",
                                (long long)(auth->settings->key_cache_us / CM_SECOND));

        cm_reply_header(request, "Cache-Control", cache);
        cm_reply_header(request, "ETag", tag);
        if (cm_str_equal(cm_request_header(request, "if-none-match"), tag))
                return cm_reply_empty(request, 304);
        return cm_reply_body(request, 200, "application/json", signing_keys_set(auth->keys));
}
