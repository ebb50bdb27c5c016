#include "replies/replies.h"

static const char *const weekdays[] = { "Sunday",   "Monday", "Tuesday", "Wednesday",
                                        "Thursday", "Friday", "Saturday" };
static const char *const months[] = { "January",   "February", "March",    "April",
                                      "May",       "June",     "July",     "August",
                                      "September", "October",  "November", "December" };

static void hello(struct cm_buf *out)
{
        cm_buf_add_str(out,
                       CM_STR("Hello! How are you today? You can tell me how you slept or feel, "
                              "log exercise, or ask how your week was."));
}

static void thanks(struct cm_buf *out)
{
        cm_buf_add_str(out, CM_STR("You're welcome."));
}

static void help(struct cm_buf *out)
{
        cm_buf_add_str(
                out,
                CM_STR("I'm the built-in companion: I understand simple sentences. For example:\n"
                       "• \"I slept badly and feel anxious\"\n"
                       "• \"did 3 sets of 10 squats with 60 kg\"\n"
                       "• \"how was my week?\"\n"
                       "• \"remember that I am allergic to penicillin\", \"what am I allergic "
                       "to?\", "
                       "\"forget that\"\n"
                       "• \"remind me every weekday at 8 to take my meds\", \"I took my meds\""));
}

static void not_understood(struct cm_buf *out)
{
        cm_buf_add_str(out,
                       CM_STR("I did not understand that, and nothing was recorded. I can record "
                              "sleep, mood, symptoms, medicines and exercise, sum up your day or "
                              "week, remember things, and set reminders. Write \"help\" for "
                              "examples."));
}

static void failed(struct cm_buf *out, enum reply_failure failure)
{
        static const char *const texts[] = {
                [REPLY_NOT_SAVED] = "I could not confirm that this was saved. Please check in a "
                                    "moment, or tell me again.",
                [REPLY_NOT_READ] = "I cannot look that up right now. Please ask again in a moment.",
                [REPLY_NOT_FORGOTTEN] = "I could not confirm that it was forgotten. Please ask me "
                                        "again in a moment.",
        };

        cm_buf_printf(out, "%s", texts[failure]);
}

/* ---- facts */

static void duration(struct cm_buf *out, double minutes)
{
        int whole = (int)(minutes + 0.5);

        if (whole < 60)
                cm_buf_printf(out, "%d min", whole);
        else if (whole % 60 == 0)
                cm_buf_printf(out, "%d h", whole / 60);
        else
                cm_buf_printf(out, "%d h %d min", whole / 60, whole % 60);
}

static void seconds(struct cm_buf *out, double value)
{
        int whole = (int)(value + 0.5);

        if (whole % 60 == 0)
                duration(out, whole / 60.0);
        else if (whole < 60)
                cm_buf_printf(out, "%d s", whole);
        else
                cm_buf_printf(out, "%d min %d s", whole / 60, whole % 60);
}

static void exercise(struct cm_buf *out, const struct exercise_entry *entry)
{
        cm_buf_add_str(out, entry->exercise->name_en);
        if (entry->sets && entry->repetitions)
                cm_buf_printf(out, ", %d × %d", entry->sets, entry->repetitions);
        else if (entry->repetitions)
                cm_buf_printf(out, ", %d repetition%s", entry->repetitions,
                              entry->repetitions == 1 ? "" : "s");
        else if (entry->sets)
                cm_buf_printf(out, ", %d set%s", entry->sets, entry->sets == 1 ? "" : "s");
        if (entry->weight > 0) {
                cm_buf_add_str(out, CM_STR(", "));
                reply_number(out, entry->weight);
                cm_buf_printf(out, " %s", entry->weight_is_lb ? "lb" : "kg");
        }
        if (entry->distance > 0) {
                cm_buf_add_str(out, CM_STR(", "));
                reply_number(out, entry->distance);
                cm_buf_printf(out, " %s", entry->distance_unit);
        }
        if (entry->duration_s > 0) {
                cm_buf_add_str(out, CM_STR(", "));
                seconds(out, entry->duration_s);
        }
}

