#include "codec/text.h"

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

#include "base/attr.h"

static void test_email(void **state CM_UNUSED)
{
        static const struct {
                const char *email;
                const char *canonical; /* NULL: refused */
        } rows[] = {
                { "a@example.org", "a@example.org" },
                { "Ann.Lee+salus@Example.ORG", "ann.lee+salus@example.org" },
                { "o'brien@example.co.uk", "o'brien@example.co.uk" },
                { "משה@דוגמה.ישראל", "משה@xn--6dbbec0c.xn--4dbrk0ce" },
                { "u@bücher.example", "u@xn--bcher-kva.example" },
                { "u@XN--bcher-kva.Example", "u@xn--bcher-kva.example" },
                { "u@xn--a.example", NULL },
                { "u@ab--cd.example", NULL },
                { "U\xCC\x88x@example.org", "\xC3\xBCx@example.org" },
                { "", NULL },
                { "a", NULL },
                { "@example.org", NULL },
                { "a@", NULL },
                { "a@localhost", NULL },
                { "a@b@example.org", NULL },
                { ".a@example.org", NULL },
                { "a.@example.org", NULL },
                { "a..b@example.org", NULL },
                { "a b@example.org", NULL },
                { "\"a b\"@example.org", NULL },
                { "a@[192.0.2.1]", NULL },
                { "a@192.0.2.1", NULL },
                { "a@-example.org", NULL },
                { "a@example-.org", NULL },
                { "a@exa_mple.org", NULL },
                { "a@example..org", NULL },
                { "a@.example.org", NULL },
                { "a@example.org\n", NULL },
                { "a\n@example.org", NULL },
                { "a\xFF@example.org", NULL },
                { "Ann <a@example.org>", NULL },
        };
        CM_CLEANUP(cm_arena_deinit) struct cm_arena arena;

        cm_arena_init(&arena, 4096);
        for (size_t i = 0; i < CM_COUNT(rows); i++) {
                struct cm_str email = cm_str_from(rows[i].email);
                struct cm_str canonical = cm_email_canonical(&arena, email);

                if (cm_email_is_valid(email) != (rows[i].canonical != NULL))
                        fail_msg("wrong about %s", rows[i].email);
                if (rows[i].canonical)
                        assert_string_equal(canonical.data, rows[i].canonical);
                else
                        assert_null(canonical.data);
        }
}

/* RFC 5321: 64 before the @, 254 in all. */
static void test_email_lengths(void **state CM_UNUSED)
{
        char text[400];
        size_t n;

        memset(text, 'a', sizeof(text));
        memcpy(text + 64, "@example.org", 13);
        assert_true(cm_email_is_valid(cm_str_from(text)));
        memset(text, 'a', 65);
        memcpy(text + 65, "@example.org", 13);
        assert_false(cm_email_is_valid(cm_str_from(text)));

        memcpy(text, "a@", 2);
        for (n = 2; n < 250; n++)
                text[n] = n % 50 == 40 ? '.' : 'b';
        memcpy(text + 250, ".org", 5);
        assert_int_equal(strlen(text), 254);
        assert_true(cm_email_is_valid(cm_str_from(text)));
        memcpy(text + 250, "b.org", 6);
        assert_false(cm_email_is_valid(cm_str_from(text)));
}

static void test_languages(void **state CM_UNUSED)
{
        static const char *const good[] = {
                "en",
                "he",
                "en-US",
                "zh-Hant-TW",
                "de-CH-1901",
                "sl-rozaj-biske",
                "zh-cmn-Hans",
                "es-419",
                "sr-Latn",
                "x-private",
                "en-u-ca-hebrew",
                "de-DE-u-co-phonebk",
                "en-a-bbb-x-y",
                "hy-arevela",
                "iw",
        };
        static const char *const bad[] = {
                "",   "e", "en-",  "-en",  "en--US", "en_US",        "en-US-",
                "12", "x", "en-u", "en-x", "en-ü",   "en-aaaaaaaaa",
        };

        for (size_t i = 0; i < CM_COUNT(good); i++)
                if (!cm_language_is_valid(cm_str_from(good[i])))
                        fail_msg("refused: %s", good[i]);
        for (size_t i = 0; i < CM_COUNT(bad); i++)
                if (cm_language_is_valid(cm_str_from(bad[i])))
                        fail_msg("accepted: %s", bad[i]);
}

