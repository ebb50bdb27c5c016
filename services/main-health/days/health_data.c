#include "health_data_store.h"

#include "errors.h"
#include "events/event_replies.h"

/* What a person's record says about them as a whole: read, and replaced. */

static struct cm_str tag(struct cm_request *request, int64_t version)
{
        return cm_arena_printf(cm_request_arena(request), "%lld", (long long)version);
}

/* Without If-Match any version may be replaced. -1, or the version that If-Match names, which is
 * the present one; REPLIED goes out in *r_r. */
static int64_t expected_version(struct cm_request *request, bool has_if_match, int64_t present,
                                int *r_r)
{
        *r_r = 0;
        if (!has_if_match)
                return -1;
        *r_r = cm_request_if_match(request, tag(request, present));
        return present;
}

static int reply_changed(struct cm_request *request)
{
        return health_problem(request, CM_CODE_PRECONDITION_FAILED, NULL, NULL);
}

int health_data_read(struct cm_request *request,
                     const struct health_data_read_params *params CM_UNUSED)
{
        struct health *health = cm_request_service(request);
        struct user_health_data data;
        int r = health_data_load(health->pg, cm_request_arena(request),
                                 &cm_request_claims(request)->sub, &data);

        if (r)
                return r;
        return cm_reply_json_tagged(request, 200, &user_health_data_schema, &data,
                                    tag(request, data.version));
}

int health_data_write(struct cm_request *request, const struct health_data_write_params *params,
                      const struct user_health_data_input *in)
{
        struct health *health = cm_request_service(request);
        struct cm_arena *arena = cm_request_arena(request);
        const struct cm_uuid *user = &cm_request_claims(request)->sub;
        struct user_health_data data;
        int64_t expected;
        int r = health_data_load(health->pg, arena, user, &data);

        if (r)
                return r;
        expected = expected_version(request, params->has_if_match == CM_PRESENT, data.version, &r);
        if (r)
                return r < 0 ? r : 0;
        r = health_data_save(health->pg, user, in, expected, cm_request_now(request));
        if (r == HEALTH_DATA_CHANGED)
                return reply_changed(request);
        return r ? r : health_data_read(request, NULL);
}

int health_preferences_read(struct cm_request *request,
                            const struct health_preferences_read_params *params CM_UNUSED)
{
        struct health *health = cm_request_service(request);
        struct user_preferences preferences;
        int r = preferences_load(health->pg, cm_request_arena(request),
                                 &cm_request_claims(request)->sub, &preferences);

        if (r)
                return r;
        return cm_reply_json_tagged(request, 200, &user_preferences_schema, &preferences,
                                    tag(request, preferences.version));
}

int health_preferences_write(struct cm_request *request,
                             const struct health_preferences_write_params *params,
                             const struct user_preferences_input *in)
{
        struct health *health = cm_request_service(request);
        struct cm_arena *arena = cm_request_arena(request);
        const struct cm_uuid *user = &cm_request_claims(request)->sub;
        struct user_preferences preferences;
        int64_t expected;
        int r = preferences_load(health->pg, arena, user, &preferences);

        if (r)
                return r;
        expected = expected_version(request, params->has_if_match == CM_PRESENT,
                                    preferences.version, &r);
        if (r)
                return r < 0 ? r : 0;
        r = preferences_save(health->pg, user, in, expected, cm_request_now(request));
        if (r == HEALTH_DATA_CHANGED)
                return reply_changed(request);
        return r ? r : health_preferences_read(request, NULL);
}
