#include "base/error.h"
#include "errors.h"
#include "events/event_rules.h"
#include "main_health_rpc.h"
#include "rpc_person.h"
#include "sys/fiber.h"

/*
 * health.record: facts that a person told the companion, all of them or none. The rules are those
 * of POST /v1/health-events. Each fact carries the call's key with its place, so a repetition finds
 * what the first attempt stored.
 */

static struct cm_str key_of(const struct cm_rpc_request *call, size_t place)
{
        return cm_arena_printf(call->arena, "rpc:%.*s/%zu", CM_STR_ARG(call->key), place);
}

/* Facts ready to be stored, or CM_RPC_REFUSED with all that is wrong with them. */
static int complete(struct cm_rpc_request *call, const struct person *person,
                    const struct health_record_call *in, struct recorded_event *events)
{
        struct health *health = call->service;
        struct cm_faults faults = { .count = 0 };

        for (size_t i = 0; i < in->events.count; i++) {
                const struct event_pointers pointers = {
                        cm_arena_printf(call->arena, "/events/%zu", i).data,
                        cm_arena_printf(call->arena, "/events/%zu/event_data", i).data,
                };
                const struct event_rules rules = {
                        .zones = health->zones,
                        .person = person,
                        .now = call->now,
                        .arena = call->arena,
                        .pointers = &pointers,
                        .faults = &faults,
                };

                (void)!event_rules_complete(&rules, &in->events.items[i], &events[i]);
                events[i].key = key_of(call, i);
                events[i].body = call->body;
        }
        return faults.count ? cm_rpc_refuse_invalid(call, &faults) : 0;
}

/* The key of the first fact stands for the call's: used for another request, nothing is stored. */
static int check_key(struct cm_rpc_request *call)
{
        struct health *health = call->service;
        struct recorded_event first;
        int r = event_store_find_key(health->events, call->arena, &call->user, key_of(call, 0),
                                     call->body, &first);

        if (r == EVENT_KEY_REUSED)
                return cm_rpc_refuse(call, CM_CODE_IDEMPOTENCY_CONFLICT, NULL);
        return r < 0 ? r : 0;
}

#define AT_WORK_PAUSE_US (20 * CM_MILLISECOND)

static int store(struct cm_rpc_request *call, struct recorded_event *events, size_t count,
                 int *outcomes)
{
        struct health *health = call->service;
        int r;

        /* The caller wants to know how it ends, and says itself how long it waits. */
        while ((r = event_store_append_many(health->events, call->arena, events, count,
                                            outcomes)) == EVENT_KEY_AT_WORK)
                if (cm_fiber_sleep(AT_WORK_PAUSE_US) < 0)
                        return cm_rpc_refuse_at_work(call);
        if (r == CM_PG_REFUSED || r == -CM_E_DATABASE)
                return cm_rpc_refuse(call, CM_CODE_INVALID, "the database refuses these events");
        if (r)
                return r < 0 ? r : -CM_E_DATABASE;
        for (size_t i = 0; i < count; i++) {
                if (outcomes[i] == EVENT_KEY_REUSED)
                        return cm_rpc_refuse(call, CM_CODE_IDEMPOTENCY_CONFLICT, NULL);
                if (outcomes[i] == 0 && events[i].event_type == HEALTH_EVENT_TYPE_VITAL)
                        vitals_cache_changed(health->vitals, &call->user);
        }
        return 0;
}

int health_serve_record(struct cm_rpc_request *call, const struct health_record_call *in,
                        struct health_record_reply *out)
{
        size_t count = in->events.count;
        struct recorded_event *events = cm_arena_array(call->arena, count, sizeof(*events));
        int *outcomes = cm_arena_array(call->arena, count, sizeof(*outcomes));
        struct rpc_person person;
        int r = rpc_person_get(call, &person);

        if (r == 0)
                r = complete(call, &person.person, in, events);
        if (r == 0)
                r = check_key(call);
        if (r == 0)
                r = store(call, events, count, outcomes);
        if (r)
                return r;
        out->items.count = count;
        out->items.items = cm_arena_array(call->arena, count, sizeof(*out->items.items));
        for (size_t i = 0; i < count; i++)
                out->items.items[i] = (struct health_record_item){
                        .id = events[i].id,
                        .local_date = events[i].local_date,
                        .known = outcomes[i] == EVENT_STORED_BEFORE,
                };
        return 0;
}
