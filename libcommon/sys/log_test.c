#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <fcntl.h>
#include <math.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/error.h"
#include "sys/fiber.h"
#include "sys/log.h"

struct seen {
        char line[8192];
        int count;
};

static void remember(enum cm_log_level level CM_UNUSED, struct cm_str line, void *arg)
{
        struct seen *seen = arg;

        assert_true(line.len < sizeof(seen->line));
        memcpy(seen->line, line.data, line.len);
        seen->line[line.len] = '\0';
        seen->count++;
}

static int with_hook(void **state)
{
        static struct seen seen;

        memset(&seen, 0, sizeof(seen));
        cm_log_set_hook(remember, &seen);
        cm_log_set_service(NULL);
        cm_log_set_level(CM_LOG_INFO);
        *state = &seen;
        return 0;
}

static int without_hook(void **state CM_UNUSED)
{
        cm_log_set_hook(NULL, NULL);
        return 0;
}

static void texts_cannot_break_a_line(void **state)
{
        static const struct {
                struct cm_str text;
                const char *want;
        } rows[] = {
                { CM_STR("plain"), "\"plain\"" },
                { CM_STR(""), "\"\"" },
                { CM_STR("a\"b\\c"), "\"a\\\"b\\\\c\"" },
                { CM_STR("x\n{\"level\":\"error\"}"), "\"x\\u000a{\\\"level\\\":\\\"error\\\"}\"" },
                { CM_STR("\r\t\b\x1b[31m"), "\"\\u000d\\u0009\\u0008\\u001b[31m\"" },
                { CM_STR("nul\0in"), "\"nul\\u0000in\"" },
                { CM_STR("\x7f"), "\"\\u007f\"" },
                { CM_STR("שלום"), "\"שלום\"" },
                { CM_STR("\U0001F600"), "\"\U0001F600\"" },
                { CM_STR("\xc2\x85"), "\"\\u0085\"" },
                { CM_STR("\xe2\x80\xa8"), "\"\\u2028\"" },
                { CM_STR("\xff"
                         "a"),
                  "\"\xef\xbf\xbd"
                  "a\"" },
                { CM_STR("\xc0\xaf"), "\"\xef\xbf\xbd\xef\xbf\xbd\"" },
                { CM_STR("\xe2\x82"), "\"\xef\xbf\xbd\xef\xbf\xbd\"" },
                { CM_STR("\xed\xa0\x80"), "\"\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd\"" },
        };
        struct seen *seen = *state;

        for (size_t i = 0; i < CM_COUNT(rows); i++) {
                char want[256];

                cm_log(CM_LOG_WARN, "m", CM_F_STR("v", rows[i].text));
                snprintf(want, sizeof(want), "\"level\":\"warn\",\"msg\":\"m\",\"v\":%s}",
                         rows[i].want);
                assert_non_null(strstr(seen->line, want));
                assert_null(strchr(seen->line, '\n'));
        }
}

static void long_texts_are_cut(void **state)
{
        static char text[6000];
        struct seen *seen = *state;

        memset(text, 'a', sizeof(text) - 1);
        cm_log(CM_LOG_WARN, "m", CM_F_TEXT("v", text));
        assert_non_null(strstr(seen->line, "aaa…\"}"));
        assert_true(strlen(seen->line) < 4300);
}

static void fields_have_their_kinds(void **state)
{
        struct seen *seen = *state;
        struct cm_uuid id = { { 0x01, [15] = 0xff } };

        cm_log(CM_LOG_ERROR, "all", CM_F_INT("n", INT64_MIN), CM_F_REAL("r", 0.1),
               CM_F_REAL("nan", NAN), CM_F_UUID("id", id), CM_F_STR("none", CM_STR_NONE),
               CM_F_ERROR(-CM_E_DEADLINE));
        assert_non_null(strstr(seen->line,
                               "\"level\":\"error\",\"msg\":\"all\",\"n\":-9223372036854775808,"
                               "\"r\":0.1,\"nan\":null,"
                               "\"id\":\"01000000-0000-0000-0000-0000000000ff\","
                               "\"error\":\"deadline\"}"));
}

static void context_goes_with_the_line(void **state)
{
        struct cm_context *context = cm_fiber_context();
        struct cm_context before = *context;
        struct seen *seen = *state;

        cm_log_set_service("toy");
        strcpy(context->request_id, "r-\"1");
        strcpy(context->traceparent, "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01");
        context->operation = "toy_read";
        context->has_user = true;
        cm_log(CM_LOG_WARN, "m");
        *context = before;
        assert_non_null(strstr(seen->line,
                               "\"service\":\"toy\",\"msg\":\"m\",\"request_id\":\"r-\\\"1\","
                               "\"trace_id\":\"0af7651916cd43dd8448eb211c80319c\","
                               "\"operation\":\"toy_read\","
                               "\"user_id\":\"00000000-0000-0000-0000-000000000000\"}"));
}

static void lower_levels_are_left_out(void **state)
{
        struct seen *seen = *state;

        cm_log_set_level(CM_LOG_ERROR);
        cm_log(CM_LOG_WARN, "m");
        assert_int_equal(seen->count, 0);
        cm_log(CM_LOG_ERROR, "m");
        assert_int_equal(seen->count, 1);
}

/* Without a loop in the thread a line is written at once: nothing waits for a turn that never
 * comes. */
static void a_line_reaches_standard_error(void **state CM_UNUSED)
{
        char read_back[512] = "";
        int saved = dup(STDERR_FILENO);
        int ends[2];
        ssize_t n;

        cm_log_set_hook(NULL, NULL);
        assert_int_equal(pipe2(ends, O_NONBLOCK), 0);
        dup2(ends[1], STDERR_FILENO);
        cm_log(CM_LOG_INFO, "written");
        dup2(saved, STDERR_FILENO);
        n = read(ends[0], read_back, sizeof(read_back) - 1);
        close(ends[0]);
        close(ends[1]);
        close(saved);
        assert_true(n > 0);
        assert_int_equal(read_back[n - 1], '\n');
        assert_non_null(strstr(read_back, "\"level\":\"info\",\"msg\":\"written\"}"));
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test_setup_teardown(texts_cannot_break_a_line, with_hook, without_hook),
                cmocka_unit_test_setup_teardown(long_texts_are_cut, with_hook, without_hook),
                cmocka_unit_test_setup_teardown(fields_have_their_kinds, with_hook, without_hook),
                cmocka_unit_test_setup_teardown(context_goes_with_the_line, with_hook,
                                                without_hook),
                cmocka_unit_test_setup_teardown(lower_levels_are_left_out, with_hook, without_hook),
                cmocka_unit_test_setup_teardown(a_line_reaches_standard_error, with_hook,
                                                without_hook),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
