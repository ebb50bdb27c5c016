#include <math.h>

#include "day_rules_internal.h"

/*
 * The sleep of one day. Sources are never mixed: a watch and a mattress that saw the same night
 * differ by minutes, and their union would be longer than either. The source that tells the most
 * stages apart is taken; of two alike the one with the longer sleep; then by name.
 */
struct night {
        struct cm_str source;
        struct day_stretch *periods[SLEEP_STAGE_REM + 1]; /* by stage */
        size_t period_count[SLEEP_STAGE_REM + 1];
        struct day_sleep told; /* sums of durations that came as such */
        bool has_told;
        double minutes; /* asleep */
        int stages;     /* how many of light, deep and rem are told apart */
};

static bool is_asleep(int stage)
{
        return stage != SLEEP_STAGE_IN_BED && stage != SLEEP_STAGE_AWAKE;
}

static void add_period(struct night *night, int32_t stage, cm_time from, cm_time to)
{
        if (to <= from)
                return;
        night->periods[stage][night->period_count[stage]++] =
                (struct day_stretch){ .from = from, .to = to };
}

static void add_told(struct night *night, const struct recorded_event *event,
                     const struct vital_data *data)
{
        struct day_sleep *told = &night->told;

        night->has_told = true;
        told->total_duration += data->total_duration;
        told->deep_sleep_duration +=
                data->has_deep_sleep_duration == CM_PRESENT ? data->deep_sleep_duration : 0;
        told->light_sleep_duration +=
                data->has_light_sleep_duration == CM_PRESENT ? data->light_sleep_duration : 0;
        told->rem_sleep_duration +=
                data->has_rem_sleep_duration == CM_PRESENT ? data->rem_sleep_duration : 0;
        told->has_deep_sleep_duration |= data->has_deep_sleep_duration;
        told->has_light_sleep_duration |= data->has_light_sleep_duration;
        told->has_rem_sleep_duration |= data->has_rem_sleep_duration;
        if (event->ended_at == EVENT_NO_END)
                return;
        if (told->has_bedtime != CM_PRESENT || event->occurred_at < told->bedtime)
                told->bedtime = event->occurred_at;
        if (told->has_wake_time != CM_PRESENT || event->ended_at > told->wake_time)
                told->wake_time = event->ended_at;
        told->has_bedtime = told->has_wake_time = CM_PRESENT;
}

static void add_event(struct night *night, const struct day_vital *vital)
{
        const struct recorded_event *event = vital->event;
        const struct vital_data *data = &vital->data;

        if (data->has_sleep_quality == CM_PRESENT) {
                night->told.has_sleep_quality = CM_PRESENT;
                night->told.sleep_quality = data->sleep_quality;
        }
        if (data->has_stage == CM_PRESENT && event->ended_at != EVENT_NO_END)
                add_period(night, data->stage, event->occurred_at, event->ended_at);
        else if (data->has_stages == CM_PRESENT)
                for (size_t i = 0; i < data->stages.count; i++)
                        add_period(night, data->stages.items[i].stage,
                                   data->stages.items[i].starts_at, data->stages.items[i].ends_at);
        else if (data->has_total_duration == CM_PRESENT)
                add_told(night, event, data);
}

static double minutes_of(struct night *night, int stage)
{
        return (double)day_covered_us(night->periods[stage], night->period_count[stage]) /
               CM_MINUTE;
}

/* Asleep, whatever the stage: stages that overlap count once. */
static double asleep_minutes(struct night *night, struct cm_arena *arena)
{
        struct day_stretch *all;
        size_t count = 0;

        for (int stage = 1; stage <= SLEEP_STAGE_REM; stage++)
                count += night->period_count[stage];
        all = cm_arena_array(arena, count + 1, sizeof(*all));
        count = 0;
        for (int stage = 1; stage <= SLEEP_STAGE_REM; stage++)
                for (size_t i = 0; is_asleep(stage) && i < night->period_count[stage]; i++)
                        all[count++] = night->periods[stage][i];
        return (double)day_covered_us(all, count) / CM_MINUTE;
}

static void rate(struct night *night, struct cm_arena *arena)
{
        static const int told_apart[] = { SLEEP_STAGE_LIGHT, SLEEP_STAGE_DEEP, SLEEP_STAGE_REM };

        night->minutes = asleep_minutes(night, arena);
        for (size_t i = 0; i < CM_COUNT(told_apart); i++)
                night->stages += night->period_count[told_apart[i]] > 0;
        if (night->minutes > 0 || !night->has_told)
                return;
        night->minutes = night->told.total_duration;
        night->stages = (night->told.has_deep_sleep_duration == CM_PRESENT) +
                        (night->told.has_light_sleep_duration == CM_PRESENT) +
                        (night->told.has_rem_sleep_duration == CM_PRESENT);
}

