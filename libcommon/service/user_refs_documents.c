#include "base/error.h"
#include "schemas.h"
#include "service/user_refs_internal.h"

/* What the service knows of users, in the database of a service that keeps documents. */

static const struct cm_collection refs = { .name = "user_refs",
                                           .schema = &user_ref_document_schema };

static struct cm_str key_of(const struct cm_uuid *user_id, char text[CM_UUID_TEXT_SIZE])
{
        return cm_str_from(cm_uuid_format(user_id, text));
}

int user_ref_document_find(struct cm_mongo *mongo, const struct cm_uuid *user_id,
                           struct cm_user_ref *ref_r)
{
        CM_CLEANUP(cm_filter_deinit) struct cm_filter filter = { 0 };
        struct user_ref_document found;
        char key[CM_UUID_TEXT_SIZE];
        struct cm_arena arena;
        int r;

        cm_arena_init(&arena, 1024);
        CM_FILTER_IS(&filter, user_ref_document, id, user_id);
        r = cm_mongo_find(mongo, &refs, key_of(user_id, key), &filter, &arena, &found);
        if (r == 0) {
                *ref_r = (struct cm_user_ref){ .user_id = *user_id,
                                               .tenant_id = found.tenant_id,
                                               .user_type = found.user_type,
                                               .status = found.status,
                                               .version = found.version };
                user_ref_copy_text(ref_r->language, sizeof(ref_r->language), found.language);
                user_ref_copy_text(ref_r->time_zone, sizeof(ref_r->time_zone), found.time_zone);
        }
        cm_arena_deinit(&arena);
        if (r == CM_MONGO_NO_MATCH)
                return CM_USER_REF_UNKNOWN;
        return r > 0 ? -CM_E_DATABASE : r;
}

static void fill(struct cm_mongo_change *change, const struct user_ref *user)
{
        struct cm_filter *filter = &change->filter;
        struct cm_update *update = &change->update;

        *change = (struct cm_mongo_change){ 0 };
        CM_FILTER_IS(filter, user_ref_document, id, &user->user_id);
        CM_FILTER_COMPARE(filter, user_ref_document, version, CM_COMPARE_LESS, &user->version);
        CM_UPDATE_SET(update, user_ref_document, tenant_id, &user->tenant_id);
        CM_UPDATE_SET(update, user_ref_document, user_type, &user->user_type);
        CM_UPDATE_SET(update, user_ref_document, status, &user->status);
        CM_UPDATE_SET(update, user_ref_document, language, &user->language);
        CM_UPDATE_SET(update, user_ref_document, time_zone, &user->time_zone);
        CM_UPDATE_SET(update, user_ref_document, version, &user->version);
        CM_UPDATE_SET(update, user_ref_document, changed_at, &user->changed_at);
}

static void clear(struct cm_mongo_change *change)
{
        cm_filter_deinit(&change->filter);
        cm_update_deinit(&change->update);
}

/* An upsert finds nothing older and inserts, which fails when something newer is there; or when
 * somebody else was first, with something older perhaps: so those once more without inserting. */
static int put_newest(struct cm_mongo *mongo, struct cm_mongo_change *changes, size_t count,
                      bool *refused)
{
        size_t left = 0;
        int r = cm_mongo_update_each(mongo, &refs, CM_STR("user_refs"), changes, count,
                                     CM_MONGO_UPSERT, refused);

        for (size_t i = 0; i < count && r == 0; i++) {
                struct cm_mongo_change change = changes[i];

                if (!refused[i])
                        continue;
                changes[i] = changes[left];
                changes[left++] = change;
        }
        if (r || !left)
                return r;
        return cm_mongo_update_each(mongo, &refs, CM_STR("user_refs"), changes, left,
                                    CM_MONGO_UPDATE, refused);
}

int user_ref_documents_put(struct cm_mongo *mongo, struct cm_arena *arena,
                           const struct user_ref *const *users, size_t count)
{
        struct cm_mongo_change *changes = cm_arena_array(arena, count, sizeof(*changes));
        bool *refused = cm_arena_array(arena, count, sizeof(*refused));
        int r;

        for (size_t i = 0; i < count; i++)
                fill(&changes[i], users[i]);
        r = put_newest(mongo, changes, count, refused);
        for (size_t i = 0; i < count; i++)
                clear(&changes[i]);
        return r;
}
