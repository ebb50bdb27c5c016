#include "event_time.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "event_store.h"
#include "main_health_api.h"
#include "sys/zones.h"

static void local_dates(void **state)
{
        static const struct {
                int16_t type, subtype;
                const char *zone, *occurred_at, *ended_at, *date;
        } cases[] = {
                { HEALTH_EVENT_TYPE_MOOD, 1, "Asia/Jerusalem", "2026-01-01T21:59:59Z", NULL,
                  "2026-01-01" },
                { HEALTH_EVENT_TYPE_MOOD, 1, "Asia/Jerusalem", "2026-01-01T22:00:00Z", NULL,
                  "2026-01-02" },
                { HEALTH_EVENT_TYPE_MOOD, 1, "Asia/Kathmandu", "2026-01-01T18:15:00Z", NULL,
                  "2026-01-02" },
                { HEALTH_EVENT_TYPE_MOOD, 1, "Pacific/Apia", "2011-12-30T09:59:59Z", NULL,
                  "2011-12-29" },
                { HEALTH_EVENT_TYPE_MOOD, 1, "Pacific/Apia", "2011-12-30T10:00:00Z", NULL,
                  "2011-12-31" },
                { HEALTH_EVENT_TYPE_MOOD, 1, "-03:30", "2026-01-01T03:29:59Z", NULL, "2025-12-31" },
                /* 17 is the subtype's number of sleep, but this is no vital. */
                { HEALTH_EVENT_TYPE_NOTE, VITAL_SUBTYPE_SLEEP, "UTC", "2026-01-01T23:00:00Z",
                  "2026-01-02T07:00:00Z", "2026-01-01" },
                { HEALTH_EVENT_TYPE_VITAL, VITAL_SUBTYPE_SLEEP, "UTC", "2026-01-01T23:00:00Z",
                  "2026-01-02T07:00:00Z", "2026-01-02" },
                { HEALTH_EVENT_TYPE_VITAL, VITAL_SUBTYPE_SLEEP, "UTC", "2026-01-01T22:00:00Z",
                  "2026-01-01T23:00:00Z", "2026-01-02" },
                { HEALTH_EVENT_TYPE_VITAL, VITAL_SUBTYPE_SLEEP, "UTC", "2026-01-01T13:00:00Z",
                  "2026-01-01T17:59:59Z", "2026-01-01" },
                { HEALTH_EVENT_TYPE_VITAL, VITAL_SUBTYPE_SLEEP, "UTC", "2026-01-01T13:00:00Z",
                  "2026-01-01T18:00:00Z", "2026-01-02" },
                { HEALTH_EVENT_TYPE_VITAL, VITAL_SUBTYPE_SLEEP, "UTC", "2026-01-01T07:00:00Z", NULL,
                  "2026-01-01" },
                { HEALTH_EVENT_TYPE_VITAL, VITAL_SUBTYPE_WORKOUT, "UTC", "2026-01-01T23:00:00Z",
                  "2026-01-02T01:00:00Z", "2026-01-01" },
        };
        struct cm_zones *zones = cm_zones_new(NULL);

        (void)state;
        for (size_t i = 0; i < CM_COUNT(cases); i++) {
                cm_time occurred_at, ended_at = EVENT_NO_END;
                cm_date date;

                assert_true(cm_time_parse(cm_str_from(cases[i].occurred_at), &occurred_at, NULL));
                if (cases[i].ended_at)
                        assert_true(cm_time_parse(cm_str_from(cases[i].ended_at), &ended_at, NULL));
                assert_true(cm_date_parse(cm_str_from(cases[i].date), &date));
                if (event_local_date(cases[i].type, cases[i].subtype,
                                     cm_zones_get(zones, cm_str_from(cases[i].zone)), occurred_at,
                                     ended_at) != date)
                        fail_msg("case %zu: %s", i, cases[i].occurred_at);
        }
        cm_zones_free(&zones);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(local_dates),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
