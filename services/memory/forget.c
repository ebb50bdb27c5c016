#include "forget.h"

#include "base/error.h"
#include "events.h"
#include "replies.h"
#include "short_term.h"
#include "sys/fiber.h"

enum { DEFAULT_LIMIT = 1, MAX_FORGOTTEN = 600 };

struct fact {
        struct cm_arena *arena;
        const struct cm_uuid *user;
        cm_time now;
};

static void make_fact(void *arg, int64_t count, const struct forgotten_ids *ids,
                      struct cm_event *event_r)
{
        const struct fact *fact = arg;
        struct memory_forgotten forgotten = {
                .user_id = *fact->user,
                .count = count,
                .forgotten_at = fact->now,
        };

        if (ids) {
                forgotten.has_memory_ids = CM_PRESENT;
                forgotten.memory_ids.items = ids->items;
                forgotten.memory_ids.count = ids->count;
        }
        event_memory_forgotten(event_r, fact->arena, cm_fiber_context(), fact->now, fact->user,
                               &forgotten);
}

int memory_forget_ids(struct memory_service *service, struct cm_arena *arena,
                      const struct forget_call *call, const struct forgotten_ids *ids,
                      struct forgotten_ids *gone_r)
{
        struct fact fact = { arena, &call->user, call->now };
        int64_t generation;
        int r = memory_store_forget(service->pg, arena, &call->user, ids, &call->key, make_fact,
                                    &fact, gone_r, &generation);

        if (r == 0 && gone_r->count)
                short_term_drop(service, arena, &call->user, generation);
        return r;
}

int memory_forget_everything(struct memory_service *service, struct cm_arena *arena,
                             const struct cm_uuid *user, cm_time now, int64_t *count_r)
{
        struct fact fact = { arena, user, now };
        int64_t generation;
        int r = memory_store_forget_all(service->pg, user, make_fact, &fact, count_r, &generation);

        if (r == 0)
                short_term_drop(service, arena, user, generation);
        return r;
}

static void add_id(struct forgotten_ids *ids, const struct cm_uuid *id)
{
        if (ids->count < MAX_FORGOTTEN)
                ids->items[ids->count++] = *id;
}

static struct forgotten_ids ids_of(const struct recalled_list *list, struct cm_arena *arena)
{
        struct forgotten_ids ids = { .items = cm_arena_array(arena, MAX_FORGOTTEN,
                                                             sizeof(*ids.items)) };

        for (size_t i = 0; i < list->count; i++) {
                const struct recall_hit *hit = &list->items[i].hit;

                add_id(&ids, &hit->id);
                for (size_t j = 0; j < hit->restated_count; j++)
                        add_id(&ids, &hit->restated_by[j]);
        }
        return ids;
}

int memory_forget_query(struct memory_service *service, struct cm_arena *arena,
                        const struct forget_call *call, const struct forget_input *in,
                        struct forgotten_ids *gone_r)
{
        const struct recall_query query = {
                .limit = in->has_limit == CM_PRESENT ? (size_t)in->limit : DEFAULT_LIMIT,
                .include_archived = true,
                .certain = true,
                .now = call->now,
                .held_at = RECALL_ALWAYS,
        };
        struct recalled_list list;
        struct forgotten_ids ids;
        int r = person_indexes_ask(service->indexes, arena, &call->user, in->query, &query, &list);

        if (r)
                return r;
        ids = ids_of(&list, arena);
        *gone_r = (struct forgotten_ids){ 0 };
        return ids.count || call->key.key.data
                       ? memory_forget_ids(service, arena, call, &ids, gone_r)
                       : 0;
}

int memory_on_forgotten(struct cm_delivery *delivery, const void *fact)
{
        const struct memory_forgotten *forgotten = fact;

        return short_term_remove(delivery->service, delivery->arena, &forgotten->user_id);
}

int memory_on_erased(struct cm_delivery *delivery, const void *fact)
{
        const struct user_erased *erased = fact;
        struct fact told = { delivery->arena, &erased->user_id, cm_now(&cm_clock_system) };
        int64_t count, generation;
        int r = memory_store_forget_all_in(delivery->tx, &erased->user_id, make_fact, &told, &count,
                                           &generation);

        return r > 0 ? -CM_E_DATABASE : r;
}

/* ---- handlers */

static struct forget_call call_of(struct cm_request *request)
{
        return (struct forget_call){ .user = cm_request_claims(request)->sub,
                                     .now = cm_request_now(request) };
}

int memory_forget(struct cm_request *request, const struct memory_forget_params *params)
{
        const struct forget_call call = call_of(request);
        struct cm_uuid id = params->id;
        const struct forgotten_ids ids = { .items = &id, .count = 1 };
        struct forgotten_ids gone;
        int r = memory_forget_ids(cm_request_service(request), cm_request_arena(request), &call,
                                  &ids, &gone);

        if (r)
                return r;
        return gone.count ? cm_reply_empty(request, 204) : cm_reply_not_found(request);
}

int memory_forget_all(struct cm_request *request)
{
        struct forgotten forgotten = { .has_ids = CM_ABSENT };
        int r = memory_forget_everything(cm_request_service(request), cm_request_arena(request),
                                         &cm_request_claims(request)->sub, cm_request_now(request),
                                         &forgotten.count);

        return r ? r : cm_reply_json(request, 200, &forgotten_schema, &forgotten);
}

int memory_forget_found(struct cm_request *request, const struct forget_input *in)
{
        const struct forget_call call = call_of(request);
        struct forgotten forgotten = { .has_ids = CM_PRESENT };
        struct forgotten_ids gone;
        int r = memory_forget_query(cm_request_service(request), cm_request_arena(request), &call,
                                    in, &gone);

        if (r)
                return r;
        forgotten.count = (int64_t)gone.count;
        forgotten.ids.items = gone.items;
        forgotten.ids.count = gone.count;
        return cm_reply_json(request, 200, &forgotten_schema, &forgotten);
}
