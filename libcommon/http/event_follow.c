#include "http/event_follow.h"

#include "base/error.h"
#include "http/event_stream.h"

/* Until the last event, or the reason why there is none. */
static int pass_on(struct cm_event_stream *stream, struct cm_event_follower *follower)
{
        for (;;) {
                struct cm_stream_event event = { 0 };
                int r;

                r = cm_event_follower_next(follower, &event);
                if (r == CM_EVENT_LOG_NONE)
                        return CM_STREAM_DRAINED; /* the client asks again, and is told then */
                if (r == CM_EVENT_LOG_NOT_YET)
                        r = cm_event_stream_wait(stream);
                else if (r == 0)
                        r = cm_event_stream_send(stream, &event);
                if (r)
                        return r;
                if (event.type.data && cm_stream_event_is_last(event.type))
                        return 0;
        }
}

static int serve(struct cm_request *request, struct cm_event_follower *follower)
{
        struct cm_event_stream *stream;
        int r;

        if (cm_event_follower_is_behind_end(follower))
                return cm_reply_empty(request, 204);
        r = cm_event_stream_open(request, &stream);
        if (r < 0)
                return r;
        if (r == 0) {
                cm_event_follower_listen(follower, cm_event_stream_bell(stream));
                r = pass_on(stream, follower);
        }
        return cm_event_stream_close(stream, r);
}

int cm_event_follow(struct cm_request *request, struct cm_event_logs *logs,
                    const struct cm_uuid *id)
{
        struct cm_event_follower *follower;
        int64_t last_id;
        int r;

        if (cm_request_last_event_id(request, &last_id))
                return 0;
        r = cm_event_follower_new(logs, id, last_id, &follower);
        if (r == 0)
                r = serve(request, follower);
        cm_event_follower_free(&follower);
        return r;
}
