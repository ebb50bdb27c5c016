#include <http_parser.h>
#include <stdlib.h>
#include <string.h>

#include "base/assert.h"
#include "http/body.h"
#include "http/head.h"
#include "http/target.h"
#include "http/trace.h"

/*
 * A request as it comes from a socket: the first byte says in pieces of what size. Read in pieces
 * and read at once it must be the same; and what we accept, http_parser must end at the same byte
 * with the same body, or a gateway and we would disagree where the next request begins.
 */
int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size);

struct reading {
        int outcome;
        struct cm_head head;
        struct cm_buf body;
        bool ended;
        size_t used; /* of all the bytes */
};

static int read_head(struct cm_str all, size_t step, struct reading *reading)
{
        size_t scanned = 0, have = step < all.len ? step : all.len, len = 0;
        const char *why = NULL;
        int r;

        while ((r = cm_head_find_end((struct cm_str){ all.data, have }, &scanned, &len)) ==
                       CM_HEAD_MORE &&
               have < all.len)
                have = all.len - have < step ? all.len : have + step;
        if (r)
                return r;
        reading->used = len;
        r = cm_head_parse((struct cm_str){ all.data, len }, 64, &reading->head, &why);
        CM_ASSERT(!r || (why && *why));
        return r;
}

static int read_body(struct cm_str all, size_t step, struct reading *reading)
{
        const struct cm_head *head = &reading->head;
        struct cm_body body;

        cm_body_init(&body, head->content_length, head->chunked);
        while (!cm_body_ended(&body) && reading->used < all.len) {
                size_t left = all.len - reading->used, used;
                struct cm_str piece;
                int r = cm_body_next(
                        &body,
                        (struct cm_str){ all.data + reading->used, left < step ? left : step },
                        &used, &piece);

                if (r < 0)
                        return r;
                CM_ASSERT(used > 0);
                cm_buf_add_str(&reading->body, piece);
                reading->used += used;
        }
        reading->ended = cm_body_ended(&body);
        CM_ASSERT(body.received == (int64_t)reading->body.len);
        return 0;
}

static void read_request(struct cm_str all, size_t step, struct reading *reading)
{
        reading->outcome = read_head(all, step, reading);
        if (reading->outcome == 0)
                reading->outcome = read_body(all, step, reading);
}

/* ---- the second opinion */

struct opinion {
        struct cm_buf body;
        bool ended;
};

static int on_body(http_parser *parser, const char *at, size_t len)
{
        cm_buf_add(&((struct opinion *)parser->data)->body, at, len);
        return 0;
}

static int on_head(http_parser *parser)
{
        parser->upgrade = 0; /* we do not */
        return 0;
}

static int on_end(http_parser *parser)
{
        ((struct opinion *)parser->data)->ended = true;
        http_parser_pause(parser, 1);
        return 0;
}

static void compare(struct cm_str all, const struct reading *ours)
{
        const http_parser_settings settings = { .on_body = on_body,
                                                .on_headers_complete = on_head,
                                                .on_message_complete = on_end };
        struct opinion opinion = { 0 };
        http_parser parser;
        size_t used;

        http_parser_init(&parser, HTTP_REQUEST);
        parser.data = &opinion;
        used = http_parser_execute(&parser, &settings, all.data, all.len);
        /* It knows fewer methods and looks into addresses and trailers. */
        if (opinion.ended && ours->ended) {
                CM_ASSERT(used == ours->used || used + 1 == ours->used);
                CM_ASSERT(cm_str_equal(cm_buf_str(&opinion.body), cm_buf_str(&ours->body)));
        }
        if (opinion.ended && !ours->ended)
                abort();
        cm_buf_deinit(&opinion.body);
}

static void use_target(const struct cm_head *head)
{
        struct cm_target target;
        struct cm_arena arena;
        struct cm_str name, value;

        if (cm_target_parse(head->target, &target))
                return;
        cm_arena_init(&arena, 4096);
        for (size_t i = 0; i < target.segment_count; i++) {
                struct cm_str text = cm_percent_decode(&arena, target.segments[i], false);

                CM_ASSERT(!text.data || cm_utf8_is_valid(text));
                CM_ASSERT(!text.data || !memchr(text.data, '/', text.len));
                CM_ASSERT(!cm_str_equal(text, CM_STR("..")) && !cm_str_equal(text, CM_STR(".")));
        }
        while (cm_query_next(&target.query, &name, &value))
                (void)cm_percent_decode(&arena, value, true);
        cm_arena_deinit(&arena);
}

static void use_names(const struct cm_head *head)
{
        static struct cm_trace_source source = { { 1, 2 } };
        char id[CM_REQUEST_ID_SIZE], parent[CM_TRACEPARENT_SIZE];

        for (size_t i = 0; i < head->header_count; i++) {
                CM_ASSERT(cm_is_token(head->headers[i].name));
                cm_request_id_choose(&source, head->headers[i].value, id);
                cm_traceparent_choose(&source, head->headers[i].value, parent);
                CM_ASSERT(strlen(id) > 0 && strlen(parent) == CM_TRACEPARENT_SIZE - 1);
        }
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
        struct reading pieces = { 0 }, whole = { 0 };
        struct cm_str all = { (const char *)bytes + 1, size - 1 };

        if (size < 2)
                return 0;
        read_request(all, bytes[0] % 32 + 1, &pieces);
        read_request(all, all.len, &whole);
        CM_ASSERT(pieces.outcome == whole.outcome);
        if (whole.outcome == 0) {
                CM_ASSERT(pieces.used == whole.used && pieces.ended == whole.ended);
                CM_ASSERT(cm_str_equal(cm_buf_str(&pieces.body), cm_buf_str(&whole.body)));
                compare(all, &whole);
                use_target(&whole.head);
                use_names(&whole.head);
        }
        cm_buf_deinit(&pieces.body);
        cm_buf_deinit(&whole.body);
        return 0;
}
