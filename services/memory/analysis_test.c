#include "analysis.h"

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

#include "hebrew.h"
#include "slot_rules.h"
#include "term_table.h"

static struct analyser *analyser;
static struct cm_arena arena;

static struct analysis look(const char *text)
{
        struct analysis analysis;

        assert_int_equal(analyse(analyser, cm_str_from(text), &arena, &analysis), 0);
        return analysis;
}

static void test_words_and_roles(void **state CM_UNUSED)
{
        /* The words that are content, by |. */
        static const char *const rows[][2] = {
                { "I am allergic to penicillin", "allergic|penicillin" },
                { "What's DAN'S name?", "dan|name" },
                { "don’t", "dont" },
                { "אני אלרגי לפניצילין", "אלרגי|לפניצילינ" },
                { "והוא שאני בבית", "בבית" },
                { "Who am I?", "who|am|i" },
                { "אֲנִי שָׁלוֹם", "שלומ" },
                { "צה\"ל ק״ג", "צהל|קג" },
                { "3.5 km", "3.5|km" },
                { "...", "" },
        };

        for (size_t i = 0; i < CM_COUNT(rows); i++) {
                struct analysis text = look(rows[i][0]);
                struct cm_buf all = { 0 };
                size_t content = 0;

                for (size_t t = 0; t < text.count; t++) {
                        if (text.tokens[t].role != TOKEN_CONTENT &&
                            !(text.content == text.count && text.count == 1))
                                continue;
                        cm_buf_printf(&all, "%s%.*s", content++ ? "|" : "",
                                      CM_STR_ARG(text.tokens[t].word));
                }
                assert_string_equal(all.len ? all.data : "", rows[i][1]);
                assert_int_equal(text.content, content);
                cm_buf_deinit(&all);
        }
}

static bool share_a_form(const char *a, const char *b)
{
        struct analysis x = look(a), y = look(b);

        assert_int_equal(x.count, 1);
        assert_int_equal(y.count, 1);
        for (size_t i = 0; i < x.tokens[0].variant_count; i++)
                for (size_t j = 0; j < y.tokens[0].variant_count; j++)
                        if (x.tokens[0].variants[i].term == y.tokens[0].variants[j].term)
                                return true;
        return false;
}

static void test_forms(void **state CM_UNUSED)
{
        static const struct {
                const char *a, *b;
                bool meet;
        } rows[] = {
                { "running", "runs", true },       { "knees", "knee", true },
                { "allergic", "allergies", true }, /* lexicon */
                { "allergic", "אלרגית", true },    { "הבית", "בית", true },
                { "וכשהגעתי", "הגעתי", true },     { "לפניצילין", "penicillin", true },
                { "השינה", "sleep", true },        { "ילדים", "ילד", true },
                { "חברות", "חברה", true },         { "שולחן", "מחשב", false },
                { "dog", "cat", false },           { "Straße", "STRASSE", true },
                { "café", "cafe", true },          { "5", "6", false },
        };

        for (size_t i = 0; i < CM_COUNT(rows); i++)
                if (share_a_form(rows[i].a, rows[i].b) != rows[i].meet)
                        fail_msg("%s and %s", rows[i].a, rows[i].b);
}

static void test_hebrew(void **state CM_UNUSED)
{
        static const char *const cores[][2] = {
                { "הבית", "בית" }, { "בית", "בית" }, { "ושבבית", "בית" },
                { "יד", "יד" },    { "ביד", "ביד" }, { "כלב", "כלב" },
                { "הכלב", "כלב" }, { "", "" },       { "abc", "abc" },
        };
        static const char *const stems[][2] = {
                { "אלרגית", "אלרג" }, { "אלרגי", "אלרג" }, { "כאבימ", "כאב" },
                { "שנה", "שנ" },      { "שנימ", "שנ" },    { "יד", "יד" },
        };
        char word[] = "שלוםך";

        for (size_t i = 0; i < CM_COUNT(cores); i++)
                assert_true(cm_str_equal(hebrew_core(cm_str_from(cores[i][0])),
                                         cm_str_from(cores[i][1])));
        for (size_t i = 0; i < CM_COUNT(stems); i++)
                assert_true(cm_str_equal(hebrew_stem(cm_str_from(stems[i][0])),
                                         cm_str_from(stems[i][1])));
        assert_int_equal(hebrew_normalise(word, strlen(word)), strlen(word));
        assert_string_equal(word, "שלומכ");
}

