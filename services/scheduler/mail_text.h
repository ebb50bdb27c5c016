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
