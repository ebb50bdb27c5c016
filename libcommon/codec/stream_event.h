#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/str.h"

/*
 * Events of a stream to a client: what a reply is made of while it is being made. A contract lists
 * the types (`x-event-streams` in proto/http/), the build makes a constant of each. A stream ends
 * with exactly one last event, whose type is `done` or `error`; every list has both.
 */
struct cm_schema;

struct cm_event_type {
        const char *name; /* "delta" */
        const struct cm_schema *schema;
        bool is_last;
};

/* All that one stream may say. */
struct cm_event_list {
        const char *name;
        const struct cm_event_type *const *types;
        size_t count;
};

/* One event as it goes over the wire. A view. */
struct cm_stream_event {
        int64_t id; /* from 1, growing; 0: none, a client cannot resume after it */
        struct cm_str type;
        struct cm_str data; /* JSON */
};

/* Ids of events that a producer gives are below; this one is for the end that somebody else writes
 * when the producer has died, so it is behind all that any client may have seen. */
#define CM_STREAM_INTERRUPTED_ID INT64_C(1000000000)

/* True for `done` and `error`. */
bool cm_stream_event_is_last(struct cm_str type);

/* The id that a client names (Last-Event-ID): decimal digits. False for anything else. */
bool cm_stream_event_id_parse(struct cm_str text, int64_t *id_r);
