#include "analysis.h"

#include "pii.h"

static void find_personal_data(struct cm_arena *arena, struct cm_str text,
                               struct message_document *message)
{
        struct pii_map *map;
        bool seen[PII_KINDS] = { false };
        size_t count;
        struct pii_span *spans = pii_find(arena, text, &count);

        if (!count)
                return;
        message->has_pii_detected = message->has_processed_content = CM_PRESENT;
        message->pii_detected.items =
                cm_arena_array(arena, PII_KINDS, sizeof(*message->pii_detected.items));
        for (size_t i = 0; i < count; i++) {
                if (!seen[spans[i].kind])
                        message->pii_detected.items[message->pii_detected.count++] =
                                cm_str_from(pii_kind_name(spans[i].kind));
                seen[spans[i].kind] = true;
        }
        map = pii_map_new();
        message->processed_content = pii_hide(map, arena, text);
        pii_map_free(&map);
}

static void find_crisis(const struct chat *chat, struct cm_arena *arena, struct analysis *analysis,
                        struct message_document *message)
{
        struct chat_crisis *crisis = &analysis->crisis;

        crisis_detect(chat->crisis, arena, &analysis->text, crisis);
        message->has_crisis_level = CM_PRESENT;
        message->crisis_level = (int32_t)crisis->level + CRISIS_LEVEL_NONE;
        if (crisis->level == CHAT_CRISIS_NONE)
                return;
        message->has_crisis_indicators = message->has_requires_intervention = CM_PRESENT;
        message->requires_intervention = crisis->level >= CHAT_CRISIS_HIGH;
        message->crisis_indicators.items =
                cm_arena_array(arena, 16, sizeof(*message->crisis_indicators.items));
        for (int kind = CHAT_CRISIS_WISH; kind <= CHAT_CRISIS_THIRD; kind++)
                if (crisis->kinds & (1u << kind))
                        message->crisis_indicators.items[message->crisis_indicators.count++] =
                                cm_str_from(chat_crisis_kind_name((enum chat_crisis_kind)kind));
}

bool analysis_make(const struct chat *chat, struct cm_arena *arena, struct cm_str content,
                   struct analysis *analysis_r, struct message_document *message)
{
        if (!chat_text_read(arena, content, &analysis_r->text))
                return false;
        message->content = analysis_r->text.source;
        message->language = cm_str_from(chat_language_name(analysis_r->text.language));
        find_personal_data(arena, message->content, message);
        find_crisis(chat, arena, analysis_r, message);
        message->has_sentiment_score = CM_PRESENT;
        message->sentiment_score = sentiment_score(chat->sentiment, &analysis_r->text);
        return true;
}
