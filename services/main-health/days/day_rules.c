#include "day_rules_internal.h"

/* Names of the rules, as docs/health-record.md explains them. */
static const char *const rules[] = {
        "day.local",
        "sum.each-moment-once",
        "measure.mean-of-values",
        "sleep.counts-for-the-morning",
        "sleep.source-with-most-stages",
        "mood.mean-of-entries",
        "dose.as-logged",
};

struct mean {
        double sum;
        int64_t count;
};

static void mean_add(struct mean *mean, uint8_t has, double value)
{
        if (has != CM_PRESENT)
                return;
        mean->sum += value;
        mean->count++;
}

static uint8_t mean_get(const struct mean *mean, double *value_r)
{
        *value_r = mean->count ? mean->sum / (double)mean->count : 0;
        return mean->count ? CM_PRESENT : CM_ABSENT;
}

/* What was stored fits its schema, unless an older release stored it: then it is left out. */
static bool decode(const struct recorded_event *event, const struct cm_schema *schema,
                   struct cm_arena *arena, void *data_r)
{
        struct cm_faults faults = { .count = 0 };

        return cm_schema_decode(schema, event->event_data, arena, data_r, &faults) == 0;
}

#define EACH_OF(type, event, events)                                                               \
        for (const struct recorded_event *event = (events)->items;                                 \
             event < (events)->items + (events)->count; event++)                                   \
                if (event->event_type == (type))

static void moods(const struct event_list *events, struct cm_arena *arena,
                  struct day_summary *summary)
{
        struct mean confidence = { 0 }, valence = { 0 }, anxiety = { 0 };
        struct day_mood *mood = &summary->mood;
        struct mood_data data;

        EACH_OF(HEALTH_EVENT_TYPE_MOOD, event, events)
        {
                if (!decode(event, &mood_data_schema, arena, &data))
                        continue;
                mood->count++;
                mood->latest = data.mood;
                mood->latest_at = event->occurred_at;
                mean_add(&confidence, data.has_confidence, data.confidence);
                mean_add(&valence, data.has_valence, data.valence);
                mean_add(&anxiety, data.has_anxiety_level, data.anxiety_level);
        }
        mood->has_average_confidence = mean_get(&confidence, &mood->average_confidence);
        mood->has_average_valence = mean_get(&valence, &mood->average_valence);
        mood->has_average_anxiety_level = mean_get(&anxiety, &mood->average_anxiety_level);
        summary->has_mood = mood->count ? CM_PRESENT : CM_ABSENT;
}

enum { MAX_SYMPTOMS = 200, MAX_WORKOUTS = 100 };

static void add_symptom(struct day_summary *summary, struct cm_str name,
                        const struct symptom_data *data)
{
        struct day_symptom *symptom = summary->symptoms.items;
        size_t i = 0;

        while (i < summary->symptoms.count && !cm_str_equal(symptom[i].symptom, name))
                i++;
        if (i == MAX_SYMPTOMS)
                return;
        if (i == summary->symptoms.count)
                symptom[summary->symptoms.count++].symptom = name;
        symptom[i].count++;
        if (data->has_severity != CM_PRESENT)
                return;
        if (symptom[i].has_worst_severity != CM_PRESENT ||
            data->severity > symptom[i].worst_severity)
                symptom[i].worst_severity = data->severity;
        symptom[i].has_worst_severity = CM_PRESENT;
}

static void symptoms(const struct event_list *events, struct cm_arena *arena,
                     struct day_summary *summary)
{
        struct symptom_data data;

        summary->symptoms.items =
                cm_arena_array(arena, MAX_SYMPTOMS, sizeof(*summary->symptoms.items));
        EACH_OF(HEALTH_EVENT_TYPE_SYMPTOM, event, events)
        {
                if (!decode(event, &symptom_data_schema, arena, &data))
                        continue;
                for (size_t i = 0; i < data.symptoms.count; i++)
                        add_symptom(summary, data.symptoms.items[i], &data);
        }
}

static void doses(const struct event_list *events, struct cm_arena *arena, struct day_doses *doses)
{
        struct medication_data data;

        EACH_OF(HEALTH_EVENT_TYPE_MEDICATION, event, events)
        {
                if (!decode(event, &medication_data_schema, arena, &data))
                        continue;
                doses->taken += data.status == DOSE_STATUS_TAKEN;
                doses->skipped += data.status == DOSE_STATUS_SKIPPED;
                doses->missed += data.status == DOSE_STATUS_MISSED;
        }
}

static void counts(const struct event_list *events, struct cm_arena *arena,
                   struct day_summary *summary)
{
        struct day_count *items = cm_arena_array(arena, HEALTH_EVENT_TYPE_NOTE, sizeof(*items));

        summary->counts.items = items;
        for (int32_t type = 1; type <= HEALTH_EVENT_TYPE_NOTE; type++) {
                struct day_count count = { .event_type = type };

                EACH_OF(type, event, events)
                count.count++;
                if (count.count)
                        items[summary->counts.count++] = count;
        }
}

static size_t decode_vitals(const struct event_list *events, struct cm_arena *arena,
                            struct day_vital **vitals_r)
{
        struct day_vital *vitals = cm_arena_array(arena, events->count + 1, sizeof(*vitals));
        size_t count = 0;

        EACH_OF(HEALTH_EVENT_TYPE_VITAL, event, events)
        {
                vitals[count].event = event;
                if (decode(event, &vital_data_schema, arena, &vitals[count].data))
                        count++;
        }
        *vitals_r = vitals;
        return count;
}

static void workouts(const struct day_vital *vitals, size_t count, struct cm_arena *arena,
                     struct day_summary *summary)
{
        struct day_workout *items = cm_arena_array(arena, MAX_WORKOUTS, sizeof(*items));

        summary->workouts.items = items;
        for (size_t i = 0; i < count && summary->workouts.count < MAX_WORKOUTS; i++) {
                const struct vital_data *data = &vitals[i].data;

                if (vitals[i].event->event_subtype != VITAL_SUBTYPE_WORKOUT)
                        continue;
                items[summary->workouts.count++] = (struct day_workout){
                        .event_id = vitals[i].event->id,
                        .occurred_at = vitals[i].event->occurred_at,
                        .activity = data->activity,
                        .has_activity = data->has_activity,
                        .exercise = data->exercise,
                        .has_exercise = data->has_exercise,
                        .duration = data->duration,
                        .has_duration = data->has_duration,
                        .distance = data->distance,
                        .has_distance = data->has_distance,
                        .energy = data->energy,
                        .has_energy = data->has_energy,
                };
        }
}

void day_rules_summarize(const struct event_list *events, struct cm_arena *arena,
                         struct day_summary *summary_r)
{
        struct day_vital *vitals;
        size_t vital_count = decode_vitals(events, arena, &vitals);

        moods(events, arena, summary_r);
        symptoms(events, arena, summary_r);
        doses(events, arena, &summary_r->doses);
        workouts(vitals, vital_count, arena, summary_r);
        counts(events, arena, summary_r);
        day_measures(vitals, vital_count, arena, &summary_r->vitals);
        day_activity(vitals, vital_count, arena, &summary_r->activity);
        summary_r->has_sleep =
                day_sleep(vitals, vital_count, arena, &summary_r->sleep) ? CM_PRESENT : CM_ABSENT;

        summary_r->rules.count = CM_COUNT(rules);
        summary_r->rules.items =
                cm_arena_array(arena, CM_COUNT(rules), sizeof(*summary_r->rules.items));
        for (size_t i = 0; i < CM_COUNT(rules); i++)
                summary_r->rules.items[i] = cm_str_from(rules[i]);
}
