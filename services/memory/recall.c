#include "recall.h"

#include "accesses.h"
#include "replies.h"

enum { DEFAULT_LIMIT = 10 };

static uint32_t types_of(const struct recall_input *in)
{
        uint32_t types = 0;

        for (size_t i = 0; in->has_memory_types == CM_PRESENT && i < in->memory_types.count; i++)
                types |= 1U << in->memory_types.items[i];
        return types;
}

static struct recall_query query_of(const struct recall_input *in, cm_time now)
{
        int32_t purpose = in->has_purpose == CM_PRESENT ? in->purpose : RECALL_PURPOSE_OWNER;

        return (struct recall_query){
                .limit = in->has_limit == CM_PRESENT ? (size_t)in->limit : DEFAULT_LIMIT,
                .memory_types = types_of(in),
                .consent = consent_for(purpose),
                .include_archived = in->has_include_archived == CM_PRESENT && in->include_archived,
                .now = now,
                .held_at = in->has_as_of == CM_PRESENT ? in->as_of : RECALL_ALWAYS,
        };
}

/* What leaves the house is the copy that was made for that, and nothing that tells more. */
static void leave_house(struct memory *memory)
{
        if (memory->has_anonymized_version == CM_PRESENT)
                memory->content = memory->anonymized_version;
        else if (memory->has_processed_content == CM_PRESENT)
                memory->content = memory->processed_content;
        memory->has_anonymized_version = memory->has_processed_content = CM_ABSENT;
        memory->has_pii_detected = memory->has_extraction_metadata = CM_ABSENT;
}

static double within(double value, double low, double high)
{
        return value < low ? low : value > high ? high : value;
}

/* Figures with four digits: more are noise. */
static double rounded(float value)
{
        int64_t units = (int64_t)((double)value * 10000 + (value < 0 ? -0.5 : 0.5));

        return within((double)units / 10000, -1, 1);
}

static void show(const struct recalled *item, struct recalled_memory *shown_r)
{
        *shown_r = (struct recalled_memory){
                .memory = item->memory,
                .score = within(rounded(item->hit.score), 0, 1),
                .lexical = within(rounded(item->hit.lexical), 0, 1),
                .similarity = rounded(item->hit.cosine),
                .restated_by = { item->hit.restated_by, item->hit.restated_count },
        };
}

int memory_recall_for(struct memory_service *service, struct cm_arena *arena,
                      const struct cm_uuid *user, cm_time now, const struct recall_input *in,
                      struct recall_answer *answer_r)
{
        struct recall_query query = query_of(in, now);
        struct recalled_list list;
        int r = person_indexes_ask(service->indexes, arena, user, in->query, &query, &list);

        if (r)
                return r;
        answer_r->items.count = list.count;
        answer_r->items.items =
                cm_arena_array(arena, list.count + 1, sizeof(*answer_r->items.items));
        for (size_t i = 0; i < list.count; i++) {
                struct recalled_memory *shown = &answer_r->items.items[i];

                show(&list.items[i], shown);
                memory_at(service, now, &shown->memory);
                if (query.consent & CONSENT_EXTERNAL_MODEL)
                        leave_house(&shown->memory);
                accesses_note(service->accesses, user, &list.items[i].memory.id, now);
        }
        return 0;
}

int memory_recall(struct cm_request *request, const struct recall_input *in)
{
        struct recall_answer answer;
        int r = memory_recall_for(cm_request_service(request), cm_request_arena(request),
                                  &cm_request_claims(request)->sub, cm_request_now(request), in,
                                  &answer);

        return r ? r : cm_reply_json(request, 200, &recall_answer_schema, &answer);
}