static bool is_better(const struct night *a, const struct night *b)
{
        if (a->stages != b->stages)
                return a->stages > b->stages;
        if (a->minutes != b->minutes)
                return a->minutes > b->minutes;
        return false;
}

/* From going to bed, or falling asleep, to the end of the last sleep. */
static void edges(const struct night *night, struct day_sleep *sleep)
{
        for (int stage = 1; stage <= SLEEP_STAGE_REM; stage++) {
                for (size_t i = 0; i < night->period_count[stage]; i++) {
                        const struct day_stretch *period = &night->periods[stage][i];

                        if (sleep->has_bedtime != CM_PRESENT || period->from < sleep->bedtime)
                                sleep->bedtime = period->from;
                        sleep->has_bedtime = CM_PRESENT;
                        if (!is_asleep(stage))
                                continue;
                        if (sleep->has_wake_time != CM_PRESENT || period->to > sleep->wake_time)
                                sleep->wake_time = period->to;
                        sleep->has_wake_time = CM_PRESENT;
                }
        }
}

static void describe(struct night *night, struct day_sleep *sleep_r)
{
        bool timed = false;

        for (int stage = 1; stage <= SLEEP_STAGE_REM; stage++)
                timed |= is_asleep(stage) && night->period_count[stage] > 0;
        *sleep_r = night->told;
        sleep_r->source = night->source;
        sleep_r->has_source = CM_PRESENT;
        if (!timed)
                return;
        sleep_r->total_duration = night->minutes;
        sleep_r->deep_sleep_duration = minutes_of(night, SLEEP_STAGE_DEEP);
        sleep_r->light_sleep_duration = minutes_of(night, SLEEP_STAGE_LIGHT);
        sleep_r->rem_sleep_duration = minutes_of(night, SLEEP_STAGE_REM);
        sleep_r->has_deep_sleep_duration = night->stages ? CM_PRESENT : CM_ABSENT;
        sleep_r->has_light_sleep_duration = night->stages ? CM_PRESENT : CM_ABSENT;
        sleep_r->has_rem_sleep_duration = night->stages ? CM_PRESENT : CM_ABSENT;
        sleep_r->has_bedtime = sleep_r->has_wake_time = CM_ABSENT;
        edges(night, sleep_r);
}

static size_t periods_in(const struct day_vital *vital)
{
        return vital->data.has_stages == CM_PRESENT ? vital->data.stages.count : 1;
}

static struct night night_of(const struct day_vital *vitals, size_t count, struct cm_str source,
                             struct cm_arena *arena)
{
        struct night night = { .source = source };
        size_t room = 0;

        for (size_t i = 0; i < count; i++)
                room += periods_in(&vitals[i]);
        for (int stage = 1; stage <= SLEEP_STAGE_REM; stage++)
                night.periods[stage] = cm_arena_array(arena, room, sizeof(*night.periods[stage]));
        for (size_t i = 0; i < count; i++)
                if (cm_str_equal(vitals[i].event->source, source))
                        add_event(&night, &vitals[i]);
        rate(&night, arena);
        return night;
}

static size_t only_sleep(const struct day_vital *vitals, size_t count, struct day_vital *sleep)
{
        size_t found = 0;

        for (size_t i = 0; i < count; i++)
                if (vitals[i].event->event_subtype == VITAL_SUBTYPE_SLEEP)
                        sleep[found++] = vitals[i];
        return found;
}

static bool is_first_of_source(const struct day_vital *vitals, size_t i)
{
        for (size_t j = 0; j < i; j++)
                if (cm_str_equal(vitals[j].event->source, vitals[i].event->source))
                        return false;
        return true;
}

bool day_sleep(const struct day_vital *vitals, size_t count, struct cm_arena *arena,
               struct day_sleep *sleep_r)
{
        struct day_vital *sleep = cm_arena_array(arena, count + 1, sizeof(*sleep));
        struct night best = { .stages = -1 };

        count = only_sleep(vitals, count, sleep);
        for (size_t i = 0; i < count; i++) {
                struct night night;

                if (!is_first_of_source(sleep, i))
                        continue;
                night = night_of(sleep, count, sleep[i].event->source, arena);
                if (best.stages < 0 || is_better(&night, &best))
                        best = night;
        }
        if (best.stages < 0 || best.minutes <= 0)
                return false;
        describe(&best, sleep_r);
        return true;
}
