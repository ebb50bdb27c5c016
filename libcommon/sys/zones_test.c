#include "sys/zones.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include <cmocka.h>

static void known_and_unknown_names(void **state)
{
        static const struct {
                const char *name;
                bool known;
        } cases[] = {
                { "Asia/Jerusalem", true },
                { "America/Argentina/Buenos_Aires", true },
                { "Etc/GMT+5", true },
                { "UTC", true },
                { "+05:30", true },
                { "-18:00", true },
                { "asia/jerusalem", false },
                { "", false },
                { "/etc/passwd", false },
                { "../../etc/passwd", false },
                { "Asia//Jerusalem", false },
                { "Asia/", false },
                { "Asia", false },
                { "posix/UTC", false },
                { "right/UTC", false },
                { "zone.tab", false },
                { "tzdata.zi", false },
                { "leapseconds", false },
                { "Mars/Olympus", false },
                { "+5:30", false },
                { "+05:60", false },
                { "+18:01", false },
                { "+0530", false },
        };
        struct cm_zones *zones = cm_zones_new(NULL);

        (void)state;
        for (size_t i = 0; i < CM_COUNT(cases); i++) {
                const struct cm_zone *zone = cm_zones_get(zones, cm_str_from(cases[i].name));

                if (!zone == cases[i].known)
                        fail_msg("%s", cases[i].name);
                assert_ptr_equal(zone, cm_zones_get(zones, cm_str_from(cases[i].name)));
        }
        cm_zones_free(&zones);
        assert_null(zones);
}

/* zone, instant, what the wall shows. */
static void walls(void **state)
{
        static const struct {
                const char *zone, *at, *wall;
        } cases[] = {
                { "Asia/Jerusalem", "2026-03-26T23:59:59Z", "2026-03-27T01:59:59Z" },
                { "Asia/Jerusalem", "2026-03-27T00:00:00Z", "2026-03-27T03:00:00Z" },
                { "Asia/Jerusalem", "2026-10-24T22:59:59.5Z", "2026-10-25T01:59:59.5Z" },
                { "Asia/Jerusalem", "2026-10-24T23:00:00Z", "2026-10-25T01:00:00Z" },
                { "Asia/Jerusalem", "2090-07-01T00:00:00Z", "2090-07-01T03:00:00Z" },
                { "Asia/Kathmandu", "1985-12-31T18:29:59Z", "1985-12-31T23:59:59Z" },
                { "Asia/Kathmandu", "1985-12-31T18:30:00Z", "1986-01-01T00:15:00Z" },
                { "Australia/Lord_Howe", "2026-01-01T00:00:00Z", "2026-01-01T11:00:00Z" },
                { "Australia/Lord_Howe", "2026-07-01T00:00:00Z", "2026-07-01T10:30:00Z" },
                { "Pacific/Apia", "2011-12-30T09:59:59Z", "2011-12-29T23:59:59Z" },
                { "Pacific/Apia", "2011-12-30T10:00:00Z", "2011-12-31T00:00:00Z" },
                { "America/New_York", "1900-01-01T00:00:00Z", "1899-12-31T19:00:00Z" },
                { "-03:30", "2026-01-01T00:00:00Z", "2025-12-31T20:30:00Z" },
        };
        struct cm_zones *zones = cm_zones_new(NULL);

        (void)state;
        for (size_t i = 0; i < CM_COUNT(cases); i++) {
                const struct cm_zone *zone = cm_zones_get(zones, cm_str_from(cases[i].zone));
                char text[CM_TIME_TEXT_SIZE];
                cm_time at;

                assert_non_null(zone);
                assert_true(cm_time_parse(cm_str_from(cases[i].at), &at, NULL));
                assert_string_equal(cm_time_format(cm_zone_wall(zone, at), text), cases[i].wall);
        }
        cm_zones_free(&zones);
}

