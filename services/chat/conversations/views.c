#include "views.h"

void conversation_view(const struct conversation_document *document,
                       struct conversation *conversation_r)
{
        cm_time last = document->has_last_message_at == CM_PRESENT ? document->last_message_at
                                                                   : document->created_at;
        int64_t seconds = (last - document->created_at) / CM_SECOND;

        *conversation_r = (struct conversation){
                .user_id = document->user_id,
                .has_session_id = document->has_session_id,
                .session_id = document->session_id,
                .has_title = document->has_title,
                .title = document->title,
                .has_description = document->has_description,
                .description = document->description,
                .session_type = document->session_type,
                .status = document->status == DOCUMENT_STATUS_ACTIVE ? CONVERSATION_STATUS_ACTIVE
                                                                     : CONVERSATION_STATUS_ARCHIVED,
                .crisis_level = document->crisis_level,
                .safety_plan_triggered = document->safety_plan_triggered,
                .has_mood_before = document->has_mood_before,
                .mood_before = document->mood_before,
                .message_count = document->message_count,
                .total_duration_minutes = (double)seconds / 60.0,
                .created_at = document->created_at,
                .updated_at = document->updated_at,
                .has_last_message_at = document->has_last_message_at,
                .last_message_at = document->last_message_at,
                .has_ended_at = document->has_ended_at,
                .ended_at = document->ended_at,
        };
        (void)cm_uuid_parse(document->id, &conversation_r->id);
}

static void tools_view(const struct message_document *document, struct cm_arena *arena,
                       struct message *message)
{
        size_t count = document->tools.count;
        struct message_tool_call *calls = cm_arena_array(arena, count ? count : 1, sizeof(*calls));

        for (size_t i = 0; i < count; i++) {
                const struct tool_call_document *call = &document->tools.items[i];

                calls[i] = (struct message_tool_call){
                        .id = call->id,
                        .name = call->name,
                        .status = call->status,
                        .has_arguments = CM_PRESENT,
                        .arguments = call->arguments,
                        .has_result = call->has_result,
                        .result = call->result,
                };
        }
        message->has_tools = document->has_tools;
        message->tools.items = calls;
        message->tools.count = count;
}

void feedback_view(const struct feedback_document *document, const struct cm_uuid *reply_id,
                   struct reply_feedback *feedback_r)
{
        *feedback_r = (struct reply_feedback){
                .message_id = *reply_id,
                .has_user_rating = document->has_user_rating,
                .user_rating = document->user_rating,
                .has_was_helpful = document->has_was_helpful,
                .was_helpful = document->was_helpful,
                .has_feedback = document->has_feedback,
                .feedback = document->feedback,
                .timestamp = document->timestamp,
        };
}

void message_view(const struct message_document *document, const struct cm_uuid *conversation_id,
                  const struct cm_uuid *user_id, struct cm_arena *arena, struct message *message_r)
{
        *message_r = (struct message){
                .id = document->id,
                .conversation_id = *conversation_id,
                .user_id = *user_id,
                .seq = document->seq,
                .role = document->role,
                .message_type = document->message_type,
                .content = document->content,
                .has_processed_content = document->has_processed_content,
                .processed_content = document->processed_content,
                .language = document->language,
                .has_pii_detected = document->has_pii_detected,
                .pii_detected = { document->pii_detected.items, document->pii_detected.count },
                .has_sentiment_score = document->has_sentiment_score,
                .sentiment_score = document->sentiment_score,
                .has_crisis_level = document->has_crisis_level,
                .crisis_level = document->crisis_level,
                .has_crisis_indicators = document->has_crisis_indicators,
                .crisis_indicators = { document->crisis_indicators.items,
                                       document->crisis_indicators.count },
                .has_requires_intervention = document->has_requires_intervention,
                .requires_intervention = document->requires_intervention,
                .has_reply_id = document->has_reply_id,
                .reply_id = document->reply_id,
                .has_state = document->has_state,
                .state = document->state,
                .has_sources = document->has_sources,
                .sources = { document->sources.items, document->sources.count },
                .has_memory_extracted = document->has_memory_items_created,
                .memory_extracted = document->memory_items_created > 0,
                .has_memory_items_created = document->has_memory_items_created,
                .memory_items_created = document->memory_items_created,
                .has_response_time_ms = document->has_response_time_ms,
                .response_time_ms = document->response_time_ms,
                .has_model_used = document->has_model_used,
                .model_used = document->model_used,
                .has_tokens_used = document->has_tokens_used,
                .tokens_used = document->tokens_used,
                .created_at = document->created_at,
                .updated_at = document->updated_at,
        };
        message_r->has_feedback = document->has_feedback;
        feedback_view(&document->feedback, &document->id, &message_r->feedback);
        tools_view(document, arena, message_r);
}
