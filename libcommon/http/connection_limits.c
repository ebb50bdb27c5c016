#include "http/server_internal.h"

/*
 * How long a connection may take over what it is at. The server's sweep asks some times a second;
 * nothing here is exact, and no request sets a timer.
 */
#define LINGER_US (2 * CM_SECOND)

/* A client that sends or takes nothing for the grace time, or too little in all, is too slow. */
static bool is_too_slow(const struct cm_connection *connection, int64_t still_us, int64_t total_us,
                        int64_t bytes)
{
        const struct cm_server_limits *limits = &connection->server->config.limits;
        int64_t earned_us = bytes / limits->min_rate * CM_SECOND;

        return still_us > limits->grace_us || total_us > limits->grace_us + earned_us;
}

static bool is_slow_reader(const struct cm_connection *connection, int64_t now_us)
{
        return connection->blocked_us &&
               is_too_slow(connection, now_us - connection->progress_us,
                           now_us - connection->blocked_us, connection->drained);
}

static bool is_slow_writer(const struct cm_connection *connection, int64_t now_us)
{
        int64_t still_us = now_us - connection->since_us;

        if (connection->phase != CM_PHASE_BODY && !connection->reader)
                return false;
        return is_too_slow(connection, still_us, still_us + connection->waited_us,
                           connection->request->framing.received);
}

void cm_connection_check(struct cm_connection *connection, int64_t now_us)
{
        const struct cm_server_limits *limits = &connection->server->config.limits;
        int64_t passed_us = now_us - connection->since_us;
        enum cm_phase phase = connection->phase;

        if (is_slow_reader(connection, now_us)) {
                cm_counter_add(&cm_http_timeouts, 1);
                cm_connection_abort(connection);
        } else if (is_slow_writer(connection, now_us)) {
                cm_connection_time_out(connection, "the body of the request took too long");
        } else if (phase == CM_PHASE_HEAD && passed_us > limits->head_us) {
                cm_connection_time_out(connection, "the head of the request took too long");
        } else if ((phase == CM_PHASE_IDLE && passed_us > limits->idle_us) ||
                   (phase == CM_PHASE_LINGER && passed_us > LINGER_US)) {
                cm_connection_abort(connection);
        }
}
