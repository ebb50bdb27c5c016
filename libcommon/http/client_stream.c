#include "base/error.h"
#include "base/mem.h"
#include "http/client_internal.h"

/*
 * libcurl calls with pieces; a fiber reads them. When the buffer is full the transfer is paused:
 * libcurl stops reading, the peer's window fills, and it waits. The piece that did not fit comes
 * again after the pause.
 */
struct cm_client_stream {
        struct cm_client *client;
        struct cm_client_call *call;
        struct cm_transfer transfer;
        struct cm_buf buffer;
        struct cm_wait *reader; /* waits for a piece or the end */
        bool is_paused, is_ended;
};

static void wake(struct cm_client_stream *stream)
{
        struct cm_wait *reader = stream->reader;

        stream->reader = NULL;
        if (reader)
                cm_wait_done(reader, 0);
}

size_t cm_client_stream_body(struct cm_client_stream *stream, struct cm_str piece)
{
        if (stream->buffer.len && stream->buffer.len + piece.len > CM_STREAM_BUFFER) {
                stream->is_paused = true;
                /* The same bytes will come again. */
                stream->transfer.received -= (int64_t)piece.len;
                return CURL_WRITEFUNC_PAUSE;
        }
        cm_buf_add_str(&stream->buffer, piece);
        wake(stream);
        return piece.len;
}

void cm_client_stream_done(struct cm_client_stream *stream)
{
        stream->is_ended = true;
        wake(stream);
}

/* Until there is a piece, or the end. */
static int wait_for_piece(struct cm_client_stream *stream)
{
        struct cm_wait wait;
        int r;

        while (!stream->buffer.len && !stream->is_ended) {
                cm_wait_init(&wait);
                stream->reader = &wait;
                r = cm_wait_for(&wait);
                stream->reader = NULL;
                if (r < 0)
                        return r;
        }
        return 0;
}

static int open_stream(struct cm_client_stream *stream)
{
        int r = cm_transfer_start(stream->client, &stream->transfer);

        /* The head is known when the first piece of the body or the end comes. */
        if (r == 0)
                r = wait_for_piece(stream);
        if (r < 0)
                return r;
        cm_transfer_take_reply(&stream->transfer);
        if (!stream->is_ended || stream->buffer.len)
                return 0;
        return cm_transfer_outcome(&stream->transfer);
}

int cm_client_open(struct cm_client *client, struct cm_client_call *call,
                   struct cm_client_stream **stream_r)
{
        struct cm_client_stream *stream = CM_NEW(struct cm_client_stream);
        int r;

        stream->client = client;
        stream->call = call;
        stream->transfer.call = call;
        stream->transfer.stream = stream;
        r = open_stream(stream);
        if (r < 0)
                cm_client_close(&stream);
        *stream_r = stream;
        return r;
}

/* The piece that was held back comes in this very call; when it is refused there (it is one too
 * many), libcurl says so here and nowhere else. */
static void go_on(struct cm_client_stream *stream)
{
        stream->is_paused = false;
        if (curl_easy_pause(stream->transfer.easy, CURLPAUSE_CONT) == CURLE_OK)
                return;
        if (!stream->transfer.error)
                stream->transfer.error = -CM_E_INTERNAL;
        stream->is_ended = true;
}

int cm_client_read(struct cm_client_stream *stream, struct cm_buf *out)
{
        int r = wait_for_piece(stream);

        if (r < 0)
                return r;
        if (!stream->buffer.len)
                return cm_transfer_outcome(&stream->transfer);
        cm_buf_add_str(out, cm_buf_str(&stream->buffer));
        cm_buf_reset(&stream->buffer);
        if (stream->is_paused)
                go_on(stream);
        return 0;
}

const char *cm_client_stream_header(struct cm_client_stream *stream, const char *name)
{
        struct curl_header *header;

        if (curl_easy_header(stream->transfer.easy, name, 0, CURLH_HEADER, -1, &header) !=
            CURLHE_OK)
                return "";
        return header->value;
}

void cm_client_close(struct cm_client_stream **stream)
{
        struct cm_client_stream *it = *stream;

        if (!it)
                return;
        cm_transfer_end(it->client, &it->transfer);
        cm_buf_deinit(&it->buffer);
        cm_free(it);
        *stream = NULL;
}
