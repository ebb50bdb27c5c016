#include "bus/outbox.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/attr.h"

#define ID   "01939f5e-7c1a-7b3c-8d4e-5f6071829304"
#define HEAD ID "\t/salus/auth\tuser.created.v1\t2026-11-20T08:00:00Z\t"
#define LINE HEAD "\t\t\t{}"

static struct cm_event event(const char *trace)
{
        struct cm_event made = {
                .source = CM_STR("/salus/auth"),
                .type = CM_STR("user.created.v1"),
                .time = 1795161600 * CM_SECOND,
                .traceparent = cm_str_from(trace),
                .data = CM_STR("{\"name\":\"a\\tb\"}"),
        };

        assert_true(cm_uuid_parse(CM_STR(ID), &made.id));
        return made;
}

static void comes_back_as_it_was(void **state CM_UNUSED)
{
        struct cm_event events[] = {
                event("00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"), event(NULL)
        };
        CM_CLEANUP(cm_buf_deinit) struct cm_buf payload = { 0 };
        struct cm_event read[2];

        events[1].subject = events[1].tenant = events[0].id;
        cm_outbox_payload(events, 2, &payload);
        assert_true(cm_outbox_read(cm_buf_str(&payload), read, 2));
        for (size_t i = 0; i < 2; i++) {
                assert_true(cm_uuid_equal(&read[i].id, &events[i].id));
                assert_true(cm_uuid_equal(&read[i].subject, &events[i].subject));
                assert_true(cm_uuid_equal(&read[i].tenant, &events[i].tenant));
                assert_true(cm_str_equal(read[i].source, events[i].source));
                assert_true(cm_str_equal(read[i].type, events[i].type));
                assert_true(cm_str_equal(read[i].data, events[i].data));
                assert_true(cm_str_equal(read[i].traceparent, events[i].traceparent));
                assert_true(read[i].time == events[i].time);
        }
        assert_null(read[1].traceparent.data);
}

static void what_is_no_payload_is_refused(void **state CM_UNUSED)
{
        static const struct {
                const char *payload;
                size_t count;
                bool good;
        } rows[] = {
                { LINE, 1, true },
                { LINE "\n" LINE, 2, true },
                { LINE "\n" LINE, 1, false },
                { LINE, 2, false },
                { "", 1, false },
                { HEAD "\t\t{}", 1, false },
                { "not-an-id\ts\tt\t2026-11-20T08:00:00Z\t\t\t\t{}", 1, false },
                { ID "\ts\tt\tyesterday\t\t\t\t{}", 1, false },
                { HEAD "nobody\t\t\t{}", 1, false },
                { LINE "\n", 1, false },
        };

        for (size_t i = 0; i < CM_COUNT(rows); i++) {
                struct cm_event read[2];

                if (cm_outbox_read(cm_str_from(rows[i].payload), read, rows[i].count) !=
                    rows[i].good)
                        fail_msg("%s, %zu events", rows[i].payload, rows[i].count);
        }
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(comes_back_as_it_was),
                cmocka_unit_test(what_is_no_payload_is_refused),
        };
        return cmocka_run_group_tests(tests, NULL, NULL);
}
