#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "base/mem.h"
#include "http/event_follow.h"
#include "http/server.h"
#include "http/websocket.h"
#include "schemas.h"
#include "sys/fiber.h"

/*
 * One replica of a service that does nothing but make and follow replies, for tests and benches of
 * streams:   replica REDIS_URL [lease ms [heartbeat ms]]   prints its port.
 *
 *     POST   /replies/{id}?words=N&pause_us=N    makes a reply of N words
 *     GET    /replies/{id}                       follows it (SSE)
 *     DELETE /replies/{id}                       stops it
 *     GET    /socket                             WebSocket; {"id", "last_id", "stop"} follows or
 * stops
 */
struct reply_params {
        struct cm_uuid id;
        int64_t words, pause_us;
        uint8_t has_words, has_pause_us;
};

struct ask {
        struct cm_uuid id;
        int64_t last_id;
        uint8_t has_last_id;
        bool stop;
        uint8_t has_stop;
};

struct replica {
        struct cm_loop *loop;
        struct cm_redis *redis;
        struct cm_event_logs *logs;
        struct cm_server *server;
};

struct job {
        struct cm_event_log *log;
        int64_t words, pause_us;
};

static const struct cm_schema id_schema = { .name = "Id",
                                            .type = CM_TYPE_UUID,
                                            .size = sizeof(struct cm_uuid) };
static const struct cm_schema count_schema = {
        .name = "Count", .type = CM_TYPE_INTEGER, .size = sizeof(int64_t), .has_min = true
};
static const struct cm_schema yes_or_no_schema = { .name = "Flag",
                                                   .type = CM_TYPE_BOOLEAN,
                                                   .size = sizeof(bool) };
static const struct cm_member ask_members[] = {
        { "id", &id_schema, offsetof(struct ask, id), CM_NO_OFFSET, true },
        { "last_id", &count_schema, offsetof(struct ask, last_id),
          offsetof(struct ask, has_last_id) },
        { "stop", &yes_or_no_schema, offsetof(struct ask, stop), offsetof(struct ask, has_stop) },
};
static const struct cm_schema ask_schema = { .name = "Ask",
                                             .type = CM_TYPE_OBJECT,
                                             .size = sizeof(struct ask),
                                             .members = ask_members,
                                             .member_count = CM_COUNT(ask_members) };
static const struct cm_param reply_param_table[] = {
        { "id", CM_IN_PATH, &id_schema, offsetof(struct reply_params, id), CM_NO_OFFSET },
        { "words", CM_IN_QUERY, &count_schema, offsetof(struct reply_params, words),
          offsetof(struct reply_params, has_words) },
        { "pause_us", CM_IN_QUERY, &count_schema, offsetof(struct reply_params, pause_us),
          offsetof(struct reply_params, has_pause_us) },
};
static const struct cm_event_type delta = { "delta", &stream_error_schema };
static const struct cm_event_type done = { "done", &stream_error_schema, true };

/* ---- the producer */

static int say(struct cm_event_log *log, const struct cm_event_type *type, int64_t number)
{
        char text[64];
        struct stream_error value = { .code = CM_STR("word") };

        (void)snprintf(text, sizeof(text), "\xd7\xa9\xd7\x9c\xd7\x95\xd7\x9d %" PRId64,
                       number * 7919);
        value.title = cm_str_from(text);
        return cm_event_log_append(log, type, &value);
}

static void produce(void *arg)
{
        struct job *job = arg;
        int r = 0;

        for (int64_t i = 1; r == 0 && i <= job->words; i++) {
                r = job->pause_us ? cm_fiber_sleep(job->pause_us) : 0;
                if (r == 0)
                        r = say(job->log, &delta, i);
        }
        if (r == 0 || r == CM_EVENT_LOG_STOPPED)
                (void)!say(job->log, &done, r ? -1 : 0);
        cm_event_log_close(&job->log);
        cm_free(job);
}

static int call_make(struct cm_request *request, const void *params, const void *body CM_UNUSED)
{
        struct replica *replica = cm_request_service(request);
        const struct reply_params *in = params;
        struct job *job = CM_NEW(struct job);
        int r = cm_event_log_open(replica->logs, &in->id, &job->log);

        if (r < 0) {
                cm_free(job);
                return r;
        }
        job->words = in->words;
        job->pause_us = in->pause_us;
        (void)cm_fiber_set_deadline(CM_NEVER); /* the producer outlives the request */
        r = cm_fiber_start("producer", produce, job, CM_NEVER);
        return r < 0 ? r : cm_reply_empty(request, 202);
}

/* ---- consumers */