static void one_fact(struct cm_buf *out, const struct fact *fact)
{
        switch (fact->kind) {
        case FACT_SLEEP:
                cm_buf_printf(out, "a %s night", fact->is_good ? "good" : "bad");
                break;
        case FACT_MOOD:
                cm_buf_printf(out, "feeling %.*s", CM_STR_ARG(fact->word));
                break;
        case FACT_SYMPTOM:
                cm_buf_printf(out, "%.*s", CM_STR_ARG(fact->word));
                break;
        case FACT_DOSE:
                cm_buf_printf(out, "%s",
                              fact->is_good ? "your medicine as taken"
                                            : "your medicine as not taken");
                if (fact->dose_unit) {
                        cm_buf_add_str(out, CM_STR(", "));
                        reply_number(out, fact->dose);
                        cm_buf_printf(out, " %s", fact->dose_unit->en);
                }
                break;
        case FACT_EXERCISE:
        default:
                exercise(out, &fact->exercise);
        }
}

/* A sentence from the person's own week, when there is one that fits. */
static void own_data(struct cm_buf *out, const struct fact *fact, const struct week_summary *week)
{
        if (!week)
                return;
        if (fact->kind == FACT_SLEEP && week->has_sleep == CM_PRESENT && week->sleep.nights > 0) {
                cm_buf_printf(out, " Your last %d recorded night%s averaged ",
                              (int)week->sleep.nights, week->sleep.nights == 1 ? "" : "s");
                duration(out, week->sleep.average_minutes);
                cm_buf_add_char(out, '.');
        } else if (fact->kind == FACT_EXERCISE && week->has_workouts == CM_PRESENT &&
                   week->workouts.count > 0) {
                cm_buf_printf(out, " Before this you had %d workout%s recorded this week.",
                              (int)week->workouts.count, week->workouts.count == 1 ? "" : "s");
        }
}

static void facts(struct cm_buf *out, const struct fact *items, size_t count,
                  const struct planner_context *context)
{
        bool is_low = false;

        cm_buf_printf(out, "%s", items[0].is_correction ? "Corrected: " : "I noted ");
        for (size_t i = 0; i < count; i++) {
                if (i)
                        cm_buf_printf(out, i + 1 == count ? " and " : ", ");
                one_fact(out, &items[i]);
                is_low = is_low || (items[i].kind == FACT_MOOD && items[i].valence < -0.4);
        }
        if (items[0].days_ago)
                cm_buf_printf(out, items[0].days_ago == 1 ? ", yesterday" : ", %d days ago",
                              items[0].days_ago);
        cm_buf_add_char(out, '.');
        for (size_t i = 0; i < count; i++)
                if (items[i].is_avoided) {
                        cm_buf_add_str(out, CM_STR(" It is on your list of exercises to avoid."));
                        break;
                }
        if (reply_is_short(context))
                return;
        own_data(out, &items[0], context->week);
        if (is_low)
                cm_buf_add_str(out, CM_STR(" I'm sorry it's like that. If you'd like to say more "
                                           "about it, I'm here."));
}

static void taken_back(struct cm_buf *out, size_t count, bool reminder_stays)
{
        if (count == 1)
                cm_buf_add_str(out, CM_STR("Taken back: the entry no longer counts."));
        else
                cm_buf_printf(out, "Taken back: %zu entries no longer count.", count);
        if (reminder_stays)
                cm_buf_add_str(out, CM_STR(" The reminder stays confirmed."));
}

static void ask_record(struct cm_buf *out)
{
        cm_buf_add_str(out, CM_STR("I'm not sure which entry you mean, so I have changed nothing. "
                                   "I can correct or take back what my last answer recorded."));
}

