#include <string.h>

#include "base/assert.h"
#include "base/error.h"
#include "errors.h"
#include "http/form.h"
#include "http/server_internal.h"
#include "sys/log.h"

/*
 * A request in its fiber, from the route to the reply. The order of the checks is what a client
 * sees: is there such a place, who are you, do I understand what you send, is it right.
 */

static int reply_simple(struct cm_request *request, int status, const char *code,
                        const char *detail)
{
        return cm_reply_problem(request, &(struct cm_problem){ .status = status,
                                                               .code = code,
                                                               .detail = cm_str_from(detail) });
}

/* No route: 400, 404, 405, or what OPTIONS asks for. */
static int serve_unmatched(struct cm_request *request)
{
        const struct cm_match *match = &request->match;
        bool options = cm_str_equal(request->head.method, CM_STR("OPTIONS"));

        if (request->target_outcome == CM_TARGET_BAD)
                return reply_simple(request, 400, CM_CODE_BAD_REQUEST,
                                    "the path is not in its plain form");
        if (options && (match->allow || request->target.is_asterisk)) {
                cm_reply_header(request, "Allow",
                                match->allow ? cm_str_from(match->allow)
                                             : CM_STR("GET, HEAD, POST, PUT, PATCH, DELETE, "
                                                      "OPTIONS"));
                return cm_reply_empty(request, 204);
        }
        if (!match->allow)
                return cm_reply_not_found(request);
        cm_reply_header(request, "Allow", cm_str_from(match->allow));
        return reply_simple(request, 405, CM_CODE_METHOD_NOT_ALLOWED, NULL);
}

static bool has_body(const struct cm_request *request)
{
        if (request->head.chunked)
                return request->body.len || !cm_body_ended(&request->framing);
        return request->head.content_length > 0;
}

/* False after a reply: what was sent is too large, or not what the route takes. */
static bool body_is_welcome(struct cm_request *request, const struct cm_route *route)
{
        struct cm_str type = cm_request_header(request, "content-type");

        if (request->too_large) {
                cm_request_fail(request, -CM_E_TOO_LARGE);
                return false;
        }
        if (!has_body(request) && route->body_required) {
                (void)reply_simple(request, 400, CM_CODE_BAD_REQUEST, "a body is required");
                return false;
        }
        if (!route->media) {
                if (!has_body(request) || route->streamed)
                        return true;
                (void)reply_simple(request, 400, CM_CODE_BAD_REQUEST,
                                   "this operation takes no body");
                return false;
        }
        if (!has_body(request) && !type.data)
                return true;
        if (cm_media_is_accepted(route->media, type))
                return true;
        cm_reply_header(request, "Accept", cm_str_from(route->media));
        (void)reply_simple(request, 415, CM_CODE_UNSUPPORTED_MEDIA, NULL);
        return false;
}

/* Decodes the body; *body_r is NULL when there is none. False after a reply. */
static bool decode_body(struct cm_request *request, const struct cm_route *route, void **body_r)
{
        struct cm_faults faults = { 0 };
        int r;

        *body_r = NULL;
        if (!route->body || !has_body(request))
                return true;
        *body_r = cm_arena_alloc(&request->arena, route->body->size);
        r = (route->form ? cm_form_decode : cm_schema_decode)(route->body, request->body,
                                                              &request->arena, *body_r, &faults);
        if (r == 0)
                return true;
        if (r < 0)
                cm_request_fail(request, r);
        else
                (void)cm_reply_problem(request,
                                       &(struct cm_problem){
                                               .status = r == CM_DECODE_NOT_JSON ? 400 : 422,
                                               .code = r == CM_DECODE_NOT_JSON ? CM_CODE_BAD_REQUEST
                                                                               : CM_CODE_INVALID,
                                               .faults = &faults,
                                       });
        return false;
}

/* 0 or positive when the request is answered, negative when machinery failed. */
static int serve_matched(struct cm_request *request)
{
        const struct cm_server_config *config = &request->server->config;
        const struct cm_endpoint *endpoint = request->match.endpoint;
        const struct cm_route *route = endpoint->route;
        void *params, *body;
        int r;

        r = config->guard ? config->guard(request, route, config->guard_arg) : 0;
        if (r)
                return r;
        if (!body_is_welcome(request, route))
                return 0;
        params = cm_arena_alloc(&request->arena, route->params_size ? route->params_size : 1);
        if (!cm_params_decode(request, params) || !decode_body(request, route, &body))
                return 0;
        if (endpoint->content.data)
                return cm_reply_body(request, 200, "application/json", endpoint->content);
        r = route->idempotent && !route->events ? cm_attempt_enter(request) : 0;
        if (r == 0)
                r = route->call(request, params, body);
        cm_attempt_leave(request);
        return r;
}

static void fill_context(const struct cm_request *request)
{
        const struct cm_endpoint *endpoint = request->match.endpoint;
        struct cm_context *context = cm_fiber_context();

        memcpy(context->request_id, request->request_id, sizeof(context->request_id));
        memcpy(context->traceparent, request->traceparent, sizeof(context->traceparent));
        context->operation = endpoint ? endpoint->route->operation : NULL;
}

void cm_request_serve(void *arg)
{
        struct cm_request *request = arg;
        int r;

        fill_context(request);
        r = request->match.endpoint ? serve_matched(request) : serve_unmatched(request);
        if (r < 0) {
                cm_request_fail(request, r);
        } else if (request->reply == CM_REPLY_NONE) {
                cm_log(CM_LOG_ERROR, "handler did not reply");
                cm_request_fail(request, -CM_E_INTERNAL);
        }
        request->finished = true;
        cm_connection_schedule(request->connection);
}
