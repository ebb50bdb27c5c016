#include "week_rules.h"

static void add_sleep(struct week_summary *week, const struct day_summary *day)
{
        double minutes = day->sleep.total_duration;
        struct week_sleep *sleep = &week->sleep;

        if (day->has_sleep != CM_PRESENT)
                return;
        if (!sleep->nights || minutes < sleep->shortest_minutes)
                sleep->shortest_minutes = minutes;
        if (!sleep->nights || minutes > sleep->longest_minutes)
                sleep->longest_minutes = minutes;
        sleep->average_minutes += (minutes - sleep->average_minutes) / (double)(sleep->nights + 1);
        sleep->nights++;
        week->has_sleep = sleep->has_shortest_minutes = sleep->has_longest_minutes = CM_PRESENT;
}

/* Days come oldest first: the last word is the newest. Means count each entry once. */
static void add_mood(struct week_summary *week, const struct day_summary *day, int64_t *valued)
{
        struct week_mood *mood = &week->mood;

        if (day->has_mood != CM_PRESENT)
                return;
        week->has_mood = CM_PRESENT;
        mood->count += day->mood.count;
        mood->latest = day->mood.latest;
        if (day->mood.has_average_valence != CM_PRESENT)
                return;
        *valued += day->mood.count;
        mood->has_average_valence = CM_PRESENT;
        mood->average_valence += (day->mood.average_valence - mood->average_valence) *
                                 (double)day->mood.count / (double)*valued;
}

static void add_workouts(struct week_summary *week, const struct day_summary *day)
{
        for (size_t i = 0; i < day->workouts.count; i++) {
                const struct day_workout *workout = &day->workouts.items[i];

                week->has_workouts = CM_PRESENT;
                week->workouts.count++;
                if (workout->has_duration == CM_PRESENT) {
                        week->workouts.has_total_minutes = CM_PRESENT;
                        week->workouts.total_minutes += workout->duration;
                } else if (workout->has_exercise == CM_PRESENT &&
                           workout->exercise.has_duration_seconds == CM_PRESENT) {
                        week->workouts.has_total_minutes = CM_PRESENT;
                        week->workouts.total_minutes +=
                                (double)workout->exercise.duration_seconds / 60.0;
                }
        }
}

static void add_doses(struct week_summary *week, const struct day_summary *day)
{
        if (!(day->doses.taken + day->doses.skipped + day->doses.missed))
                return;
        week->has_doses = CM_PRESENT;
        week->doses.taken += day->doses.taken;
        week->doses.skipped += day->doses.skipped;
        week->doses.missed += day->doses.missed;
}

static struct day_symptom *symptom_of(struct week_summary *week, struct cm_str name)
{
        for (size_t i = 0; i < week->symptoms.count; i++)
                if (cm_str_equal(week->symptoms.items[i].symptom, name))
                        return &week->symptoms.items[i];
        week->symptoms.items[week->symptoms.count] = (struct day_symptom){ .symptom = name };
        return &week->symptoms.items[week->symptoms.count++];
}

static void add_symptoms(struct week_summary *week, const struct day_summary *day)
{
        for (size_t i = 0; i < day->symptoms.count; i++) {
                const struct day_symptom *from = &day->symptoms.items[i];
                struct day_symptom *to = symptom_of(week, from->symptom);

                week->has_symptoms = CM_PRESENT;
                to->count += from->count;
                if (from->has_worst_severity != CM_PRESENT)
                        continue;
                if (to->has_worst_severity != CM_PRESENT ||
                    from->worst_severity > to->worst_severity)
                        to->worst_severity = from->worst_severity;
                to->has_worst_severity = CM_PRESENT;
        }
}

static void add_steps(struct week_summary *week, const struct day_summary *day, int64_t *days)
{
        if (day->activity.has_steps != CM_PRESENT)
                return;
        (*days)++;
        week->has_average_steps = CM_PRESENT;
        week->average_steps += (day->activity.steps - week->average_steps) / (double)*days;
}

void week_rules_sum(struct cm_arena *arena, const struct day_summary *days, size_t count,
                    struct week_summary *week_r)
{
        size_t symptoms = 1;
        int64_t valued = 0, walked = 0;

        *week_r = (struct week_summary){ 0 };
        for (size_t i = 0; i < count; i++)
                symptoms += days[i].symptoms.count;
        week_r->symptoms.items = cm_arena_array(arena, symptoms, sizeof(*week_r->symptoms.items));
        for (size_t i = 0; i < count; i++) {
                week_r->days_with_entries += days[i].counts.count > 0;
                add_sleep(week_r, &days[i]);
                add_mood(week_r, &days[i], &valued);
                add_workouts(week_r, &days[i]);
                add_doses(week_r, &days[i]);
                add_symptoms(week_r, &days[i]);
                add_steps(week_r, &days[i], &walked);
        }
        if (week_r->symptoms.count > 200)
                week_r->symptoms.count = 200;
        if (count) {
                week_r->from_date = days[0].date;
                week_r->to_date = days[count - 1].date;
        }
}
