#include "http/mail.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

/* What is an address; what a server does with mail is tests/faults/test_scheduler.py's. */

static void addresses(void **state CM_UNUSED)
{
        static const char *const good[] = { "dana@example.org", "d.a+x@a-b.example",
                                            "דנה@example.org", "dana@münchen.example" };
        static const char *const bad[] = { "",
                                           "dana",
                                           "dana@",
                                           "@example.org",
                                           "dana@example.org\r\nRCPT TO:<eve@example.org>",
                                           "dana@example.org\n",
                                           "<dana@example.org>",
                                           "dana@example.org,eve@example.org",
                                           "a b@example.org",
                                           "a@b@example.org",
                                           "dana@example.org SIZE=1",
                                           "\xc3(@example.org" };

        for (size_t i = 0; i < CM_COUNT(good); i++)
                if (!cm_mail_is_address(good[i]))
                        fail_msg("%s", good[i]);
        for (size_t i = 0; i < CM_COUNT(bad); i++)
                if (cm_mail_is_address(bad[i]))
                        fail_msg("%s", bad[i]);
}

int main(void)
{
        const struct CMUnitTest tests[] = { cmocka_unit_test(addresses) };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
