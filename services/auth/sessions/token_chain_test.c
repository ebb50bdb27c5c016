#include "token_chain.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

static struct token_chain_key key;

static struct chain_link fresh(int32_t generation)
{
        struct cm_uuid id = cm_uuid7(CM_SECOND);
        struct chain_link link;

        chain_link_make(&link, &id, generation);
        return link;
}

static void reads_what_it_wrote(void **state)
{
        static const int32_t generations[] = { 1, 2, 255, 256, 65536, INT32_MAX };

        (void)state;
        for (size_t i = 0; i < CM_COUNT(generations); i++) {
                struct chain_link link = fresh(generations[i]);
                struct chain_link read = { 0 };
                char text[CHAIN_TEXT_SIZE];

                chain_link_format(&key, &link, text);
                assert_int_equal(strlen(text), CHAIN_TEXT_SIZE - 1);
                assert_true(chain_link_parse(&key, cm_str_from(text), &read));
                assert_int_equal(read.generation, generations[i]);
                assert_true(cm_uuid_equal(&read.session_id, &link.session_id));
                assert_memory_equal(read.secret, link.secret, sizeof(link.secret));
        }
}

static void refuses_each_changed_character(void **state)
{
        struct chain_link link = fresh(3);
        struct chain_link read;
        char text[CHAIN_TEXT_SIZE];

        (void)state;
        chain_link_format(&key, &link, text);
        for (size_t i = 0; i < CHAIN_TEXT_SIZE - 1; i++) {
                char kept = text[i];

                text[i] = kept == 'A' ? 'B' : 'A';
                assert_false(chain_link_parse(&key, cm_str_from(text), &read));
                text[i] = kept;
        }
        assert_true(chain_link_parse(&key, cm_str_from(text), &read));
}

static void refuses_other_shapes(void **state)
{
        struct chain_link link = fresh(1);
        struct chain_link read;
        char text[CHAIN_TEXT_SIZE + 2] = { 0 };

        (void)state;
        chain_link_format(&key, &link, text);
        assert_false(chain_link_parse(&key, CM_STR_NONE, &read));
        assert_false(chain_link_parse(&key, CM_STR(""), &read));
        assert_false(chain_link_parse(&key, (struct cm_str){ text, CHAIN_TEXT_SIZE - 2 }, &read));
        text[CHAIN_TEXT_SIZE - 1] = '=';
        assert_false(chain_link_parse(&key, (struct cm_str){ text, CHAIN_TEXT_SIZE }, &read));
}

static void refuses_another_pepper(void **state)
{
        struct token_chain_key other;
        struct chain_link link = fresh(1);
        struct chain_link read;
        char text[CHAIN_TEXT_SIZE];

        (void)state;
        token_chain_key_derive(&other, CM_STR("another pepper, another house"));
        chain_link_format(&other, &link, text);
        assert_false(chain_link_parse(&key, cm_str_from(text), &read));
}

static void parent_opens_its_child_only(void **state)
{
        struct chain_link parent = fresh(1);
        struct chain_link stranger = fresh(1);
        struct chain_link child = fresh(2);
        uint8_t wrapped[32];
        uint8_t opened[32];

        (void)state;
        chain_link_wrap(&parent, child.secret, wrapped);
        assert_memory_not_equal(wrapped, child.secret, 32);
        chain_link_wrap(&parent, wrapped, opened);
        assert_memory_equal(opened, child.secret, 32);
        chain_link_wrap(&stranger, wrapped, opened);
        assert_memory_not_equal(opened, child.secret, 32);
}

static void digest_covers_all_parts(void **state)
{
        struct chain_link link = fresh(1);
        struct chain_link other = link;
        uint8_t a[CHAIN_DIGEST_SIZE];
        uint8_t b[CHAIN_DIGEST_SIZE];

        (void)state;
        chain_link_digest(&link, a);
        chain_link_digest(&other, b);
        assert_memory_equal(a, b, sizeof(a));
        other.generation++;
        chain_link_digest(&other, b);
        assert_memory_not_equal(a, b, sizeof(a));
        other = link;
        other.secret[31] ^= 1;
        chain_link_digest(&other, b);
        assert_memory_not_equal(a, b, sizeof(a));
        other = link;
        other.session_id.bytes[0] ^= 1;
        chain_link_digest(&other, b);
        assert_memory_not_equal(a, b, sizeof(a));
}

int main(void)
{
        static const struct CMUnitTest tests[] = {
                cmocka_unit_test(reads_what_it_wrote),
                cmocka_unit_test(refuses_each_changed_character),
                cmocka_unit_test(refuses_other_shapes),
                cmocka_unit_test(refuses_another_pepper),
                cmocka_unit_test(parent_opens_its_child_only),
                cmocka_unit_test(digest_covers_all_parts),
        };

        token_chain_key_derive(&key, CM_STR("a pepper of the house, long enough"));
        return cmocka_run_group_tests(tests, NULL, NULL);
}
