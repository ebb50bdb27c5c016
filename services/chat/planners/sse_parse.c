#include "sse_parse.h"

#include <string.h>

#include "base/error.h"

void sse_parser_init(struct sse_parser *parser, size_t max)
{
        *parser = (struct sse_parser){ .max = max, .retry_ms = -1 };
}

void sse_parser_deinit(struct sse_parser *parser)
{
        cm_buf_deinit(&parser->line);
        cm_buf_deinit(&parser->data);
        cm_buf_deinit(&parser->type);
        cm_buf_deinit(&parser->id);
}

static void take_event(struct sse_parser *parser, struct sse_event *event)
{
        struct cm_str type = cm_buf_str(&parser->type), id = cm_buf_str(&parser->id);

        *event = (struct sse_event){ .type = type.len ? type : CM_STR("message"),
                                     .data = cm_buf_str(&parser->data),
                                     .id = id.data ? id : CM_STR("") };
}

static void take_retry(struct sse_parser *parser, struct cm_str value)
{
        int64_t ms;

        if (cm_str_to_int(value, &ms) && ms >= 0 && value.data[0] != '+')
                parser->retry_ms = ms;
}

static int take_field(struct sse_parser *parser, struct cm_str name, struct cm_str value)
{
        if (cm_str_equal(name, CM_STR("data"))) {
                if (parser->data.len + value.len + 1 > parser->max)
                        return -CM_E_TOO_LARGE;
                if (parser->has_data)
                        cm_buf_add_char(&parser->data, '\n');
                cm_buf_add(&parser->data, value.data, value.len);
                parser->has_data = true;
        } else if (cm_str_equal(name, CM_STR("event"))) {
                cm_buf_reset(&parser->type);
                cm_buf_add(&parser->type, value.data, value.len);
        } else if (cm_str_equal(name, CM_STR("id")) && !memchr(value.data, 0, value.len)) {
                cm_buf_reset(&parser->id);
                cm_buf_add(&parser->id, value.data, value.len);
        } else if (cm_str_equal(name, CM_STR("retry"))) {
                take_retry(parser, value);
        }
        return SSE_MORE;
}

/* What an event was made of is dropped when the next line comes. */
static void forget_event(struct sse_parser *parser)
{
        cm_buf_reset(&parser->data);
        cm_buf_reset(&parser->type);
        parser->has_data = parser->is_given = false;
}

static int end_line(struct sse_parser *parser, struct sse_event *event)
{
        struct cm_str line = cm_buf_str(&parser->line), value = { "", 0 };
        const char *colon;
        int r;

        if (!line.len) {
                if (!parser->has_data) {
                        forget_event(parser);
                        return SSE_MORE;
                }
                take_event(parser, event);
                parser->is_given = true;
                return SSE_EVENT;
        }
        colon = memchr(line.data, ':', line.len);
        if (colon) {
                size_t name = (size_t)(colon - line.data);
                size_t skip = name + 1 < line.len && colon[1] == ' ' ? 2 : 1;

                value = (struct cm_str){ line.data + name + skip, line.len - name - skip };
                line.len = name;
        }
        r = line.len ? take_field(parser, line, value) : SSE_MORE;
        cm_buf_reset(&parser->line);
        return r;
}

/* True when the byte belongs to a byte order mark at the very start. */
static bool is_mark(struct sse_parser *parser, char c)
{
        static const char mark[] = "\xef\xbb\xbf";

        if (parser->mark >= 3)
                return false;
        if (c == mark[parser->mark]) {
                parser->mark++;
                return true;
        }
        /* It was none: what looked like it is text. */
        cm_buf_add(&parser->line, mark, (size_t)parser->mark);
        parser->mark = 3;
        return false;
}

int sse_parse(struct sse_parser *parser, struct cm_str *bytes, struct sse_event *event_r)
{
        int r = SSE_MORE;

        /* The event before this call was read by now. */
        if (parser->is_given)
                forget_event(parser);
        while (bytes->len && r == SSE_MORE) {
                char c = bytes->data[0];

                bytes->data++;
                bytes->len--;
                if (is_mark(parser, c))
                        continue;
                if (c == '\n' && parser->after_cr) {
                        parser->after_cr = false;
                        continue;
                }
                parser->after_cr = c == '\r';
                if (c == '\n' || c == '\r')
                        r = end_line(parser, event_r);
                else if (parser->line.len >= parser->max)
                        r = -CM_E_TOO_LARGE;
                else
                        cm_buf_add_char(&parser->line, c);
        }
        return r;
}

bool sse_parse_end(struct sse_parser *parser, struct sse_event *event_r)
{
        if (parser->line.len && end_line(parser, event_r) < 0)
                return false;
        if (!parser->has_data || parser->is_given)
                return false;
        take_event(parser, event_r);
        parser->is_given = true;
        return true;
}
