#include <math.h>
#include <stdlib.h>

#include "codec/text.h"
#include "phrases/numbers.h"
#include "rules_internal.h"

/* Facts of a message: sleep, mood, symptoms, doses and exercise; each becomes a call. */

static bool is_negated(const struct chat_text *text, const struct phrase_range *range, bool inside)
{
        static const char *const no[] = { "not",   "no",    "dont",    "didnt",  "never", "isnt",
                                          "arent", "wasnt", "without", "havent", "hasnt", "לא",
                                          "בלי",   "אינ",   "hardly",  NULL };
        size_t first = range->first > 0 ? range->first - 1 : 0;

        for (size_t i = first; i <= range->last; i++)
                if ((i < range->first || inside) && chat_word_in(&text->words[i], no) &&
                    !(i + 1 == range->first &&
                      text->words[range->first].breaks & (CHAT_BREAK_COMMA | CHAT_BREAK_SENTENCE)))
                        return true;
        return false;
}

static struct fact *add_fact(struct planner_run *run, enum fact_kind kind)
{
        struct fact *fact;

        if (run->fact_count == REPLY_FACTS || run->call_count == RULES_CALLS)
                return NULL;
        fact = &run->facts[run->fact_count];
        *fact = (struct fact){ .kind = kind };
        run->fact_calls[run->fact_count++] = run->call_count;
        return fact;
}

static bool has_word(const struct planner_run *run, enum fact_kind kind, struct cm_str word)
{
        for (size_t i = 0; i < run->fact_count; i++)
                if (run->facts[i].kind == kind && cm_str_equal(run->facts[i].word, word))
                        return true;
        return false;
}

static bool has_kind(const struct planner_run *run, enum fact_kind kind)
{
        for (size_t i = 0; i < run->fact_count; i++)
                if (run->facts[i].kind == kind)
                        return true;
        return false;
}

static void add_sleep(struct planner_run *run, const struct phrase_match *match)
{
        struct record_sleep_arguments *arguments =
                CM_ARENA_NEW(run->arena, struct record_sleep_arguments);
        struct fact *fact = has_kind(run, FACT_SLEEP) ? NULL : add_fact(run, FACT_SLEEP);

        if (!fact)
                return;
        fact->is_good = cm_str_equal(match->columns[1], CM_STR("good"));
        arguments->quality = fact->is_good ? SLEEP_QUALITY_GOOD : SLEEP_QUALITY_BAD;
        rules_add_call(run, CHAT_TOOL_RECORD_SLEEP, arguments);
}

/* The person's own word, unless it is only the end of one ("stressed out", "on edge"). */
static struct cm_str mood_word(const struct planner_run *run, const struct phrase_match *match)
{
        static const char *const ends[] = { "out", "edge", "pressure", "ease", "נפשי", NULL };
        const struct chat_text *text = run->input->message;

        if (chat_word_in(&text->words[match->range.last], ends))
                return match->columns[1];
        return chat_text_span(text, match->range.last, match->range.last);
}

static void add_mood(struct planner_run *run, const struct phrase_match *match)
{
        struct record_mood_arguments *arguments =
                CM_ARENA_NEW(run->arena, struct record_mood_arguments);
        struct cm_str word = mood_word(run, match);
        struct fact *fact;

        if (has_word(run, FACT_MOOD, word) ||
            is_negated(run->input->message, &match->range, true) ||
            !(fact = add_fact(run, FACT_MOOD)))
                return;
        fact->word = word;
        fact->valence = strtod(cm_arena_str(run->arena, match->columns[2]).data, NULL);
        arguments->mood = fact->word;
        arguments->has_valence = CM_PRESENT;
        arguments->valence = fact->valence;
        rules_add_call(run, CHAT_TOOL_RECORD_MOOD, arguments);
}