static void goals(struct cm_buf *out, const struct context_preferences *wishes)
{
        size_t count = wishes ? wishes->goals.count : 0;

        if (!count) {
                cm_buf_add_str(out, CM_STR("You have told me no goals. You can set them in your "
                                           "profile."));
                return;
        }
        cm_buf_add_str(out, CM_STR("Your goals: "));
        for (size_t i = 0; i < count; i++)
                cm_buf_printf(out, "%s%.*s", i ? "; " : "", CM_STR_ARG(wishes->goals.items[i]));
        cm_buf_add_char(out, '.');
}

static void ask_exercise(struct cm_buf *out, const struct exercise_entry *entry)
{
        const char *what = entry->exercise->kind == EXERCISE_DISTANCE ? "How far, or for how long?"
                           : entry->exercise->kind == EXERCISE_TIME   ? "For how long?"
                                                                      : "How many?";

        cm_buf_printf(
                out,
                "I'm not sure how to log %.*s, so I have not. %s You can write it like \"%s\".",
                CM_STR_ARG(entry->exercise->name_en), what,
                entry->exercise->kind == EXERCISE_DISTANCE ? "ran 5 km in 25 minutes"
                : entry->exercise->kind == EXERCISE_TIME   ? "plank for 60 seconds"
                                                           : "3 sets of 10 squats with 60 kg");
}

/* ---- summaries */

static void symptoms(struct cm_buf *out, const struct week_summary *summary)
{
        if (summary->has_symptoms != CM_PRESENT || !summary->symptoms.count)
                return;
        cm_buf_add_str(out, CM_STR("\n• Symptoms: "));
        for (size_t i = 0; i < summary->symptoms.count && i < 5; i++)
                cm_buf_printf(out, "%s%.*s", i ? ", " : "",
                              CM_STR_ARG(summary->symptoms.items[i].symptom));
}

static void lines(struct cm_buf *out, const struct week_summary *summary, bool is_day)
{
        if (summary->has_sleep == CM_PRESENT && summary->sleep.nights > 0) {
                cm_buf_add_str(out, CM_STR("\n• Sleep: "));
                duration(out, summary->sleep.average_minutes);
                if (!is_day)
                        cm_buf_printf(out, " on average over %d night%s",
                                      (int)summary->sleep.nights,
                                      summary->sleep.nights == 1 ? "" : "s");
        }
        if (summary->has_mood == CM_PRESENT && summary->mood.count > 0)
                cm_buf_printf(out, "\n• Mood: %.*s%s", CM_STR_ARG(summary->mood.latest),
                              summary->mood.count > 1 ? " most recently" : "");
        if (summary->has_workouts == CM_PRESENT && summary->workouts.count > 0) {
                cm_buf_printf(out, "\n• Workouts: %d", (int)summary->workouts.count);
                if (summary->workouts.has_total_minutes == CM_PRESENT) {
                        cm_buf_add_str(out, CM_STR(", "));
                        duration(out, summary->workouts.total_minutes);
                }
        }
        if (summary->has_average_steps == CM_PRESENT)
                cm_buf_printf(out, "\n• Steps: %.0f%s", summary->average_steps,
                              is_day ? "" : " a day on average");
        if (summary->has_doses == CM_PRESENT &&
            summary->doses.taken + summary->doses.skipped + summary->doses.missed > 0) {
                cm_buf_printf(out, "\n• Medicines: %d taken", (int)summary->doses.taken);
                if (summary->doses.skipped + summary->doses.missed > 0)
                        cm_buf_printf(out, ", %d not taken",
                                      (int)(summary->doses.skipped + summary->doses.missed));
        }
        symptoms(out, summary);
}

