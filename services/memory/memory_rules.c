#include "memory_rules.h"

#include <string.h>

#include "codec/digest.h"
#include "slot_rules.h"

/* An explicit "remember that" is as explicit as it gets. */
#define DEFAULT_RELEVANCE    0.5
#define DEFAULT_STABILITY    0.5
#define DEFAULT_EXPLICITNESS 1.0

uint8_t consent_bits(const struct memory_consent *consent)
{
        return (uint8_t)((consent->recall ? CONSENT_RECALL : 0) |
                         (consent->external_model ? CONSENT_EXTERNAL_MODEL : 0) |
                         (consent->analytics ? CONSENT_ANALYTICS : 0));
}

struct memory_consent consent_from(uint8_t bits)
{
        return (struct memory_consent){
                .recall = bits & CONSENT_RECALL,
                .external_model = bits & CONSENT_EXTERNAL_MODEL,
                .analytics = bits & CONSENT_ANALYTICS,
        };
}

uint8_t consent_for(int32_t purpose)
{
        switch (purpose) {
        case RECALL_PURPOSE_CONVERSATION:
                return CONSENT_RECALL;
        case RECALL_PURPOSE_EXTERNAL_MODEL:
                return CONSENT_RECALL | CONSENT_EXTERNAL_MODEL;
        default:
                return 0;
        }
}

static void fault(const struct memory_rules *rules, const char *pointer, const char *detail)
{
        cm_fault_add(rules->faults, rules->arena, cm_str_from(pointer), "%s", detail);
}

/* Line breaks and tabs are text; other control characters are not. */
static bool has_controls(struct cm_str text)
{
        for (size_t i = 0; i < text.len; i++) {
                unsigned char c = (unsigned char)text.data[i];

                if ((c < ' ' && !(c && strchr("\t\n\r", c))) || c == 0x7f)
                        return true;
        }
        return false;
}

static void check_text(const struct memory_rules *rules, const char *pointer, uint8_t has,
                       struct cm_str text)
{
        if (has != CM_PRESENT)
                return;
        if (text.len > rules->max_content)
                fault(rules, pointer, "is too long in bytes");
        if (has_controls(text))
                fault(rules, pointer, "must not have control characters but tabs and line breaks");
}

static int read_content(const struct memory_rules *rules, struct cm_str content,
                        struct analysis *text, uint8_t digest_r[CONTENT_DIGEST_SIZE])
{
        uint8_t whole[CM_SHA256_SIZE];
        struct cm_str same;

        if (analyse(rules->analyser, content, rules->arena, text)) {
                fault(rules, "/content", "must be well-formed UTF-8");
                return MEMORY_INVALID;
        }
        if (cm_str_trim(text->bare).len == 0)
                fault(rules, "/content", "must say something");
        same = analysis_same_text(text, rules->arena);
        cm_sha256(same.data, same.len, whole);
        memcpy(digest_r, whole, CONTENT_DIGEST_SIZE);
        return 0;
}

static double score(uint8_t has, double value, double fallback)
{
        return has == CM_PRESENT ? value : fallback;
}

void memory_set_composite(struct memory *memory)
{
        memory->composite_score = 0.4 * memory->relevance_score + 0.3 * memory->stability_score +
                                  0.3 * memory->explicitness_score;
}

static void patch_consent(struct memory_consent *consent, const struct memory_consent_patch *patch)
{
        if (patch->has_recall == CM_PRESENT)
                consent->recall = patch->recall;
        if (patch->has_external_model == CM_PRESENT)
                consent->external_model = patch->external_model;
        if (patch->has_analytics == CM_PRESENT)
                consent->analytics = patch->analytics;
}

static void set_optional(const struct memory_input *in, struct memory *memory)
{
        memory->processed_content = in->processed_content;
        memory->has_processed_content = in->has_processed_content;
        memory->anonymized_version = in->anonymized_version;
        memory->has_anonymized_version = in->has_anonymized_version;
        memory->significance_category = in->significance_category;
        memory->has_significance_category = in->has_significance_category;
        memory->pii_detected = in->pii_detected;
        memory->has_pii_detected = in->has_pii_detected;
        memory->extraction_metadata = in->extraction_metadata;
        memory->has_extraction_metadata = in->has_extraction_metadata;
        memory->source = in->source;
        memory->has_source = in->has_source;
        if (in->has_tags == CM_PRESENT)
                memory->tags = in->tags;
        if (in->has_user_consent == CM_PRESENT)
                patch_consent(&memory->user_consent, &in->user_consent);
}

static void check_source(const struct memory_rules *rules, const struct memory_source *source)
{
        if ((source->has_start == CM_PRESENT) != (source->has_end == CM_PRESENT))
                fault(rules, "/source", "must have both start and end, or neither");
        else if (source->has_start == CM_PRESENT && source->end < source->start)
                fault(rules, "/source/end", "must not be before start");
}

static void check_input(const struct memory_rules *rules, const struct memory_input *in)
{
        check_text(rules, "/content", CM_PRESENT, in->content);
        check_text(rules, "/processed_content", in->has_processed_content, in->processed_content);
        check_text(rules, "/anonymized_version", in->has_anonymized_version,
                   in->anonymized_version);
        if (in->has_source == CM_PRESENT)
                check_source(rules, &in->source);
        if (in->has_valid_from == CM_PRESENT && in->valid_from > rules->now)
                fault(rules, "/valid_from", "must not be in the future");
}

static int32_t choice(uint8_t has, int32_t value, int32_t fallback)
{
        return has == CM_PRESENT ? value : fallback;
}

static void set_slot(const struct memory_input *in, const struct analysis *text,
                     struct memory *memory)
{
        memory->slot = in->has_slot == CM_PRESENT ? in->slot : slot_find(text);
        memory->has_slot = memory->slot.data ? CM_PRESENT : CM_ABSENT;
}

