#pragma once
#include <stdbool.h>

#include "base/attr.h"
#include "codec/stream_event.h"
#include "http/request.h"
#include "sys/bell.h"

/*
 * A reply that is a stream of events: server-sent events as WHATWG's HTML describes them. The
 * handler's fiber is the stream's only user:
 *
 *     r = cm_event_stream_open(request, &stream);
 *     while (r == 0 && there is more) {
 *             r = something is there ? cm_event_stream_send(stream, &event)
 *                                    : cm_event_stream_wait(stream);
 *     }
 *     return cm_event_stream_close(stream, r);
 *
 * What makes the events rings cm_event_stream_bell() with CM_STREAM_NEWS. Usually that is an event
 * log, and all of the above is cm_event_follow() (event_follow.h).
 *
 * The time of a request does not apply to it: between the calls the handler has the time of a
 * request for each step, in them there is no limit. A client that has gone is noticed at once and
 * is nothing that a producer hears of. One that is too slow makes send wait, then it is cut, and
 * loses nothing when it comes back with the last id that it has seen.
 */
struct cm_event_stream;

#define CM_STREAM_NEWS 1u /* for the bell */

enum cm_event_stream_outcome {
        CM_STREAM_ANSWERED = 1, /* open has replied, no stream is wanted: HEAD */
        CM_STREAM_DRAINED       /* the server stops: the client has to go on elsewhere */
};

/* The id behind which the client wants to go on: the header Last-Event-ID, or the query's
 * last_event_id for those who cannot set a header the first time; 0 for neither. Returns 0, or a
 * positive value after it has replied 400. */
int cm_request_last_event_id(struct cm_request *request, int64_t *id_r) CM_MUST_CHECK;

/* Sends the head of a 200. Returns 0 or CM_STREAM_ANSWERED. The stream lives as long as the
 * request.
 */
int cm_event_stream_open(struct cm_request *request,
                         struct cm_event_stream **stream_r) CM_MUST_CHECK;
struct cm_bell *cm_event_stream_bell(struct cm_event_stream *stream);
/* Ids grow. Nothing may follow a last event. Returns 0, or -CM_E_IO when the client has gone or was
 * cut. Suspends only for a slow client. */
int cm_event_stream_send(struct cm_event_stream *stream,
                         const struct cm_stream_event *event) CM_MUST_CHECK;
/* Waits for news and keeps the connection alive meanwhile. Returns 0 when there may be some,
 * CM_STREAM_DRAINED, -CM_E_IO (client gone) or -CM_E_CANCELLED. Suspends. */
int cm_event_stream_wait(struct cm_event_stream *stream) CM_MUST_CHECK;
/* Ends the reply; `outcome` is what the calls before returned. 0 is allowed after a last event
 * only. A drained client is told to come back soon. Returns what the handler returns. */
int cm_event_stream_close(struct cm_event_stream *stream, int outcome);
