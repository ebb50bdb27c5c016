#include "http/request.h"

#include <arpa/inet.h>

#include "base/assert.h"
#include "base/error.h"
#include "http/request_internal.h"
#include "http/server_internal.h"

#define EAGER_READS 16

void *cm_request_service(const struct cm_request *request)
{
        return request->server->config.service;
}

struct cm_arena *cm_request_arena(struct cm_request *request)
{
        return &request->arena;
}

cm_time cm_request_now(const struct cm_request *request)
{
        return request->now;
}

int64_t cm_request_started_us(const struct cm_request *request)
{
        return request->started_us;
}

const struct cm_claims *cm_request_claims(const struct cm_request *request)
{
        CM_ASSERT(request->has_claims);
        return &request->claims;
}

void cm_request_set_claims(struct cm_request *request, const struct cm_claims *claims)
{
        struct cm_context *context = cm_fiber_context();

        request->claims = *claims;
        request->has_claims = true;
        context->has_user = true;
        context->user_id = claims->sub;
        context->tenant_id = claims->tenant;
}

const struct cm_route *cm_request_route(const struct cm_request *request)
{
        return request->match.endpoint->route;
}

struct cm_str cm_request_header(const struct cm_request *request, const char *name)
{
        return cm_head_find(&request->head, cm_str_from(name));
}

struct cm_str cm_request_method(const struct cm_request *request)
{
        return request->head.method;
}

struct cm_str cm_request_path(const struct cm_request *request)
{
        return request->target.path;
}

struct cm_str cm_request_peer(const struct cm_request *request)
{
        struct cm_arena *arena = &((struct cm_request *)request)->arena;
        struct in6_addr address =
                cm_peer_choose(request->server->peers, &request->connection->peer,
                               cm_head_find(&request->head, CM_STR("x-forwarded-for")));
        char text[INET6_ADDRSTRLEN];

        return cm_arena_str(arena, cm_str_from(cm_address_format(&address, text)));
}

struct cm_str cm_request_body(const struct cm_request *request)
{
        return request->body;
}

int64_t cm_request_content_length(const struct cm_request *request)
{
        if (request->head.chunked)
                return -1;
        return request->head.content_length < 0 ? 0 : request->head.content_length;
}

/* ---- reading a streamed body */

void cm_request_renew_deadline(const struct cm_request *request)
{
        cm_fiber_set_deadline(cm_monotonic_us() + request->server->config.limits.request_us);
}

static void pay_continue(struct cm_request *request)
{
        if (!request->owes_continue)
                return;
        request->owes_continue = false;
        if (request->reply == CM_REPLY_NONE) {
                cm_connection_send(request->connection, CM_STR("HTTP/1.1 100 Continue\r\n\r\n"));
                cm_connection_flush(request->connection);
        }
}

static int wait_for_input(struct cm_request *request)
{
        struct cm_connection *connection = request->connection;
        struct cm_wait wait;
        int r;

        connection->since_us = cm_monotonic_us();
        cm_request_renew_deadline(request);
        cm_wait_init(&wait);
        connection->reader = &wait;
        cm_connection_schedule(connection);
        r = cm_wait_for(&wait);
        if (connection->reader == &wait)
                connection->reader = NULL;
        connection->waited_us += cm_monotonic_us() - connection->since_us;
        return r;
}

/* A client may send as fast as we read: after some pieces the others of this loop have a turn. */
static int fill_or_wait(struct cm_request *request)
{
        if (!cm_connection_fill(request->connection)) {
                request->eager_reads = 0;
                return wait_for_input(request);
        }
        if (++request->eager_reads % EAGER_READS == 0)
                return cm_fiber_yield();
        return 0;
}

/* Unread bytes of the body in the input; 0, or why there will be none. */
static int need_input(struct cm_request *request)
{
        struct cm_connection *connection = request->connection;
        struct cm_input *input = &connection->input;
        int r = 0;

        if (input->start < input->end)
                return 0;
        input->start = input->end = input->base;
        pay_continue(request);
        while (r == 0 && input->start == input->end) {
                if (connection->eof || connection->broken)
                        return -CM_E_IO;
                r = fill_or_wait(request);
        }
        return r;
}

int cm_request_read(struct cm_request *request, struct cm_str *piece_r)
{
        struct cm_input *input = &request->connection->input;
        size_t used;
        int r;

        *piece_r = CM_STR("");
        while (!cm_body_ended(&request->framing)) {
                r = need_input(request);
                if (r < 0)
                        return r;
                r = cm_body_next(&request->framing, cm_input_unread(input), &used, piece_r);
                if (r < 0)
                        return r;
                input->start += used;
                if (request->framing.received > request->max_body)
                        return -CM_E_TOO_LARGE;
                if (piece_r->len)
                        break;
        }
        cm_request_renew_deadline(request);
        return 0;
}
