#include "base/error.h"
#include "errors.h"
#include "forget.h"
#include "memory_rpc.h"
#include "recall.h"
#include "remember.h"
#include "replies.h"
#include "service/user_refs.h"
#include "short_term.h"

/*
 * What other services ask of memory. The effects are those of the routes, and so are their rules; a
 * write that is repeated under its key has its effect once. The keys are kept with the memories and
 * with the ids of what was forgotten, not with stored replies: those would hold text that somebody
 * has forgotten.
 */
enum { DEFAULT_LIST = 20 };

/* 0; CM_RPC_REFUSED when there is no such person or the account is not active; or an error. */
static int check_person(struct cm_rpc_request *call)
{
        struct memory_service *service = call->service;
        struct cm_user_ref ref;
        int r = cm_user_ref_get(service->worker, &call->user, &ref);

        if (r == CM_USER_REF_UNKNOWN)
                return cm_rpc_refuse(call, CM_CODE_NOT_FOUND, "there is no such person");
        if (r)
                return r;
        return ref.status == USER_STATUS_ACTIVE
                       ? 0
                       : cm_rpc_refuse(call, CM_CODE_ACCOUNT_INACTIVE, NULL);
}

/* Keys of calls are apart from those of requests. */
static struct cm_str key_of(const struct cm_rpc_request *call)
{
        return cm_arena_printf(call->arena, "rpc:%.*s", CM_STR_ARG(call->key));
}

/* ---- memory.remember */

/* The faults of a memory, at their place in the call. */
static int refuse_invalid(struct cm_rpc_request *call, const struct cm_faults *faults)
{
        struct cm_faults moved = { .count = 0 };

        for (size_t i = 0; i < faults->count; i++)
                cm_fault_add(&moved, call->arena,
                             cm_arena_printf(call->arena, "/memory%.*s",
                                             CM_STR_ARG(faults->items[i].pointer)),
                             "%.*s", CM_STR_ARG(faults->items[i].detail));
        return cm_rpc_refuse_invalid(call, &moved);
}

static int judge_remembered(struct cm_rpc_request *call, int outcome)
{
        switch (outcome) {
        case MEMORY_KEY_REUSED:
                return cm_rpc_refuse(call, CM_CODE_IDEMPOTENCY_CONFLICT, NULL);
        case MEMORY_FULL:
                return cm_rpc_refuse(call, CM_CODE_MEMORY_FULL, NULL);
        case CM_PG_REFUSED:
                return cm_rpc_refuse(call, CM_CODE_INVALID, "the database refuses this memory");
        default:
                return outcome < 0 ? outcome : -CM_E_DATABASE;
        }
}

int memory_serve_remember(struct cm_rpc_request *call, const struct memory_remember_call *in,
                          struct memory_remember_reply *out)
{
        struct memory_service *service = call->service;
        struct cm_faults faults = { .count = 0 };
        const struct memory_rules rules = {
                .analyser = service->analyser,
                .user_id = call->user,
                .now = call->now,
                .max_content = (size_t)service->settings->memory_max_content,
                .arena = call->arena,
                .faults = &faults,
        };
        struct new_memory new;
        int r = check_person(call);

        if (r)
                return r;
        if (memory_rules_complete(&rules, &in->memory, &new))
                return refuse_invalid(call, &faults);
        new.key = key_of(call);
        new.body = call->body;
        r = memory_remember_new(service, call->arena, &new, &out->memory);
        if (r && r != MEMORY_KNOWN && r != MEMORY_STORED_BEFORE)
                return judge_remembered(call, r);
        out->known = r == MEMORY_KNOWN;
        memory_at(service, call->now, &out->memory);
        return 0;
}

/* ---- memory.recall */

int memory_serve_recall(struct cm_rpc_request *call, const struct memory_recall_call *in,
                        struct recall_answer *out)
{
        struct recall_input question = in->question;
        int r = check_person(call);

        if (r)
                return r;
        if (question.has_purpose != CM_PRESENT) {
                question.has_purpose = CM_PRESENT;
                question.purpose = RECALL_PURPOSE_CONVERSATION;
        }
        return memory_recall_for(call->service, call->arena, &call->user, call->now, &question,
                                 out);
}

/* ---- memory.forget */

static int forget(struct cm_rpc_request *call, const struct memory_forget_call *in,
                  struct forgotten_ids *gone_r)
{
        const struct forget_call forget = { call->user, call->now, { key_of(call), call->body } };
        const struct forget_input query = { in->query, in->limit, in->has_limit };
        struct cm_uuid id = in->id;
        const struct forgotten_ids ids = { .items = &id, .count = 1 };

        return in->has_id == CM_PRESENT
                       ? memory_forget_ids(call->service, call->arena, &forget, &ids, gone_r)
                       : memory_forget_query(call->service, call->arena, &forget, &query, gone_r);
}

int memory_serve_forget(struct cm_rpc_request *call, const struct memory_forget_call *in,
                        struct memory_forget_reply *out)
{
        struct forgotten_ids gone;
        int r = check_person(call);

        if (r)
                return r;
        if ((in->has_id == CM_PRESENT) == (in->has_query == CM_PRESENT))
                return cm_rpc_refuse(call, CM_CODE_INVALID, "exactly one of id and query");
        r = forget(call, in, &gone);
        if (r == MEMORY_KEY_REUSED)
                return cm_rpc_refuse(call, CM_CODE_IDEMPOTENCY_CONFLICT, NULL);
        if (r && r != MEMORY_STORED_BEFORE)
                return r;
        out->items.count = gone.count;
        out->items.items = cm_arena_array(call->arena, gone.count + 1, sizeof(*out->items.items));
        for (size_t i = 0; i < gone.count; i++)
                out->items.items[i] = (struct memory_forget_item){
                        .id = gone.items[i],
                        .text = gone.texts ? gone.texts[i] : CM_STR(""),
                };
        return 0;
}

/* ---- memory.list */

int memory_serve_list(struct cm_rpc_request *call, const struct memory_list_call *in,
                      struct memory_list_reply *out)
{
        struct memory_service *service = call->service;
        const struct memory_list_query query = {
                .user = call->user,
                .memory_type = in->has_memory_type == CM_PRESENT ? (int16_t)in->memory_type : 0,
                .current = true,
                .consent = CONSENT_RECALL,
                .short_term_since = short_term_since(service, call->now),
                .limit = in->has_limit == CM_PRESENT ? (int32_t)in->limit : DEFAULT_LIST,
        };
        struct memory_list list;
        int r = check_person(call);

        if (r == 0)
                r = memory_store_list(service->pg, call->arena, &query, &list);
        if (r)
                return r;
        out->items.items = list.items;
        out->items.count = list.count;
        return 0;
}