static void add_symptom(struct planner_run *run, const struct phrase_match *match)
{
        struct record_symptom_arguments *arguments =
                CM_ARENA_NEW(run->arena, struct record_symptom_arguments);
        struct cm_str *word = CM_ARENA_NEW(run->arena, struct cm_str);
        struct fact *fact;

        if (has_word(run, FACT_SYMPTOM, match->columns[1]) ||
            is_negated(run->input->message, &match->range, false) ||
            !(fact = add_fact(run, FACT_SYMPTOM)))
                return;
        fact->word = *word = match->columns[1];
        arguments->symptoms.items = word;
        arguments->symptoms.count = 1;
        rules_add_call(run, CHAT_TOOL_RECORD_SYMPTOM, arguments);
}

/* The reminder that waits for a confirmation, when there is exactly one. */
static const struct reminder *due_reminder(const struct planner_run *run)
{
        const struct reminder_list *list = run->input->context.reminders;
        const struct reminder *due = NULL;

        for (size_t i = 0; list && i < list->items.count; i++) {
                if (list->items.items[i].state != REMINDER_STATE_DUE)
                        continue;
                if (due)
                        return NULL;
                due = &list->items.items[i];
        }
        return due;
}

/* "I took my insulin" does not answer a reminder of Metformin. */
static bool is_of_another(const struct planner_run *run, const struct phrase_match *match,
                          const struct reminder *reminder)
{
        static const char *const kinds[] = { "vitamin",     "vitamins", "insulin",     "antibiotic",
                                             "antibiotics", "inhaler",  "injection",   "ויטמינ",
                                             "ויטמינימ",    "הוויטמינ", "הוויטמינימ",  "אינסולינ",
                                             "זריקה",       "הזריקה",   "אנטיביוטיקה", NULL };
        const struct chat_word *said = &run->input->message->words[match->range.last];
        const struct cm_str texts[] = { reminder->text, reminder->medication_name };
        struct chat_text other;

        if (!chat_word_in(said, kinds))
                return false;
        for (size_t i = 0; i < CM_COUNT(texts); i++)
                if (texts[i].len && chat_text_read(run->arena, texts[i], &other))
                        for (size_t j = 0; j < other.count; j++)
                                if (cm_str_equal(other.words[j].text, said->text))
                                        return false;
        return true;
}

static void add_dose(struct planner_run *run, const struct phrase_match *match)
{
        struct record_dose_arguments *arguments =
                CM_ARENA_NEW(run->arena, struct record_dose_arguments);
        struct confirm_reminder_arguments *confirm =
                CM_ARENA_NEW(run->arena, struct confirm_reminder_arguments);
        bool is_taken = cm_str_equal(match->columns[1], CM_STR("taken"));
        const struct reminder *due = is_taken ? due_reminder(run) : NULL;
        struct fact *fact;

        if ((is_taken && is_negated(run->input->message, &match->range, false)) ||
            has_kind(run, FACT_DOSE) || !(fact = add_fact(run, FACT_DOSE)))
                return;
        if (due && is_of_another(run, match, due))
                due = NULL;
        fact->is_good = is_taken;
        arguments->status = is_taken ? DOSE_STATUS_TAKEN : DOSE_STATUS_SKIPPED;
        if (due) {
                arguments->has_reminder_id = CM_PRESENT;
                arguments->reminder_id = due->reminder_id;
                arguments->has_name = due->has_medication_name;
                arguments->name = due->medication_name;
        }
        if (dose_find(run->input->message, &fact->dose, &fact->dose_unit)) {
                arguments->has_dose = CM_PRESENT;
                arguments->dose =
                        (struct quantity){ fact->dose, cm_str_from(fact->dose_unit->ucum) };
        }
        rules_add_call(run, CHAT_TOOL_RECORD_DOSE, arguments);
        if (!due)
                return;
        confirm->reminder_id = due->reminder_id;
        run->text = due->text;
        rules_add_call(run, CHAT_TOOL_CONFIRM_REMINDER, confirm);
}

/* ---- exercise */

