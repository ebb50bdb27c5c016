#include <stdio.h>

#include "event_rules_internal.h"
#include "plausible_ranges.h"

/*
 * What each kind of vital needs, and what it must not have: one schema serves all kinds, so that
 * their clients share a shape, and this table says which members belong to which shape.
 */
enum {
        OF_QUANTITY = 1 << VITAL_QUANTITY,
        OF_PRESSURE = 1 << VITAL_PRESSURE,
        OF_STRESS = 1 << VITAL_STRESS,
        OF_SLEEP = 1 << VITAL_SLEEP,
        OF_WORKOUT = 1 << VITAL_WORKOUT,
};

#define MEMBER(name, shapes)                                                                       \
        {                                                                                          \
                "/event_data/" #name, offsetof(struct vital_data, has_##name), shapes              \
        }
static const struct {
        const char *pointer;
        size_t has_offset;
        int shapes;
} members[] = {
        MEMBER(value, OF_QUANTITY | OF_STRESS),
        MEMBER(unit, OF_QUANTITY | OF_PRESSURE | OF_STRESS),
        MEMBER(systolic, OF_PRESSURE),
        MEMBER(diastolic, OF_PRESSURE),
        MEMBER(level, OF_STRESS),
        MEMBER(stage, OF_SLEEP),
        MEMBER(stages, OF_SLEEP),
        MEMBER(total_duration, OF_SLEEP),
        MEMBER(deep_sleep_duration, OF_SLEEP),
        MEMBER(light_sleep_duration, OF_SLEEP),
        MEMBER(rem_sleep_duration, OF_SLEEP),
        MEMBER(sleep_quality, OF_SLEEP),
        MEMBER(activity, OF_WORKOUT),
        MEMBER(duration, OF_WORKOUT),
        MEMBER(distance, OF_WORKOUT),
        MEMBER(energy, OF_WORKOUT),
        MEMBER(exercise, OF_WORKOUT),
};

#define DAY_MINUTES 1440

static void flag(struct recorded_event *event, enum plausibility found)
{
        if (found == UNUSUALLY_LOW)
                event->flags |= 1 << (HEALTH_EVENT_FLAG_UNUSUALLY_LOW - 1);
        if (found == UNUSUALLY_HIGH)
                event->flags |= 1 << (HEALTH_EVENT_FLAG_UNUSUALLY_HIGH - 1);
}

static void check_quantity(const struct event_rules *rules, const struct vital_kind *kind,
                           double value, struct cm_str unit, struct recorded_event *event)
{
        enum plausibility found = vital_check(kind, value, unit, NULL);
        double low = kind->low, high = kind->high;

        if (found == UNKNOWN_UNIT)
                event_fault(rules, "/event_data/unit",
                            "is not a unit of this vital, whose own is %s", kind->unit);
        else if (found == IMPLAUSIBLE)
                event_fault(rules, "/event_data/value", "must be from %.15g to %.15g %s", low, high,
                            kind->unit);
        else
                flag(event, found);
}

static void quantity(const struct event_rules *rules, const struct vital_kind *kind,
                     const struct vital_data *data, struct recorded_event *event)
{
        if (data->has_value != CM_PRESENT)
                event_fault(rules, "/event_data/value", "is required for this vital");
        if (data->has_unit != CM_PRESENT)
                event_fault(rules, "/event_data/unit", "is required for this vital");
        if (data->has_value == CM_PRESENT && data->has_unit == CM_PRESENT)
                check_quantity(rules, kind, data->value, data->unit, event);
}

static void pressure(const struct event_rules *rules, const struct vital_data *data,
                     struct recorded_event *event)
{
        enum plausibility found;

        if (data->has_unit == CM_PRESENT && !cm_str_equal(data->unit, CM_STR("mm[Hg]")))
                event_fault(rules, "/event_data/unit",
                            "is not a unit of this vital, whose own is mm[Hg]");
        if (data->has_systolic != CM_PRESENT)
                event_fault(rules, "/event_data/systolic", "is required for blood_pressure");
        if (data->has_diastolic != CM_PRESENT)
                event_fault(rules, "/event_data/diastolic", "is required for blood_pressure");
        if (data->has_systolic != CM_PRESENT || data->has_diastolic != CM_PRESENT)
                return;

        found = blood_pressure_check(data->systolic, data->diastolic);
        if (found != IMPLAUSIBLE)
                flag(event, found);
        else if (data->systolic < 40 || data->systolic > 300)
                event_fault(rules, "/event_data/systolic", "must be from 40 to 300 mm[Hg]");
        else if (data->diastolic < 20 || data->diastolic > 200)
                event_fault(rules, "/event_data/diastolic", "must be from 20 to 200 mm[Hg]");
        else
                event_fault(rules, "/event_data/diastolic", "must be below systolic");
}

