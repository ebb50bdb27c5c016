#include "bus/event.h"

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

#include "base/attr.h"

#define ID      "01939f5e-7c1a-7b3c-8d4e-5f6071829304"
#define SUBJECT "01939f5e-0000-7000-8000-000000000001"
#define TRACE   "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"

static struct cm_arena arena;

static int set_up(void **state CM_UNUSED)
{
        cm_arena_init(&arena, 4096);
        return 0;
}

static int tear_down(void **state CM_UNUSED)
{
        cm_arena_deinit(&arena);
        return 0;
}

static void comes_back_as_it_went(void **state CM_UNUSED)
{
        struct cm_event event = { .source = CM_STR("/salus/auth"),
                                  .type = CM_STR("user.created.v1"),
                                  .time = 1763670912123456,
                                  .traceparent = CM_STR(TRACE),
                                  .data = CM_STR("{\"a\":0.1}"),
                                  .position = 42 };
        struct cm_event back;
        struct cm_str *fields;
        const char *what;
        size_t count;

        assert_true(cm_uuid_parse(CM_STR(ID), &event.id));
        assert_true(cm_uuid_parse(CM_STR(SUBJECT), &event.subject));
        event.tenant = event.subject;
        count = cm_event_fields(&event, &arena, &fields);
        assert_int_equal(count, 22);
        assert_int_equal(cm_event_parse(fields, count, 100, &back, &what), 0);
        assert_true(cm_uuid_equal(&back.id, &event.id));
        assert_true(cm_str_equal(back.source, event.source));
        assert_true(cm_str_equal(back.type, event.type));
        assert_int_equal(back.time, event.time);
        assert_true(cm_uuid_equal(&back.subject, &event.subject));
        assert_true(cm_uuid_equal(&back.tenant, &event.tenant));
        assert_true(cm_str_equal(back.traceparent, event.traceparent));
        assert_true(cm_str_equal(back.data, event.data));
        assert_int_equal(back.position, 42);
}

static void leaves_out_what_it_has_not(void **state CM_UNUSED)
{
        struct cm_event event = { .source = CM_STR("/salus/auth"),
                                  .type = CM_STR("a.v1"),
                                  .data = CM_STR("{}") };
        struct cm_str *fields;
        size_t count;

        event.id.bytes[0] = 1;
        count = cm_event_fields(&event, &arena, &fields);
        for (size_t i = 0; i < count; i += 2) {
                assert_false(cm_str_equal(fields[i], CM_STR("ce_subject")));
                assert_false(cm_str_equal(fields[i], CM_STR("ce_traceparent")));
                assert_false(cm_str_equal(fields[i], CM_STR("ce_sequence")));
        }
}

/* A good event with one attribute replaced (value NULL: left out). */
static int parse_with(const char *name, const char *value, const char **what)
{
        static const char *const good[][2] = {
                { "ce_specversion", "1.0" },
                { "ce_id", ID },
                { "ce_source", "/salus/auth" },
                { "ce_type", "user.created.v1" },
                { "ce_time", "2026-11-20T20:15:12Z" },
                { "ce_datacontenttype", "application/json" },
                { "data", "{}" },
        };
        struct cm_str fields[20];
        struct cm_event event;
        size_t count = 0;

        for (size_t i = 0; i < CM_COUNT(good); i++) {
                if (strcmp(good[i][0], name) == 0)
                        continue;
                fields[count++] = cm_str_from(good[i][0]);
                fields[count++] = cm_str_from(good[i][1]);
        }
        if (value) {
                fields[count++] = cm_str_from(name);
                fields[count++] = cm_str_from(value);
        }
        return cm_event_parse(fields, count, 8, &event, what);
}

static void names_what_is_wrong(void **state CM_UNUSED)
{
        static const struct {
                const char *name, *value;
                int outcome;
        } rows[] = {
                { "ce_nothing", "ignored", 0 },
                { "ce_specversion", NULL, CM_EVENT_MISSING_ATTRIBUTE },
                { "ce_specversion", "0.3", CM_EVENT_WRONG_VERSION },
                { "ce_specversion", "", CM_EVENT_WRONG_VERSION },
                { "ce_id", NULL, CM_EVENT_MISSING_ATTRIBUTE },
                { "ce_id", "1", CM_EVENT_BAD_ATTRIBUTE },
                { "ce_id", "00000000-0000-0000-0000-000000000000", CM_EVENT_BAD_ATTRIBUTE },
                { "ce_source", "", CM_EVENT_BAD_ATTRIBUTE },
                { "ce_source", "/a b", CM_EVENT_BAD_ATTRIBUTE },
                { "ce_type", NULL, CM_EVENT_MISSING_ATTRIBUTE },
                { "ce_type", "n\xc3\xa9", CM_EVENT_BAD_ATTRIBUTE },
                { "ce_time", "yesterday", CM_EVENT_BAD_ATTRIBUTE },
                { "ce_time", "2026-11-20T20:15:12", CM_EVENT_BAD_ATTRIBUTE },
                { "ce_subject", "somebody", CM_EVENT_BAD_ATTRIBUTE },
                { "ce_subject", SUBJECT, 0 },
                { "ce_tenantid", "", CM_EVENT_BAD_ATTRIBUTE },
                { "ce_traceparent", "not a trace", 0 },
                { "ce_sequence", "0", CM_EVENT_BAD_ATTRIBUTE },
                { "ce_sequence", "-1", CM_EVENT_BAD_ATTRIBUTE },
                { "ce_sequence", "99999999999999999999", CM_EVENT_BAD_ATTRIBUTE },
                { "ce_sequence", "7", 0 },
                { "ce_datacontenttype", "text/plain", CM_EVENT_BAD_ATTRIBUTE },
                { "data", NULL, CM_EVENT_MISSING_ATTRIBUTE },
                { "data", "12345678", 0 },
                { "data", "123456789", CM_EVENT_TOO_LARGE },
        };

        for (size_t i = 0; i < CM_COUNT(rows); i++) {
                const char *what;
                int r = parse_with(rows[i].name, rows[i].value, &what);

                assert_int_equal(r, rows[i].outcome);
                if (r)
                        assert_string_equal(what, rows[i].name);
                else
                        assert_null(what);
        }
}

static void odd_number_of_texts_is_survived(void **state CM_UNUSED)
{
        struct cm_str fields[] = { CM_STR("ce_specversion"), CM_STR("1.0"), CM_STR("ce_id") };
        struct cm_event event;
        const char *what;

        assert_int_equal(cm_event_parse(fields, 3, 8, &event, &what), CM_EVENT_MISSING_ATTRIBUTE);
        assert_string_equal(what, "ce_id");
        assert_int_equal(cm_event_parse(NULL, 0, 8, &event, &what), CM_EVENT_MISSING_ATTRIBUTE);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test_setup_teardown(comes_back_as_it_went, set_up, tear_down),
                cmocka_unit_test_setup_teardown(leaves_out_what_it_has_not, set_up, tear_down),
                cmocka_unit_test_setup_teardown(names_what_is_wrong, set_up, tear_down),
                cmocka_unit_test_setup_teardown(odd_number_of_texts_is_survived, set_up, tear_down),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
