#pragma once
#include "planners/planner.h"

/* What a call of the companion says as a health event. Pure. */
enum tool_fact_outcome { TOOL_FACT_UNSUPPORTED = 1 /* *why_r says what */ };

/* What a dose that answers a reminder has of it: the medicine and how much. */
void tool_fact_answer(const struct schedule *reminder, struct health_event_input *dose);

int tool_fact_make(struct cm_arena *arena, const struct chat_tool_call *call,
                   enum chat_language language, cm_time now, struct health_event_input *event_r,
                   struct cm_str *why_r) CM_MUST_CHECK;
/* The record that the call replaces; NULL: none, it is a new one. */
const struct cm_uuid *tool_fact_corrects(const struct chat_tool_call *call);