static void test_what_says_the_same(void **state CM_UNUSED)
{
        static const struct {
                const char *a, *b;
                bool same;
        } rows[] = {
                { "I am allergic to penicillin", "I'm allergic to penicillin!", true },
                { "I am allergic to penicillin", "penicillin allergy", true },
                { "I am allergic to penicillin", "אני אלרגי לפניצילין", true },
                { "I am allergic to penicillin", "I am not allergic to penicillin", false },
                { "אני אלרגי לאגוזים", "אני לא אלרגי לאגוזים", false },
                { "I weigh 80 kg", "I weigh 81 kg", false },
                { "I like dogs", "I like cats", false },
        };

        for (size_t i = 0; i < CM_COUNT(rows); i++)
                if ((look(rows[i].a).fingerprint == look(rows[i].b).fingerprint) != rows[i].same)
                        fail_msg("%s / %s", rows[i].a, rows[i].b);
        assert_int_equal(look("...").fingerprint, 0);
}

static void test_same_text_and_language(void **state CM_UNUSED)
{
        static const char *const rows[][2] = {
                { "  I am\n\nallergic. ", "i am allergic" },
                { "שָׁלוֹם!!", "שלום" },
                { "I like C++", "i like c++" },
                { "!!!", "!!!" },
        };
        struct analysis text;

        for (size_t i = 0; i < CM_COUNT(rows); i++) {
                text = look(rows[i][0]);
                assert_true(
                        cm_str_equal(analysis_same_text(&text, &arena), cm_str_from(rows[i][1])));
        }
        text = look("אני לוקח metformin כל יום");
        assert_string_equal(analysis_language(&text).data, "he");
        text = look("I take metformin");
        assert_string_equal(analysis_language(&text).data, "und");
        assert_int_not_equal(analyse(analyser, CM_STR("\xff"), &arena, &text), 0);
}

static void test_slots(void **state CM_UNUSED)
{
        static const char *const rows[][2] = {
                { "My name is Dana", "name" },
                { "Well, my name is Dana.", "name" },
                { "my name is not Dana", NULL },
                { "What is my name?", NULL },
                { "Is it true that my name is long", NULL },
                { "My name is", NULL },
                { "קוראים לי דנה", "name" },
                { "שְׁמִי דנה", "name" },
                { "I weigh 80.5 kg", "weight" },
                { "I weigh a lot", NULL },
                { "I am 34 years old", "age" },
                { "אני בן 34", "age" },
                { "אני בן אדם", NULL },
                { "אני גר בחיפה", "home" },
                { "אני גר ב", NULL },
                { "I live in Haifa", "home" },
                { "I am allergic to nuts", NULL },
                { "", NULL },
        };

        for (size_t i = 0; i < CM_COUNT(rows); i++) {
                struct analysis text = look(rows[i][0]);
                struct cm_str slot = slot_find(&text);

                if (!cm_str_equal(slot, cm_str_from(rows[i][1])) ||
                    (slot.data == NULL) != (rows[i][1] == NULL))
                        fail_msg("%s: %.*s", rows[i][0], CM_STR_ARG(slot));
        }
}

/* Against a plain array; terms that collide in their place, many removals. */
static void test_term_table(void **state CM_UNUSED)
{
        static uint32_t values[512];
        struct term_table table = { 0 };
        size_t count = 0;
        uint64_t random = 1;

        assert_int_equal(term_table_get(&table, 5), TERM_TABLE_NONE);
        term_table_remove(&table, 5);
        for (int step = 0; step < 50000; step++) {
                random = random * UINT64_C(6364136223846793005) + 1442695040888963407U;
                size_t key = random >> 40 & 511;
                uint64_t term = key << 3; /* eight times as likely to meet */

                if (random >> 60 & 1) {
                        count += !values[key];
                        values[key] = (uint32_t)step + 1;
                        term_table_put(&table, term, values[key]);
                } else {
                        count -= !!values[key];
                        values[key] = 0;
                        term_table_remove(&table, term);
                }
                assert_int_equal(table.count, count);
        }
        for (size_t key = 0; key < 512; key++)
                assert_int_equal(term_table_get(&table, key << 3),
                                 values[key] ? values[key] : TERM_TABLE_NONE);
        term_table_deinit(&table);
}

static int setup(void **state CM_UNUSED)
{
        cm_arena_init(&arena, 4096);
        return analyser_new(&analyser);
}

static int teardown(void **state CM_UNUSED)
{
        analyser_free(&analyser);
        cm_arena_deinit(&arena);
        return 0;
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_words_and_roles),
                cmocka_unit_test(test_forms),
                cmocka_unit_test(test_hebrew),
                cmocka_unit_test(test_what_says_the_same),
                cmocka_unit_test(test_same_text_and_language),
                cmocka_unit_test(test_slots),
                cmocka_unit_test(test_term_table),
        };

        return cmocka_run_group_tests(tests, setup, teardown);
}