static void set_amounts(struct log_exercise_arguments *to, const struct exercise_entry *from)
{
        to->exercise = from->exercise->id;
        to->exercise_name = from->name;
        to->has_sets = from->sets ? CM_PRESENT : CM_ABSENT;
        to->sets = from->sets;
        to->has_repetitions = from->repetitions ? CM_PRESENT : CM_ABSENT;
        to->repetitions = from->repetitions;
        to->has_weight = to->has_weight_unit = from->weight > 0 ? CM_PRESENT : CM_ABSENT;
        to->weight = from->weight;
        to->weight_unit = from->weight_is_lb ? WEIGHT_UNIT_LB : WEIGHT_UNIT_KG;
        to->has_duration_seconds = from->duration_s >= 1 ? CM_PRESENT : CM_ABSENT;
        to->duration_seconds = (int64_t)llround(from->duration_s);
        to->has_distance = to->has_distance_unit = from->distance > 0 ? CM_PRESENT : CM_ABSENT;
        to->distance = from->distance;
        to->distance_unit =
                cm_schema_enum_value(&distance_unit_schema, cm_str_from(from->distance_unit));
        to->has_rpe = from->rpe >= 1 ? CM_PRESENT : CM_ABSENT;
        to->rpe = from->rpe;
}

static void get_amounts(struct exercise_entry *to, const struct log_exercise_arguments *from)
{
        const char *unit = from->has_distance_unit == CM_PRESENT
                                   ? cm_schema_enum_name(&distance_unit_schema, from->distance_unit)
                                   : "";

        to->name = from->exercise_name;
        to->sets = from->has_sets == CM_PRESENT ? (int)from->sets : 0;
        to->repetitions = from->has_repetitions == CM_PRESENT ? (int)from->repetitions : 0;
        to->weight = from->has_weight == CM_PRESENT ? from->weight : 0;
        to->weight_is_lb =
                from->has_weight_unit == CM_PRESENT && from->weight_unit == WEIGHT_UNIT_LB;
        to->duration_s =
                from->has_duration_seconds == CM_PRESENT ? (double)from->duration_seconds : 0;
        to->distance = from->has_distance == CM_PRESENT ? from->distance : 0;
        to->rpe = from->has_rpe == CM_PRESENT ? from->rpe : 0;
        to->weight_has_unit = true;
        for (size_t i = 0; i + 1 < sizeof(to->distance_unit) && unit[i]; i++)
                to->distance_unit[i] = unit[i];
}

/* The person's unit, where none is said. */
static bool is_in_pounds(const struct planner_run *run, const struct exercise_entry *entry)
{
        const struct user_context *wishes = run->input->context.wishes;

        return entry->weight_is_lb ||
               (!entry->weight_has_unit && wishes && wishes->preferences.has_units == CM_PRESENT &&
                wishes->preferences.units == CONTEXT_UNITS_IMPERIAL);
}

/* Folded, it is one of the exercise's names. */
static bool is_avoided(const struct planner_run *run, const struct exercise *exercise)
{
        const struct user_context *wishes = run->input->context.wishes;
        const struct cm_str names[] = { exercise->id, exercise->name_en, exercise->name_he };

        for (size_t i = 0; wishes && i < wishes->preferences.avoided_exercises.count; i++) {
                struct cm_str wish =
                        cm_text_fold(run->arena, wishes->preferences.avoided_exercises.items[i]);

                for (size_t j = 0; j < CM_COUNT(names); j++)
                        if (cm_str_equal(wish, cm_text_fold(run->arena, names[j])))
                                return true;
        }
        return false;
}