static void test_time_zones(void **state CM_UNUSED)
{
        static const char *const good[] = {
                "Asia/Jerusalem", "Europe/Berlin", "UTC", "America/Argentina/Buenos_Aires",
                "Asia/Calcutta",  "Etc/GMT+5"
        };
        static const char *const bad[] = {
                "",       "asia/jerusalem", "Mars/Olympus", "posixrules", "tzdata.zi",
                "../UTC", "/etc/localtime", "Europe",       "UTC ",       "right/UTC"
        };

        for (size_t i = 0; i < CM_COUNT(good); i++)
                assert_true(cm_time_zone_is_known(cm_str_from(good[i])));
        for (size_t i = 0; i < CM_COUNT(bad); i++)
                assert_false(cm_time_zone_is_known(cm_str_from(bad[i])));
}

static void test_normal_forms(void **state CM_UNUSED)
{
        CM_CLEANUP(cm_arena_deinit) struct cm_arena arena;

        cm_arena_init(&arena, 4096);
        assert_string_equal(cm_text_nfc(&arena, CM_STR("e\xCC\x81")).data, "\xC3\xA9");
        assert_string_equal(cm_text_fold(&arena, CM_STR("Straße É")).data, "strasse é");
        assert_string_equal(cm_text_nfc(&arena, CM_STR("")).data, "");
        assert_null(cm_text_nfc(&arena, CM_STR("\xFF")).data);
}

struct row {
        const char *text;
        bool ok;
};

static void check(const struct row *rows, size_t count, bool (*is)(struct cm_str))
{
        for (size_t i = 0; i < count; i++)
                if (is(cm_str_from(rows[i].text)) != rows[i].ok)
                        fail_msg("\"%s\" should be %s", rows[i].text,
                                 rows[i].ok ? "valid" : "refused");
}

static void test_more_emails(CM_UNUSED void **state)
{
        static const struct row rows[] = {
                { "o'neil@example.org", true },
                { "דנה@דוגמה.ישראל", true },
                { "пример@пример.рф", true },
                { "a@b_c.co", false },
                { "a@127.0.0.1", false },
                { "a@b.co,c@d.co", false },
                { "a\xe2\x80\xae"
                  "b@c.co",
                  false }, /* turns the direction of writing */
                { "a\xc2\xa0"
                  "b@c.co",
                  false }, /* a blank that is not ASCII */
                { "a\xff@c.co", false },
        };

        check(rows, CM_COUNT(rows), cm_email_is_valid);
        assert_false(cm_email_is_valid((struct cm_str){ "a@b.co\0x", 8 }));
}

static void test_more_languages(CM_UNUSED void **state)
{
        static const struct row rows[] = {
                { "en", true },
                { "he", true },
                { "pt-BR", true },
                { "zh-Hant-TW", true },
                { "es-419", true },
                { "sl-rozaj-biske", true },
                { "de-1996", true },
                { "zh-yue", true },
                { "en-a-bbb-x-a", true },
                { "x-whatever", true },
                { "i-klingon", true },
                { "art-lojban", true },
                { "en-US-u-ca-gregory", true },
                { "tlh", true },
                { "abcdefgh", true },
                { "", false },
                { "e", false },
                { "en-", false },
                { "-en", false },
                { "en--US", false },
                { "en_US", false },
                { "abcdefghi", false },
                { "en-US-US", false },
                { "en-u", false },
                { "en-a-bb-a-cc", false },
                { "x", false },
                { "12", false },
                { "en-x", false },
                { "de-419-DE", false },
                { "é", false },
                { "i-nothing", false },
        };

        check(rows, CM_COUNT(rows), cm_language_is_valid);
}