int memory_rules_complete(const struct memory_rules *rules, const struct memory_input *in,
                          struct new_memory *new_r)
{
        struct memory *memory = &new_r->memory;
        struct analysis text;

        *new_r = (struct new_memory){ .is_dated = in->has_valid_from == CM_PRESENT };
        check_input(rules, in);
        if (rules->faults->count || read_content(rules, in->content, &text, new_r->digest) ||
            rules->faults->count)
                return MEMORY_INVALID;
        *memory = (struct memory){
                .id = cm_uuid7(rules->now),
                .user_id = rules->user_id,
                .version = 1,
                .content = in->content,
                .language =
                        in->has_language == CM_PRESENT ? in->language : analysis_language(&text),
                .memory_type =
                        choice(in->has_memory_type, in->memory_type, MEMORY_TYPE_PERSONAL_FACT),
                .storage_type = choice(in->has_storage_type, in->storage_type,
                                       MEMORY_STORAGE_TYPE_LONG_TERM),
                .significance_level = choice(in->has_significance_level, in->significance_level,
                                             SIGNIFICANCE_LEVEL_LOW),
                .relevance_score =
                        score(in->has_relevance_score, in->relevance_score, DEFAULT_RELEVANCE),
                .stability_score =
                        score(in->has_stability_score, in->stability_score, DEFAULT_STABILITY),
                .explicitness_score = score(in->has_explicitness_score, in->explicitness_score,
                                            DEFAULT_EXPLICITNESS),
                .user_consent = { .recall = true },
                .valid_from = in->has_valid_from == CM_PRESENT ? in->valid_from : rules->now,
                .created_at = rules->now,
                .updated_at = rules->now,
                .is_active = true,
        };
        set_optional(in, memory);
        memory_set_composite(memory);
        set_slot(in, &text, memory);
        return 0;
}

/* ---- changes */

static void patch_text(uint8_t has, struct cm_str text, struct cm_str *text_r, uint8_t *has_r)
{
        if (has == CM_ABSENT)
                return;
        *text_r = has == CM_PRESENT ? text : CM_STR_NONE;
        *has_r = has == CM_PRESENT ? CM_PRESENT : CM_ABSENT;
}

/* Copies of other text would say what is no longer said. */
static void patch_content(const struct memory_patch *patch, struct memory *memory)
{
        memory->content = patch->content;
        memory->has_processed_content = memory->has_anonymized_version = CM_ABSENT;
        memory->processed_content = memory->anonymized_version = CM_STR_NONE;
        memory->has_pii_detected = CM_ABSENT;
        memory->pii_detected = CM_STR_NONE;
}

static void patch_scores(const struct memory_patch *patch, struct memory *memory)
{
        memory->relevance_score =
                score(patch->has_relevance_score, patch->relevance_score, memory->relevance_score);
        memory->stability_score =
                score(patch->has_stability_score, patch->stability_score, memory->stability_score);
        memory->explicitness_score = score(patch->has_explicitness_score, patch->explicitness_score,
                                           memory->explicitness_score);
        memory_set_composite(memory);
}

static void patch_kind(const struct memory_patch *patch, struct memory *memory)
{
        memory->memory_type =
                choice(patch->has_memory_type, patch->memory_type, memory->memory_type);
        memory->storage_type =
                choice(patch->has_storage_type, patch->storage_type, memory->storage_type);
        memory->significance_level = choice(patch->has_significance_level,
                                            patch->significance_level, memory->significance_level);
        if (patch->has_language == CM_PRESENT)
                memory->language = patch->language;
        if (patch->has_tags == CM_PRESENT)
                memory->tags = patch->tags;
        if (patch->has_is_active == CM_PRESENT)
                memory->is_active = patch->is_active;
        if (patch->has_is_archived == CM_PRESENT)
                memory->is_archived = patch->is_archived;
        if (patch->has_user_consent == CM_PRESENT)
                patch_consent(&memory->user_consent, &patch->user_consent);
}

static struct cm_str encoded(const struct memory *memory, struct cm_arena *arena)
{
        CM_CLEANUP(cm_buf_deinit) struct cm_buf json = { 0 };

        cm_schema_encode(&memory_schema, memory, &json);
        return cm_arena_str(arena, cm_buf_str(&json));
}

int memory_rules_change(const struct memory_rules *rules, const struct memory_patch *patch,
                        struct memory *memory, uint8_t digest_r[CONTENT_DIGEST_SIZE])
{
        struct cm_str before = encoded(memory, rules->arena);
        struct analysis text;

        check_text(rules, "/content", patch->has_content, patch->content);
        check_text(rules, "/processed_content", patch->has_processed_content,
                   patch->processed_content);
        check_text(rules, "/anonymized_version", patch->has_anonymized_version,
                   patch->anonymized_version);
        if (rules->faults->count)
                return MEMORY_INVALID;
        if (patch->has_content == CM_PRESENT && !cm_str_equal(patch->content, memory->content))
                patch_content(patch, memory);
        patch_text(patch->has_processed_content, patch->processed_content,
                   &memory->processed_content, &memory->has_processed_content);
        patch_text(patch->has_anonymized_version, patch->anonymized_version,
                   &memory->anonymized_version, &memory->has_anonymized_version);
        patch_text(patch->has_significance_category, patch->significance_category,
                   &memory->significance_category, &memory->has_significance_category);
        patch_kind(patch, memory);
        patch_scores(patch, memory);
        if (read_content(rules, memory->content, &text, digest_r) || rules->faults->count)
                return MEMORY_INVALID;
        return cm_str_equal(before, encoded(memory, rules->arena)) ? MEMORY_UNCHANGED : 0;
}
