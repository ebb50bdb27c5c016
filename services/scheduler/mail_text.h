#pragma once
#include "base/arena.h"
#include "base/zone.h"
#include "delivery_store.h"

/* What a reminder says, in the person's language (Hebrew or else English). Pure. */
struct mail_text {
        struct cm_str subject, body;
};
void mail_text_write(const struct delivery_job *job, const struct cm_zone *zone,
                     struct cm_arena *arena, struct mail_text *text_r);

bool mail_text_is_hebrew(struct cm_str language);
/* "08:30, Monday, 2 March 2026", on the zone's clocks. */
struct cm_str mail_text_time(struct cm_str language, const struct cm_zone *zone, cm_time at,
                             struct cm_arena *arena);
