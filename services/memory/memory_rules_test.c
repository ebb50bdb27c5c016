#include "memory_rules.h"

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

static struct analyser *analyser;
static struct cm_arena arena;
static struct cm_faults faults;

static struct memory_rules rules(void)
{
        faults.count = 0;
        return (struct memory_rules){ .analyser = analyser,
                                      .user_id = { { 7 } },
                                      .now = 1000 * CM_SECOND,
                                      .max_content = 40,
                                      .arena = &arena,
                                      .faults = &faults };
}

static int complete(const struct memory_input *in, struct new_memory *new_r)
{
        const struct memory_rules with = rules();

        return memory_rules_complete(&with, in, new_r);
}

static void test_what_is_taken(void **state CM_UNUSED)
{
        static const struct {
                struct memory_input in;
                const char *pointer; /* NULL: it is taken */
        } rows[] = {
                { { .content = CM_STR("I am allergic") }, NULL },
                { { .content = CM_STR("1234567890123456789012345678901234567890") }, NULL },
                { { .content = CM_STR("12345678901234567890123456789012345678901") }, "/content" },
                { { .content = CM_STR(" \n") }, "/content" },
                { { .content = CM_STR("a\nb\tc\r") }, NULL },
                { { .content = CM_STR("a\x01") }, "/content" },
                { { .content = CM_STR("a\x7f") }, "/content" },
                { { .content = CM_STR("a"),
                    .processed_content = CM_STR("\x02"),
                    .has_processed_content = CM_PRESENT },
                  "/processed_content" },
                { { .content = CM_STR("a"),
                    .valid_from = 1000 * CM_SECOND,
                    .has_valid_from = CM_PRESENT },
                  NULL },
                { { .content = CM_STR("a"),
                    .valid_from = 1000 * CM_SECOND + 1,
                    .has_valid_from = CM_PRESENT },
                  "/valid_from" },
                { { .content = CM_STR("a"),
                    .has_source = CM_PRESENT,
                    .source = { .start = 3, .has_start = CM_PRESENT } },
                  "/source" },
                { { .content = CM_STR("a"),
                    .has_source = CM_PRESENT,
                    .source = { .start = 3,
                                .has_start = CM_PRESENT,
                                .end = 2,
                                .has_end = CM_PRESENT } },
                  "/source/end" },
        };
        struct new_memory new;

        for (size_t i = 0; i < CM_COUNT(rows); i++) {
                int r = complete(&rows[i].in, &new);

                assert_int_equal(r, rows[i].pointer ? MEMORY_INVALID : 0);
                if (rows[i].pointer)
                        assert_string_equal(faults.items[0].pointer.data, rows[i].pointer);
        }
}

static void test_what_it_is_when_nothing_is_said(void **state CM_UNUSED)
{
        const struct memory_input in = { .content = CM_STR("שמי דנה") };
        struct new_memory new;

        assert_int_equal(complete(&in, &new), 0);
        assert_string_equal(new.memory.language.data, "he");
        assert_string_equal(new.memory.slot.data, "name");
        assert_int_equal(new.memory.memory_type, MEMORY_TYPE_PERSONAL_FACT);
        assert_int_equal(new.memory.storage_type, MEMORY_STORAGE_TYPE_LONG_TERM);
        assert_int_equal(consent_bits(&new.memory.user_consent), CONSENT_RECALL);
        assert_true(new.memory.is_active && !new.memory.is_archived && !new.is_dated);
        assert_int_equal(new.memory.valid_from, 1000 * CM_SECOND);
}

static void test_the_same_text(void **state CM_UNUSED)
{
        const struct memory_input one = { .content = CM_STR("I am allergic.") };
        const struct memory_input same = { .content = CM_STR("  i AM\nallergic!") };
        const struct memory_input other = { .content = CM_STR("I am not allergic") };
        struct new_memory a, b, c;

        assert_int_equal(complete(&one, &a) | complete(&same, &b) | complete(&other, &c), 0);
        assert_memory_equal(a.digest, b.digest, sizeof(a.digest));
        assert_memory_not_equal(a.digest, c.digest, sizeof(a.digest));
}

static void test_changes(void **state CM_UNUSED)
{
        const struct memory_input in = { .content = CM_STR("I am allergic"),
                                         .anonymized_version = CM_STR("somebody"),
                                         .has_anonymized_version = CM_PRESENT };
        const struct memory_patch nothing = { .has_is_active = CM_PRESENT, .is_active = true };
        const struct memory_patch consent = {
                .has_user_consent = CM_PRESENT,
                .user_consent = { .has_external_model = CM_PRESENT, .external_model = true },
        };
        const struct memory_patch text = { .has_content = CM_PRESENT,
                                           .content = CM_STR("I am well") };
        const struct memory_patch clear = { .has_anonymized_version = CM_NULL };
        const struct memory_patch bad = { .has_content = CM_PRESENT, .content = CM_STR(" ") };
        const struct memory_rules with = rules();
        uint8_t digest[CONTENT_DIGEST_SIZE];
        struct new_memory new;
        struct memory memory;

        assert_int_equal(complete(&in, &new), 0);
        memory = new.memory;
        assert_int_equal(memory_rules_change(&with, &nothing, &memory, digest), MEMORY_UNCHANGED);
        assert_memory_equal(digest, new.digest, sizeof(digest));
        assert_int_equal(memory_rules_change(&with, &consent, &memory, digest), 0);
        assert_int_equal(consent_bits(&memory.user_consent),
                         CONSENT_RECALL | CONSENT_EXTERNAL_MODEL);
        assert_int_equal(memory_rules_change(&with, &text, &memory, digest), 0);
        assert_int_equal(memory.has_anonymized_version, CM_ABSENT);
        assert_memory_not_equal(digest, new.digest, sizeof(digest));
        memory = new.memory;
        assert_int_equal(memory_rules_change(&with, &clear, &memory, digest), 0);
        assert_int_equal(memory.has_anonymized_version, CM_ABSENT);
        assert_int_equal(memory_rules_change(&with, &bad, &memory, digest), MEMORY_INVALID);
}

static void test_consent(void **state CM_UNUSED)
{
        for (int bits = 0; bits < 8; bits++) {
                struct memory_consent consent = consent_from((uint8_t)bits);

                assert_int_equal(consent_bits(&consent), bits);
        }
        assert_int_equal(consent_for(RECALL_PURPOSE_OWNER), 0);
        assert_int_equal(consent_for(RECALL_PURPOSE_CONVERSATION), CONSENT_RECALL);
        assert_int_equal(consent_for(RECALL_PURPOSE_EXTERNAL_MODEL),
                         CONSENT_RECALL | CONSENT_EXTERNAL_MODEL);
}

static int setup(void **state CM_UNUSED)
{
        cm_arena_init(&arena, 4096);
        return analyser_new(&analyser);
}

static int teardown(void **state CM_UNUSED)
{
        analyser_free(&analyser);
        cm_arena_deinit(&arena);
        return 0;
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_what_is_taken),
                cmocka_unit_test(test_what_it_is_when_nothing_is_said),
                cmocka_unit_test(test_the_same_text),
                cmocka_unit_test(test_changes),
                cmocka_unit_test(test_consent),
        };

        return cmocka_run_group_tests(tests, setup, teardown);
}
