#include "help.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include "data.h"

static struct help *help;

static int setup(void **state CM_UNUSED)
{
        const char *error = NULL;

        help = help_new(chat_table(CHAT_TABLE_HELP), chat_table(CHAT_TABLE_HELP_COUNTRIES), &error);
        if (!help)
                print_error("%s\n", error);
        return help ? 0 : -1;
}

static int teardown(void **state CM_UNUSED)
{
        help_free(&help);
        return 0;
}

static void test_country(void **state CM_UNUSED)
{
        static const struct {
                const char *zone, *tag, *country;
        } rows[] = {
                { "Asia/Jerusalem", "en", "IL" },   { "Asia/Tel_Aviv", "he", "IL" },
                { "America/New_York", "he", "US" }, { "Europe/London", "en-US", "GB" },
                { "Etc/UTC", "en-GB", "GB" },       { "Etc/UTC", "en", "*" },
                { "Asia/Tokyo", "ja-JP", "*" },     { "Mars/Olympus", "", "*" },
                { "Pacific/Auckland", "en", "NZ" }, { "Etc/UTC", "zh-Hant-US", "US" },
        };

        for (size_t i = 0; i < CM_COUNT(rows); i++) {
                struct cm_str country =
                        help_country(help, cm_str_from(rows[i].zone), cm_str_from(rows[i].tag));

                if (!cm_str_equal(country, cm_str_from(rows[i].country)))
                        fail_msg("%s %s: %.*s", rows[i].zone, rows[i].tag, CM_STR_ARG(country));
        }
}

static struct cm_str text_of(struct cm_arena *arena, const char *country,
                             enum chat_language language, enum chat_crisis_level level)
{
        const struct chat_crisis crisis = { .level = level };

        return help_text(help, arena, cm_str_from(country), language, &crisis);
}

static void test_text(void **state CM_UNUSED)
{
        struct cm_arena arena;
        struct cm_str text;

        cm_arena_init(&arena, 4096);
        text = text_of(&arena, "IL", CHAT_LANGUAGE_HE, CHAT_CRISIS_LOW);
        assert_non_null(strstr(text.data, "1201"));
        assert_non_null(strstr(text.data, "101"));
        assert_null(strstr(text.data, "988"));
        text = text_of(&arena, "US", CHAT_LANGUAGE_EN, CHAT_CRISIS_LOW);
        assert_non_null(strstr(text.data, "988"));
        assert_null(strstr(text.data, "1201"));
        assert_null(strstr(text.data, "in danger right now"));
        text = text_of(&arena, "US", CHAT_LANGUAGE_EN, CHAT_CRISIS_CRITICAL);
        assert_ptr_equal(strstr(text.data, "If you are in danger right now"), text.data);
        text = text_of(&arena, "*", CHAT_LANGUAGE_HE, CHAT_CRISIS_LOW);
        assert_non_null(strstr(text.data, "findahelpline.com"));
        /* A country that only has rows in English gets them, whatever the language. */
        text = text_of(&arena, "DE", CHAT_LANGUAGE_HE, CHAT_CRISIS_LOW);
        assert_non_null(strstr(text.data, "0800 111 0 111"));
        /* Nobody stays without help. */
        text = text_of(&arena, "ZZ", CHAT_LANGUAGE_UNKNOWN, CHAT_CRISIS_LOW);
        assert_non_null(strstr(text.data, "findahelpline.com"));
        cm_arena_deinit(&arena);
}

static void test_somebody_else(void **state CM_UNUSED)
{
        const struct chat_crisis crisis = { .level = CHAT_CRISIS_MODERATE, .is_of_another = true };
        struct cm_arena arena;
        struct cm_str text;

        cm_arena_init(&arena, 4096);
        text = help_text(help, &arena, CM_STR("GB"), CHAT_LANGUAGE_EN, &crisis);
        assert_non_null(strstr(text.data, "looking out for them"));
        assert_non_null(strstr(text.data, "116 123"));
        assert_null(strstr(text.data, "Are you safe"));
        cm_arena_deinit(&arena);
}

static cm_time oldest(const char *first, const char *second, size_t *never)
{
        struct cm_arena text;
        const char *error = NULL;
        struct help *it;
        cm_time found;

        cm_arena_init(&text, 1024);
        it = help_new(cm_arena_printf(&text,
                                      "*\tcrisis\ten\tA\tcall\t24/7\ten\thttps://a.example\t%s\n"
                                      "*\tcrisis\the\tA\tcall\t24/7\ten\thttps://a.example\t%s\n",
                                      first, second),
                      CM_STR(""), &error);
        assert_non_null(it);
        found = help_oldest_check(it, never);
        help_free(&it);
        cm_arena_deinit(&text);
        return found;
}

static void test_oldest_check(void **state CM_UNUSED)
{
        size_t never;

        assert_int_equal(oldest("1970-01-03", "2026-11-29", &never), 2 * CM_DAY);
        assert_int_equal(never, 0);
        assert_int_equal(oldest("2026-11-29", "-", &never), 0);
        assert_int_equal(never, 1);
}

/* Each country has a crisis line and an emergency number. */
static void test_table(void **state CM_UNUSED)
{
        struct cm_str table = chat_table(CHAT_TABLE_HELP), line, country;
        size_t countries = 0;
        struct cm_arena arena;

        cm_arena_init(&arena, 4096);
        while (cm_str_split(&table, '\n', &line)) {
                bool crisis = false, emergency = false;
                const struct help_resource **items;
                size_t count;

                if (!line.len || line.data[0] == '#' || !cm_str_split(&line, '\t', &country))
                        continue;
                items = help_resources(help, &arena, country, CHAT_LANGUAGE_EN, &count);
                for (size_t i = 0; i < count; i++) {
                        assert_true(cm_str_starts(items[i]->source, CM_STR("https://")));
                        crisis = crisis || cm_str_equal(items[i]->kind, CM_STR("crisis"));
                        emergency = emergency || cm_str_equal(items[i]->kind, CM_STR("emergency"));
                }
                assert_true(crisis && emergency);
                countries++;
        }
        assert_true(countries > 20);
        cm_arena_deinit(&arena);
}

static void test_wrong_tables(void **state CM_UNUSED)
{
        const char *error = NULL;

        assert_null(help_new(CM_STR("US\tcrisis"), CM_STR(""), &error));
        assert_non_null(error);
        assert_null(help_new(CM_STR(""), CM_STR(""), &error));
        assert_null(help_new(chat_table(CHAT_TABLE_HELP), CM_STR("US"), &error));
        assert_null(help_new(CM_STR("*\tcrisis\ten\ta\tb\tc\td\te\t-\n"), CM_STR(""), &error));
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_country),       cmocka_unit_test(test_text),
                cmocka_unit_test(test_somebody_else), cmocka_unit_test(test_oldest_check),
                cmocka_unit_test(test_table),         cmocka_unit_test(test_wrong_tables),
        };

        return cmocka_run_group_tests(tests, setup, teardown);
}
