#include "http/mail_message.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

static struct cm_mail_message plain(void)
{
        return (struct cm_mail_message){
                .from_name = CM_STR("Salus"),
                .from = CM_STR("salus@example.org"),
                .to = CM_STR("dana@example.org"),
                .subject = CM_STR("קח את התרופה"),
                .id = CM_STR("0a.0@example.org"),
                .language = CM_STR("he"),
                .body = CM_STR("Take it.\n.\nNow"),
                .date = INT64_C(1795910400) * CM_SECOND,
        };
}

static void a_message(void **state CM_UNUSED)
{
        static const char expected[] = "Date: Sun, 29 Nov 2026 00:00:00 +0000\r\n"
                                       "From: =?utf-8?B?U2FsdXM=?=\r\n <salus@example.org>\r\n"
                                       "To: <dana@example.org>\r\n"
                                       "Message-ID: <0a.0@example.org>\r\n"
                                       "Subject: =?utf-8?B?16fXlyDXkNeqINeU16rXqNeV16TXlA==?=\r\n"
                                       "MIME-Version: 1.0\r\n"
                                       "Content-Type: text/plain; charset=utf-8\r\n"
                                       "Content-Transfer-Encoding: base64\r\n"
                                       "Auto-Submitted: auto-generated\r\n"
                                       "Content-Language: he\r\n"
                                       "\r\n"
                                       "VGFrZSBpdC4NCi4NCk5vdw==\r\n";
        struct cm_mail_message message = plain();
        struct cm_buf out = { 0 };

        assert_true(cm_mail_message_write(&message, &out));
        assert_string_equal(out.data, expected);
        cm_buf_deinit(&out);
}

/* No line is longer than a mail may have, and no character is cut in two. */
static void long_texts(void **state CM_UNUSED)
{
        struct cm_mail_message message = plain();
        struct cm_buf text = { 0 }, out = { 0 };

        for (int i = 0; i < 300; i++)
                cm_buf_add_str(&text, i % 3 ? CM_STR("ש") : CM_STR("🌙"));
        message.subject = message.body = cm_buf_str(&text);
        assert_true(cm_mail_message_write(&message, &out));
        for (const char *line = out.data; *line; line = strchr(line, '\n') + 1)
                assert_true(strchr(line, '\n') - line <= 78);
        cm_buf_deinit(&text);
        cm_buf_deinit(&out);
}

static void what_is_refused(void **state CM_UNUSED)
{
        static const char *const addresses[] = {
                "",
                "dana",
                "@example.org",
                "dana@",
                "dana@example.org\r\nBcc: eve@example.org",
                "dana@example.org\nx",
                "dana@example.org>",
                "dana @example.org",
                "a@b@example.org",
                "dana@example.org,eve@example.org",
                "\"da na\"@example.org",
                "dana@[127.0.0.1]",
                "dana\x7f@example.org",
                "d\xff@example.org",
        };
        struct cm_buf out = { 0 };

        for (size_t i = 0; i < CM_COUNT(addresses); i++) {
                struct cm_mail_message message = plain();

                message.to = cm_str_from(addresses[i]);
                assert_false(cm_mail_message_write(&message, &out));
                message = plain();
                message.from = cm_str_from(addresses[i]);
                assert_false(cm_mail_message_write(&message, &out));
                message = plain();
                message.id = cm_str_from(addresses[i]);
                assert_false(cm_mail_message_write(&message, &out));
        }
        for (int part = 0; part < 5; part++) {
                struct cm_mail_message message = plain();

                if (part == 0)
                        message.subject = CM_STR("a\r\nBcc: eve@example.org");
                if (part == 1)
                        message.from_name = CM_STR("a\nb");
                if (part == 2)
                        message.language = CM_STR("en\r\nX: y");
                if (part == 3)
                        message.body = CM_STR("\xff");
                if (part == 4)
                        message.to = CM_STR("dana@example.org\0x");
                assert_false(cm_mail_message_write(&message, &out));
        }
        cm_buf_deinit(&out);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(a_message),
                cmocka_unit_test(long_texts),
                cmocka_unit_test(what_is_refused),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
