#include "tool_facts.h"

#define KG_A_POUND 0.45359237
#define M_A_MILE   1609.344

static const struct cm_str source = CM_STR("companion");

static void mood(const struct record_mood_arguments *in, struct health_event_input *event)
{
        event->kind = HEALTH_EVENT_INPUT_KIND_MOOD;
        event->mood_event_input = (struct mood_event_input){
                .event_type = MOOD_EVENT_INPUT_EVENT_TYPE_MOOD,
                .event_subtype = MOOD_SUBTYPE_QUICK_CHECKIN,
                .has_source = CM_PRESENT,
                .source = source,
                .event_data = { .mood = in->mood,
                                .has_valence = in->has_valence,
                                .valence = in->valence,
                                .has_anxiety_level = in->has_anxiety_level,
                                .anxiety_level = in->anxiety_level,
                                .has_energy_level = in->has_energy_level,
                                .energy_level = in->energy_level,
                                .has_note = in->has_note,
                                .note = in->note },
        };
}

static void symptom(const struct record_symptom_arguments *in, struct health_event_input *event)
{
        event->kind = HEALTH_EVENT_INPUT_KIND_SYMPTOM;
        event->symptom_event_input = (struct symptom_event_input){
                .event_type = SYMPTOM_EVENT_INPUT_EVENT_TYPE_SYMPTOM,
                .event_subtype = SYMPTOM_SUBTYPE_GENERAL,
                .has_source = CM_PRESENT,
                .source = source,
                .event_data = { .symptoms = { in->symptoms.items, in->symptoms.count },
                                .has_severity = in->has_severity,
                                .severity = in->severity,
                                .has_note = in->has_note,
                                .note = in->note },
        };
}

static void note(struct cm_str text, struct health_event_input *event)
{
        event->kind = HEALTH_EVENT_INPUT_KIND_NOTE;
        event->note_event_input = (struct note_event_input){
                .event_type = NOTE_EVENT_INPUT_EVENT_TYPE_NOTE,
                .event_subtype = NOTE_SUBTYPE_JOURNAL,
                .has_source = CM_PRESENT,
                .source = source,
                .event_data = { .text = text },
        };
}

/* A night needs its length. Without it a bad one is a symptom, and any other a line of the journal.
 */
static void sleep_of(struct cm_arena *arena, const struct record_sleep_arguments *in,
                     enum chat_language language, struct health_event_input *event)
{
        bool he = language == CHAT_LANGUAGE_HE;
        struct record_symptom_arguments bad = { .has_note = in->has_note, .note = in->note };

        if (in->has_total_duration == CM_PRESENT) {
                event->kind = HEALTH_EVENT_INPUT_KIND_VITAL;
                event->vital_event_input = (struct vital_event_input){
                        .event_type = VITAL_EVENT_INPUT_EVENT_TYPE_VITAL,
                        .event_subtype = VITAL_SUBTYPE_SLEEP,
                        .has_source = CM_PRESENT,
                        .source = source,
                        .event_data = { .has_total_duration = CM_PRESENT,
                                        .total_duration = in->total_duration },
                };
        } else if (in->quality == SLEEP_QUALITY_BAD) {
                bad.symptoms.items = CM_ARENA_NEW(arena, struct cm_str);
                bad.symptoms.items[0] = he ? CM_STR("שינה רעה") : CM_STR("poor sleep");
                bad.symptoms.count = 1;
                symptom(&bad, event);
        } else if (in->quality == SLEEP_QUALITY_GOOD) {
                note(he ? CM_STR("שינה טובה") : CM_STR("Slept well"), event);
        } else {
                note(he ? CM_STR("שינה סבירה") : CM_STR("Slept fairly well"), event);
        }
}

static void dose(const struct record_dose_arguments *in, enum chat_language language,
                 struct health_event_input *event)
{
        event->kind = HEALTH_EVENT_INPUT_KIND_MEDICATION;
        event->medication_event_input = (struct medication_event_input){
                .event_type = MEDICATION_EVENT_INPUT_EVENT_TYPE_MEDICATION,
                .event_subtype = MEDICATION_SUBTYPE_SCHEDULED,
                .has_source = CM_PRESENT,
                .source = source,
                .event_data = { .has_name = CM_PRESENT,
                                .name = in->has_name == CM_PRESENT     ? in->name
                                        : language == CHAT_LANGUAGE_HE ? CM_STR("תרופות")
                                                                       : CM_STR("medication"),
                                .status = in->status,
                                .has_dose = in->has_dose,
                                .dose = in->dose,
                                .has_note = in->has_note,
                                .note = in->note },
        };
}

void tool_fact_answer(const struct schedule *reminder, struct health_event_input *dose)
{
        struct medication_data *data = &dose->medication_event_input.event_data;

        data->has_medication_id = reminder->has_medication_id;
        data->medication_id = reminder->medication_id;
        if (data->has_dose != CM_PRESENT) { /* what the person says was taken counts */
                data->has_dose = reminder->has_dose;
                data->dose = reminder->dose;
        }
        if (reminder->has_medication_name == CM_PRESENT)
                data->name = reminder->medication_name;
}

