#include "base/error.h"
#include "errors.h"
#include "events/event_rules.h"
#include "main_health_rpc.h"
#include "rpc_person.h"

/*
 * health.correct: what a person told the companion was not so. A further version is appended, by
 * the rules of POST /v1/health-events/{id}/correct and /void; the call's key is the version's, so a
 * repetition finds it.
 */
#define TRIES 4 /* other versions that may come in between */

static const struct event_pointers in_call = { "/event", "/event/event_data" };

static struct cm_str key_of(const struct cm_rpc_request *call)
{
        return cm_arena_printf(call->arena, "rpc:%.*s/correct", CM_STR_ARG(call->key));
}

static void tell(const struct recorded_event *event, bool known, struct health_correct_reply *out)
{
        *out = (struct health_correct_reply){ .id = event->id,
                                              .version = event->version,
                                              .status = event->status,
                                              .local_date = event->local_date,
                                              .known = known };
}

static int refuse_if_unfit(struct cm_rpc_request *call, const struct health_correct_call *in,
                           const struct recorded_event *current)
{
        struct cm_faults faults = { .count = 0 };

        if (current->version >= INT16_MAX - 1)
                return cm_rpc_refuse(call, CM_CODE_CONFLICT, "this event has too many versions");
        if (in->has_event != CM_PRESENT)
                return 0;
        if (current->status == HEALTH_EVENT_STATUS_ENTERED_IN_ERROR)
                return cm_rpc_refuse(call, CM_CODE_CONFLICT, "this event is void");
        if (in->event.kind == current->event_type)
                return 0;
        cm_fault_add(&faults, call->arena, CM_STR("/event/event_type"), "must be what it was");
        return cm_rpc_refuse_invalid(call, &faults);
}

/* What the event becomes, without what all versions have. */
static int make_version(struct cm_rpc_request *call, const struct person *person,
                        const struct health_correct_call *in, const struct recorded_event *current,
                        struct recorded_event *event_r)
{
        struct health *health = call->service;
        struct health_event_input input = in->event;
        struct cm_faults faults = { .count = 0 };
        const struct event_rules rules = {
                .zones = health->zones,
                .person = person,
                .now = call->now,
                .arena = call->arena,
                .pointers = &in_call,
                .faults = &faults,
        };

        if (in->has_event != CM_PRESENT) {
                *event_r = *current;
                event_r->status = HEALTH_EVENT_STATUS_ENTERED_IN_ERROR;
                return 0;
        }
        if (input.note_event_input.has_occurred_at != CM_PRESENT) {
                input.note_event_input.has_occurred_at = CM_PRESENT;
                input.note_event_input.occurred_at = current->occurred_at;
        }
        if (event_rules_complete(&rules, &input, event_r))
                return cm_rpc_refuse_invalid(call, &faults);
        event_r->status = HEALTH_EVENT_STATUS_AMENDED;
        return 0;
}

static int append(struct cm_rpc_request *call, const struct health_correct_call *in,
                  const struct recorded_event *current, struct recorded_event *event)
{
        struct health *health = call->service;

        event->user_id = current->user_id;
        event->id = current->id;
        event->version = (int16_t)(current->version + 1);
        event->created_at = call->now;
        event->key = key_of(call);
        event->body = call->body;
        event->reason = in->reason;
        return event_store_append_version(health->events, call->arena, event);
}

/* 0 with what the store said of the further version (enum event_store_outcome, CM_PG_REFUSED), or a
 * refusal or error. */
static int correct(struct cm_rpc_request *call, const struct person *person,
                   const struct health_correct_call *in, struct recorded_event *event_r,
                   int *outcome_r)
{
        struct health *health = call->service;
        struct recorded_event current;
        int r = event_store_read(health->events, call->arena, &call->user, &in->event_id, &current);

        if (r)
                return r < 0 ? r : cm_rpc_refuse(call, CM_CODE_NOT_FOUND, "there is no such event");
        if (in->has_event != CM_PRESENT && current.status == HEALTH_EVENT_STATUS_ENTERED_IN_ERROR) {
                *event_r = current;
                *outcome_r = EVENT_STORED_BEFORE;
                return 0;
        }
        r = refuse_if_unfit(call, in, &current);
        if (r == 0)
                r = make_version(call, person, in, &current, event_r);
        if (r)
                return r;
        r = append(call, in, &current, event_r);
        *outcome_r = r;
        return r < 0 ? r : 0;
}

static int answer(struct cm_rpc_request *call, const struct recorded_event *event, int outcome,
                  struct health_correct_reply *out)
{
        struct health *health = call->service;

        switch (outcome) {
        case 0:
                if (event->event_type == HEALTH_EVENT_TYPE_VITAL)
                        vitals_cache_changed(health->vitals, &call->user);
                tell(event, false, out);
                return 0;
        case EVENT_STORED_BEFORE:
                tell(event, true, out);
                return 0;
        case EVENT_KEY_REUSED:
                return cm_rpc_refuse(call, CM_CODE_IDEMPOTENCY_CONFLICT, NULL);
        case EVENT_KEY_AT_WORK:
                return cm_rpc_refuse_at_work(call);
        case EVENT_VERSION_TAKEN:
                return cm_rpc_refuse(call, CM_CODE_CONFLICT, "somebody else changes it");
        default:
                return cm_rpc_refuse(call, CM_CODE_INVALID, "the database refuses this event");
        }
}

int health_serve_correct(struct cm_rpc_request *call, const struct health_correct_call *in,
                         struct health_correct_reply *out)
{
        struct health *health = call->service;
        struct recorded_event event;
        struct rpc_person person;
        int outcome, r = rpc_person_get(call, &person);

        if (r)
                return r;
        outcome = event_store_find_key(health->events, call->arena, &call->user, key_of(call),
                                       call->body, &event);
        if (outcome)
                return outcome < 0 ? outcome : answer(call, &event, outcome, out);
        for (int i = 0; i < TRIES; i++) {
                r = correct(call, &person.person, in, &event, &outcome);
                if (r || outcome != EVENT_VERSION_TAKEN)
                        break;
        }
        return r ? r : answer(call, &event, outcome, out);
}
