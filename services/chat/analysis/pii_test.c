#include "pii.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/mem.h"
#include "codec/json_tree.h"

static struct cm_arena arena;

static int setup(void **state CM_UNUSED)
{
        cm_arena_init(&arena, 65536);
        return 0;
}

static int teardown(void **state CM_UNUSED)
{
        cm_arena_deinit(&arena);
        return 0;
}

/* ---- forms */

static const struct {
        const char *text, *found; /* "KIND:value KIND:value" */
} rows[] = {
        { "mail me: dana.levi+x@example.co.il.", "EMAIL:dana.levi+x@example.co.il" },
        { "not@valid, a@b", "" },
        { "call +972-54-123-4567 now", "PHONE:+972-54-123-4567" },
        { "הנייד שלי 054-1234567", "PHONE:054-1234567" },
        { "ב-03-1234567 או 02 123 4567", "PHONE:03-1234567 PHONE:02 123 4567" },
        { "+1 (415) 555-2671", "PHONE:+1 (415) 555-2671" },
        { "my phone is 467 3395", "PHONE:467 3395" },
        { "sets of 100 110 120", "" },
        { "3x10 squats at 62.5 kg, 5000 m", "" },
        { "10,000 steps on 2026-11-28", "" },
        { "IL620108000000099999999 please", "IBAN:IL620108000000099999999" },
        { "GB82 WEST 1234 5698 7654 32", "IBAN:GB82 WEST 1234 5698 7654 32" },
        { "GB82 WEST 1234 5698 7654 33", "" },
        { "card 4111 1111 1111 1111 exp", "CARD:4111 1111 1111 1111" },
        { "4111111111111112", "" },
        { "ת.ז. 123456782", "ID:123456782" },
        { "123456789", "" },
        { "ssn 078-05-1120", "ID:078-05-1120" },
        { "I was born on 12/03/1980", "BIRTHDATE:12/03/1980" },
        { "date of birth: 1980-03-12", "BIRTHDATE:1980-03-12" },
        { "born March 12, 1980 in Haifa", "BIRTHDATE:March 12, 1980" },
        { "נולדתי ב-12 במרץ 1980", "BIRTHDATE:12 במרץ 1980" },
        { "the meeting is on 12/03/2026", "" },
        { "see https://a.example/x?y=1. bye", "URL:https://a.example/x?y=1" },
        { "www.example.org!", "URL:www.example.org" },
        { "host 10.0.0.1 and 2001:db8::1", "IP:10.0.0.1 IP:2001:db8::1" },
        { "300.1.1.1 v1.2.3.4.5", "" },
        { "I type [EMAIL_1] myself", "TEXT:[EMAIL_1]" },
        { "at 8:30, 25:30 min", "" },
        { "my name is Dana Levi, hi", "NAME:Dana Levi" },
        { "My name is dana levi and I slept badly", "NAME:dana levi" },
        { "hi, my name's O'Hara", "NAME:O'Hara" },
        { "my name is not important", "" },
        { "I'm Dana Levi", "NAME:Dana Levi" },
        { "I'm Dana", "" },
        { "I'm tired and sad", "" },
        { "I saw Dr. Cohen today", "NAME:Cohen" },
        { "Dr Ruth van der Berg said so", "NAME:Ruth van der Berg" },
        { "ask Prof. J. Smith about it", "NAME:J. Smith" },
        { "Mrs. Åberg and Mr Núñez", "NAME:Åberg NAME:Núñez" },
        { "the doctor said to rest", "" },
        { "Doctor told me", "" },
        { "my son Yoav and my daughter Noa Levi", "NAME:Yoav NAME:Noa Levi" },
        { "my wife is angry", "" },
        { "call me later", "" },
        { "please call me Dana", "NAME:Dana" },
        { "קוראים לי דנה לוי", "NAME:דנה לוי" },
        { "שלום, קוראים לי דנה ואני עייפה", "NAME:דנה" },
        { "שמי יואב כהן, נעים מאוד", "NAME:יואב כהן" },
        { "השם שלי הוא נועה", "NAME:נועה" },
        { "הייתי אצל ד״ר כהן", "NAME:כהן" },
        { "דיברתי עם ד\"ר דנה לוי אתמול", "NAME:דנה לוי" },
        { "לד\"ר כהן אמרתי", "NAME:כהן אמרתי" }, /* too much, which is better than too little */
        { "פרופ' לוי המליץ על מנוחה", "NAME:לוי" },
        { "יש לי בן בשם יואב", "NAME:יואב" },
        { "אני עייפה ולא ישנתי", "" },
        { "", "" },
};

