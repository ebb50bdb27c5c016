#include "http/peer.h"

#include <arpa/inet.h>
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

#include "base/error.h"

static void test_who_counts(void **state CM_UNUSED)
{
        static const struct {
                const char *trusted, *peer, *forwarded, *chosen;
        } rows[] = {
                { "", "192.0.2.1", "198.51.100.1", "192.0.2.1" },
                { "127.0.0.1", "127.0.0.1", "198.51.100.1", "198.51.100.1" },
                { "127.0.0.1", "127.0.0.1", NULL, "127.0.0.1" },
                { "127.0.0.1", "127.0.0.2", "198.51.100.1", "127.0.0.2" },
                { "127.0.0.1", "127.0.0.1", "9.9.9.9, 198.51.100.1", "198.51.100.1" },
                { "127.0.0.1,10.0.0.0/8", "127.0.0.1", "9.9.9.9, 198.51.100.1,10.1.2.3",
                  "198.51.100.1" },
                { "10.0.0.0/8", "10.255.0.1", "11.0.0.1", "11.0.0.1" },
                { "10.0.0.0/9", "10.255.0.1", "11.0.0.1", "10.255.0.1" },
                { "127.0.0.1", "127.0.0.1", "unknown", "127.0.0.1" },
                { "127.0.0.1", "127.0.0.1", "1.2.3.4:80", "127.0.0.1" },
                { "::1, fd00::/8", "fd00::1", "2001:db8::7", "2001:db8::7" },
                { "0.0.0.0/0", "1.2.3.4", "5.6.7.8, 9.9.9.9", "5.6.7.8" },
        };

        for (size_t i = 0; i < CM_COUNT(rows); i++) {
                struct cm_peer_rule *rule;
                struct in6_addr peer, chosen;
                char text[INET6_ADDRSTRLEN];

                assert_int_equal(cm_peer_rule_new(cm_str_from(rows[i].trusted), &rule), 0);
                assert_true(cm_address_parse(cm_str_from(rows[i].peer), &peer));
                chosen = cm_peer_choose(rule, &peer, cm_str_from(rows[i].forwarded));
                assert_string_equal(cm_address_format(&chosen, text), rows[i].chosen);
                cm_peer_rule_free(&rule);
        }
}

static void test_rules_that_are_none(void **state CM_UNUSED)
{
        static const char *const bad[] = { "localhost", "10.0.0.0/33", "10.0.0.0/-1", "10.0.0/8",
                                           "::1/129",   "127.0.0.1,",  "10.0.0.0/" };

        for (size_t i = 0; i < CM_COUNT(bad); i++) {
                struct cm_peer_rule *rule = NULL;

                assert_int_equal(cm_peer_rule_new(cm_str_from(bad[i]), &rule), -CM_E_CONFIG);
        }
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_who_counts),
                cmocka_unit_test(test_rules_that_are_none),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
