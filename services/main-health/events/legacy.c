#include "errors.h"
#include "event_replies.h"
#include "event_rules.h"
#include "timeline.h"

/*
 * The paths of Schema V2. Its request shapes are put into ours and go the same way, so that what
 * they store cannot be told apart; faults are named by the names that the client sent.
 */

static const struct event_pointers in_legacy = { "", "/data" };

/* The subtype of a client that names none. */
static const char *general_subtype(int32_t event_type)
{
        static const char *const general[] = {
                [HEALTH_EVENT_TYPE_MOOD] = "quick_checkin",
                [HEALTH_EVENT_TYPE_MEDICATION] = "as_needed",
                [HEALTH_EVENT_TYPE_SYMPTOM] = "general",
                [HEALTH_EVENT_TYPE_ASSESSMENT] = "custom",
                [HEALTH_EVENT_TYPE_TREATMENT] = "other",
                [HEALTH_EVENT_TYPE_APPOINTMENT] = "other",
                [HEALTH_EVENT_TYPE_NOTE] = "general",
        };

        return event_type == HEALTH_EVENT_TYPE_VITAL ? NULL : general[event_type];
}

/* The event_data of the type by its own schema, where it belongs in `out`. */
static int decode_data(const struct legacy_health_event_input *in, struct cm_arena *arena,
                       struct health_event_input *out, struct cm_faults *faults)
{
        static const size_t offsets[] = {
#define DATA(type, name) [type] = offsetof(struct health_event_input, name##_event_input.event_data)
                DATA(HEALTH_EVENT_TYPE_MOOD, mood),
                DATA(HEALTH_EVENT_TYPE_MEDICATION, medication),
                DATA(HEALTH_EVENT_TYPE_SYMPTOM, symptom),
                DATA(HEALTH_EVENT_TYPE_ASSESSMENT, assessment),
                DATA(HEALTH_EVENT_TYPE_VITAL, vital),
                DATA(HEALTH_EVENT_TYPE_TREATMENT, treatment),
                DATA(HEALTH_EVENT_TYPE_APPOINTMENT, appointment),
                DATA(HEALTH_EVENT_TYPE_NOTE, note),
#undef DATA
        };

        return cm_schema_decode(event_data_schema((int16_t)in->type), in->data, arena,
                                (char *)out + offsets[in->type], faults);
}

/* Faults of the data stand below /data there. */
static void move_faults(struct cm_faults *faults, struct cm_arena *arena)
{
        for (size_t i = 0; i < faults->count; i++)
                faults->items[i].pointer =
                        cm_arena_printf(arena, "/data%.*s", CM_STR_ARG(faults->items[i].pointer));
}

static int read_subtype(struct cm_request *request, const struct legacy_health_event_input *in,
                        int32_t *subtype_r)
{
        struct cm_str name = in->has_subtype == CM_PRESENT ? in->subtype
                                                           : cm_str_from(general_subtype(in->type));

        if (!name.data)
                return cm_reply_invalid(request, "/subtype", "is required for this type")
                               ?: REPLIED;
        *subtype_r = event_subtype_find((int16_t)in->type, name);
        if (!*subtype_r)
                return cm_reply_invalid(request, "/subtype", "is not a subtype of this type")
                               ?: REPLIED;
        return 0;
}

int health_legacy_event_record(struct cm_request *request,
                               const struct health_legacy_event_record_params *params,
                               const struct legacy_health_event_input *in)
{
        struct health *health = cm_request_service(request);
        struct cm_arena *arena = cm_request_arena(request);
        struct health_event_input input = { .kind = in->type };
        struct note_event_input *head = &input.note_event_input;
        struct cm_faults faults = { .count = 0 };
        struct recorded_event event;
        int r;

        head->event_type = 1; /* the one constant of the variant's own discriminator */
        head->has_occurred_at = in->has_occurred_at;
        head->occurred_at = in->occurred_at;
        r = read_subtype(request, in, &head->event_subtype);
        if (r)
                return r < 0 ? r : 0;
        if (decode_data(in, arena, &input, &faults)) {
                move_faults(&faults, arena);
                return health_problem(request, CM_CODE_INVALID, NULL, &faults);
        }
        r = event_from_input(request, &input, &in_legacy, &event);
        if (r)
                return r < 0 ? r : 0;
        event.key = params->idempotency_key;
        event.body = cm_request_body(request);
        r = event_store_append(health->events, arena, &event);
        return event_reply_stored(request, r, &event);
}

int health_legacy_event_list(struct cm_request *request,
                             const struct health_legacy_event_list_params *params)
{
        const struct health_event_list_params same = {
                .event_type = params->event_type,
                .has_event_type = params->has_event_type,
                .event_subtype = params->event_subtype,
                .has_event_subtype = params->has_event_subtype,
                .from = params->from,
                .has_from = params->has_from,
                .to = params->to,
                .has_to = params->has_to,
                .include_voided = params->include_voided,
                .has_include_voided = params->has_include_voided,
                .limit = params->limit,
                .has_limit = params->has_limit,
                .cursor = params->cursor,
                .has_cursor = params->has_cursor,
        };

        return timeline_reply(request, &same);
}

/* ---- POST /api/checkins */

static int reply_checkin(struct cm_request *request, int status, const struct recorded_event *event,
                         const struct daily_checkin_input *in)
{
        const struct daily_checkin checkin = {
                .id = event->id,
                .user_id = event->user_id,
                .mood_today = in->mood_today,
                .confidence_today = in->confidence_today,
                .has_confidence_today = in->has_confidence_today,
                .anxiety_level = in->anxiety_level,
                .has_anxiety_level = in->has_anxiety_level,
                .side_effects = { in->side_effects.items, in->side_effects.count },
                .has_side_effects = in->has_side_effects,
                .created_at = event->created_at,
        };

        return cm_reply_json(request, status, &daily_checkin_schema, &checkin);
}

int health_legacy_checkin_record(struct cm_request *request,
                                 const struct health_legacy_checkin_record_params *params,
                                 const struct daily_checkin_input *in)
{
        struct health *health = cm_request_service(request);
        struct health_event_input input = {
                .kind = HEALTH_EVENT_INPUT_KIND_MOOD,
                .mood_event_input = {
                        .event_type = 1,
                        .event_subtype = MOOD_SUBTYPE_DAILY_CHECKIN,
                        .event_data = {
                                .mood = in->mood_today,
                                .confidence = in->confidence_today,
                                .has_confidence = in->has_confidence_today,
                                .anxiety_level = in->anxiety_level,
                                .has_anxiety_level = in->has_anxiety_level,
                                .side_effects = { in->side_effects.items, in->side_effects.count },
                                .has_side_effects = in->has_side_effects,
                                .note = in->note,
                                .has_note = in->has_note,
                        },
                },
        };
        struct recorded_event event;
        int r = event_from_input(request, &input, &in_legacy, &event);

        if (r)
                return r < 0 ? r : 0;
        event.key = params->idempotency_key;
        event.body = cm_request_body(request);
        r = event_store_append(health->events, cm_request_arena(request), &event);
        if (r == EVENT_STORED_BEFORE)
                cm_reply_header(request, "Idempotency-Replayed", CM_STR("true"));
        if (r == 0 || r == EVENT_STORED_BEFORE)
                return reply_checkin(request, r == 0 ? 201 : 200, &event, in);
        return event_reply_stored(request, r, &event);
}