static void test_forms(void **state CM_UNUSED)
{
        int wrong = 0;

        for (size_t i = 0; i < CM_COUNT(rows); i++) {
                struct cm_str text = cm_str_from(rows[i].text);
                struct cm_buf found = { 0 };
                size_t count;
                struct pii_span *spans = pii_find(&arena, text, &count);

                for (size_t j = 0; j < count; j++)
                        cm_buf_printf(
                                &found, "%s%s:%.*s", j ? " " : "", pii_kind_name(spans[j].kind),
                                (int)(spans[j].to - spans[j].from), text.data + spans[j].from);
                if (strcmp(found.data ? found.data : "", rows[i].found) != 0) {
                        print_error("%s\n  found %s\n", rows[i].text,
                                    found.data ? found.data : "nothing");
                        wrong++;
                }
                cm_buf_deinit(&found);
        }
        assert_int_equal(wrong, 0);
}

/* ---- pseudonyms: nothing leaks, everything comes back, wherever the stream is cut */

static const char *const private_text =
        "Write to dana@example.com or +972-54-123-4567, card 4111 1111 1111 1111, "
        "dana@example.com again, [EMAIL_1] as such, [NOT_ONE] and [open";

static void test_comes_back_at_every_cut(void **state CM_UNUSED)
{
        struct pii_map *map = pii_map_new();
        struct cm_str hidden = pii_hide(map, &arena, cm_str_from(private_text));

        assert_null(strstr(hidden.data, "dana@"));
        assert_null(strstr(hidden.data, "4567"));
        assert_null(strstr(hidden.data, "4111"));
        assert_string_equal(hidden.data,
                            "Write to [EMAIL_1] or [PHONE_1], card [CARD_1], [EMAIL_1] "
                            "again, [TEXT_1] as such, [NOT_ONE] and [open");
        for (size_t cut = 0; cut <= hidden.len; cut++)
                for (size_t second = cut; second <= hidden.len; second += 7) {
                        struct pii_restorer restorer;
                        struct cm_buf out = { 0 };

                        pii_restorer_init(&restorer, map);
                        pii_restore(&restorer, (struct cm_str){ hidden.data, cut }, &out);
                        pii_restore(&restorer, (struct cm_str){ hidden.data + cut, second - cut },
                                    &out);
                        pii_restore(&restorer,
                                    (struct cm_str){ hidden.data + second, hidden.len - second },
                                    &out);
                        pii_restore_end(&restorer, &out);
                        assert_string_equal(out.data, private_text);
                        cm_buf_deinit(&out);
                }
        pii_map_free(&map);
        assert_null(map);
}

/* A name that was told once is hidden where it stands alone, before and after, and in prefixes. */
static void test_known_names_are_hidden_everywhere(void **state CM_UNUSED)
{
        static const struct {
                const char *text, *hidden;
        } texts[] = {
                { "Hi Dana, good to see you. Danae is somebody else.",
                  "Hi [NAME_1], good to see you. Danae is somebody else." },
                { "my name is Dana Levi", "my name is [NAME_2]" },
                { "Dana Levi; Levi's card", "[NAME_1] [NAME_3]; [NAME_3]'s card" },
                { "קוראים לי נועה", "קוראים לי [NAME_4]" },
                { "נתתי לנועה, ונועה שמחה", "נתתי ל[NAME_4], ו[NAME_4] שמחה" },
        };
        struct pii_map *map = pii_map_new();

        for (size_t i = 0; i < CM_COUNT(texts); i++)
                pii_learn(map, &arena, cm_str_from(texts[i].text));
        for (size_t i = 0; i < CM_COUNT(texts); i++) {
                struct cm_str hidden = pii_hide(map, &arena, cm_str_from(texts[i].text));
                struct pii_restorer restorer;
                struct cm_buf out = { 0 };

                assert_string_equal(hidden.data, texts[i].hidden);
                pii_restorer_init(&restorer, map);
                pii_restore(&restorer, hidden, &out);
                pii_restore_end(&restorer, &out);
                assert_string_equal(out.data, texts[i].text);
                cm_buf_deinit(&out);
        }
        pii_map_free(&map);
}

static void test_comes_back_inside_json(void **state CM_UNUSED)
{
        struct pii_map *map = pii_map_new();
        struct cm_buf out = { 0 };

        (void)pii_hide(map, &arena, CM_STR("https://a.example/?q='x'&b=2 and o'hara@example.com"));
        pii_restore_json(map, CM_STR("{\"text\":\"see [URL_1], [EMAIL_1]\",\"list\":[1,[2]]}"),
                         &out);
        assert_string_equal(out.data,
                            "{\"text\":\"see https://a.example/?q='x'&b=2, o'hara@example.com\","
                            "\"list\":[1,[2]]}");
        cm_buf_deinit(&out);
        pii_map_free(&map);
}

/* ---- measured on Presidio's synthetic texts (half of the templates) */

struct score {
        int expected, found, right;
};