static int call_follow(struct cm_request *request, const void *params, const void *body CM_UNUSED)
{
        struct replica *replica = cm_request_service(request);
        const struct reply_params *in = params;
        int r = cm_event_follow(request, replica->logs, &in->id);

        return r == CM_EVENT_LOG_NONE ? cm_reply_not_found(request) : r;
}

static int call_stop(struct cm_request *request, const void *params, const void *body CM_UNUSED)
{
        struct replica *replica = cm_request_service(request);
        const struct reply_params *in = params;
        int r = cm_event_log_stop(replica->logs, &in->id);

        return r < 0 ? r : r ? cm_reply_not_found(request) : cm_reply_empty(request, 204);
}

static int on_message(struct cm_websocket *socket, const void *message, void *arg)
{
        struct replica *replica = arg;
        const struct ask *ask = message;
        struct cm_event_follower *follower;
        int r;

        if (ask->stop) {
                r = cm_event_log_stop(replica->logs, &ask->id);
                return r < 0 ? r : 0;
        }
        r = cm_event_follower_new(replica->logs, &ask->id, ask->last_id, &follower);
        if (r == CM_EVENT_LOG_NONE) {
                cm_websocket_send(socket, NULL,
                                  &(struct cm_stream_event){ 0, CM_STR("unknown"), CM_STR("{}") });
                return 0;
        }
        if (r == 0)
                r = cm_websocket_follow(socket, follower);
        if (r < 0)
                cm_event_follower_free(&follower);
        return r;
}

static int call_socket(struct cm_request *request, const void *params CM_UNUSED,
                       const void *body CM_UNUSED)
{
        const struct cm_websocket_config config = { .message = on_message,
                                                    .arg = cm_request_service(request) };

        return cm_websocket_serve(request, &config);
}

/* ---- the daemon */

static const struct cm_event_list events = { .name = "reply" };
#define REPLY_PARAMS                                                                               \
        .params = reply_param_table, .param_count = 3, .params_size = sizeof(struct reply_params)
static const struct cm_route route_table[] = {
        { .method = "POST",
          .path = "/replies/{id}",
          .operation = "make",
          REPLY_PARAMS,
          .call = call_make },
        { .method = "GET",
          .path = "/replies/{id}",
          .operation = "follow",
          REPLY_PARAMS,
          .events = &events,
          .call = call_follow },
        { .method = "DELETE",
          .path = "/replies/{id}",
          .operation = "stop",
          REPLY_PARAMS,
          .call = call_stop },
        { .method = "GET",
          .path = "/socket",
          .operation = "socket",
          .events = &events,
          .websocket = true,
          .messages = &ask_schema,
          .call = call_socket },
};
static const struct cm_routes routes = { route_table, CM_COUNT(route_table), NULL };
static const struct cm_routes *const tables[] = { &routes };

static int start(struct replica *it, const char *url, int64_t lease_ms, int64_t heartbeat_ms)
{
        const struct cm_fiber_pool_config fibers = { 65536, 6000, 64 };
        const struct cm_redis_config redis = { url, CM_SECOND, 200 * CM_MILLISECOND, 20000 };
        struct cm_server_config config = {
                .listen = "127.0.0.1:0",
                .routes = tables,
                .routes_count = 1,
                .service = it,
                .streams = { .heartbeat_us = heartbeat_ms * CM_MILLISECOND, .message_bytes = 65536 }
        };
        int r = cm_loop_new(&it->loop);

        if (r == 0)
                r = cm_fiber_pool_init(it->loop, &fibers);
        if (r == 0)
                r = cm_redis_new(it->loop, &redis, &it->redis);
        if (r == 0)
                r = cm_event_logs_new(
                        it->loop,
                        &(struct cm_event_logs_config){ .redis = it->redis,
                                                        .redis_url = url,
                                                        .service = "chat",
                                                        .lease_us = lease_ms * CM_MILLISECOND },
                        &it->logs);
        config.loop = it->loop;
        return r == 0 ? cm_server_new(&config, &it->server) : r;
}

int main(int argc, char **argv)
{
        struct replica replica = { 0 };

        if (argc < 2 || start(&replica, argv[1], argc > 2 ? strtoll(argv[2], NULL, 10) : 0,
                              argc > 3 ? strtoll(argv[3], NULL, 10) : 0)) {
                fprintf(stderr, "usage: replica REDIS_URL [lease ms [heartbeat ms]]\n");
                return 2;
        }
        cm_server_start(replica.server);
        printf("%d\n", cm_server_port(replica.server));
        (void)fflush(stdout);
        cm_loop_run(replica.loop); /* until it is killed */
        return 0;
}
