#include "auth.h"
#include "auth_api.h"
#include "base/error.h"
#include "http/request.h"
#include "service_profile_store.h"

/* How one uses each part of Salus, as the apps keep it. */

static struct cm_pg *pg_of(struct cm_request *request)
{
        const struct auth *auth = cm_request_service(request);

        return auth->worker->pg;
}

int auth_services_list(struct cm_request *request)
{
        struct service_profile_list list = { 0 };
        int r = service_profile_store_list(pg_of(request), cm_request_arena(request),
                                           &cm_request_claims(request)->sub, 0, &list);

        return r ? r : cm_reply_json(request, 200, &service_profile_list_schema, &list);
}

int auth_service_read(struct cm_request *request, const struct auth_service_read_params *params)
{
        struct service_profile_list list = { 0 };
        int r = service_profile_store_list(pg_of(request), cm_request_arena(request),
                                           &cm_request_claims(request)->sub, params->service_type,
                                           &list);

        if (r)
                return r;
        if (!list.items.count)
                return cm_reply_not_found(request);
        return cm_reply_json(request, 200, &service_profile_schema, &list.items.items[0]);
}

int auth_service_write(struct cm_request *request, const struct auth_service_write_params *params,
                       const struct service_profile_input *in)
{
        struct service_profile profile;
        int r = service_profile_store_put(pg_of(request), cm_request_arena(request),
                                          &cm_request_claims(request)->sub, params->service_type,
                                          in, &profile);

        return r ? r : cm_reply_json(request, 200, &service_profile_schema, &profile);
}

int auth_service_delete(struct cm_request *request, const struct auth_service_delete_params *params)
{
        int r = service_profile_store_delete(pg_of(request), &cm_request_claims(request)->sub,
                                             params->service_type);

        return r ? r : cm_reply_empty(request, 204);
}