static void add_exercise(struct planner_run *run, const struct exercise_entry *entry, int days_ago,
                         const struct cm_uuid *corrects)
{
        struct log_exercise_arguments *arguments =
                CM_ARENA_NEW(run->arena, struct log_exercise_arguments);
        struct fact *fact = add_fact(run, FACT_EXERCISE);

        if (!fact)
                return;
        fact->exercise = *entry;
        fact->exercise.weight_is_lb = is_in_pounds(run, entry);
        fact->is_avoided = is_avoided(run, entry->exercise);
        fact->days_ago = days_ago;
        fact->is_correction = corrects != NULL;
        set_amounts(arguments, &fact->exercise);
        arguments->has_days_ago = days_ago ? CM_PRESENT : CM_ABSENT;
        arguments->days_ago = days_ago;
        if (corrects) {
                arguments->has_corrects = CM_PRESENT;
                arguments->corrects = *corrects;
        }
        rules_add_call(run, CHAT_TOOL_LOG_EXERCISE, arguments);
}

/* What was logged last in this conversation; NULL when the last reply logged nothing. */
static const struct log_exercise_arguments *last_logged(const struct planner_run *run,
                                                        const struct record_result **result_r)
{
        const struct planner_input *input = run->input;
        const struct planner_message *last = NULL;

        for (size_t i = input->recent_count; i > 0 && !last; i--)
                last = input->recent[i - 1].is_from_person ? NULL : &input->recent[i - 1];
        for (size_t i = last ? last->round_count : 0; i > 0; i--)
                for (size_t j = last->rounds[i - 1].count; j > 0; j--) {
                        const struct planner_round *round = &last->rounds[i - 1];

                        if (round->calls[j - 1].tool != CHAT_TOOL_LOG_EXERCISE ||
                            round->results[j - 1].status != CHAT_RESULT_DONE)
                                continue;
                        *result_r = round->results[j - 1].decoded;
                        return round->calls[j - 1].decoded;
                }
        return NULL;
}

bool rules_exercise_of(const struct planner_run *run, const struct log_exercise_arguments *logged,
                       struct exercise_entry *entry_r)
{
        *entry_r = (struct exercise_entry){ .exercise = exercise_find(run->rules->exercises,
                                                                      logged->exercise) };
        if (!entry_r->exercise)
                return false;
        get_amounts(entry_r, logged);
        return true;
}

static bool add_correction(struct planner_run *run)
{
        const struct record_result *result = NULL;
        const struct log_exercise_arguments *logged = last_logged(run, &result);
        struct exercise_entry entry = { 0 };

        if (!logged || !rules_exercise_of(run, logged, &entry) ||
            !exercise_correct(run->arena, run->input->message, &entry))
                return false;
        add_exercise(run, &entry, logged->has_days_ago == CM_PRESENT ? (int)logged->days_ago : 0,
                     &result->event_id);
        return true;
}

static void add_phrases(struct planner_run *run)
{
        struct phrase_match match = { 0 };
        size_t place = 0;

        while (phrases_next(run->rules->intents, run->input->message, &place, &match)) {
                struct cm_str name = match.columns[0];

                if (cm_str_equal(name, CM_STR("sleep")))
                        add_sleep(run, &match);
                else if (cm_str_equal(name, CM_STR("mood")))
                        add_mood(run, &match);
                else if (cm_str_equal(name, CM_STR("symptom")))
                        add_symptom(run, &match);
                else if (cm_str_equal(name, CM_STR("dose")))
                        add_dose(run, &match);
        }
}

bool rules_find_facts(struct planner_run *run)
{
        struct exercise_report *report;

        if (run->input->message->is_question)
                return false;
        report = CM_ARENA_NEW(run->arena, struct exercise_report);
        exercise_parse(run->rules->exercises, run->arena, run->input->message, report);
        if (report->verdict == EXERCISE_LOG)
                for (size_t i = 0; i < report->count; i++)
                        add_exercise(run, &report->entries[i], report->days_ago, NULL);
        add_phrases(run);
        rules_correct_same(run);
        if (run->fact_count || add_correction(run) || rules_correct_dose(run)) {
                run->intent = INTENT_FACTS;
                return true;
        }
        if (report->verdict != EXERCISE_ASK)
                return false;
        run->intent = INTENT_ASK_EXERCISE;
        run->facts[0].exercise = report->entries[0];
        return true;
}