static int kind_of(struct cm_str type)
{
        static const struct {
                const char *type;
                enum pii_kind kind;
        } types[] = { { "EMAIL_ADDRESS", PII_EMAIL }, { "PHONE_NUMBER", PII_PHONE },
                      { "IBAN_CODE", PII_IBAN },      { "CREDIT_CARD", PII_CARD },
                      { "US_SSN", PII_ID },           { "DOMAIN_NAME", PII_URL },
                      { "IP_ADDRESS", PII_IP },       { "PERSON", PII_NAME } };

        for (size_t i = 0; i < CM_COUNT(types); i++)
                if (cm_str_equal(type, cm_str_from(types[i].type)))
                        return (int)types[i].kind;
        return -1;
}

static const struct cm_json_node *member(const struct cm_json_node *node, const char *name)
{
        for (const struct cm_json_node *it = node->first; it; it = it->next)
                if (cm_str_equal(it->name, cm_str_from(name)))
                        return it;
        return NULL;
}

static size_t byte_of(struct cm_str text, int64_t points)
{
        size_t i = 0;

        for (; points > 0 && i < text.len; points--)
                for (i++; i < text.len && ((unsigned char)text.data[i] & 0xc0) == 0x80; i++)
                        ;
        return i;
}

static void score_text(const struct cm_json_node *item, struct score scores[PII_KINDS], int *others)
{
        struct cm_str text = member(item, "full_text")->text;
        size_t count;
        const struct pii_span *spans = pii_find(&arena, text, &count);

        for (size_t i = 0; i < count; i++)
                scores[spans[i].kind].found++;
        for (const struct cm_json_node *it = member(item, "spans")->first; it; it = it->next) {
                int kind = kind_of(member(it, "entity_type")->text);
                size_t from = byte_of(text, member(it, "start_position")->integer);
                size_t to = byte_of(text, member(it, "end_position")->integer);
                bool right = false;

                if (kind < 0) {
                        (*others)++;
                        continue;
                }
                scores[kind].expected++;
                for (size_t i = 0; i < count; i++)
                        right = right || ((int)spans[i].kind == kind && spans[i].from <= from &&
                                          spans[i].to >= to);
                scores[kind].right += right;
                if (!right && getenv("VERBOSE"))
                        print_message("  missed %s %.*s\n", pii_kind_name((enum pii_kind)kind),
                                      (int)(to - from), text.data + from);
        }
}

static void test_presidio(void **state CM_UNUSED)
{
        const char *folder = getenv("SALUS_REALDATA");
        struct score scores[PII_KINDS] = { { 0 } }, all = { 0 };
        struct cm_json_error error;
        struct cm_buf data = { 0 };
        struct cm_str name =
                cm_arena_printf(&arena, "%s/memory/presidio/synth_dataset_v2_half.json",
                                folder ? folder : "../shared/realdata");
        FILE *file = fopen(name.data, "r");
        double precision, recall, f2;
        struct cm_json_node *root;
        char piece[65536];
        int others = 0;
        size_t len;

        if (!file) {
                print_message("skipped: SALUS_REALDATA names no folder with memory/presidio\n");
                skip();
        }
        while ((len = fread(piece, 1, sizeof(piece), file)) > 0)
                cm_buf_add(&data, piece, len);
        (void)fclose(file);
        root = cm_json_parse(cm_buf_str(&data), &arena, &error);
        assert_non_null(root);
        for (const struct cm_json_node *it = root->first; it; it = it->next)
                score_text(it, scores, &others);
        for (int kind = 0; kind < PII_KINDS; kind++) {
                if (kind == PII_NAME)
                        continue;
                print_message("  %-9s expected %3d found %3d right %3d\n",
                              pii_kind_name((enum pii_kind)kind), scores[kind].expected,
                              scores[kind].found, scores[kind].right);
                all.expected += scores[kind].expected;
                all.found += scores[kind].found;
                all.right += scores[kind].right;
        }
        precision = (double)all.right / all.found;
        recall = (double)all.right / all.expected;
        f2 = 5 * precision * recall / (4 * precision + recall);
        print_message("pii by form: precision %.3f, recall %.3f, F2 %.3f; %d spans of kinds that "
                      "have no form "
                      "(names, places, …) are not looked for\n",
                      precision, recall, f2, others);
        print_message("names that words announce: found %d, right %d; of all %d names\n",
                      scores[PII_NAME].found, scores[PII_NAME].right, scores[PII_NAME].expected);
        cm_buf_deinit(&data);
        assert_true(scores[PII_NAME].right * 100 >= scores[PII_NAME].found * 90);
        assert_true(precision >= 0.92 && recall >= 0.93 && f2 >= 0.93);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_forms),
                cmocka_unit_test(test_comes_back_at_every_cut),
                cmocka_unit_test(test_known_names_are_hidden_everywhere),
                cmocka_unit_test(test_comes_back_inside_json),
                cmocka_unit_test(test_presidio),
        };

        return cmocka_run_group_tests(tests, setup, teardown);
}
