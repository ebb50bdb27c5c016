/*
 * Expressions and their next runs. The input is an expression, a byte that chooses a zone, a policy
 * and a start, and what follows from them must hold: runs increase, each is later than its start
 * and the same for each start before it, and a refusal names a column inside the text.
 */
#include <assert.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "../../services/scheduler/explain.h"
#include "../../services/scheduler/recurrence.h"
#include "sys/zones.h"

static const char *const names[] = { "UTC",
                                     "America/New_York",
                                     "Asia/Jerusalem",
                                     "Australia/Lord_Howe",
                                     "Africa/Casablanca",
                                     "Pacific/Apia",
                                     "Antarctica/Troll",
                                     "Europe/Dublin" };

static void check_runs(const struct recurrence *recurrence, const struct recurrence_place *place,
                       cm_time at)
{
        struct cron_firing firing, again;

        for (int i = 0; i < 4 && recurrence_next(recurrence, place, at, &firing); i++) {
                assert(firing.at > at && firing.at % CM_SECOND == 0);
                assert(recurrence_next(recurrence, place, at + (firing.at - at) / 2, &again));
                assert(again.at == firing.at && again.adjusted == firing.adjusted);
                at = firing.at;
        }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
        static struct cm_zones *zones;
        struct recurrence_place place = { 0 };
        struct explanation explanation;
        struct recurrence recurrence;
        struct cron_fault fault;
        struct cm_arena arena;
        int32_t warnings[EXPLAIN_MAX_WARNINGS];
        uint32_t start_s;
        struct cm_str text;

        if (size < 6)
                return 0;
        if (!zones)
                zones = cm_zones_new(NULL);
        memcpy(&start_s, data, sizeof(start_s));
        place.anchor = start_s * CM_SECOND;
        place.zone = cm_zones_get(zones, cm_str_from(names[data[4] % 8]));
        place.policy.gap = (enum cron_gap)(data[5] % 3);
        place.policy.overlap = (enum cron_overlap)(data[5] / 3 % 3);
        text = (struct cm_str){ (const char *)data + 6, size - 6 };
        if (recurrence_parse(text, start_s, &recurrence, &fault)) {
                assert(fault.column >= 1 && (size_t)fault.column <= text.len + 1 && fault.field &&
                       fault.reason[0]);
                return 0;
        }
        cm_arena_init(&arena, 4096);
        explain_recurrence(&recurrence, &arena, &explanation);
        assert(explanation.en.len && explanation.he.len && cm_utf8_is_valid(explanation.he));
        (void)explain_warnings(&recurrence, warnings);
        cm_arena_deinit(&arena);
        if (place.zone)
                check_runs(&recurrence, &place, place.anchor);
        return 0;
}
