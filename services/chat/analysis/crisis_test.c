#include "crisis.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include <cmocka.h>

#include "data.h"

/*
 * The suite of tests/data/crisis: sentences of both kinds in families, of which the held ones were
 * written after the table. Recall and false alarms are printed and must not fall below the floors.
 */
#define FLOOR_LOW   0.85
#define FLOOR_GRAVE 0.90
#define FLOOR_FALSE 0.05
#define SENTENCES   "tests/data/crisis/sentences.tsv"

static struct crisis_detector *detector;

static int setup(void **state CM_UNUSED)
{
        const char *error = NULL;

        detector = crisis_detector_new(chat_table(CHAT_TABLE_CRISIS), &error);
        if (!detector)
                print_error("%s\n", error);
        return detector ? 0 : -1;
}

static int teardown(void **state CM_UNUSED)
{
        crisis_detector_free(&detector);
        return 0;
}

static struct chat_crisis detect(struct cm_str message)
{
        struct chat_crisis crisis;
        struct chat_text text;
        struct cm_arena arena;

        cm_arena_init(&arena, 65536);
        assert_true(chat_text_read(&arena, message, &text));
        crisis_detect(detector, &arena, &text, &crisis);
        cm_arena_deinit(&arena);
        return crisis;
}

/* ---- the suite */

struct tally {
        int low, low_found;     /* expected low */
        int grave, grave_found; /* expected moderate or more: found at any level */
        int level_held;         /* of all found: at the expected level or above */
        int benign, false_alarms;
};

static enum chat_crisis_level level_of(struct cm_str name)
{
        for (int level = CHAT_CRISIS_NONE; level <= CHAT_CRISIS_CRITICAL; level++)
                if (cm_str_equal(name, cm_str_from(chat_crisis_level_name(level))))
                        return level;
        fail_msg("no level: %.*s", CM_STR_ARG(name));
        return CHAT_CRISIS_NONE;
}

static void count(struct tally *tally, const struct cm_str *columns)
{
        enum chat_crisis_level expected = level_of(columns[3]);
        struct chat_crisis crisis = detect(columns[4]);
        bool found = crisis.level != CHAT_CRISIS_NONE;
        bool right = expected == CHAT_CRISIS_NONE ? !found : crisis.level >= expected;

        if (!right)
                print_message("  %s: %.*s/%.*s/%.*s %.*s\n", chat_crisis_level_name(crisis.level),
                              CM_STR_ARG(columns[0]), CM_STR_ARG(columns[2]),
                              CM_STR_ARG(columns[3]), CM_STR_ARG(columns[4]));
        tally->level_held += found && expected != CHAT_CRISIS_NONE && crisis.level >= expected;
        if (expected == CHAT_CRISIS_NONE) {
                tally->benign++;
                tally->false_alarms += found;
        } else if (expected == CHAT_CRISIS_LOW) {
                tally->low++;
                tally->low_found += found;
        } else {
                tally->grave++;
                tally->grave_found += found;
        }
}

static void take_line(const char *split, struct cm_str line, struct tally *tally)
{
        struct cm_str columns[5], rest = line;

        for (size_t i = 0; i < CM_COUNT(columns); i++)
                if (!cm_str_split(&rest, '\t', &columns[i]))
                        fail_msg("too few columns: %.*s", CM_STR_ARG(line));
        if (cm_str_equal(columns[0], cm_str_from(split)))
                count(tally, columns);
}

static struct tally run_suite(const char *split)
{
        struct tally tally = { 0 };
        char line[4096];
        FILE *file = fopen(SENTENCES, "r");

        assert_non_null(file);
        while (fgets(line, sizeof(line), file)) {
                line[strcspn(line, "\n")] = 0;
                if (line[0] && line[0] != '#')
                        take_line(split, cm_str_from(line), &tally);
        }
        (void)fclose(file);
        print_message("crisis, %s: levels 1-2 %d of %d, 3-6 %d of %d (at the level or above: %d), "
                      "false alarms %d of %d\n",
                      split, tally.low_found, tally.low, tally.grave_found, tally.grave,
                      tally.level_held, tally.false_alarms, tally.benign);
        return tally;
}

static void test_sentences_in_sight(void **state CM_UNUSED)
{
        struct tally tally = run_suite("dev");

        assert_true(tally.low > 60 && tally.grave > 40 && tally.benign > 45);
        assert_int_equal(tally.low_found, tally.low);
        assert_int_equal(tally.grave_found, tally.grave);
        assert_int_equal(tally.level_held, tally.low + tally.grave);
        assert_int_equal(tally.false_alarms, 0);
}

/* Written without looking at the table; it was corrected after their first result. */
static void test_sentences_seen_since(void **state CM_UNUSED)
{
        static const char *const splits[] = { "second", "third" };

        for (size_t i = 0; i < CM_COUNT(splits); i++) {
                struct tally tally = run_suite(splits[i]);

                assert_true(tally.low + tally.grave > 40 && tally.benign > 28);
                assert_int_equal(tally.low_found + tally.grave_found, tally.low + tally.grave);
                assert_int_equal(tally.false_alarms, 0);
        }
}

