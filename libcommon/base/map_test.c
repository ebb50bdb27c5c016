#include "base/map.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "base/attr.h"

#define KEYS 2000

static struct cm_str key_of(int i, char text[16])
{
        return (struct cm_str){ text, (size_t)snprintf(text, 16, "key-%d", i) };
}

/* Against a plain array, with many removals, because those move entries. */
static void test_behaves_like_an_array(void **state CM_UNUSED)
{
        static int present[KEYS];
        struct cm_map *map = cm_map_new();
        size_t count = 0, position = 0, seen = 0;
        struct cm_str key;
        char text[16];
        void *value;

        srand(7);
        for (int step = 0; step < 40000; step++) {
                int i = rand() % KEYS;

                key = key_of(i, text);
                assert_ptr_equal(cm_map_get(map, key), present[i] ? &present[i] : NULL);
                if (rand() % 5 < 2) {
                        assert_ptr_equal(cm_map_remove(map, key), present[i] ? &present[i] : NULL);
                        count -= (size_t)present[i];
                        present[i] = 0;
                } else {
                        assert_ptr_equal(cm_map_put(map, key, &present[i]),
                                         present[i] ? &present[i] : NULL);
                        count += (size_t)!present[i];
                        present[i] = 1;
                }
                assert_int_equal(cm_map_count(map), count);
        }
        while (cm_map_next(map, &position, &key, &value)) {
                assert_int_equal(*(int *)value, 1);
                assert_true(cm_str_equal(key, key_of((int)((int *)value - present), text)));
                seen++;
        }
        assert_int_equal(seen, count);
        cm_map_free(&map, NULL);
        assert_null(map);
        cm_map_free(&map, NULL);
}

static void count_free(void *value)
{
        ++*(int *)value;
}

static void test_frees_what_is_left(void **state CM_UNUSED)
{
        struct cm_map *map = cm_map_new();
        int freed = 0;

        cm_map_put(map, CM_STR("a"), &freed);
        cm_map_put(map, CM_STR(""), &freed);
        assert_ptr_equal(cm_map_remove(map, CM_STR("a")), &freed);
        cm_map_free(&map, count_free);
        assert_int_equal(freed, 1);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_behaves_like_an_array),
                cmocka_unit_test(test_frees_what_is_left),
        };
        return cmocka_run_group_tests(tests, NULL, NULL);
}
