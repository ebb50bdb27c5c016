#include <math.h>

#include "day_rules_internal.h"
#include "events/plausible_ranges.h"

/* ---- measures: least, most, mean and newest of what is measured at a moment */

/* nearbyint(), for which a process would load libm and keep 0.3 MiB of it. */
static double whole(double value)
{
        double shift = copysign(0x1p52, value);

        return fabs(value) < 0x1p52 ? value + shift - shift : value;
}

/* Values are converted to the unit of their kind, and rounded to what 64-bit arithmetic has
 * exactly. */
static double rounded(double value)
{
        return whole(value * 1e9) / 1e9;
}

static struct day_measure *find_measure(struct day_vitals *vitals, int16_t subtype, int32_t part,
                                        const char *unit)
{
        struct day_measure *measure = vitals->measures.items;
        size_t i = 0;

        while (i < vitals->measures.count &&
               (measure[i].event_subtype != subtype || measure[i].part != part))
                i++;
        if (i == vitals->measures.count) {
                vitals->measures.count++;
                measure[i] = (struct day_measure){
                        .event_subtype = subtype,
                        .part = part,
                        .has_part = part ? CM_PRESENT : CM_ABSENT,
                        .unit = cm_str_from(unit),
                        .minimum = INFINITY,
                        .maximum = -INFINITY,
                };
        }
        return &measure[i];
}

/* `average` holds the sum until all values are in. */
static void add(struct day_vitals *vitals, const struct recorded_event *event, int32_t part,
                const char *unit, double value)
{
        struct day_measure *measure = find_measure(vitals, event->event_subtype, part, unit);

        measure->count++;
        measure->average += value;
        if (value < measure->minimum)
                measure->minimum = value;
        if (value > measure->maximum)
                measure->maximum = value;
        measure->latest = value;
        measure->latest_at = event->occurred_at;
}

static void add_vital(struct day_vitals *vitals, const struct day_vital *vital)
{
        const struct vital_kind *kind = vital_kind_find(vital->event->event_subtype);
        const struct vital_data *data = &vital->data;
        double value;

        if (!kind || kind->adds_up)
                return;
        if (kind->shape == VITAL_PRESSURE && data->has_systolic == CM_PRESENT &&
            data->has_diastolic == CM_PRESENT) {
                add(vitals, vital->event, DAY_MEASURE_PART_SYSTOLIC, kind->unit, data->systolic);
                add(vitals, vital->event, DAY_MEASURE_PART_DIASTOLIC, kind->unit, data->diastolic);
        }
        if (kind->shape != VITAL_QUANTITY && kind->shape != VITAL_STRESS)
                return;
        if (data->has_value == CM_PRESENT &&
            unit_convert(data->value,
                         data->has_unit == CM_PRESENT ? data->unit : cm_str_from(kind->unit),
                         kind->unit, &value))
                add(vitals, vital->event, 0, kind->unit, rounded(value));
}

static void heart_rates(struct day_vitals *vitals)
{
        for (size_t i = 0; i < vitals->measures.count; i++) {
                const struct day_measure *measure = &vitals->measures.items[i];

                if (measure->event_subtype == VITAL_SUBTYPE_RESTING_HEART_RATE) {
                        vitals->has_resting_heart_rate = CM_PRESENT;
                        vitals->resting_heart_rate = measure->latest;
                }
                if (measure->event_subtype != VITAL_SUBTYPE_HEART_RATE)
                        continue;
                vitals->has_recorded_at = vitals->has_heart_rate = CM_PRESENT;
                vitals->has_min_heart_rate = vitals->has_max_heart_rate = CM_PRESENT;
                vitals->has_avg_heart_rate = CM_PRESENT;
                vitals->recorded_at = measure->latest_at;
                vitals->heart_rate = measure->latest;
                vitals->min_heart_rate = measure->minimum;
                vitals->max_heart_rate = measure->maximum;
                vitals->avg_heart_rate = measure->average;
        }
}

