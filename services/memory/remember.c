#include "remember.h"
#include "base/error.h"
#include "errors.h"
#include "events.h"
#include "replies.h"
#include "short_term.h"
#include "sys/fiber.h"

/* Remembering: the rules make a memory of what came in, the store keeps it once. */

static void created_fact(const struct memory *memory, struct cm_arena *arena,
                         struct cm_event *event_r)
{
        struct memory_created created = {
                .user_id = memory->user_id,
                .memory_id = memory->id,
                .memory_type = memory->memory_type,
                .significance_level = memory->significance_level,
                .created_at = memory->created_at,
        };

        if (memory->has_source == CM_PRESENT) {
                created.has_conversation_id = created.has_message_id = CM_PRESENT;
                created.conversation_id = memory->source.conversation_id;
                created.message_id = memory->source.message_id;
        }
        event_memory_created(event_r, arena, cm_fiber_context(), memory->created_at,
                             &memory->user_id, &created);
}

int memory_remember_new(struct memory_service *service, struct cm_arena *arena,
                        const struct new_memory *new, struct memory *stored_r)
{
        struct cm_event created;
        int64_t generation;
        int r;

        created_fact(&new->memory, arena, &created);
        r = memory_store_remember(service->pg, arena, new, service->settings->memory_max_items,
                                  &created, stored_r, &generation);
        if (r)
                return r;
        if (stored_r->has_slot == CM_PRESENT) /* others may have ended */
                short_term_drop(service, arena, &stored_r->user_id, generation);
        else
                short_term_add(service, arena, stored_r, generation);
        return 0;
}

static int reply(struct cm_request *request, int outcome, struct memory *stored)
{
        switch (outcome) {
        case 0:
                return memory_reply(request, 201, stored);
        case MEMORY_STORED_BEFORE:
                cm_reply_header(request, "Idempotency-Replayed", CM_STR("true"));
                return memory_reply(request, 200, stored);
        case MEMORY_KNOWN:
                return memory_reply(request, 200, stored);
        case MEMORY_KEY_REUSED:
                return memory_problem(request, CM_CODE_IDEMPOTENCY_CONFLICT, NULL);
        case MEMORY_FULL:
                return memory_problem(request, CM_CODE_MEMORY_FULL, NULL);
        case CM_PG_REFUSED:
                return memory_problem(request, CM_CODE_INVALID, NULL);
        default:
                return outcome < 0 ? outcome : -CM_E_DATABASE;
        }
}

int memory_remember(struct cm_request *request, const struct memory_remember_params *params,
                    const struct memory_input *in)
{
        struct cm_faults faults = { .count = 0 };
        struct memory_rules rules = memory_rules_of(request, &faults);
        struct new_memory new;
        struct memory stored;

        if (memory_rules_complete(&rules, in, &new))
                return memory_problem(request, CM_CODE_INVALID, &faults);
        if (params->has_idempotency_key == CM_PRESENT)
                new.key = params->idempotency_key;
        new.body = cm_request_body(request);
        return reply(request,
                     memory_remember_new(cm_request_service(request), rules.arena, &new, &stored),
                     &stored);
}