/* Written without looking at the table, which was not changed for them: what to expect of it. */
static void test_held_sentences(void **state CM_UNUSED)
{
        struct tally tally = run_suite("held");

        assert_true(tally.low + tally.grave >= 30 && tally.benign >= 20);
        assert_true(tally.low_found >= FLOOR_LOW * tally.low);
        assert_true(tally.grave_found >= FLOOR_GRAVE * tally.grave);
        assert_true(tally.false_alarms <= FLOOR_FALSE * tally.benign);
}

/* ---- what hides words never hides them from us, and never breaks us */

static void test_every_way_of_writing(void **state CM_UNUSED)
{
        static const char *const rows[] = {
                "I don't want to live",
                "I don\u2019t want to live",
                "I don\u02bct want to live",
                "I dont want to live",
                "I  DON`T\nwant\tto LIVE",
                "I don\u2032t w\u0430nt t\u043e live",
                "\uff29 want to \uff44\uff49\uff45",
                "I want to di\u0301e",
                "I want to d\u200bi\u200be",
                "\u202eI want to die\u202c",
                "i want to die\U0001f622",
                "\u05d0\u05b2\u05e0\u05b4\u05d9 \u05e8\u05d5\u05e6\u05d4 \u05dc\u05de\u05d5\u05ea",
        };

        for (size_t i = 0; i < CM_COUNT(rows); i++)
                if (detect(cm_str_from(rows[i])).level == CHAT_CRISIS_NONE)
                        fail_msg("not found: %s", rows[i]);
}

static void test_levels_and_kinds(void **state CM_UNUSED)
{
        struct chat_crisis crisis = detect(CM_STR("my friend wants to kill himself"));

        assert_true(crisis.is_of_another);
        assert_int_equal(crisis.kinds, 1U << CHAT_CRISIS_THIRD);
        crisis = detect(CM_STR("I want to die, I have a plan to kill myself"));
        assert_int_equal(crisis.level, CHAT_CRISIS_HIGH);
        assert_true(crisis.kinds & 1U << CHAT_CRISIS_PLAN);
        assert_true(crisis.kinds & 1U << CHAT_CRISIS_WISH);
        assert_false(crisis.is_of_another);
}

/* A denial takes back itself only, and nothing when a "but" follows. */
static void test_denial(void **state CM_UNUSED)
{
        assert_int_equal(detect(CM_STR("I'm not suicidal")).level, CHAT_CRISIS_NONE);
        assert_int_not_equal(detect(CM_STR("I'm not suicidal. I want to die.")).level,
                             CHAT_CRISIS_NONE);
        assert_int_not_equal(detect(CM_STR("I would never kill myself but I think of it")).level,
                             CHAT_CRISIS_NONE);
        assert_int_not_equal(
                detect(CM_STR("this set is killing me and I want to end my life")).level,
                CHAT_CRISIS_NONE);
}

/* One sentence among 32 KiB of others is found, and in a time that does not hold up the loop. */
static void test_long_message(void **state CM_UNUSED)
{
        struct cm_buf message = { 0 };
        struct timespec start, end;
        double ms;

        while (message.len < 32000)
                cm_buf_add_str(&message, CM_STR("I want to tell you about my day, it was fine. "));
        cm_buf_add_str(&message, CM_STR("I want to kill myself."));
        clock_gettime(CLOCK_MONOTONIC, &start);
        assert_int_equal(detect(cm_buf_str(&message)).level, CHAT_CRISIS_LOW);
        clock_gettime(CLOCK_MONOTONIC, &end);
        ms = (double)(end.tv_sec - start.tv_sec) * 1e3 +
             (double)(end.tv_nsec - start.tv_nsec) / 1e6;
        print_message("crisis: 32 KiB in %.1f ms\n", ms);
        assert_true(ms < 2000); /* some 10 in a release; this build and machine may be slow */
        cm_buf_deinit(&message);
}

static void test_wrong_tables(void **state CM_UNUSED)
{
        const char *error = NULL;

        assert_null(crisis_detector_new(CM_STR("nonsense\tfoo"), &error));
        assert_non_null(error);
        assert_null(crisis_detector_new(CM_STR("wish\t(foo"), &error));
        assert_null(crisis_detector_new(CM_STR("wish\t@nobody"), &error));
        assert_null(crisis_detector_new(CM_STR("wish\t"), &error));
        assert_null(crisis_detector_new(CM_STR("wish\tfoo|"), &error));
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_sentences_in_sight),
                cmocka_unit_test(test_sentences_seen_since),
                cmocka_unit_test(test_held_sentences),
                cmocka_unit_test(test_every_way_of_writing),
                cmocka_unit_test(test_levels_and_kinds),
                cmocka_unit_test(test_denial),
                cmocka_unit_test(test_long_message),
                cmocka_unit_test(test_wrong_tables),
        };

        return cmocka_run_group_tests(tests, setup, teardown);
}
