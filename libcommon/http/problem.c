#include "errors.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "base/error.h"
#include "codec/json.h"
#include "http/server_internal.h"
#include "sys/log.h"

#define TYPE_PREFIX "urn:salus:problem:"

static const char *title_of(const struct cm_problem *problem)
{
        const struct cm_error_code *known = cm_error_code_find(problem->code);

        if (problem->title)
                return problem->title;
        return known ? known->title : "The request cannot be served";
}

static void write_faults(struct cm_json_writer *json, const struct cm_faults *faults)
{
        cm_json_key(json, "errors");
        cm_json_array(json);
        for (size_t i = 0; i < faults->count; i++) {
                cm_json_object(json);
                cm_json_key(json, "pointer");
                cm_json_text(json, faults->items[i].pointer);
                cm_json_key(json, "detail");
                cm_json_text(json, faults->items[i].detail);
                cm_json_object_end(json);
        }
        cm_json_array_end(json);
}

static void write_problem(struct cm_buf *out, const struct cm_problem *problem,
                          const char *request_id)
{
        struct cm_json_writer json;
        char type[96];

        (void)snprintf(type, sizeof(type), TYPE_PREFIX "%s", problem->code);
        cm_json_writer_init(&json, out);
        cm_json_object(&json);
        cm_json_key(&json, "type");
        cm_json_text(&json, cm_str_from(type));
        cm_json_key(&json, "title");
        cm_json_text(&json, cm_str_from(title_of(problem)));
        cm_json_key(&json, "status");
        cm_json_integer(&json, problem->status);
        cm_json_key(&json, "code");
        cm_json_text(&json, cm_str_from(problem->code));
        if (problem->detail.data) {
                cm_json_key(&json, "detail");
                cm_json_text(&json, problem->detail);
        }
        if (request_id[0]) {
                cm_json_key(&json, "instance");
                cm_json_text(&json, cm_str_from(request_id));
        }
        if (problem->faults && problem->faults->count)
                write_faults(&json, problem->faults);
        cm_json_object_end(&json);
}

int cm_reply_problem(struct cm_request *request, const struct cm_problem *problem)
{
        char seconds[16];

        cm_buf_reset(&request->scratch);
        write_problem(&request->scratch, problem, request->request_id);
        if (problem->retry_after_s > 0) {
                (void)snprintf(seconds, sizeof(seconds), "%d", problem->retry_after_s);
                cm_reply_header(request, "Retry-After", cm_str_from(seconds));
        }
        return cm_reply_body(request, problem->status, "application/problem+json",
                             cm_buf_str(&request->scratch));
}

/* Where a fault's pointer leads to decides: the body is 422, what stands in the head is 400. */
static bool is_in_head(struct cm_str pointer)
{
        return cm_str_starts(pointer, CM_STR("/query/")) ||
               cm_str_starts(pointer, CM_STR("/path/")) ||
               cm_str_starts(pointer, CM_STR("/header/"));
}

int cm_reply_invalid(struct cm_request *request, const char *pointer, const char *detail, ...)
{
        struct cm_faults faults = { .count = 1 };
        char text[256];
        va_list args;
        bool in_head;

        va_start(args, detail);
        (void)vsnprintf(text, sizeof(text), detail, args);
        va_end(args);
        faults.items[0] = (struct cm_fault){ cm_str_from(pointer), cm_str_from(text) };
        in_head = is_in_head(faults.items[0].pointer);
        return cm_reply_problem(request,
                                &(struct cm_problem){
                                        .status = in_head ? 400 : 422,
                                        .code = in_head ? CM_CODE_BAD_REQUEST : CM_CODE_INVALID,
                                        .detail = cm_str_from(text),
                                        .faults = &faults,
                                });
}

int cm_reply_not_found(struct cm_request *request)
{
        return cm_reply_problem(request,
                                &(struct cm_problem){ .status = 404, .code = CM_CODE_NOT_FOUND });
}

/* What machinery that failed is for the client. */
static const struct cm_problem *problem_of(int error)
{
        static const struct cm_problem problems[CM_E_MAX] = {
                [CM_E_DEADLINE] = { 504, CM_CODE_TIMEOUT },
                [CM_E_CANCELLED] = { 503, CM_CODE_UNAVAILABLE, .retry_after_s = 1 },
                [CM_E_UNAVAILABLE] = { 503, CM_CODE_UNAVAILABLE, .retry_after_s = 2 },
                [CM_E_UNCERTAIN] = { 503, CM_CODE_UNCERTAIN, .retry_after_s = 2,
                                     .detail = { "it may or may not have been done; try again with "
                                                 "the same Idempotency-Key",
                                                 73 } },
                [CM_E_OVERLOAD] = { 503, CM_CODE_OVERLOADED, .retry_after_s = 1 },
                [CM_E_TOO_LARGE] = { 413, CM_CODE_TOO_LARGE },
        };
        static const struct cm_problem internal = { 500, CM_CODE_INTERNAL };

        if (error <= -CM_E_MAX || error >= 0 || !problems[-error].status)
                return &internal;
        return &problems[-error];
}

/* A body that the client did not send as it should. */
static const struct cm_problem *body_problem(const struct cm_request *request, int error)
{
        static const struct cm_problem slow = { 408, CM_CODE_REQUEST_TIMEOUT };
        static const struct cm_problem malformed = { 400, CM_CODE_BAD_REQUEST };

        if (error == -CM_E_DEADLINE && request->slow)
                return &slow;
        if (error == -CM_E_MALFORMED && !cm_body_ended(&request->framing))
                return &malformed;
        return NULL;
}

void cm_request_fail(struct cm_request *request, int error)
{
        const struct cm_problem *problem = body_problem(request, error);

        if (!problem)
                problem = problem_of(error);
        if (problem->status == 500)
                cm_log(CM_LOG_ERROR, "request failed", CM_F_ERROR(error));
        if (request->reply == CM_REPLY_NONE)
                (void)cm_reply_problem(request, problem);
}
