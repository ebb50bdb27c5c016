#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/error.h"
#include "base/time.h"
#include "sys/config.h"

struct toy {
        char *name;
        char *secret;
        char *url;
        int64_t count;
        bool on;
        int64_t wait_us;
        int64_t room;
};

static const struct cm_setting toy_table[] = {
        { "SALUS_NAME", CM_SETTING_TEXT, "", NULL, "8", offsetof(struct toy, name), "a name" },
        { "SALUS_SECRET", CM_SETTING_SECRET, NULL, "4", NULL, offsetof(struct toy, secret),
          "a secret" },
        { "TOY_URL", CM_SETTING_URL, "", NULL, NULL, offsetof(struct toy, url), "a url" },
        { "SALUS_COUNT", CM_SETTING_INT, "3", "-1", "10", offsetof(struct toy, count), "a count" },
        { "SALUS_ON", CM_SETTING_BOOL, "false", NULL, NULL, offsetof(struct toy, on), "a switch" },
        { "SALUS_WAIT", CM_SETTING_DURATION, "90s", "1ms", "2d", offsetof(struct toy, wait_us),
          "a time" },
        { "SALUS_ROOM", CM_SETTING_SIZE, "64KiB", "1", "4GiB", offsetof(struct toy, room),
          "a size" },
        { NULL },
};
static const struct cm_setting *const tables[] = { toy_table, NULL };

static int clear(void **state CM_UNUSED)
{
        for (const struct cm_setting *s = toy_table; s->key; s++) {
                char file[64];

                snprintf(file, sizeof(file), "%s_FILE", s->key);
                unsetenv(s->key);
                unsetenv(file);
        }
        unsetenv("SALUS_NAMES");
        setenv("SALUS_SECRET", "hush!", 1);
        return 0;
}

static void one_value(void **state CM_UNUSED)
{
        static const struct {
                const char *key, *value, *printed, *fault;
        } rows[] = {
                { "SALUS_NAME", "", "SALUS_NAME=  # default\n", NULL },
                { "SALUS_NAME", "salus", "SALUS_NAME=salus\n", NULL },
                { "SALUS_NAME", "too long!", NULL,
                  "SALUS_NAME: must have a length of at most 8\n" },
                { "SALUS_SECRET", "hush!", "SALUS_SECRET=***\n", NULL },
                { "SALUS_SECRET", "abc", NULL, "SALUS_SECRET: must have a length of at least 4\n" },
                { "SALUS_SECRET", "", NULL, "SALUS_SECRET: is required: a secret\n" },
                { "TOY_URL", "redis://me:pw@h:1/0", "TOY_URL=redis://me:***@h:1/0\n", NULL },
                { "TOY_URL", "redis://:p@w@h", "TOY_URL=redis://:***@h\n", NULL },
                { "TOY_URL", "postgresql://h/d?password=pw&user=a",
                  "TOY_URL=postgresql://h/d?password=***&user=a\n", NULL },
                { "TOY_URL", "host=h password='p w' port=1", "TOY_URL=host=h password=*** port=1\n",
                  NULL },
                { "TOY_URL", "redis://h:1", "TOY_URL=redis://h:1\n", NULL },
                { "SALUS_COUNT", "-1", "SALUS_COUNT=-1\n", NULL },
                { "SALUS_COUNT", "3", "SALUS_COUNT=3  # default\n", NULL },
                { "SALUS_COUNT", "-2", NULL, "SALUS_COUNT: must be at least -1\n" },
                { "SALUS_COUNT", "11", NULL, "SALUS_COUNT: must be at most 10\n" },
                { "SALUS_COUNT", "1x", NULL, "SALUS_COUNT: must be a whole number\n" },
                { "SALUS_COUNT", "99999999999999999999", NULL,
                  "SALUS_COUNT: must be a whole number\n" },
                { "SALUS_ON", "true", "SALUS_ON=true\n", NULL },
                { "SALUS_ON", "yes", NULL, "SALUS_ON: must be true or false\n" },
                { "SALUS_WAIT", "2d", "SALUS_WAIT=2d\n", NULL },
                { "SALUS_WAIT", "1500ms", "SALUS_WAIT=1500ms\n", NULL },
                { "SALUS_WAIT", "120s", "SALUS_WAIT=2m\n", NULL },
                { "SALUS_WAIT", "3d", NULL, "SALUS_WAIT: must be at most 2d\n" },
                { "SALUS_WAIT", "0s", NULL, "SALUS_WAIT: must be at least 1ms\n" },
                { "SALUS_WAIT", "10", NULL,
                  "SALUS_WAIT: must be a duration such as 500ms, 10s, 5m, 24h or 7d\n" },
                { "SALUS_WAIT", "9223372036854775807d", NULL,
                  "SALUS_WAIT: must be a duration such as 500ms, 10s, 5m, 24h or 7d\n" },
                { "SALUS_ROOM", "4GiB", "SALUS_ROOM=4GiB\n", NULL },
                { "SALUS_ROOM", "1537", "SALUS_ROOM=1537\n", NULL },
                { "SALUS_ROOM", "1MB", NULL,
                  "SALUS_ROOM: must be a size such as 512, 64KiB, 1MiB or 4GiB\n" },
                { "SALUS_ROOM", "-1", NULL,
                  "SALUS_ROOM: must be a size such as 512, 64KiB, 1MiB or 4GiB\n" },
                { "SALUS_NAMES", "x", NULL, "SALUS_NAMES: is not a setting of this daemon\n" },
                { "SALUS_NAME_FILE", "/nonexistent", NULL,
                  "SALUS_NAME_FILE: /nonexistent: No such file or directory\n" },
        };

        for (size_t i = 0; i < CM_COUNT(rows); i++) {
                struct toy toy = { 0 };
                struct cm_buf faults = { 0 }, out = { 0 };
                int r;

                clear(NULL);
                setenv(rows[i].key, rows[i].value, 1);
                r = cm_config_load(tables, &toy, &faults);
                assert_int_equal(r, rows[i].fault ? -CM_E_CONFIG : 0);
                if (rows[i].fault) {
                        assert_string_equal(faults.data, rows[i].fault);
                } else {
                        cm_config_print(tables, &toy, &out);
                        if (!strstr(out.data, rows[i].printed))
                                fail_msg("%s is not in\n%s", rows[i].printed, out.data);
                }
                cm_config_free(tables, &toy);
                cm_buf_deinit(&faults);
                cm_buf_deinit(&out);
        }
}

