#include "event_rules.h"

#include <stdarg.h>
#include <stdio.h>

#include "base/assert.h"
#include "event_rules_internal.h"
#include "event_time.h"

/*
 * The inputs of the eight types begin with the same members, so what is common is read through one
 * of them. This is the promise of proto/schemas/health-event.yaml that makes it right.
 */
#define SAME_PLACE(type, member)                                                                   \
        _Static_assert(offsetof(struct type, member) == offsetof(struct note_event_input, member), \
                       #type "." #member)
#define SAME_HEAD(type)                                                                            \
        SAME_PLACE(type, event_subtype);                                                           \
        SAME_PLACE(type, occurred_at);                                                             \
        SAME_PLACE(type, has_occurred_at);                                                         \
        SAME_PLACE(type, ended_at);                                                                \
        SAME_PLACE(type, has_ended_at);                                                            \
        SAME_PLACE(type, time_zone);                                                               \
        SAME_PLACE(type, has_time_zone);                                                           \
        SAME_PLACE(type, source);                                                                  \
        SAME_PLACE(type, has_source);                                                              \
        SAME_PLACE(type, key);                                                                     \
        SAME_PLACE(type, has_key)
SAME_HEAD(mood_event_input);
SAME_HEAD(medication_event_input);
SAME_HEAD(symptom_event_input);
SAME_HEAD(assessment_event_input);
SAME_HEAD(vital_event_input);
SAME_HEAD(treatment_event_input);
SAME_HEAD(appointment_event_input);
_Static_assert(HEALTH_EVENT_INPUT_KIND_MOOD == (int)HEALTH_EVENT_TYPE_MOOD &&
                       HEALTH_EVENT_INPUT_KIND_VITAL == (int)HEALTH_EVENT_TYPE_VITAL &&
                       HEALTH_EVENT_INPUT_KIND_NOTE == (int)HEALTH_EVENT_TYPE_NOTE,
               "kinds are event types");

static const struct cm_schema *const subtypes[] = {
        [HEALTH_EVENT_TYPE_MOOD] = &mood_subtype_schema,
        [HEALTH_EVENT_TYPE_MEDICATION] = &medication_subtype_schema,
        [HEALTH_EVENT_TYPE_SYMPTOM] = &symptom_subtype_schema,
        [HEALTH_EVENT_TYPE_ASSESSMENT] = &assessment_subtype_schema,
        [HEALTH_EVENT_TYPE_VITAL] = &vital_subtype_schema,
        [HEALTH_EVENT_TYPE_TREATMENT] = &treatment_subtype_schema,
        [HEALTH_EVENT_TYPE_APPOINTMENT] = &appointment_subtype_schema,
        [HEALTH_EVENT_TYPE_NOTE] = &note_subtype_schema,
};

const struct cm_schema *event_data_schema(int16_t event_type)
{
        static const struct cm_schema *const schemas[] = {
                [HEALTH_EVENT_TYPE_MOOD] = &mood_data_schema,
                [HEALTH_EVENT_TYPE_MEDICATION] = &medication_data_schema,
                [HEALTH_EVENT_TYPE_SYMPTOM] = &symptom_data_schema,
                [HEALTH_EVENT_TYPE_ASSESSMENT] = &assessment_data_schema,
                [HEALTH_EVENT_TYPE_VITAL] = &vital_data_schema,
                [HEALTH_EVENT_TYPE_TREATMENT] = &treatment_data_schema,
                [HEALTH_EVENT_TYPE_APPOINTMENT] = &appointment_data_schema,
                [HEALTH_EVENT_TYPE_NOTE] = &note_data_schema,
        };

        CM_ASSERT(event_type > 0 && (size_t)event_type < CM_COUNT(schemas));
        return schemas[event_type];
}

int16_t event_subtype_find(int16_t event_type, struct cm_str name)
{
        CM_ASSERT(event_type > 0 && (size_t)event_type < CM_COUNT(subtypes));
        return (int16_t)cm_schema_enum_value(subtypes[event_type], name);
}

const char *event_subtype_name(int16_t event_type, int16_t event_subtype)
{
        CM_ASSERT(event_type > 0 && (size_t)event_type < CM_COUNT(subtypes));
        return cm_schema_enum_name(subtypes[event_type], event_subtype);
}

const struct event_pointers event_at_top = { "", "/event_data" };

void event_fault(const struct event_rules *rules, const char *path, const char *detail, ...)
{
        const struct cm_str data = CM_STR("/event_data");
        struct cm_str where;
        char text[256];
        va_list args;

        va_start(args, detail);
        vsnprintf(text, sizeof(text), detail, args);
        va_end(args);
        if (cm_str_starts(cm_str_from(path), data))
                where = cm_arena_printf(rules->arena, "%s%s", rules->pointers->data,
                                        path + data.len);
        else
                where = cm_arena_printf(rules->arena, "%s%s", rules->pointers->event, path);
        cm_fault_add(rules->faults, rules->arena, where, "%s", text);
}

static bool is_planned(const struct health_event_input *in)
{
        if (in->kind == HEALTH_EVENT_TYPE_APPOINTMENT)
                return in->appointment_event_input.event_data.status <= APPOINTMENT_STATUS_BOOKED ||
                       in->appointment_event_input.event_data.status ==
                               APPOINTMENT_STATUS_CANCELLED;
        return in->kind == HEALTH_EVENT_TYPE_TREATMENT &&
               in->treatment_event_input.event_data.has_status == CM_PRESENT &&
               (in->treatment_event_input.event_data.status == TREATMENT_STATUS_PLANNED ||
                in->treatment_event_input.event_data.status == TREATMENT_STATUS_CANCELLED);
}

static void check_instant(const struct event_rules *rules, const char *path, cm_time at,
                          bool planned)
{
        cm_time first = cm_date_from_civil(1900, 1, 1) * CM_DAY;
        cm_time last = rules->now + (planned ? PLAN_HORIZON : FUTURE_TOLERANCE);

        if (at < first)
                event_fault(rules, path, "must not be before 1900");
        else if (at > last && planned)
                event_fault(rules, path, "must not be more than five years ahead");
        else if (at > last)
                event_fault(rules, path, "must not be in the future");
}

static void complete_times(const struct event_rules *rules, const struct note_event_input *head,
                           bool planned, struct recorded_event *event)
{
        event->occurred_at = head->has_occurred_at == CM_PRESENT ? head->occurred_at : rules->now;
        event->ended_at = head->has_ended_at == CM_PRESENT ? head->ended_at : EVENT_NO_END;
        check_instant(rules, "/occurred_at", event->occurred_at, planned);
        if (event->ended_at == EVENT_NO_END)
                return;
        check_instant(rules, "/ended_at", event->ended_at, planned);
        if (event->ended_at < event->occurred_at)
                event_fault(rules, "/ended_at", "must not be before occurred_at");
}

static void complete_place(const struct event_rules *rules, const struct note_event_input *head,
                           struct recorded_event *event)
{
        bool given = head->has_time_zone == CM_PRESENT;
        const struct cm_zone *zone;

        event->zone = given ? head->time_zone : person_zone_at(rules->person, event->occurred_at);
        zone = cm_zones_get(rules->zones, event->zone);
        if (!zone && given) {
                event_fault(rules, "/time_zone", "is not a known time zone or offset");
                return;
        }
        if (!zone) { /* auth knows a zone that this machine's database lacks */
                event->zone = CM_STR("UTC");
                zone = cm_zones_get(rules->zones, event->zone);
                CM_ASSERT(zone);
        }
        event->local_date = event_local_date(event->event_type, event->event_subtype, zone,
                                             event->occurred_at, event->ended_at);
}

static void check_medication(const struct event_rules *rules, const struct medication_data *data)
{
        if (data->has_medication_id != CM_PRESENT && data->has_name != CM_PRESENT)
                event_fault(rules, "/event_data", "needs medication_id or name");
}

/* A form may be incomplete, but what is there must fit it. */
static void check_assessment(const struct event_rules *rules, int32_t subtype,
                             const struct assessment_data *data)
{
        size_t items = subtype == ASSESSMENT_SUBTYPE_PHQ4 ? 4 : 7;

        if (subtype == ASSESSMENT_SUBTYPE_CUSTOM) {
                if (data->has_name != CM_PRESENT)
                        event_fault(rules, "/event_data/name",
                                    "is required for a custom assessment");
                return;
        }
        if (data->answers.count > items)
                event_fault(rules, "/event_data/answers", "must have at most %zu items", items);
        for (size_t i = 0; i < data->answers.count; i++) {
                char path[64];

                if (data->answers.items[i].value <= 3)
                        continue;
                snprintf(path, sizeof(path), "/event_data/answers/%zu/value", i);
                event_fault(rules, path, "must be at most 3");
        }
}

/* Checks what is particular to the type; says where event_data is. */
static const void *check_data(const struct event_rules *rules, const struct health_event_input *in,
                              struct recorded_event *event)
{
        switch (in->kind) {
        case HEALTH_EVENT_TYPE_MOOD:
                return &in->mood_event_input.event_data;
        case HEALTH_EVENT_TYPE_MEDICATION:
                check_medication(rules, &in->medication_event_input.event_data);
                return &in->medication_event_input.event_data;
        case HEALTH_EVENT_TYPE_SYMPTOM:
                return &in->symptom_event_input.event_data;
        case HEALTH_EVENT_TYPE_ASSESSMENT:
                check_assessment(rules, in->assessment_event_input.event_subtype,
                                 &in->assessment_event_input.event_data);
                return &in->assessment_event_input.event_data;
        case HEALTH_EVENT_TYPE_VITAL:
                vital_rules(rules, &in->vital_event_input.event_data, event);
                return &in->vital_event_input.event_data;
        case HEALTH_EVENT_TYPE_TREATMENT:
                return &in->treatment_event_input.event_data;
        case HEALTH_EVENT_TYPE_APPOINTMENT:
                return &in->appointment_event_input.event_data;
        default:
                CM_ASSERT(in->kind == HEALTH_EVENT_TYPE_NOTE);
                return &in->note_event_input.event_data;
        }
}

int event_rules_complete(const struct event_rules *rules, const struct health_event_input *in,
                         struct recorded_event *event_r)
{
        const struct note_event_input *head = &in->note_event_input;
        size_t faults_before = rules->faults->count;
        CM_CLEANUP(cm_buf_deinit) struct cm_buf json = { 0 };
        const void *data;

        *event_r = (struct recorded_event){
                .user_id = rules->person->id,
                .version = 1,
                .status = HEALTH_EVENT_STATUS_RECORDED,
                .event_type = (int16_t)in->kind,
                .event_subtype = (int16_t)head->event_subtype,
                .source = head->has_source == CM_PRESENT ? head->source : CM_STR("manual"),
                .key = head->has_key == CM_PRESENT ? head->key : CM_STR_NONE,
                .created_at = rules->now,
        };
        complete_times(rules, head, is_planned(in), event_r);
        complete_place(rules, head, event_r);
        data = check_data(rules, in, event_r);
        if (rules->faults->count > faults_before)
                return EVENT_INVALID;

        cm_schema_encode(event_data_schema(event_r->event_type), data, &json);
        event_r->event_data = cm_arena_str(rules->arena, cm_buf_str(&json));
        event_r->id = cm_uuid7(rules->now);
        return 0;
}
