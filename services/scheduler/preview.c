#include <stdio.h>

#include "base/error.h"
#include "explain.h"
#include "schedule_plan.h"
#include "scheduler.h"
#include "scheduler_api.h"

/* What an expression means, before it is one's schedule. */

enum { DEFAULT_COUNT = 10 };

/* RFC 3339 with the offset that holds then. */
static struct cm_str local_text(struct cm_arena *arena, const struct cm_zone *zone, cm_time at)
{
        char text[CM_TIME_TEXT_SIZE];
        int32_t offset = cm_zone_offset(zone, at);
        int32_t minutes = (offset < 0 ? -offset : offset) / 60;

        cm_time_format(cm_zone_wall(zone, at), text);
        return cm_arena_printf(arena, "%.19s%c%02d:%02d", text, offset < 0 ? '-' : '+',
                               minutes / 60, minutes % 60);
}

static void list_runs(struct cm_arena *arena, const struct recurrence *recurrence,
                      const struct recurrence_place *place, size_t count,
                      struct schedule_preview *preview_r)
{
        cm_time at = place->anchor;

        preview_r->runs.items = cm_arena_array(arena, count, sizeof(*preview_r->runs.items));
        for (size_t i = 0; i < count; i++) {
                struct cron_firing firing;

                if (!recurrence_next(recurrence, place, at, &firing))
                        break;
                at = firing.at;
                preview_r->runs.items[preview_r->runs.count++] = (struct preview_run){
                        .at = firing.at,
                        .local = local_text(arena, place->zone, firing.at),
                        .adjusted = (int32_t)firing.adjusted,
                        .has_adjusted = firing.adjusted ? CM_PRESENT : CM_ABSENT,
                };
        }
}

int schedule_preview(struct cm_request *request, const struct schedule_preview_input *in)
{
        struct cm_arena *arena = cm_request_arena(request);
        cm_time start = in->has_start == CM_PRESENT ? in->start : cm_request_now(request);
        struct schedule_preview preview = { 0 };
        int32_t warnings[EXPLAIN_MAX_WARNINGS];
        struct recurrence_place place = { .anchor = start - (start % CM_SECOND) };
        struct recurrence recurrence;
        char text[CRON_FAULT_TEXT_SIZE];
        struct cron_fault fault;
        int64_t hash;
        int r;

        if (recurrence_parse(in->cron_expression, 0, &recurrence, &fault))
                return cm_reply_invalid(request, "/cron_expression", "%s",
                                        cron_fault_format(&fault, text));
        preview.timezone = in->timezone;
        r = in->has_timezone == CM_PRESENT
                    ? 0
                    : schedule_plan_zone(cm_request_service(request), arena,
                                         &cm_request_claims(request)->sub, &preview.timezone);
        if (r)
                return r;
        place.zone = scheduler_zone(cm_request_service(request), preview.timezone, &hash);
        if (in->has_dst_gap == CM_PRESENT)
                place.policy.gap = (enum cron_gap)(in->dst_gap - DST_GAP_FIRE_AFTER);
        if (in->has_dst_overlap == CM_PRESENT)
                place.policy.overlap = (enum cron_overlap)(in->dst_overlap - DST_OVERLAP_FIRST);
        list_runs(arena, &recurrence, &place,
                  in->has_count == CM_PRESENT ? (size_t)in->count : DEFAULT_COUNT, &preview);
        explain_recurrence(&recurrence, arena, &preview.explanation);
        preview.warnings.items = warnings;
        preview.warnings.count = explain_warnings(&recurrence, warnings);
        return cm_reply_json(request, 200, &schedule_preview_schema, &preview);
}
