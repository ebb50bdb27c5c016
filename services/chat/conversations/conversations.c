#include <string.h>

#include "base/error.h"
#include "chat_api.h"
#include "codec/digest.h"
#include "conversation_store.h"
#include "errors.h"
#include "http/cursor.h"
#include "message_store.h"
#include "views.h"

/* One's own conversations: begun, listed, read, archived, deleted. */

enum { DEFAULT_LIMIT = 30 };

static int reply_conversation(struct cm_request *request, int status,
                              const struct conversation_document *document)
{
        struct conversation view;

        conversation_view(document, &view);
        return cm_reply_json(request, status, &conversation_schema, &view);
}

/* The same person and key give the same id, so the second attempt finds the first one's document.
 * Version 8: not made from the time. */
static struct cm_uuid id_of_key(const struct cm_uuid *user_id, struct cm_str key)
{
        uint8_t digest[CM_SHA256_SIZE];
        struct cm_uuid id;

        cm_hmac_sha256((struct cm_str){ (const char *)user_id->bytes, sizeof(user_id->bytes) },
                       key.data, key.len, digest);
        memcpy(id.bytes, digest, sizeof(id.bytes));
        id.bytes[6] = (uint8_t)((id.bytes[6] & 0x0f) | 0x80);
        id.bytes[8] = (uint8_t)((id.bytes[8] & 0x3f) | 0x80);
        return id;
}

static struct cm_str body_digest(struct cm_request *request)
{
        struct cm_str body = cm_request_body(request);
        uint8_t digest[CM_SHA256_SIZE];
        char text[2 * CM_SHA256_SIZE + 1];

        cm_sha256(body.data, body.len, digest);
        cm_hex_encode(digest, sizeof(digest), text);
        return cm_arena_str(cm_request_arena(request), cm_str_from(text));
}

static int replay(struct cm_request *request, const struct cm_uuid *id,
                  const struct conversation_document *asked)
{
        struct conversation_document known;
        int r = conversation_store_find(cm_request_service(request), cm_request_arena(request), id,
                                        &asked->user_id, &known);

        if (r < 0)
                return r;
        if (r > 0 || !cm_str_equal(known.request_digest, asked->request_digest))
                return chat_problem(request, CM_CODE_IDEMPOTENCY_CONFLICT, NULL);
        cm_reply_header(request, "Idempotency-Replayed", CM_STR("true"));
        return reply_conversation(request, 201, &known);
}

int conversation_create(struct cm_request *request, const struct conversation_create_params *params,
                        const struct conversation_input *in)
{
        const struct cm_uuid *user_id = &cm_request_claims(request)->sub;
        cm_time now = cm_request_now(request) / CM_MILLISECOND * CM_MILLISECOND;
        struct cm_uuid id = cm_uuid7(now);
        char id_text[CM_UUID_TEXT_SIZE];
        struct conversation_document document = {
                .user_id = *user_id,
                .has_session_id = in->has_session_id,
                .session_id = in->session_id,
                .has_title = in->has_title,
                .title = in->title,
                .has_description = in->has_description,
                .description = in->description,
                .session_type =
                        in->has_session_type == CM_PRESENT ? in->session_type : SESSION_TYPE_CHAT,
                .status = DOCUMENT_STATUS_ACTIVE,
                .crisis_level = CRISIS_LEVEL_NONE,
                .has_mood_before = in->has_mood_before,
                .mood_before = in->mood_before,
                .created_at = now,
                .updated_at = now,
        };
        int r;

        if (params->has_idempotency_key == CM_PRESENT) {
                id = id_of_key(user_id, params->idempotency_key);
                document.has_request_digest = CM_PRESENT;
                document.request_digest = body_digest(request);
        }
        document.id = cm_str_from(cm_uuid_format(&id, id_text));
        r = conversation_store_insert(cm_request_service(request), cm_request_arena(request),
                                      &document);
        if (r == CONVERSATION_EXISTS)
                return replay(request, &id, &document);
        return r ? r : reply_conversation(request, 201, &document);
}

/* ---- lists */

/* What a cursor says: the time and the id of the last one that was shown. */
static int read_place(struct cm_request *request, struct cm_str filters, struct cm_str cursor,
                      struct conversation_document *after)
{
        struct cm_str place;
        int r = cm_request_cursor_open(request, filters, cursor, &place);

        if (r)
                return r;
        if (place.len <= sizeof(after->updated_at))
                return cm_reply_invalid(request, "/query/cursor", "is not a cursor of this list")
                               ?: 1;
        memcpy(&after->updated_at, place.data, sizeof(after->updated_at));
        after->id = cm_arena_str(cm_request_arena(request),
                                 (struct cm_str){ place.data + sizeof(after->updated_at),
                                                  place.len - sizeof(after->updated_at) });
        return 0;
}

