#include <string.h>

#include "base/error.h"
#include "chat_api.h"
#include "codec/digest.h"
#include "conversation_store.h"
#include "errors.h"
#include "http/cursor.h"
#include "http/event_stream.h"
#include "message_store.h"
#include "replies/reply.h"
#include "replies/reply_routes.h"
#include "reply_place_store.h"
#include "views.h"

/* Messages of a conversation: listed, and said. */

enum { DEFAULT_LIMIT = 30 };

/* 0, positive after a 404, or an error. */
static int find(struct cm_request *request, const struct cm_uuid *id,
                struct conversation_document *document_r)
{
        int r = conversation_store_find(cm_request_service(request), cm_request_arena(request), id,
                                        &cm_request_claims(request)->sub, document_r);

        return r == CONVERSATION_NONE ? cm_reply_not_found(request) ?: 1 : r;
}

/* ---- list */

static int reply_list(struct cm_request *request, const struct message_list_params *params,
                      struct message_document *documents, size_t count, size_t limit)
{
        struct chat *chat = cm_request_service(request);
        struct cm_arena *arena = cm_request_arena(request);
        const struct cm_uuid *user_id = &cm_request_claims(request)->sub;
        const struct cm_str filters = { (const char *)params->conversation_id.bytes,
                                        sizeof(params->conversation_id.bytes) };
        size_t shown = count < limit ? count : limit;
        struct message *views = cm_arena_array(arena, shown + 1, sizeof(*views));
        struct message_page page = { .items = { views, shown } };

        for (size_t i = 0; i < shown; i++) {
                int r = reply_settle(chat, arena, &params->conversation_id, user_id, &documents[i]);

                if (r < 0)
                        return r;
                message_view(&documents[i], &params->conversation_id, user_id, arena, &views[i]);
        }
        if (count > limit) {
                int64_t next = documents[limit].seq;

                page.has_next_cursor = CM_PRESENT;
                page.next_cursor = cm_request_cursor_seal(
                        request, filters, (struct cm_str){ (const char *)&next, sizeof(next) });
        }
        return cm_reply_json(request, 200, &message_page_schema, &page);
}

int message_list(struct cm_request *request, const struct message_list_params *params)
{
        size_t limit = params->has_limit == CM_PRESENT ? (size_t)params->limit : DEFAULT_LIMIT;
        int64_t from = params->has_from_seq == CM_PRESENT ? params->from_seq : 0;
        const struct cm_str filters = { (const char *)params->conversation_id.bytes,
                                        sizeof(params->conversation_id.bytes) };
        struct conversation_document conversation;
        struct message_document *documents;
        struct cm_str place;
        size_t count;
        int r = find(request, &params->conversation_id, &conversation);

        if (r == 0 && params->has_cursor == CM_PRESENT) {
                r = cm_request_cursor_open(request, filters, params->cursor, &place);
                if (r == 0 && place.len != sizeof(from))
                        r = cm_reply_invalid(request, "/query/cursor",
                                             "is not a cursor of this list")
                                    ?: 1;
                if (r == 0)
                        memcpy(&from, place.data, sizeof(from));
        }
        if (r == 0)
                r = message_store_list(cm_request_service(request), cm_request_arena(request),
                                       &params->conversation_id, from, limit + 1, &documents,
                                       &count);
        if (r)
                return r < 0 ? r : 0;
        return reply_list(request, params, documents, count, limit);
}

/* ---- send */

/* 0, or positive after a reply. */
static int check_content(struct cm_request *request, const struct message_input *in)
{
        const struct chat *chat = cm_request_service(request);
        int64_t most = chat->settings->chat_max_message;
        int64_t last_id;

        if (cm_request_last_event_id(request, &last_id)) /* before anything is stored */
                return 1;
        if ((int64_t)in->content.len > most)
                return cm_reply_invalid(request, "/content", "must be at most %lld bytes",
                                        (long long)most)
                               ?: 1;
        return 0;
}

static int make_message(struct cm_request *request, const struct message_send_params *params,
                        const struct message_input *in, struct analysis *analysis,
                        struct message_document *message)
{
        cm_time now = cm_request_now(request) / CM_MILLISECOND * CM_MILLISECOND;
        uint8_t digest[CM_SHA256_SIZE];
        char text[2 * CM_SHA256_SIZE + 1];

        *message = (struct message_document){ .role = MESSAGE_ROLE_USER,
                                              .message_type = MESSAGE_TYPE_TEXT,
                                              .created_at = now,
                                              .updated_at = now };
        if (params->has_idempotency_key == CM_PRESENT) {
                cm_sha256(in->content.data, in->content.len, digest);
                cm_hex_encode(digest, sizeof(digest), text);
                message->has_key = message->has_request_digest = CM_PRESENT;
                message->key = params->idempotency_key;
                message->request_digest =
                        cm_arena_str(cm_request_arena(request), cm_str_from(text));
        }
        if (!analysis_make(cm_request_service(request), cm_request_arena(request), in->content,
                           analysis, message))
                return cm_reply_invalid(request, "/content", "must be well-formed UTF-8") ?: 1;
        if (!cm_str_trim(message->content).len)
                return cm_reply_invalid(request, "/content", "must say something") ?: 1;
        return 0;
}