static void stress(const struct event_rules *rules, const struct vital_kind *kind,
                   const struct vital_data *data, struct recorded_event *event)
{
        if (data->has_level != CM_PRESENT && data->has_value != CM_PRESENT)
                event_fault(rules, "/event_data", "needs level or value");
        if (data->has_value == CM_PRESENT)
                check_quantity(rules, kind, data->value,
                               data->has_unit == CM_PRESENT ? data->unit : CM_STR("{score}"),
                               event);
}

static void check_stages(const struct event_rules *rules, const struct vital_data *data,
                         const struct recorded_event *event)
{
        for (size_t i = 0; i < data->stages.count; i++) {
                const struct sleep_period *period = &data->stages.items[i];
                char path[64];

                snprintf(path, sizeof(path), "/event_data/stages/%zu/ends_at", i);
                if (period->ends_at <= period->starts_at)
                        event_fault(rules, path, "must be after starts_at");
                else if (event->ended_at != EVENT_NO_END && period->ends_at > event->ended_at)
                        event_fault(rules, path, "must not be after the event's ended_at");
                snprintf(path, sizeof(path), "/event_data/stages/%zu/starts_at", i);
                if (period->starts_at < event->occurred_at)
                        event_fault(rules, path, "must not be before the event's occurred_at");
                else if (i > 0 && period->starts_at < data->stages.items[i - 1].starts_at)
                        event_fault(rules, path, "must not be before the stage before it");
        }
}

static void sleep_durations(const struct event_rules *rules, const struct vital_data *data,
                            const struct recorded_event *event)
{
        double parts =
                (data->has_deep_sleep_duration == CM_PRESENT ? data->deep_sleep_duration : 0) +
                (data->has_light_sleep_duration == CM_PRESENT ? data->light_sleep_duration : 0) +
                (data->has_rem_sleep_duration == CM_PRESENT ? data->rem_sleep_duration : 0);
        double span = DAY_MINUTES;

        if (event->ended_at != EVENT_NO_END)
                span = (double)(event->ended_at - event->occurred_at) / CM_MINUTE;
        if (data->has_total_duration == CM_PRESENT && data->total_duration > span)
                event_fault(rules, "/event_data/total_duration", "must be at most %.15g minutes",
                            span);
        if (parts > (data->has_total_duration == CM_PRESENT ? data->total_duration : span))
                event_fault(rules, "/event_data",
                            "has stages that are longer than the whole sleep");
}

static void sleep_rules(const struct event_rules *rules, const struct vital_data *data,
                        const struct recorded_event *event)
{
        bool one = data->has_stage == CM_PRESENT;

        if (event->ended_at != EVENT_NO_END && event->ended_at - event->occurred_at > CM_DAY)
                event_fault(rules, "/ended_at",
                            "must be at most 24 hours after occurred_at for sleep");
        if (one && event->ended_at == EVENT_NO_END)
                event_fault(rules, "/ended_at", "is required for a stage of sleep");
        if (!one && data->has_stages != CM_PRESENT && data->has_total_duration != CM_PRESENT)
                event_fault(rules, "/event_data", "needs stage, stages or total_duration");
        if (one && data->has_stages == CM_PRESENT)
                event_fault(rules, "/event_data/stages", "must not stand beside stage");
        if (data->has_stages == CM_PRESENT)
                check_stages(rules, data, event);
        sleep_durations(rules, data, event);
}

static void workout(const struct event_rules *rules, const struct vital_data *data)
{
        if (data->has_activity != CM_PRESENT && data->has_exercise != CM_PRESENT)
                event_fault(rules, "/event_data/activity",
                            "is required for a workout without an exercise");
        if (data->has_duration == CM_PRESENT && data->duration > DAY_MINUTES)
                event_fault(rules, "/event_data/duration", "must be at most 1440 minutes");
}

static void refuse_strangers(const struct event_rules *rules, const struct vital_kind *kind,
                             const struct vital_data *data)
{
        for (size_t i = 0; i < CM_COUNT(members); i++)
                if (((const uint8_t *)data)[members[i].has_offset] == CM_PRESENT &&
                    !(members[i].shapes & 1 << kind->shape))
                        event_fault(rules, members[i].pointer, "does not belong to this vital");
}

void vital_rules(const struct event_rules *rules, const struct vital_data *data,
                 struct recorded_event *event)
{
        const struct vital_kind *kind = vital_kind_find(event->event_subtype);

        refuse_strangers(rules, kind, data);
        switch (kind->shape) {
        case VITAL_QUANTITY:
                quantity(rules, kind, data, event);
                break;
        case VITAL_PRESSURE:
                pressure(rules, data, event);
                break;
        case VITAL_STRESS:
                stress(rules, kind, data, event);
                break;
        case VITAL_SLEEP:
                sleep_rules(rules, data, event);
                break;
        case VITAL_WORKOUT:
                workout(rules, data);
                break;
        }
}
