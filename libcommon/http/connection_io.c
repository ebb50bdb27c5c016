#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

#include "base/assert.h"
#include "base/error.h"
#include "base/mem.h"
#include "http/server_internal.h"

/* The bytes of a connection: what was read and is not used yet, what is to be written. */
#define DIRECT_WRITE 16384 /* bodies from here on are not copied to the output first */
#define KEEP_OUT     32768

/* ---- input */

struct cm_str cm_input_unread(const struct cm_input *input)
{
        return (struct cm_str){ input->data + input->start, input->end - input->start };
}

void cm_input_release(struct cm_connection *connection)
{
        struct cm_input *input = &connection->input;
        struct cm_server *server = connection->server;

        if (input->data)
                cm_block_give_back(input->cap == server->small.size ? &server->small
                                                                    : &server->large,
                                   input->data);
        *input = (struct cm_input){ 0 };
}

/* Moves what is unread to the front of a large buffer. Views of the old one are void. */
void cm_input_enlarge(struct cm_connection *connection)
{
        struct cm_blocks *large = &connection->server->large;
        struct cm_input *input = &connection->input, old = *input;
        struct cm_str rest = cm_input_unread(&old);

        input->data = cm_block_take(large);
        if (rest.len)
                memcpy(input->data, rest.data, rest.len);
        input->cap = large->size;
        input->start = input->base = 0;
        input->end = rest.len;
        if (old.data)
                cm_block_give_back(old.cap == large->size ? large : &connection->server->small,
                                   old.data);
}

static bool make_room(struct cm_connection *connection)
{
        struct cm_input *input = &connection->input;

        if (!input->data) {
                input->data = cm_block_take(&connection->server->small);
                input->cap = connection->server->small.size;
                return true;
        }
        if (connection->phase == CM_PHASE_IDLE || connection->phase == CM_PHASE_HEAD) {
                if (input->start) {
                        memmove(input->data, input->data + input->start, input->end - input->start);
                        input->end -= input->start;
                        input->start = 0;
                } else if (input->end == input->cap &&
                           input->cap < connection->server->large.size) {
                        cm_input_enlarge(connection);
                }
        }
        return input->end < input->cap;
}

void cm_input_discard(struct cm_connection *connection)
{
        char scratch[16384];
        ssize_t n = read(connection->fd, scratch, sizeof(scratch));

        if (n == 0 || (n < 0 && errno != EAGAIN && errno != EINTR))
                connection->broken = true;
}

bool cm_connection_fill(struct cm_connection *connection)
{
        struct cm_input *input = &connection->input;
        ssize_t n;

        if (connection->eof || connection->broken)
                return true;
        if (input->end == input->cap && !make_room(connection))
                return false;
        n = read(connection->fd, input->data + input->end, input->cap - input->end);
        if (n > 0)
                input->end += (size_t)n;
        else if (n == 0)
                connection->eof = true;
        else if (errno == EAGAIN || errno == EINTR)
                return false;
        else
                connection->broken = true;
        return true;
}

/* ---- output */

size_t cm_output_pending(const struct cm_connection *connection)
{
        return connection->out.len - connection->out_sent;
}

static void wrote(struct cm_connection *connection, ssize_t n)
{
        if (n >= 0) {
                connection->out_sent += (size_t)n;
                connection->drained += n;
                if (connection->blocked_us && n > 0)
                        connection->progress_us = cm_monotonic_us();
        } else if (errno != EAGAIN && errno != EINTR) {
                connection->broken = true;
        }
        if (connection->broken || cm_output_pending(connection) == 0) {
                cm_buf_reset(&connection->out);
                connection->out_sent = 0;
                connection->blocked_us = 0;
        } else if (!connection->blocked_us) {
                connection->blocked_us = connection->progress_us = cm_monotonic_us();
                connection->drained = 0;
        }
}

void cm_connection_flush(struct cm_connection *connection)
{
        if (!connection->broken && cm_output_pending(connection))
                wrote(connection, send(connection->fd, connection->out.data + connection->out_sent,
                                       cm_output_pending(connection), MSG_NOSIGNAL));
}

static void out_take(struct cm_connection *connection)
{
        struct cm_server *server = connection->server;

        if (!connection->out.data && server->spare_out_count)
                connection->out = server->spare_outs[--server->spare_out_count];
}

void cm_output_release(struct cm_connection *connection)
{
        struct cm_server *server = connection->server;

        if (!connection->out.data)
                return;
        if (connection->out.cap > KEEP_OUT ||
            server->spare_out_count == CM_COUNT(server->spare_outs)) {
                cm_buf_deinit(&connection->out);
                return;
        }
        cm_buf_reset(&connection->out);
        server->spare_outs[server->spare_out_count++] = connection->out;
        connection->out = (struct cm_buf){ 0 };
}

/* Writes the output and then `bytes`; what the socket does not take goes into the output. */
static void send_direct(struct cm_connection *connection, struct cm_str bytes)
{
        struct iovec parts[2] = { { connection->out.data + connection->out_sent,
                                    cm_output_pending(connection) },
                                  { (char *)bytes.data, bytes.len } };
        struct msghdr message = { .msg_iov = parts, .msg_iovlen = 2 };
        ssize_t n = sendmsg(connection->fd, &message, MSG_NOSIGNAL);
        size_t first = parts[0].iov_len;

        if (n > (ssize_t)first) {
                bytes.data += (size_t)n - first;
                bytes.len -= (size_t)n - first;
                n = (ssize_t)first;
        }
        cm_buf_reserve(&connection->out, bytes.len);
        cm_buf_add_str(&connection->out, bytes);
        wrote(connection, n);
}

void cm_connection_send(struct cm_connection *connection, struct cm_str bytes)
{
        if (connection->broken)
                return;
        out_take(connection);
        if (bytes.len >= DIRECT_WRITE && !connection->blocked_us)
                send_direct(connection, bytes);
        else
                cm_buf_add_str(&connection->out, bytes);
}