static bool wants_stream(struct cm_request *request)
{
        struct cm_str accept = cm_request_header(request, "accept"), one;

        while (cm_str_split(&accept, ',', &one))
                if (cm_str_starts(cm_str_trim(one), CM_STR("text/event-stream")))
                        return true;
        return false;
}

static int answer(struct cm_request *request, const struct message_send_params *params,
                  const struct message_document *message, bool is_repeated)
{
        struct sent_message sent = { .reply_id = message->reply_id };

        if (wants_stream(request))
                return is_repeated ? reply_follow_place(request, &params->conversation_id,
                                                        message->seq + 1, &message->reply_id)
                                   : reply_follow_begun(request, &params->conversation_id,
                                                        message->seq + 1, &message->reply_id);
        if (is_repeated)
                cm_reply_header(request, "Idempotency-Replayed", CM_STR("true"));
        message_view(message, &params->conversation_id, &cm_request_claims(request)->sub,
                     cm_request_arena(request), &sent.message);
        return cm_reply_json(request, 202, &sent_message_schema, &sent);
}

/* Where its reply is. Who follows the reply from the beginning need not wait for it: the reply
 * itself stores it then. */
static int place(struct cm_request *request, const struct message_send_params *params,
                 const struct message_document *message)
{
        const struct reply_document place = { .user_id = cm_request_claims(request)->sub,
                                              .conversation_id = params->conversation_id,
                                              .seq = message->seq + 1 };

        return reply_place_insert(cm_request_service(request), cm_request_arena(request),
                                  &message->reply_id, &place);
}

/* An earlier attempt has stored it. Where its reply is may have been left out. */
static int answer_repeated(struct cm_request *request, const struct message_send_params *params,
                           const struct message_document *message)
{
        int r = place(request, params, message);

        return r ? r : answer(request, params, message, true);
}

/* Nobody fills the house alone; who asks for help is never told to wait for that. */
static int refuse_busy(struct cm_request *request)
{
        const struct cm_problem problem = { .status = 429,
                                            .code = CM_CODE_RATE_LIMITED,
                                            .title = "Wait for the replies to your messages",
                                            .retry_after_s = 1 };

        return cm_reply_problem(request, &problem);
}

/* Its reply is prepared while it is stored, and goes on by itself then. */
static int store(struct cm_request *request, const struct message_send_params *params,
                 struct message_append *append, struct reply **reply)
{
        struct message_document stored;
        bool is_followed = wants_stream(request);
        int r;

        r = message_store_append(cm_request_service(request), cm_request_arena(request), append,
                                 &stored);
        if (r == MESSAGE_KEY_REUSED)
                return chat_problem(request, CM_CODE_IDEMPOTENCY_CONFLICT, NULL);
        if (r == MESSAGE_REFUSED)
                return refuse_busy(request);
        if (r == MESSAGE_REPEATED)
                return answer_repeated(request, params, &stored);
        if (r == 0 && !is_followed)
                r = place(request, params, &stored);
        if (r == 0)
                r = reply_begin(reply, &stored, !is_followed);
        return r ? r : answer(request, params, &stored, false);
}

/* What others know is asked for behind the conversation, which the write waits for. */
static int find_and_store(struct cm_request *request, const struct message_send_params *params,
                          struct message_append *append, int64_t came_us)
{
        struct chat *chat = cm_request_service(request);
        CM_CLEANUP(reply_drop) struct reply *reply = NULL;
        struct conversation_document *conversation =
                cm_arena_alloc(cm_request_arena(request), sizeof(*conversation));
        int r = find(request, &params->conversation_id, conversation);

        if (r)
                return r < 0 ? r : 0;
        if (conversation->status != DOCUMENT_STATUS_ACTIVE)
                return chat_problem(request, CM_CODE_CONFLICT, "this conversation is archived");
        append->conversation = conversation;
        if (!reply_may_start(chat)) /* others have begun meanwhile */
                return -CM_E_OVERLOAD;
        if (!append->is_refused)
                r = reply_prepare(chat, conversation, &append->message, came_us, &reply);
        return r ? r : store(request, params, append, &reply);
}

int message_send(struct cm_request *request, const struct message_send_params *params,
                 const struct message_input *in)
{
        struct chat *chat = cm_request_service(request);
        int64_t came_us = cm_monotonic_us();
        struct analysis analysis;
        struct message_append append = { .crisis = &analysis.crisis };
        int r = check_content(request, in);

        if (r == 0)
                r = make_message(request, params, in, &analysis, &append.message);
        if (r)
                return r < 0 ? r : 0;
        if (!reply_may_start(chat))
                return -CM_E_OVERLOAD;
        append.is_refused = analysis.crisis.level == CHAT_CRISIS_NONE &&
                            reply_is_person_busy(chat, &cm_request_claims(request)->sub);
        return find_and_store(request, params, &append, came_us);
}
