#pragma once
#include "bus/event_log.h"
#include "http/request.h"

/*
 * A handler's whole answer: the event log `id` as server-sent events, behind the id that the client
 * names. A client that has seen the end gets 204, which ends an EventSource.
 *
 *     r = cm_event_follow(request, chat->logs, &params->reply_id);
 *     return r == CM_EVENT_LOG_NONE ? reply_from_store(request, …) : r;
 *
 * The right of the client to see the log is checked before. Returns what the handler returns, or
 * CM_EVENT_LOG_NONE when there is no such log and nothing was replied. Suspends.
 */
int cm_event_follow(struct cm_request *request, struct cm_event_logs *logs,
                    const struct cm_uuid *id) CM_MUST_CHECK;
