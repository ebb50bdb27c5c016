#pragma once
#include "cron.h"

/*
 * When a schedule fires: by the calendar (cron), every so often ("@every 8h", elapsed time from an
 * anchor, whatever the clocks on the walls do), or once ("@at 2026-12-01T08:00:00Z"). Pure.
 */
enum recurrence_kind { RECURRENCE_CRON, RECURRENCE_EVERY, RECURRENCE_AT };

struct recurrence {
        enum recurrence_kind kind;
        struct cron cron;
        int64_t every_s; /* 60 or more */
        cm_time at;
};

/* 0, or CRON_INVALID with *fault_r. */
int recurrence_parse(struct cm_str text, uint64_t seed, struct recurrence *recurrence_r,
                     struct cron_fault *fault_r) CM_MUST_CHECK;

/* What counts beside the expression. */
struct recurrence_place {
        const struct cm_zone *zone;
        struct cron_policy policy;
        cm_time anchor; /* @every counts from here; the anchor itself does not fire */
};

/* The least firing later than `after`; false: never again. */
bool recurrence_next(const struct recurrence *recurrence, const struct recurrence_place *place,
                     cm_time after, struct cron_firing *firing_r);