static void summary(struct cm_buf *out, const struct week_summary *it, bool is_day, int ago)
{
        const char *when = is_day     ? ago == 0   ? "Today"
                                        : ago == 1 ? "Yesterday"
                                                   : "That day"
                           : ago == 0 ? "Your last seven days"
                                      : "The week before";
        size_t start;

        if (it->days_with_entries == 0) {
                cm_buf_printf(out, "%s: nothing is recorded, so there is nothing I can sum up.",
                              when);
                return;
        }
        cm_buf_printf(out, "%s", when);
        if (!is_day)
                cm_buf_printf(out, " (%d with entries)", (int)it->days_with_entries);
        cm_buf_add_char(out, ':');
        start = out->len;
        lines(out, it, is_day);
        if (out->len == start)
                cm_buf_add_str(out, CM_STR(" there are entries, but none of sleep, mood, exercise, "
                                           "steps, medicines or symptoms."));
}

/* ---- memory */

static void remembered(struct cm_buf *out, struct cm_str text)
{
        cm_buf_printf(out, "I'll remember: \"%.*s\".", CM_STR_ARG(text));
}

static void recalled(struct cm_buf *out, const struct memory_notes *notes,
                     const struct cm_zone *zone)
{
        for (size_t i = 0; i < notes->items.count; i++) {
                const struct memory_note *note = &notes->items.items[i];
                int year, month, day;

                cm_date_to_civil(cm_zone_date(zone, note->remembered_at), &year, &month, &day);
                cm_buf_printf(out, "%sYou told me on %d %s %d: \"%.*s\".", i ? "\n" : "", day,
                              months[month - 1], year, CM_STR_ARG(note->text));
        }
}

static void nothing_recalled(struct cm_buf *out)
{
        cm_buf_add_str(out, CM_STR("I don't remember anything about that. You can tell me, for "
                                   "example: \"remember that …\"."));
}

static void forgotten(struct cm_buf *out, bool was_there)
{
        cm_buf_printf(out, "%s", was_there ? "Forgotten." : "It was not there any more.");
}

static void ask_forget(struct cm_buf *out, const struct memory_notes *notes)
{
        if (!notes || !notes->items.count) {
                cm_buf_add_str(out,
                               CM_STR("I'm not sure what to forget, so I have forgotten nothing. "
                                      "Tell me what it is about: \"forget that …\"."));
                return;
        }
        cm_buf_add_str(out,
                       CM_STR("Several things could be meant, so I have forgotten nothing. Say "
                              "more exactly which:"));
        for (size_t i = 0; i < notes->items.count; i++)
                cm_buf_printf(out, "\n• %.*s", CM_STR_ARG(notes->items.items[i].text));
}

/* ---- reminders */

static void days(struct cm_buf *out, unsigned bits)
{
        size_t count = 0;

        if (bits == 0 || bits == 0x7f) {
                cm_buf_add_str(out, CM_STR("every day"));
                return;
        }
        if (bits == 0x3e || bits == 0x1f) {
                cm_buf_printf(out, "every weekday (%s)",
                              bits == 0x3e ? "Monday to Friday" : "Sunday to Thursday");
                return;
        }
        for (int day = 0; day < 7; day++)
                if (bits & 1U << day)
                        cm_buf_printf(out, "%s%s", count++ ? ", " : "every ", weekdays[day]);
}

static void instant(struct cm_buf *out, cm_time at, const struct planner_context *context)
{
        struct reply_clock clock = reply_clock(at, context);

        if (clock.days_from_today == 0)
                cm_buf_add_str(out, CM_STR("today"));
        else if (clock.days_from_today == 1)
                cm_buf_add_str(out, CM_STR("tomorrow"));
        else
                cm_buf_printf(out, "on %s, %d %s", weekdays[clock.weekday], clock.day,
                              months[clock.month - 1]);
        cm_buf_printf(out, " at %02d:%02d", clock.hour, clock.minute);
}

