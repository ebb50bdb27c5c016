#include "user_context.h"

#include "base/error.h"
#include "chat_api.h"
#include "errors.h"

/* How a person wants to be talked to: one document, replaced as a whole. */

int user_context_load(struct chat *chat, struct cm_arena *arena, const struct cm_uuid *user_id,
                      struct user_context *context_r)
{
        CM_CLEANUP(cm_filter_deinit) struct cm_filter filter = { 0 };
        struct cm_faults faults = { .count = 0 };
        struct user_context_document found;
        struct cm_str id = cm_uuid_text(arena, user_id);
        int r;

        *context_r = (struct user_context){ .user_id = *user_id };
        CM_FILTER_IS(&filter, user_context_document, id, &id);
        r = cm_mongo_find(chat->mongo, &user_context_collection, id, &filter, arena, &found);
        if (r == CM_MONGO_NO_MATCH)
                return 0;
        if (r)
                return r > 0 ? -CM_E_DATABASE : r;
        context_r->version = found.version;
        context_r->has_last_updated = CM_PRESENT;
        context_r->last_updated = found.last_updated;
        if (cm_schema_decode(&context_preferences_schema, found.preferences, arena,
                             &context_r->preferences, &faults) ||
            cm_schema_decode(&context_ai_profile_schema, found.ai_profile, arena,
                             &context_r->ai_profile, &faults))
                return -CM_E_DATABASE;
        return 0;
}

static int load(struct cm_request *request, struct user_context *context_r)
{
        return user_context_load(cm_request_service(request), cm_request_arena(request),
                                 &cm_request_claims(request)->sub, context_r);
}

static struct cm_str tag(struct cm_request *request, const struct user_context *context)
{
        return cm_arena_printf(cm_request_arena(request), "%lld", (long long)context->version);
}

int user_context_read(struct cm_request *request, const struct user_context_read_params *params)
{
        struct user_context context;
        int r = load(request, &context);

        (void)params;
        return r ? r
                 : cm_reply_json_tagged(request, 200, &user_context_schema, &context,
                                        tag(request, &context));
}

static struct cm_str json_of(struct cm_request *request, const struct cm_schema *schema,
                             const void *value)
{
        CM_CLEANUP(cm_buf_deinit) struct cm_buf json = { 0 };

        cm_schema_encode(schema, value, &json);
        return cm_arena_str(cm_request_arena(request), cm_buf_str(&json));
}

/* Version after version: who was slower finds another one. 0, or CM_MONGO_NO_MATCH or
 * CM_MONGO_DUPLICATE. */
static int save(struct cm_request *request, int64_t before,
                const struct user_context_document *document)
{
        struct chat *chat = cm_request_service(request);
        CM_CLEANUP(cm_filter_deinit) struct cm_filter filter = { 0 };
        CM_CLEANUP(cm_update_deinit) struct cm_update update = { 0 };

        if (before == 0)
                return cm_mongo_insert(chat->mongo, &user_context_collection, document->id,
                                       document, NULL);
        CM_FILTER_IS(&filter, user_context_document, id, &document->id);
        CM_FILTER_IS(&filter, user_context_document, version, &before);
        CM_UPDATE_SET(&update, user_context_document, version, &document->version);
        CM_UPDATE_SET(&update, user_context_document, preferences, &document->preferences);
        CM_UPDATE_SET(&update, user_context_document, ai_profile, &document->ai_profile);
        CM_UPDATE_SET(&update, user_context_document, last_updated, &document->last_updated);
        return cm_mongo_update(chat->mongo, &user_context_collection, document->id, &filter,
                               &update, CM_MONGO_UPDATE);
}

int user_context_write(struct cm_request *request, const struct user_context_write_params *params,
                       const struct user_context_input *in)
{
        struct user_context context;
        struct user_context_document document = {
                .id = cm_uuid_text(cm_request_arena(request), &cm_request_claims(request)->sub),
                .preferences = json_of(request, &context_preferences_schema, &in->preferences),
                .ai_profile = json_of(request, &context_ai_profile_schema, &in->ai_profile),
                .last_updated = cm_request_now(request) / CM_MILLISECOND * CM_MILLISECOND,
        };
        int r = load(request, &context);

        if (r == 0 && params->has_if_match == CM_PRESENT)
                r = cm_request_if_match(request, tag(request, &context));
        if (r)
                return r < 0 ? r : 0;
        document.version = context.version + 1;
        r = save(request, context.version, &document);
        if (r > 0)
                return chat_problem(request, CM_CODE_CONFLICT,
                                    "somebody else changed it meanwhile");
        if (r)
                return r;
        context.version = document.version;
        context.preferences = in->preferences;
        context.ai_profile = in->ai_profile;
        context.has_last_updated = CM_PRESENT;
        context.last_updated = document.last_updated;
        return cm_reply_json_tagged(request, 200, &user_context_schema, &context,
                                    tag(request, &context));
}