static void test_lines_and_clock_times(CM_UNUSED void **state)
{
        static const struct row lines[] = {
                { "", true },          { "שלום, עולם", true },      { "a\xc2\xa0z", true },
                { "a\nb", false },     { "a\x7f", false },          { "\t", false },
                { "\xc2\x85", false }, { "a\xe2\x80\xa8z", false }, { "\xff", false },
        };
        static const struct row times[] = {
                { "00:00", true },   { "23:59", true }, { "24:00", false }, { "12:60", false },
                { "1:00", false },   { "12:0", false }, { "12-00", false }, { "ab:cd", false },
                { "12:00 ", false }, { "", false },
        };

        check(lines, CM_COUNT(lines), cm_line_is_valid);
        check(times, CM_COUNT(times), cm_clock_time_is_valid);
}

static void test_uris(CM_UNUSED void **state)
{
        static const struct row rows[] = {
                { "https://example.org/a.png?x=%20#top", true },
                { "urn:uuid:1", true },
                { "mailto:a@b.co", true },
                { "https://[::1]:80/", true },
                { "//example.org/a", false },
                { "/a", false },
                { "https:", false },
                { "1http://a", false },
                { "https://a b", false },
                { "https://a/%2", false },
                { "https://a/%zz", false },
                { "https://a/#a#b", false },
                { "https://é", false },
                { "https://a\"", false },
                { "", false },
        };

        check(rows, CM_COUNT(rows), cm_uri_is_valid);
}

static void test_bare_text(CM_UNUSED void **state)
{
        static const char *const rows[][2] = {
                { "ABC xyz", "abc xyz" },
                { "Café ÅNGSTRÖM", "cafe angstrom" },
                { "straße", "strasse" },
                { "אָלֶרְגִּי", "אלרגי" },
                { "\u202bשלום\u202c\u200f", "שלום" },
                { "ﬁn ２０", "fin 20" },
                { "", "" },
        };
        struct cm_arena arena;

        cm_arena_init(&arena, 1024);
        for (size_t i = 0; i < CM_COUNT(rows); i++)
                assert_string_equal(cm_text_bare(&arena, cm_str_from(rows[i][0])).data, rows[i][1]);
        assert_null(cm_text_bare(&arena, cm_str_from("\xff")).data);
        cm_arena_deinit(&arena);
}

static void test_words(CM_UNUSED void **state)
{
        static const char *const rows[][2] = {
                { "I don't, do I?", "I|don't|do|I" },
                { "'quoted' \"text\"", "quoted|text" },
                { "צה\"ל ק״ג ג'ירפה", "צה\"ל|ק״ג|ג'ירפה" },
                { "3.5 km, 1,000.", "3.5|km|1,000" },
                { "a-b_c/d", "a|b|c|d" },
                { "💤💤 ok", "💤💤|ok" },
                { "...", "" },
                { "", "" },
                { "a\xff\xc3", "a" },
                { "a' b", "a|b" },
        };

        for (size_t i = 0; i < CM_COUNT(rows); i++) {
                struct cm_str rest = cm_str_from(rows[i][0]), word;
                struct cm_buf all = { 0 };

                cm_buf_add_str(&all, CM_STR(""));
                while (cm_text_next_word(&rest, &word))
                        cm_buf_printf(&all, "%s%.*s", all.len ? "|" : "", CM_STR_ARG(word));
                assert_string_equal(all.len ? all.data : "", rows[i][1]);
                cm_buf_deinit(&all);
        }
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_email),          cmocka_unit_test(test_email_lengths),
                cmocka_unit_test(test_languages),      cmocka_unit_test(test_time_zones),
                cmocka_unit_test(test_normal_forms),   cmocka_unit_test(test_more_emails),
                cmocka_unit_test(test_more_languages), cmocka_unit_test(test_lines_and_clock_times),
                cmocka_unit_test(test_uris),           cmocka_unit_test(test_bare_text),
                cmocka_unit_test(test_words),
        };
        return cmocka_run_group_tests(tests, NULL, NULL);
}
