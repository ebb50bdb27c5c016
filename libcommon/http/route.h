#pragma once
#include "codec/schema.h"
#include "codec/stream_event.h"
#include "http/request.h"

/*
 * Routes as the build generates them from proto/http/<service>.yaml. The handler is a generated
 * thunk that calls the operation's function with its decoded parameters and body.
 */
enum cm_param_place { CM_IN_PATH, CM_IN_QUERY, CM_IN_HEADER };

struct cm_param {
        const char *name;
        enum cm_param_place place;
        const struct cm_schema *schema;
        size_t offset;
        size_t has_offset; /* CM_NO_OFFSET when required */
};

struct cm_media {
        const char *type; /* "application/json" */
};

struct cm_route {
        const char *method;
        const char *path; /* "/v1/health-events/{id}" */
        const char *operation;
        const char *scope;    /* NULL: open to anybody */
        const char *limit_by; /* "user", "address"; NULL: no limit */
        int64_t limit;
        int64_t limit_window_us;
        bool idempotent;   /* honours Idempotency-Key */
        bool streamed;     /* the handler reads the body itself */
        int64_t max_body;  /* bytes; 0: the server's own limit */
        const char *media; /* accepted Content-Type, NULL when there is no body */
        const struct cm_param *params;
        size_t param_count;
        size_t params_size;
        const struct cm_schema *body; /* NULL: none or streamed */
        bool form;                    /* the body is a form, not JSON: form.h */
        bool body_required;
        const struct cm_event_list *events; /* what the stream that it answers with may say */
        bool websocket;                     /* ... over a WebSocket */
        const struct cm_schema *messages;   /* what a client may say there; NULL: nothing */
        int (*call)(struct cm_request *request, const void *params, const void *body);
};

struct cm_routes {
        const struct cm_route *items;
        size_t count;
        const char *openapi_json; /* served at /openapi.json */
};