static void gaps_folds_and_days(void **state)
{
        static const struct {
                const char *zone, *wall;
                int count;
                const char *first, *second; /* of a gap: the jump */
        } cases[] = {
                { "Asia/Jerusalem", "2026-03-27T02:30:00Z", 0, "2026-03-27T00:00:00Z", NULL },
                { "Asia/Jerusalem", "2026-10-25T01:30:00Z", 2, "2026-10-24T22:30:00Z",
                  "2026-10-24T23:30:00Z" },
                { "Asia/Jerusalem", "2026-10-25T02:00:00Z", 1, "2026-10-25T00:00:00Z", NULL },
                { "Australia/Lord_Howe", "2026-04-05T01:45:00Z", 2, "2026-04-04T14:45:00Z",
                  "2026-04-04T15:15:00Z" },
                { "Pacific/Apia", "2011-12-30T12:00:00Z", 0, "2011-12-30T10:00:00Z", NULL },
                { "UTC", "2026-01-01T00:00:00Z", 1, "2026-01-01T00:00:00Z", NULL },
        };
        struct cm_zones *zones = cm_zones_new(NULL);
        char text[CM_TIME_TEXT_SIZE];
        cm_time wall, instants[2], gap = 0;
        cm_date day;

        (void)state;
        for (size_t i = 0; i < CM_COUNT(cases); i++) {
                const struct cm_zone *zone = cm_zones_get(zones, cm_str_from(cases[i].zone));

                assert_true(cm_time_parse(cm_str_from(cases[i].wall), &wall, NULL));
                assert_int_equal(cm_zone_instants(zone, wall, instants, &gap), cases[i].count);
                assert_string_equal(cm_time_format(cases[i].count ? instants[0] : gap, text),
                                    cases[i].first);
                if (cases[i].second)
                        assert_string_equal(cm_time_format(instants[1], text), cases[i].second);
        }

        /* The day that Samoa skipped is empty; Beirut's clock changes at midnight. */
        assert_true(cm_date_parse(CM_STR("2011-12-30"), &day));
        assert_int_equal(cm_zone_day_start(cm_zones_get(zones, CM_STR("Pacific/Apia")), day),
                         cm_zone_day_start(cm_zones_get(zones, CM_STR("Pacific/Apia")), day + 1));
        assert_true(cm_date_parse(CM_STR("2022-03-27"), &day));
        cm_time_format(cm_zone_day_start(cm_zones_get(zones, CM_STR("Asia/Beirut")), day), text);
        assert_string_equal(text, "2022-03-26T22:00:00Z");
        cm_zones_free(&zones);
}

static void copy_file(const char *from, const char *folder, const char *name)
{
        char command[512];

        (void)snprintf(command, sizeof(command), "cp /usr/share/zoneinfo/%s %s/%s", from, folder,
                       name);
        assert_int_equal(system(command), 0);
}

/* The database is replaced under a running program. */
static void reloading(void **state)
{
        char folder[] = "/tmp/zones-XXXXXX", version[CM_ZONES_VERSION_SIZE], path[64];
        struct cm_zones *zones;
        int64_t before, after, hash;

        (void)state;
        assert_non_null(mkdtemp(folder));
        copy_file("Asia/Jerusalem", folder, "Here");
        copy_file("UTC", folder, "Gone");
        zones = cm_zones_new(folder);
        assert_string_equal(cm_zones_version(zones, version), "unknown");
        assert_int_equal(cm_zone_offset(cm_zones_get_hashed(zones, CM_STR("Here"), &before), 0),
                         7200);
        assert_non_null(cm_zones_get(zones, CM_STR("Gone")));
        assert_non_null(cm_zones_get_hashed(zones, CM_STR("+02:00"), &hash));
        assert_int_equal(hash, 0);

        copy_file("Asia/Tokyo", folder, "Here");
        (void)snprintf(path, sizeof(path), "%s/Gone", folder);
        assert_int_equal(unlink(path), 0);
        copy_file("tzdata.zi", folder, "tzdata.zi");
        assert_int_equal(cm_zone_offset(cm_zones_get(zones, CM_STR("Here")), 0), 7200);
        assert_int_equal(cm_zones_reload(zones), 1);
        assert_int_equal(cm_zones_reload(zones), 0);
        assert_int_equal(cm_zone_offset(cm_zones_get_hashed(zones, CM_STR("Here"), &after), 0),
                         9 * 3600);
        assert_true(before != after);
        assert_non_null(cm_zones_get(zones, CM_STR("Gone")));
        assert_string_not_equal(cm_zones_version(zones, version), "unknown");
        cm_zones_free(&zones);
        (void)snprintf(path, sizeof(path), "rm -r %s", folder);
        assert_int_equal(system(path), 0);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(known_and_unknown_names),
                cmocka_unit_test(walls),
                cmocka_unit_test(gaps_folds_and_days),
                cmocka_unit_test(reloading),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
