#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "data.h"
#include "exercise_parse.h"

/*
 * Phrases made from the templates of tests/data/exercise, each with many fillings: a phrase is
 * right when the verdict and every slot are. Templates are held out, not fillings.
 */
#define TEMPLATES "tests/data/exercise/templates.tsv"
#define FILLINGS  60

static const struct {
        const char *id, *en, *he;
} repeated[] = {
        { "squat", "squats", "סקוואטים" },
        { "push_up", "push-ups", "שכיבות סמיכה" },
        { "pull_up", "pull ups", "מתח" },
        { "lunge", "lunges", "מכרעים" },
        { "deadlift", "deadlifts", "דדליפט" },
        { "bench_press", "bench press", "לחיצות חזה" },
        { "biceps_curl", "bicep curls", "כפיפות מרפק" },
        { "burpee", "burpees", "בורפיז" },
        { "crunch", "crunches", "כפיפות בטן" },
        { "row", "barbell rows", "חתירות" },
};
static const int counts[] = { 5, 6, 8, 10, 12, 15, 20 };
static const double weights[] = { 20, 42.5, 60, 62.5, 80, 100 };
static const double distances[] = { 3, 5, 7.5, 10 };

struct filling {
        size_t exercise;
        int sets, reps, seconds, minutes;
        double weight, distance;
};

struct expected {
        const char *id;
        int sets, reps;
        double weight, duration, distance;
        bool is_lb;
};

static struct exercise_lexicon *lexicon;

static int setup(void **state CM_UNUSED)
{
        const char *error = NULL;

        lexicon = exercise_lexicon_new(chat_table(CHAT_TABLE_EXERCISES), &error);
        return lexicon ? 0 : -1;
}

static int teardown(void **state CM_UNUSED)
{
        exercise_lexicon_free(&lexicon);
        return 0;
}

/* Different ones for each number, the same in each run. */
static struct filling filling_of(unsigned number)
{
        return (struct filling){ .exercise = number % CM_COUNT(repeated),
                                 .sets = 2 + (int)(number / 3 % 4),
                                 .reps = counts[number / 2 % CM_COUNT(counts)],
                                 .seconds = 30 + 15 * (int)(number % 5),
                                 .minutes = 20 + (int)(number % 30),
                                 .weight = weights[number / 5 % CM_COUNT(weights)],
                                 .distance = distances[number / 7 % CM_COUNT(distances)] };
}

static void fill(struct cm_buf *out, char slot, const struct filling *with,
                 struct expected *expected)
{
        switch (slot) {
        case 'S':
                cm_buf_printf(out, "%d", expected->sets = with->sets);
                break;
        case 'R':
                cm_buf_printf(out, "%d", expected->reps = with->reps);
                break;
        case 'W':
        case 'B':
                expected->is_lb = slot == 'B';
                cm_buf_printf(out, "%g", expected->weight = with->weight);
                break;
        case 'K':
                expected->id = "running";
                cm_buf_printf(out, "%g", expected->distance = with->distance);
                break;
        case 'M':
                expected->duration = with->minutes * 60;
                cm_buf_printf(out, "%d", with->minutes);
                break;
        case 'T':
                expected->id = "plank";
                expected->duration = with->seconds;
                cm_buf_printf(out, "%d", with->seconds);
                break;
        case 'P':
        case 'p':
                cm_buf_printf(out, "%s", slot == 'P' ? "plank" : "פלאנק");
                break;
        default:
                expected->id = repeated[with->exercise].id;
                cm_buf_printf(out, "%s",
                              slot == 'E' ? repeated[with->exercise].en
                                          : repeated[with->exercise].he);
        }
}

static struct expected make(struct cm_buf *out, struct cm_str pattern, const struct filling *with)
{
        struct expected expected = { .id = "squat" };

