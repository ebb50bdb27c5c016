#include "language.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include "phrases/numbers.h"
#include "phrases/phrase.h"

static struct cm_arena arena;

static int setup(void **state CM_UNUSED)
{
        cm_arena_init(&arena, 16384);
        return 0;
}

static int teardown(void **state CM_UNUSED)
{
        cm_arena_deinit(&arena);
        return 0;
}

static struct chat_text read(const char *message)
{
        struct chat_text text;

        assert_true(chat_text_read(&arena, cm_str_from(message), &text));
        return text;
}

static void test_languages(void **state CM_UNUSED)
{
        static const struct {
                const char *message, *language;
                enum chat_language reply;
        } rows[] = {
                { "hello there", "en", CHAT_LANGUAGE_EN },
                { "שלום לך", "he", CHAT_LANGUAGE_HE },
                { "עשיתי 3x10 squats", "mixed", CHAT_LANGUAGE_HE },
                { "I said שלום to my whole family", "mixed", CHAT_LANGUAGE_EN },
                { "123 !!", "und", CHAT_LANGUAGE_UNKNOWN },
                { "", "und", CHAT_LANGUAGE_UNKNOWN },
                { "\u05e9\u05b8\u05dc\u05d5\u05b9\u05dd", "he", CHAT_LANGUAGE_HE },
        };

        for (size_t i = 0; i < CM_COUNT(rows); i++) {
                struct chat_text text = read(rows[i].message);

                assert_string_equal(chat_language_name(text.language), rows[i].language);
                assert_int_equal(text.reply, rows[i].reply);
        }
}

static void test_words(void **state CM_UNUSED)
{
        static const struct {
                const char *message, *words;
        } rows[] = {
                { "Don\u2019t STOP.", "dont|stop" },
                { "3x10 at 62.5kg", "3|x|10|at|62.5|kg" },
                { "ק\"מ צ'ק", "קמ|צק" },
                { "1,000 steps, 1/2", "1,000|steps|1/2" },
                { "8:30", "8|30" },
                { "x10 k1ll", "x|10|k1ll" },
                { "s.u.i", "s|u|i" },
                { "--- !!", "" },
        };

        for (size_t i = 0; i < CM_COUNT(rows); i++) {
                struct chat_text text = read(rows[i].message);
                struct cm_buf out = { 0 };

                for (size_t j = 0; j < text.count; j++)
                        cm_buf_printf(&out, "%s%.*s", j ? "|" : "", CM_STR_ARG(text.words[j].text));
                assert_string_equal(out.data ? out.data : "", rows[i].words);
                cm_buf_deinit(&out);
        }
}

static void test_what_is_stored(void **state CM_UNUSED)
{
        struct chat_text text = read("a\u202eb\u2066c\u200f e\u0301");
        struct cm_str span;

        assert_string_equal(text.source.data, "abc\u200f \u00e9");
        text = read("Hello, my Dear World!");
        span = chat_text_span(&text, 1, 2);
        assert_int_equal(span.len, 7);
        assert_memory_equal(span.data, "my Dear", 7);
        assert_true(text.words[1].breaks & CHAT_BREAK_COMMA);
        text = read("One. Two... three? ");
        assert_true(text.words[1].breaks & CHAT_BREAK_SENTENCE);
        assert_false(text.words[2].breaks & CHAT_BREAK_SENTENCE);
        assert_true(text.is_question);
        assert_false(chat_text_read(&arena, CM_STR("\xff"), &text));
}

static void test_numbers(void **state CM_UNUSED)
{
        static const struct {
                const char *message;
                double value;
                size_t words;
        } rows[] = {
                { "twenty five reps", 25, 2 },
                { "two hundred", 200, 2 },
                { "a dozen", 12, 2 },
                { "an hour", 1, 1 },
                { "half an hour", 0.5, 1 },
                { "two and a half km", 2.5, 4 },
                { "62.5 kg", 62.5, 1 },
                { "1,500 m", 1500, 1 },
                { "שלושים וחמש", 35, 2 },
                { "שתים עשרה", 12, 2 },
                { "בעשרים וחמש דקות", 25, 2 },
                { "חצי שעה", 0.5, 1 },
                { "squats", 0, 0 },
                { "five ten", 5, 1 },
        };

        for (size_t i = 0; i < CM_COUNT(rows); i++) {
                struct chat_text text = read(rows[i].message);
                double value = 0;
                size_t used = chat_number_at(&text, 0, text.count, &value);

                if (used != rows[i].words || (used && value != rows[i].value))
                        fail_msg("%s: %zu words, %g", rows[i].message, used, value);
        }
}

static void test_phrases(void **state CM_UNUSED)
{
        static const struct {
                const char *pattern, *message;
                bool matches;
        } rows[] = {
                { "take medic*", "I take medicines", true },
                { "take medic*", "I take it", false },
                { "a|b c", "x b c", true },
                { "(a b | c) d", "a b d", true },
                { "a [b | c d] e", "a c d e", true },
                { "a [b] e", "a e", true },
                { "a ~2 b", "a x y b", true },
                { "a ~1 b", "a x y b", false },
                { "a ~2 b", "a x. y b", false },
                { "^ a", "b a", false },
                { "a $", "a b", false },
                { "^s a", "b. a", true },
                { "^s a", "b a", false },
                { "do #1 reps", "do 10 reps", true },
                { "do #1 reps", "do ten reps", false },
                { "רוצה", "ורוצה", true },
                { "רוצה", "שרוצה", true },
                { "don't", "don\u2019t", true },
                { "say {1} now", "say a b c now", true },
                { "say {1} now", "say now", false },
        };

        for (size_t i = 0; i < CM_COUNT(rows); i++) {
                struct cm_str table = cm_arena_printf(&arena, "k\t%s", rows[i].pattern);
                const char *error = "";
                struct phrases *phrases = phrases_new(table, &error);
                struct chat_text text = read(rows[i].message);
                struct phrase_match match = { 0 };
                size_t place = 0;

                if (!phrases || phrases_next(phrases, &text, &place, &match) != rows[i].matches)
                        fail_msg("%s in %s %s", rows[i].pattern, rows[i].message, error);
                phrases_free(&phrases);
        }
}

int main(void)
{
        const struct CMUnitTest tests[] = { cmocka_unit_test(test_languages),
                                            cmocka_unit_test(test_words),
                                            cmocka_unit_test(test_what_is_stored),
                                            cmocka_unit_test(test_numbers),
                                            cmocka_unit_test(test_phrases) };

        return cmocka_run_group_tests(tests, setup, teardown);
}