static void values_arrive_in_the_struct(void **state CM_UNUSED)
{
        struct toy toy = { 0 };
        struct cm_buf faults = { 0 };

        setenv("SALUS_ON", "true", 1);
        assert_int_equal(cm_config_load(tables, &toy, &faults), 0);
        assert_null(toy.name);
        assert_string_equal(toy.secret, "hush!");
        assert_int_equal(toy.count, 3);
        assert_true(toy.on);
        assert_int_equal(toy.wait_us, 90 * CM_SECOND);
        assert_int_equal(toy.room, 65536);
        cm_config_free(tables, &toy);
        assert_null(toy.secret);
        cm_buf_deinit(&faults);
}

static void all_faults_are_told_at_once(void **state CM_UNUSED)
{
        struct toy toy = { 0 };
        struct cm_buf faults = { 0 };

        setenv("SALUS_COUNT", "x", 1);
        setenv("SALUS_ON", "x", 1);
        unsetenv("SALUS_SECRET");
        setenv("SALUS_NAMES", "x", 1);
        assert_int_equal(cm_config_load(tables, &toy, &faults), -CM_E_CONFIG);
        assert_string_equal(faults.data, "SALUS_SECRET: is required: a secret\n"
                                         "SALUS_COUNT: must be a whole number\n"
                                         "SALUS_ON: must be true or false\n"
                                         "SALUS_NAMES: is not a setting of this daemon\n");
        cm_config_free(tables, &toy);
        cm_buf_deinit(&faults);
}

static void write_file(const char *path, struct cm_str text)
{
        FILE *file = fopen(path, "w");

        assert_non_null(file);
        assert_int_equal(fwrite(text.data, 1, text.len, file), text.len);
        assert_int_equal(fclose(file), 0);
}

static void files_hold_values(void **state CM_UNUSED)
{
        static const struct {
                struct cm_str text;
                const char *want; /* NULL: refused */
        } rows[] = {
                { CM_STR("secret\n"), "secret" }, { CM_STR("secret\r\n"), "secret" },
                { CM_STR("secret"), "secret" },   { CM_STR("two\n\n"), "two\n" },
                { CM_STR("nul\0byte\n"), NULL },  { CM_STR(""), NULL },
        };
        char path[] = "/tmp/config_test_XXXXXX";
        int fd = mkstemp(path);

        assert_true(fd >= 0);
        close(fd);
        for (size_t i = 0; i < CM_COUNT(rows); i++) {
                struct toy toy = { 0 };
                struct cm_buf faults = { 0 };

                unsetenv("SALUS_SECRET");
                setenv("SALUS_SECRET_FILE", path, 1);
                write_file(path, rows[i].text);
                assert_int_equal(cm_config_load(tables, &toy, &faults),
                                 rows[i].want ? 0 : -CM_E_CONFIG);
                if (rows[i].want)
                        assert_string_equal(toy.secret, rows[i].want);
                cm_config_free(tables, &toy);
                cm_buf_deinit(&faults);
        }
        unlink(path);
}

static void both_forms_are_a_fault(void **state CM_UNUSED)
{
        struct toy toy = { 0 };
        struct cm_buf faults = { 0 };

        setenv("SALUS_SECRET_FILE", "/dev/null", 1);
        assert_int_equal(cm_config_load(tables, &toy, &faults), -CM_E_CONFIG);
        assert_non_null(strstr(faults.data, "set both as SALUS_SECRET and as SALUS_SECRET_FILE"));
        cm_config_free(tables, &toy);
        cm_buf_deinit(&faults);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test_setup(one_value, clear),
                cmocka_unit_test_setup(values_arrive_in_the_struct, clear),
                cmocka_unit_test_setup(all_faults_are_told_at_once, clear),
                cmocka_unit_test_setup(files_hold_values, clear),
                cmocka_unit_test_setup(both_forms_are_a_fault, clear),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
