#include "base/error.h"
#include "chat_api.h"
#include "errors.h"
#include "message_store.h"
#include "replies/reply.h"
#include "reply_place_store.h"
#include "views.h"

/* What a person thinks of a reply: it stands with the reply. */

/* 0, or positive after a reply. */
static int find(struct cm_request *request, const struct cm_uuid *reply_id,
                struct reply_document *place_r, struct message_document *message_r)
{
        struct chat *chat = cm_request_service(request);
        struct cm_arena *arena = cm_request_arena(request);
        const struct cm_uuid *user_id = &cm_request_claims(request)->sub;
        int r = reply_place_find(chat, arena, reply_id, user_id, place_r);

        if (r == 0)
                r = message_store_find(chat, arena, &place_r->conversation_id, place_r->seq,
                                       message_r);
        if (r == MESSAGE_NONE || (r == 0 && !cm_uuid_equal(&message_r->id, reply_id)))
                return cm_reply_not_found(request) ?: 1;
        if (r == 0)
                r = reply_settle(chat, arena, &place_r->conversation_id, user_id, message_r);
        if (r == 0 && message_r->state == REPLY_STATE_STREAMING)
                return chat_problem(request, CM_CODE_CONFLICT, "this reply is still being made")
                               ?: 1;
        return r;
}

int reply_rate(struct cm_request *request, const struct reply_rate_params *params,
               const struct reply_feedback_input *in)
{
        const struct feedback_document feedback = {
                .has_user_rating = in->has_user_rating,
                .user_rating = in->user_rating,
                .has_was_helpful = in->has_was_helpful,
                .was_helpful = in->was_helpful,
                .has_feedback = in->has_feedback,
                .feedback = in->feedback,
                .timestamp = cm_request_now(request) / CM_MILLISECOND * CM_MILLISECOND,
        };
        struct reply_document place;
        struct message_document message;
        struct reply_feedback view;
        int r;

        if (in->has_user_rating != CM_PRESENT && in->has_was_helpful != CM_PRESENT &&
            in->has_feedback != CM_PRESENT)
                return cm_reply_invalid(request, "", "must say something");
        r = find(request, &params->reply_id, &place, &message);
        if (r)
                return r < 0 ? r : 0;
        r = message_store_rate(cm_request_service(request), cm_request_arena(request),
                               &place.conversation_id, &message, &feedback);
        if (r)
                return r < 0 ? r : cm_reply_not_found(request);
        feedback_view(&feedback, &message.id, &view);
        return cm_reply_json(request, 200, &reply_feedback_schema, &view);
}
