#include "codec/uuid5.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

/* The example of RFC 9562 (appendix A.4): www.example.com in the space of names of domains. */
static void example_of_the_standard(void **state CM_UNUSED)
{
        char text[CM_UUID_TEXT_SIZE];
        struct cm_uuid space, id;

        assert_true(cm_uuid_parse(CM_STR("6ba7b810-9dad-11d1-80b4-00c04fd430c8"), &space));
        id = cm_uuid5(&space, CM_STR("www.example.com"));
        assert_string_equal(cm_uuid_format(&id, text), "2ed6657d-e927-568b-95e1-2665a8aea6a2");
}

int main(void)
{
        const struct CMUnitTest tests[] = { cmocka_unit_test(example_of_the_standard) };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