static struct cm_str seal_place(struct cm_request *request, struct cm_str filters,
                                const struct conversation_document *last)
{
        char place[sizeof(last->updated_at) + CM_UUID_TEXT_SIZE];
        size_t len = last->id.len < CM_UUID_TEXT_SIZE ? last->id.len : CM_UUID_TEXT_SIZE;

        memcpy(place, &last->updated_at, sizeof(last->updated_at));
        memcpy(place + sizeof(last->updated_at), last->id.data, len);
        return cm_request_cursor_seal(request, filters,
                                      (struct cm_str){ place, sizeof(last->updated_at) + len });
}

static int reply_list(struct cm_request *request, struct cm_str filters,
                      const struct cm_items *found, size_t limit)
{
        const struct conversation_document *documents = found->items;
        size_t count = found->count < limit ? found->count : limit;
        struct conversation *views =
                cm_arena_array(cm_request_arena(request), count + 1, sizeof(*views));
        struct conversation_page page = { .items = { views, count } };

        for (size_t i = 0; i < count; i++)
                conversation_view(&documents[i], &views[i]);
        if (found->count > limit) {
                page.has_next_cursor = CM_PRESENT;
                page.next_cursor = seal_place(request, filters, &documents[limit - 1]);
        }
        return cm_reply_json(request, 200, &conversation_page_schema, &page);
}

int conversation_list(struct cm_request *request, const struct conversation_list_params *params)
{
        size_t limit = params->has_limit == CM_PRESENT ? (size_t)params->limit : DEFAULT_LIMIT;
        int32_t status = 0;
        const struct cm_str filters = { (const char *)&status, sizeof(status) };
        bool is_first = params->has_cursor != CM_PRESENT;
        struct conversation_document after;
        struct cm_items found;
        int r = 0;

        if (params->has_status == CM_PRESENT)
                status = params->status == CONVERSATION_STATUS_ACTIVE ? DOCUMENT_STATUS_ACTIVE
                                                                      : DOCUMENT_STATUS_ARCHIVED;
        if (!is_first)
                r = read_place(request, filters, params->cursor, &after);
        if (r)
                return r < 0 ? r : 0;
        r = conversation_store_list(cm_request_service(request), cm_request_arena(request),
                                    &cm_request_claims(request)->sub, status, (int64_t)limit + 1,
                                    is_first ? NULL : &after, &found);
        return r ? r : reply_list(request, filters, &found, limit);
}

/* ---- one */

/* 0, positive after a 404, or an error. */
static int find(struct cm_request *request, const struct cm_uuid *id,
                struct conversation_document *document_r)
{
        int r = conversation_store_find(cm_request_service(request), cm_request_arena(request), id,
                                        &cm_request_claims(request)->sub, document_r);

        return r == CONVERSATION_NONE ? cm_reply_not_found(request) ?: 1 : r;
}

int conversation_read(struct cm_request *request, const struct conversation_read_params *params)
{
        struct conversation_document document;
        int r = find(request, &params->conversation_id, &document);

        return r > 0 ? 0 : r < 0 ? r : reply_conversation(request, 200, &document);
}

int conversation_archive(struct cm_request *request,
                         const struct conversation_archive_params *params)
{
        cm_time now = cm_request_now(request) / CM_MILLISECOND * CM_MILLISECOND;
        struct conversation_document document;
        int r = find(request, &params->conversation_id, &document);

        if (r == 0 && document.status == DOCUMENT_STATUS_ACTIVE) {
                r = conversation_store_end(cm_request_service(request), cm_request_arena(request),
                                           &document, DOCUMENT_STATUS_ARCHIVED, now);
                document.status = DOCUMENT_STATUS_ARCHIVED;
                document.has_ended_at = CM_PRESENT;
                document.ended_at = document.updated_at = now;
        }
        return r > 0 ? 0 : r < 0 ? r : reply_conversation(request, 200, &document);
}

int conversation_delete(struct cm_request *request, const struct conversation_delete_params *params)
{
        struct chat *chat = cm_request_service(request);
        struct conversation_document document;
        int r = find(request, &params->conversation_id, &document);

        /* The words go first: when that is cut off the conversation is still there to be deleted. A
         * message that came in between goes with the second time. */
        if (r == 0)
                r = message_store_forget(chat, cm_request_arena(request), &params->conversation_id,
                                         document.message_count);
        if (r == 0)
                r = conversation_store_end(chat, cm_request_arena(request), &document,
                                           DOCUMENT_STATUS_DELETED, cm_request_now(request));
        if (r == 0)
                r = message_store_forget(chat, cm_request_arena(request), &params->conversation_id,
                                         document.message_count);
        return r > 0 ? 0 : r < 0 ? r : cm_reply_empty(request, 204);
}