        for (size_t i = 0; i < pattern.len; i++) {
                if (pattern.data[i] != '{') {
                        cm_buf_add_char(out, pattern.data[i]);
                        continue;
                }
                fill(out, pattern.data[i + 1], with, &expected);
                i += 2;
        }
        return expected;
}

static bool is_right(const struct exercise_report *report, struct cm_str verdict,
                     const struct expected *expected)
{
        const struct exercise_entry *entry = &report->entries[0];

        if (cm_str_equal(verdict, CM_STR("none")))
                return report->verdict == EXERCISE_NONE;
        if (cm_str_equal(verdict, CM_STR("ask")))
                return report->verdict == EXERCISE_ASK;
        return report->verdict == EXERCISE_LOG && report->count == 1 &&
               cm_str_equal(entry->exercise->id, cm_str_from(expected->id)) &&
               entry->sets == expected->sets && entry->repetitions == expected->reps &&
               fabs(entry->weight - expected->weight) < 1e-9 &&
               entry->weight_is_lb == expected->is_lb &&
               fabs(entry->duration_s - expected->duration) < 1e-9 &&
               fabs(entry->distance - expected->distance) < 1e-9;
}

struct tally {
        int phrases, right, wrong_logs, templates;
};

static void try_template(struct cm_str verdict, struct cm_str pattern, struct tally *tally)
{
        bool shown = false;

        tally->templates++;
        for (unsigned i = 0; i < FILLINGS; i++) {
                struct filling with = filling_of(i * 13 + (unsigned)tally->templates);
                struct exercise_report report;
                struct expected expected;
                struct cm_buf phrase = { 0 };
                struct chat_text text;
                struct cm_arena arena;
                bool right;

                cm_arena_init(&arena, 65536);
                expected = make(&phrase, pattern, &with);
                assert_true(chat_text_read(&arena, cm_buf_str(&phrase), &text));
                exercise_parse(lexicon, &arena, &text, &report);
                right = is_right(&report, verdict, &expected);
                tally->phrases++;
                tally->right += right;
                tally->wrong_logs += !right && report.verdict == EXERCISE_LOG;
                if (!right && !shown)
                        print_message("  %s: %s\n",
                                      (const char *const[]){ "none", "log", "ask" }[report.verdict],
                                      phrase.data);
                shown = shown || !right;
                cm_buf_deinit(&phrase);
                cm_arena_deinit(&arena);
        }
}

static struct tally run(const char *split)
{
        struct tally tally = { 0 };
        char line[1024];
        FILE *file = fopen(TEMPLATES, "r");

        assert_non_null(file);
        while (fgets(line, sizeof(line), file)) {
                struct cm_str rest, name, verdict;

                line[strcspn(line, "\n")] = 0;
                rest = cm_str_from(line);
                if (line[0] != '#' && cm_str_split(&rest, '\t', &name) &&
                    cm_str_split(&rest, '\t', &verdict) && cm_str_equal(name, cm_str_from(split)))
                        try_template(verdict, rest, &tally);
        }
        (void)fclose(file);
        print_message(
                "exercise, %s: %d templates, %d phrases, all slots right %.4f, wrong logs %.4f\n",
                split, tally.templates, tally.phrases, (double)tally.right / tally.phrases,
                (double)tally.wrong_logs / tally.phrases);
        return tally;
}

static void test_templates_in_sight(void **state CM_UNUSED)
{
        struct tally tally = run("dev");

        assert_true(tally.templates >= 30);
        assert_int_equal(tally.right, tally.phrases);
}

static void test_held_templates(void **state CM_UNUSED)
{
        struct tally tally = run("held");

        assert_true(tally.templates >= 25);
        assert_true(tally.right >= 0.985 * tally.phrases);
        assert_true(tally.wrong_logs <= 0.001 * tally.phrases);
}

int main(void)
{
        const struct CMUnitTest tests[] = { cmocka_unit_test(test_templates_in_sight),
                                            cmocka_unit_test(test_held_templates) };

        return cmocka_run_group_tests(tests, setup, teardown);
}