static void schedule(struct cm_buf *out, const struct reminder *reminder,
                     const struct planner_context *context)
{
        struct reply_cron cron;
        int minutes = reply_every_minutes(reminder->schedule);
        cm_time at;

        if (reply_cron_read(reminder->schedule, &cron)) {
                days(out, cron.days);
                cm_buf_printf(out, " at %02d:%02d", cron.hour, cron.minute);
        } else if (minutes) {
                cm_buf_add_str(out, CM_STR("every "));
                duration(out, minutes);
        } else if (cm_str_starts(reminder->schedule, CM_STR("@at ")) &&
                   cm_time_parse((struct cm_str){ reminder->schedule.data + 4,
                                                  reminder->schedule.len - 4 },
                                 &at, NULL)) {
                instant(out, at, context);
        } else {
                cm_buf_printf(out, "by its schedule (%.*s)", CM_STR_ARG(reminder->schedule));
        }
}

static void reminder_set(struct cm_buf *out, const struct reminder *reminder,
                         const struct planner_context *context)
{
        cm_buf_add_str(out, CM_STR("I'll remind you "));
        schedule(out, reminder, context);
        cm_buf_printf(out, ": %.*s.", CM_STR_ARG(reminder->text));
}

static void ask_reminder_time(struct cm_buf *out, struct cm_str text)
{
        cm_buf_printf(
                out,
                "When shall I remind you of \"%.*s\"? For example: \"remind me every day at 8 "
                "to %.*s\".",
                CM_STR_ARG(text), CM_STR_ARG(text));
}

static void ask_reminder_text(struct cm_buf *out)
{
        cm_buf_add_str(out,
                       CM_STR("What shall I remind you of? For example: \"remind me tomorrow at "
                              "9 to call the clinic\"."));
}

static void list(struct cm_buf *out, const struct reminder_list *reminders,
                 const struct planner_context *context)
{
        for (size_t i = 0; i < reminders->items.count; i++) {
                cm_buf_printf(out, "\n• %.*s: ", CM_STR_ARG(reminders->items.items[i].text));
                schedule(out, &reminders->items.items[i], context);
        }
}

static void reminders(struct cm_buf *out, const struct reminder_list *items,
                      const struct planner_context *context)
{
        if (!items->items.count) {
                cm_buf_add_str(out, CM_STR("You have no reminders."));
                return;
        }
        cm_buf_add_str(out, CM_STR("Your reminders:"));
        list(out, items, context);
}

static void reminder_cancelled(struct cm_buf *out, struct cm_str text)
{
        cm_buf_printf(out, "The reminder is cancelled: %.*s.", CM_STR_ARG(text));
}

static void reminder_confirmed(struct cm_buf *out, struct cm_str text)
{
        cm_buf_printf(out, " The reminder is confirmed: %.*s.", CM_STR_ARG(text));
}

static void ask_cancel(struct cm_buf *out, const struct reminder_list *items,
                       const struct planner_context *context)
{
        if (!items->items.count) {
                cm_buf_add_str(out, CM_STR("You have no reminders that could be cancelled."));
                return;
        }
        cm_buf_add_str(out,
                       CM_STR("Which one? I have cancelled none yet. Say \"cancel the reminder "
                              "to …\" with words of it:"));
        list(out, items, context);
}

const struct replies replies_en = {
        .hello = hello,
        .thanks = thanks,
        .help = help,
        .not_understood = not_understood,
        .failed = failed,
        .facts = facts,
        .taken_back = taken_back,
        .ask_record = ask_record,
        .goals = goals,
        .ask_exercise = ask_exercise,
        .summary = summary,
        .remembered = remembered,
        .recalled = recalled,
        .nothing_recalled = nothing_recalled,
        .forgotten = forgotten,
        .ask_forget = ask_forget,
        .reminder_set = reminder_set,
        .ask_reminder_time = ask_reminder_time,
        .ask_reminder_text = ask_reminder_text,
        .reminders = reminders,
        .reminder_cancelled = reminder_cancelled,
        .reminder_confirmed = reminder_confirmed,
        .ask_cancel = ask_cancel,
};
