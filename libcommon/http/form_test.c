#include "http/form.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

struct grant {
        struct cm_str type;
        struct cm_str scope;
        uint8_t has_scope;
};

static const struct cm_schema text_schema = {
        .name = "text", .type = CM_TYPE_STRING, .size = sizeof(struct cm_str), .max_len = 20
};
static const struct cm_member members[] = {
        { "grant_type", &text_schema, offsetof(struct grant, type), CM_NO_OFFSET, true, false,
          false },
        { "scope", &text_schema, offsetof(struct grant, scope), offsetof(struct grant, has_scope),
          false, false, false },
};
static const struct cm_schema grant_schema = { .name = "Grant",
                                               .type = CM_TYPE_OBJECT,
                                               .size = sizeof(struct grant),
                                               .members = members,
                                               .member_count = CM_COUNT(members) };

static void forms(void **state CM_UNUSED)
{
        static const struct {
                const char *text;
                int expected;
                const char *scope; /* or the pointer of the fault */
        } rows[] = {
                { "grant_type=x", 0, NULL },
                { "grant_type=x&scope=a%3Ab+c%20d", 0, "a:b c d" },
                { "scope=a&grant_type=x&unknown=1&unknown=2", 0, "a" },
                { "scope=&grant_type=x", 0, NULL },
                { "scope&grant_type=x&", 0, NULL },
                { "scope=&scope=a&grant_type=x", 0, "a" },
                { "", CM_DECODE_FAULTS, "/grant_type" },
                { "grant_type=", CM_DECODE_FAULTS, "/grant_type" },
                { "grant_type=x&grant_type=x", CM_DECODE_FAULTS, "/grant_type" },
                { "grant_type=x&grant%5Ftype=x", CM_DECODE_FAULTS, "/grant_type" },
                { "grant_type=x&scope=123456789012345678901", CM_DECODE_FAULTS, "/scope" },
                { "grant_type=%", CM_DECODE_NOT_JSON, "" },
                { "grant_type=%00", CM_DECODE_NOT_JSON, "" },
                { "grant_type=%ff", CM_DECODE_NOT_JSON, "" },
                { "%zz=1", CM_DECODE_NOT_JSON, "" },
                { "{\"grant_type\":\"x\"}", CM_DECODE_FAULTS, "/grant_type" },
        };
        struct cm_arena arena;

        cm_arena_init(&arena, 1024);
        for (size_t i = 0; i < CM_COUNT(rows); i++) {
                struct cm_faults faults = { 0 };
                struct grant grant = { 0 };
                int r = cm_form_decode(&grant_schema, cm_str_from(rows[i].text), &arena, &grant,
                                       &faults);

                if (r != rows[i].expected)
                        fail_msg("%s: %d", rows[i].text, r);
                if (r == 0)
                        assert_true(cm_str_equal(grant.scope, cm_str_from(rows[i].scope)));
                else
                        assert_true(
                                cm_str_equal(faults.items[0].pointer, cm_str_from(rows[i].scope)));
        }
        cm_arena_deinit(&arena);
}

int main(void)
{
        static const struct CMUnitTest tests[] = { cmocka_unit_test(forms) };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