static bool has_hebrew(struct cm_str text)
{
        for (size_t i = 0; i + 1 < text.len; i++)
                if ((unsigned char)text.data[i] == 0xd7)
                        return true;
        return false;
}

static double metres(const struct log_exercise_arguments *in)
{
        if (in->has_distance_unit == CM_PRESENT && in->distance_unit == DISTANCE_UNIT_KM)
                return in->distance * 1000;
        if (in->has_distance_unit == CM_PRESENT && in->distance_unit == DISTANCE_UNIT_MI)
                return in->distance * M_A_MILE;
        return in->distance;
}

static void exercise(const struct log_exercise_arguments *in, struct health_event_input *event)
{
        bool he = has_hebrew(in->exercise_name);
        bool pounds = in->has_weight_unit == CM_PRESENT && in->weight_unit == WEIGHT_UNIT_LB;
        struct workout_exercise done = {
                .exercise_name = he ? in->exercise : in->exercise_name,
                .has_exercise_name_he = he ? CM_PRESENT : CM_ABSENT,
                .exercise_name_he = in->exercise_name,
                .has_sets = in->has_sets,
                .sets = in->sets,
                .has_repetitions = in->has_repetitions,
                .repetitions = in->repetitions,
                .has_weight_kg = in->has_weight,
                .weight_kg = pounds ? in->weight * KG_A_POUND : in->weight,
                .has_duration_seconds = in->has_duration_seconds,
                .duration_seconds = in->duration_seconds,
                .has_distance_m = in->has_distance,
                .distance_m = metres(in),
        };

        event->kind = HEALTH_EVENT_INPUT_KIND_VITAL;
        event->vital_event_input = (struct vital_event_input){
                .event_type = VITAL_EVENT_INPUT_EVENT_TYPE_VITAL,
                .event_subtype = VITAL_SUBTYPE_WORKOUT,
                .has_source = CM_PRESENT,
                .source = source,
                .event_data = { .has_exercise = CM_PRESENT, .exercise = done },
        };
}

/* What the arguments of all records have. */
struct about {
        const struct cm_uuid *corrects;
        int64_t days_ago;
        bool has_days_ago;
};

#define ABOUT(type)                                                                                \
        do {                                                                                       \
                const struct type *in = call->decoded;                                             \
                                                                                                   \
                about.corrects = in->has_corrects == CM_PRESENT ? &in->corrects : NULL;            \
                about.has_days_ago = in->has_days_ago == CM_PRESENT;                               \
                about.days_ago = in->days_ago;                                                     \
        } while (0)

static struct about about_of(const struct chat_tool_call *call)
{
        struct about about = { .corrects = NULL };

        switch (call->tool) {
        case CHAT_TOOL_RECORD_MOOD:
                ABOUT(record_mood_arguments);
                break;
        case CHAT_TOOL_RECORD_SYMPTOM:
                ABOUT(record_symptom_arguments);
                break;
        case CHAT_TOOL_RECORD_SLEEP:
                ABOUT(record_sleep_arguments);
                break;
        case CHAT_TOOL_RECORD_DOSE:
                ABOUT(record_dose_arguments);
                break;
        case CHAT_TOOL_LOG_EXERCISE:
                ABOUT(log_exercise_arguments);
                break;
        default:
                break;
        }
        return about;
}

const struct cm_uuid *tool_fact_corrects(const struct chat_tool_call *call)
{
        return about_of(call).corrects;
}

/* A new record is of now, a corrected one of when it was, unless a day is named. All inputs begin
 * alike. */
static void place(const struct chat_tool_call *call, cm_time now, struct health_event_input *event)
{
        struct about about = about_of(call);

        if (!about.has_days_ago || (!about.days_ago && !about.corrects))
                return;
        event->note_event_input.has_occurred_at = CM_PRESENT;
        event->note_event_input.occurred_at = now - about.days_ago * CM_DAY;
}

int tool_fact_make(struct cm_arena *arena, const struct chat_tool_call *call,
                   enum chat_language language, cm_time now, struct health_event_input *event_r,
                   struct cm_str *why_r)
{
        *event_r = (struct health_event_input){ 0 };
        switch (call->tool) {
        case CHAT_TOOL_RECORD_MOOD:
                mood(call->decoded, event_r);
                break;
        case CHAT_TOOL_RECORD_SYMPTOM:
                symptom(call->decoded, event_r);
                break;
        case CHAT_TOOL_RECORD_SLEEP:
                sleep_of(arena, call->decoded, language, event_r);
                break;
        case CHAT_TOOL_RECORD_DOSE:
                dose(call->decoded, language, event_r);
                break;
        case CHAT_TOOL_LOG_EXERCISE:
                exercise(call->decoded, event_r);
                break;
        default:
                *why_r = CM_STR("This is no health fact.");
                return TOOL_FACT_UNSUPPORTED;
        }
        place(call, now, event_r);
        return 0;
}
