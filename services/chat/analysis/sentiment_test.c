#include "sentiment.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "data.h"

static struct sentiment *sentiment;

static int setup(void **state CM_UNUSED)
{
        const char *error = NULL;

        sentiment = sentiment_new(chat_table(CHAT_TABLE_SENTIMENT), &error);
        if (!sentiment)
                print_error("%s\n", error);
        return sentiment ? 0 : -1;
}

static int teardown(void **state CM_UNUSED)
{
        sentiment_free(&sentiment);
        return 0;
}

static double score(const char *text)
{
        struct cm_arena arena;
        struct chat_text read;
        double result = 0;

        cm_arena_init(&arena, 16384);
        if (chat_text_read(&arena, cm_str_from(text), &read))
                result = sentiment_score(sentiment, &read);
        cm_arena_deinit(&arena);
        return result;
}

static void test_direction(void **state CM_UNUSED)
{
        assert_true(score("I love this, it is wonderful") > 0.5);
        assert_true(score("this is terrible and I hate it") < -0.5);
        assert_true(score("not good") < 0 && score("not bad") > 0);
        assert_true(score("very good") > score("good") && score("good") > score("slightly good"));
        assert_true(score("אני שמח מאוד") > 0.3);
        assert_true(score("אני עצובה ולחוצה") < -0.3);
        assert_true(score("לא טוב") < 0);
        assert_true(score("ok \xf0\x9f\x98\x8a") > score("ok"));
        assert_true(score("hmm :(") < 0);
        assert_true(score("the table is made of wood") == 0);
        assert_true(score("") == 0);
}

static FILE *open_real(const char *name)
{
        const char *folder = getenv("SALUS_REALDATA");
        char path[512];
        FILE *file;

        (void)snprintf(path, sizeof(path), "%s/memory/%s", folder ? folder : "../shared/realdata",
                       name);
        file = fopen(path, "r");
        if (!file)
                print_message("skipped: SALUS_REALDATA names no folder with memory/%s\n", name);
        return file;
}

/* Rated tweets: correlation with the mean of twenty people, and three classes. */
static void test_english(void **state CM_UNUSED)
{
        FILE *file = open_real("sentiment-en/tweets_GroundTruth.txt");
        double n = 0, sx = 0, sy = 0, sxx = 0, syy = 0, sxy = 0, right = 0, r;
        char line[8192];

        if (!file)
                skip();
        while (fgets(line, sizeof(line), file)) {
                char *rated = strchr(line, '\t'), *text = rated ? strchr(rated + 1, '\t') : NULL;
                double x, y;

                if (!text)
                        continue;
                text[1 + strcspn(text + 1, "\r\n")] = 0;
                y = strtod(rated + 1, NULL) / 4;
                x = score(text + 1);
                n++;
                sx += x;
                sy += y;
                sxx += x * x;
                syy += y * y;
                sxy += x * y;
                right += (x > 0.05) - (x < -0.05) == (y > 0.0125) - (y < -0.0125);
        }
        (void)fclose(file);
        r = (n * sxy - sx * sy) / sqrt((n * sxx - sx * sx) * (n * syy - sy * sy));
        print_message("sentiment, English: %.0f tweets, r %.3f, three classes right %.3f\n", n, r,
                      right / n);
        assert_true(n > 4000 && r >= 0.80 && right / n >= 0.75);
}

/* Comments labelled 0 positive, 1 negative, 2 off topic; the two that have a direction. */
static void test_hebrew(void **state CM_UNUSED)
{
        FILE *file = open_real("sentiment-he/token_train.tsv");
        double n = 0, right = 0, said = 0;
        char line[65536];

        if (!file)
                skip();
        while (fgets(line, sizeof(line), file)) {
                char *label = strrchr(line, '\t');
                double x;

                if (!label || (label[1] != '0' && label[1] != '1'))
                        continue;
                *label = 0;
                x = score(line);
                n++;
                said += x != 0;
                right += label[1] == '0' ? x > 0 : x < 0;
        }
        (void)fclose(file);
        print_message(
                "sentiment, Hebrew: %.0f comments, direction right %.3f (of those with one %.3f)\n",
                n, right / n, right / said);
        assert_true(n > 5000 && right / n >= 0.58);
}

static void test_wrong_tables(void **state CM_UNUSED)
{
        const char *error = NULL;

        assert_null(sentiment_new(CM_STR("word\t9\tx"), &error));
        assert_null(sentiment_new(CM_STR("verb\t1\tx"), &error));
        assert_null(sentiment_new(CM_STR("word\t1"), &error));
        assert_non_null(error);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_direction),
                cmocka_unit_test(test_english),
                cmocka_unit_test(test_hebrew),
                cmocka_unit_test(test_wrong_tables),
        };

        return cmocka_run_group_tests(tests, setup, teardown);
}