void day_measures(const struct day_vital *vitals, size_t count, struct cm_arena *arena,
                  struct day_vitals *vitals_r)
{
        /* Each kind once, blood pressure twice. */
        vitals_r->measures.items = cm_arena_array(arena, VITAL_SUBTYPE_AUDIO_EXPOSURE + 1,
                                                  sizeof(*vitals_r->measures.items));
        for (size_t i = 0; i < count; i++)
                add_vital(vitals_r, &vitals[i]);
        for (size_t i = 0; i < vitals_r->measures.count; i++) {
                struct day_measure *measure = &vitals_r->measures.items[i];

                measure->average = rounded(measure->average / (double)measure->count);
        }
        heart_rates(vitals_r);
}

/* ---- activity: what adds up */

/* The sum of one kind in its unit; false when there is none of it. */
static bool sum_of(const struct day_vital *vitals, size_t count, int16_t subtype,
                   struct cm_arena *arena, double *sum_r)
{
        struct day_stretch *stretches = cm_arena_array(arena, count + 1, sizeof(*stretches));
        const struct vital_kind *kind = vital_kind_find(subtype);
        size_t found = 0;

        for (size_t i = 0; i < count; i++) {
                const struct recorded_event *event = vitals[i].event;
                const struct vital_data *data = &vitals[i].data;
                struct day_stretch *stretch = &stretches[found];

                if (event->event_subtype != subtype || data->has_value != CM_PRESENT ||
                    data->has_unit != CM_PRESENT ||
                    !unit_convert(data->value, data->unit, kind->unit, &stretch->amount))
                        continue;
                stretch->from = event->occurred_at;
                stretch->to =
                        event->ended_at == EVENT_NO_END ? event->occurred_at : event->ended_at;
                stretch->source = event->source;
                found++;
        }
        *sum_r = found ? rounded(day_union_sum(stretches, found, arena)) : 0;
        return found > 0;
}

static void newest_states(const struct day_vital *vitals, size_t count,
                          struct day_activity *activity)
{
        for (size_t i = 0; i < count; i++) {
                const struct vital_data *data = &vitals[i].data;

                if (vitals[i].event->event_subtype == VITAL_SUBTYPE_STRESS &&
                    data->has_level == CM_PRESENT) {
                        activity->has_stress_level = CM_PRESENT;
                        activity->stress_level = data->level;
                }
                if (vitals[i].event->event_subtype == VITAL_SUBTYPE_BODY_BATTERY &&
                    data->has_value == CM_PRESENT) {
                        activity->has_body_battery = CM_PRESENT;
                        activity->body_battery = data->value;
                }
        }
}

void day_activity(const struct day_vital *vitals, size_t count, struct cm_arena *arena,
                  struct day_activity *activity_r)
{
        const struct {
                int16_t subtype;
                bool whole; /* nobody takes half a step */
                double *sum;
                uint8_t *has;
        } sums[] = {
                { VITAL_SUBTYPE_STEPS, true, &activity_r->steps, &activity_r->has_steps },
                { VITAL_SUBTYPE_FLOORS, true, &activity_r->floors, &activity_r->has_floors },
                { VITAL_SUBTYPE_DISTANCE, false, &activity_r->distance, &activity_r->has_distance },
                { VITAL_SUBTYPE_ACTIVE_ENERGY, false, &activity_r->calories_burned,
                  &activity_r->has_calories_burned },
                { VITAL_SUBTYPE_ACTIVE_MINUTES, false, &activity_r->active_minutes,
                  &activity_r->has_active_minutes },
                { VITAL_SUBTYPE_WATER, false, &activity_r->water, &activity_r->has_water },
        };

        for (size_t i = 0; i < CM_COUNT(sums); i++) {
                if (!sum_of(vitals, count, sums[i].subtype, arena, sums[i].sum))
                        continue;
                *sums[i].has = CM_PRESENT;
                if (sums[i].whole)
                        *sums[i].sum = whole(*sums[i].sum);
        }
        newest_states(vitals, count, activity_r);
}
