#pragma once
#include "base/arena.h"
#include "base/str.h"
#include "base/time.h"
#include "base/uuid.h"

/*
 * An event: CloudEvents 1.0 in binary mode, one stream field per attribute. docs/bus-binding.md is
 * the binding to Redis streams.
 */
struct cm_event {
        struct cm_uuid id;         /* ce_id; with the source it is the key for "seen before" */
        struct cm_str source;      /* ce_source: "/salus/auth" */
        struct cm_str type;        /* ce_type: "user.created.v1" */
        cm_time time;              /* ce_time */
        struct cm_uuid subject;    /* ce_subject: the user */
        struct cm_uuid tenant;     /* ce_tenantid */
        struct cm_str traceparent; /* ce_traceparent; may be absent */
        struct cm_str data;        /* JSON */
        int64_t position;          /* ce_sequence: in the stream; 0 before it has one */
};

/* More pairs than an event ever has. */
#define CM_EVENT_ATTRIBUTES 12

enum cm_event_outcome {
        CM_EVENT_MISSING_ATTRIBUTE = 1,
        CM_EVENT_BAD_ATTRIBUTE,
        CM_EVENT_WRONG_VERSION, /* of CloudEvents */
        CM_EVENT_TOO_LARGE,
};

/* Name and value pairs, as XADD takes them, in the arena. Returns the number of texts. */
size_t cm_event_fields(const struct cm_event *event, struct cm_arena *arena,
                       struct cm_str **fields_r);
/* From name and value pairs; views into them. Unknown names are ignored. `what_r` names the
 * culprit. */
int cm_event_parse(const struct cm_str *fields, size_t count, size_t max_data,
                   struct cm_event *event_r, const char **what_r) CM_MUST_CHECK;
