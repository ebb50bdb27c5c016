#include "openai_stream.h"

#include <ctype.h>
#include <stdio.h>
#include <string.h>

#include "base/error.h"
#include "codec/json.h"
#include "codec/json_tree.h"

/*
 * Half a surrogate pair is no character, and a strict parser refuses it; a delta may hold just
 * that. So each lone half becomes a character of a private plane before parsing, and after parsing
 * two that follow each other become the character that they stand for.
 */
#define HALF_BASE   0x100000U
#define HALF_FIRST  0xd800U
#define HALF_COUNT  0x800U
#define REPLACEMENT "\xef\xbf\xbd"

void openai_stream_init(struct openai_stream *stream)
{
        memset(stream, 0, sizeof(*stream));
        cm_arena_init(&stream->arena, 8192);
}

void openai_stream_deinit(struct openai_stream *stream)
{
        for (size_t i = 0; i < stream->call_count; i++) {
                cm_buf_deinit(&stream->calls[i].id);
                cm_buf_deinit(&stream->calls[i].name);
                cm_buf_deinit(&stream->calls[i].arguments);
        }
        cm_arena_deinit(&stream->arena);
}

/* ---- before parsing */

static uint32_t escape_at(struct cm_str text, size_t i)
{
        uint32_t value = 0;

        if (i + 6 > text.len || text.data[i] != '\\' || text.data[i + 1] != 'u')
                return 0;
        for (size_t j = i + 2; j < i + 6; j++) {
                char c = text.data[j];

                if (!isxdigit((unsigned char)c))
                        return 0;
                value = value * 16 + (uint32_t)(isdigit((unsigned char)c)
                                                        ? c - '0'
                                                        : (tolower((unsigned char)c) - 'a' + 10));
        }
        return value;
}

static void add_escape(struct cm_buf *out, uint32_t point)
{
        point -= 0x10000;
        cm_buf_printf(out, "\\u%04x\\u%04x", 0xd800 + (point >> 10), 0xdc00 + (point & 0x3ff));
}

/* The escape at `i`: its length, and what stands for it. */
static size_t copy_escape(struct cm_str text, size_t i, struct cm_buf *out)
{
        uint32_t first = escape_at(text, i), second = escape_at(text, i + 6);

        if (text.data[i + 1] != 'u' || i + 1 >= text.len) {
                cm_buf_add(out, text.data + i, i + 1 < text.len ? 2 : 1);
                return 2;
        }
        if (first >= 0xd800 && first < 0xdc00 && second >= 0xdc00 && second < 0xe000) {
                cm_buf_add(out, text.data + i, 12);
                return 12;
        }
        if (first >= HALF_FIRST && first < HALF_FIRST + HALF_COUNT)
                add_escape(out, HALF_BASE + first - HALF_FIRST);
        else if (first == 0)
                cm_buf_add_str(out, CM_STR("\\ufffd"));
        else
                cm_buf_add(out, text.data + i, 6);
        return 6;
}

static size_t utf8_at(struct cm_str text, size_t i)
{
        unsigned char lead = (unsigned char)text.data[i];
        size_t len = lead < 0x80 ? 1 : lead < 0xe0 ? 2 : lead < 0xf0 ? 3 : 4;

        return i + len <= text.len && cm_utf8_is_valid((struct cm_str){ text.data + i, len }) ? len
                                                                                              : 0;
}

static struct cm_str tidy(struct openai_stream *stream, struct cm_str data)
{
        CM_CLEANUP(cm_buf_deinit) struct cm_buf out = { 0 };

        if (cm_utf8_is_valid(data) && !memmem(data.data, data.len, "\\u", 2))
                return data;
        for (size_t i = 0; i < data.len;) {
                size_t len = utf8_at(data, i);

                if (data.data[i] == '\\' && i + 1 < data.len) {
                        i += copy_escape(data, i, &out);
                } else if (len) {
                        cm_buf_add(&out, data.data + i, len);
                        i += len;
                } else {
                        cm_buf_add_str(&out, CM_STR(REPLACEMENT));
                        i++;
                }
        }
        return cm_arena_str(&stream->arena, cm_buf_str(&out));
}

/* ---- after parsing */

static void add_point(struct cm_buf *out, uint32_t point)
{
        char bytes[4] = { (char)(0xf0 | point >> 18), (char)(0x80 | (point >> 12 & 0x3f)),
                          (char)(0x80 | (point >> 6 & 0x3f)), (char)(0x80 | (point & 0x3f)) };

        cm_buf_add(out, bytes, 4);
}

/* The half that stands at `i` as a character of the private plane, or 0. */
static uint32_t half_at(struct cm_str text, size_t i)
{
        const unsigned char *p = (const unsigned char *)text.data + i;
        uint32_t point;

        if (p[0] != 0xf4 || i + 4 > text.len)
                return 0;
        point = (uint32_t)(p[0] & 7) << 18 | (uint32_t)(p[1] & 0x3f) << 12 |
                (uint32_t)(p[2] & 0x3f) << 6 | (p[3] & 0x3f);
        return point >= HALF_BASE && point < HALF_BASE + HALF_COUNT ? point - HALF_BASE + HALF_FIRST
                                                                    : 0;
}

static void flush_half(struct openai_stream *stream, struct cm_buf *out)
{
        if (stream->half)
                cm_buf_add_str(out, CM_STR(REPLACEMENT));
        stream->half = 0;
}

static void add_text(struct openai_stream *stream, struct cm_str text, struct cm_buf *out)
{
        for (size_t i = 0; i < text.len;) {
                uint32_t half = half_at(text, i);

                if (!half) {
                        flush_half(stream, out);
                        cm_buf_add_char(out, text.data[i++]);
                        continue;
                }
                if (stream->half && half >= 0xdc00) {
                        add_point(out, 0x10000 + ((stream->half - 0xd800) << 10) + (half - 0xdc00));
                        stream->half = 0;
                } else {
                        flush_half(stream, out);
                        if (half < 0xdc00)
                                stream->half = half;
                        else
                                cm_buf_add_str(out, CM_STR(REPLACEMENT));
                }
                i += 4;
        }
}

/* ---- the tree: members by name, of whatever kind they are */

static const struct cm_json_node *get(const struct cm_json_node *node, const char *name)
{
        if (!node || node->type != CM_JSON_OBJECT)
                return NULL;
        for (const struct cm_json_node *it = node->first; it; it = it->next)
                if (cm_str_equal(it->name, cm_str_from(name)))
                        return it;
        return NULL;
}

static struct cm_str get_text(const struct cm_json_node *node, const char *name)
{
        const struct cm_json_node *it = get(node, name);

        return it && it->type == CM_JSON_TEXT ? it->text : CM_STR_NONE;
}

static int64_t get_integer(const struct cm_json_node *node, const char *name, int64_t otherwise)
{
        const struct cm_json_node *it = get(node, name);
        int64_t value;

        if (it && it->type == CM_JSON_INTEGER)
                return it->integer;
        return it && it->type == CM_JSON_TEXT && cm_str_to_int(it->text, &value) ? value
                                                                                 : otherwise;
}

static void write_node(struct cm_json_writer *writer, const struct cm_json_node *node)
{
        switch (node->type) {
        case CM_JSON_BOOL:
                cm_json_bool(writer, node->boolean);
                break;
        case CM_JSON_INTEGER:
                cm_json_integer(writer, node->integer);
                break;
        case CM_JSON_REAL:
                cm_json_number(writer, node->real);
                break;
        case CM_JSON_TEXT:
                cm_json_text(writer, node->text);
                break;
        case CM_JSON_ARRAY:
                cm_json_array(writer);
                for (const struct cm_json_node *it = node->first; it; it = it->next)
                        write_node(writer, it);
                cm_json_array_end(writer);
                break;
        case CM_JSON_OBJECT:
                cm_json_object(writer);
                for (const struct cm_json_node *it = node->first; it; it = it->next) {
                        cm_json_member(writer, it->name);
                        write_node(writer, it);
                }
                cm_json_object_end(writer);
                break;
        case CM_JSON_NULL:
        default:
                cm_json_null(writer);
        }
}

/* ---- tool calls */

static struct openai_call *new_call(struct openai_stream *stream, int64_t index)
{
        struct openai_call *call;

        if (stream->call_count == OPENAI_CALLS) {
                stream->has_too_many_calls = true;
                return NULL;
        }
        call = &stream->calls[stream->call_count++];
        call->index = index;
        return call;
}

static bool is_other(const struct cm_buf *known, struct cm_str said)
{
        return said.len && known->len && !cm_str_equal(cm_buf_str(known), said);
}

/* The call that a fragment belongs to. Its index decides; a new id with a name begins a new one,
 * and so does a name where no index and no id says otherwise. */
static struct openai_call *call_of(struct openai_stream *stream, int64_t index, struct cm_str id,
                                   struct cm_str name)
{
        struct openai_call *last =
                stream->call_count ? &stream->calls[stream->call_count - 1] : NULL;

        for (size_t i = stream->call_count; i > 0 && index >= 0; i--) {
                struct openai_call *call = &stream->calls[i - 1];

                if (call->index == index)
                        return is_other(&call->id, id) && name.len ? new_call(stream, index) : call;
        }
        if (index >= 0 || !last)
                return new_call(stream, index);
        for (size_t i = stream->call_count; i > 0 && id.len; i--)
                if (cm_str_equal(cm_buf_str(&stream->calls[i - 1].id), id))
                        return &stream->calls[i - 1];
        return name.len ? new_call(stream, index) : last;
}

static void take_call(struct openai_stream *stream, const struct cm_json_node *node)
{
        const struct cm_json_node *function = get(node, "function");
        const struct cm_json_node *arguments = get(function, "arguments");
        struct cm_str id = get_text(node, "id"), name = get_text(function, "name");
        struct openai_call *call = call_of(stream, get_integer(node, "index", -1), id, name);
        struct cm_json_writer writer;

        if (!call)
                return;
        if (!call->id.len && id.len)
                cm_buf_add_str(&call->id, id);
        if (!call->name.len && name.len)
                cm_buf_add_str(&call->name, name);
        if (!arguments || arguments->type == CM_JSON_NULL)
                return;
        if (arguments->type == CM_JSON_TEXT) {
                cm_buf_add_str(&call->arguments, arguments->text);
                return;
        }
        cm_json_writer_init(&writer, &call->arguments);
        write_node(&writer, arguments);
}

/* ---- chunks */

static void take_content(struct openai_stream *stream, const struct cm_json_node *content,
                         struct cm_buf *text)
{
        if (!content)
                return;
        if (content->type == CM_JSON_TEXT)
                add_text(stream, content->text, text);
        for (const struct cm_json_node *part = content->type == CM_JSON_ARRAY ? content->first
                                                                              : NULL;
             part; part = part->next)
                take_content(stream, part->type == CM_JSON_OBJECT ? get(part, "text") : part, text);
}

static void take_message(struct openai_stream *stream, const struct cm_json_node *message,
                         struct cm_buf *text)
{
        const struct cm_json_node *calls = get(message, "tool_calls");

        take_content(stream, get(message, "content"), text);
        take_content(stream, get(message, "refusal"), text);
        if (calls && calls->type == CM_JSON_OBJECT)
                take_call(stream, calls);
        else if (calls && calls->type == CM_JSON_ARRAY)
                for (const struct cm_json_node *it = calls->first; it; it = it->next)
                        take_call(stream, it);
}

static void take_finish(struct openai_stream *stream, struct cm_str reason)
{
        static const struct {
                const char *reason;
                enum openai_finish finish;
        } reasons[] = { { "length", OPENAI_FINISH_LENGTH },
                        { "tool_calls", OPENAI_FINISH_TOOLS },
                        { "function_call", OPENAI_FINISH_TOOLS },
                        { "content_filter", OPENAI_FINISH_FILTER } };

        if (!reason.len)
                return;
        stream->finish = OPENAI_FINISH_STOP;
        for (size_t i = 0; i < CM_COUNT(reasons); i++)
                if (cm_str_equal(reason, cm_str_from(reasons[i].reason)))
                        stream->finish = reasons[i].finish;
}

static void take_choices(struct openai_stream *stream, const struct cm_json_node *choices,
                         struct cm_buf *text)
{
        if (!choices || choices->type != CM_JSON_ARRAY)
                return;
        for (const struct cm_json_node *choice = choices->first; choice; choice = choice->next) {
                if (get_integer(choice, "index", 0) != 0)
                        continue;
                stream->has_choices = true;
                take_message(stream, get(choice, "delta"), text);
                take_message(stream, get(choice, "message"), text);
                take_finish(stream, get_text(choice, "finish_reason"));
        }
}

static int take_error(struct openai_stream *stream, const struct cm_json_node *error)
{
        struct cm_str message =
                error->type == CM_JSON_TEXT ? error->text : get_text(error, "message");

        (void)snprintf(stream->error, sizeof(stream->error), "%.*s",
                       CM_STR_ARG(message.len ? message : CM_STR("an error without words")));
        return OPENAI_ERROR;
}

int openai_stream_take(struct openai_stream *stream, struct cm_str data, struct cm_buf *text)
{
        const struct cm_json_node *root, *error, *usage;
        struct cm_json_error fault;

        data = cm_str_trim(data);
        if (cm_str_equal(data, CM_STR("[DONE]"))) {
                flush_half(stream, text);
                stream->is_done = true;
                return OPENAI_DONE;
        }
        if (!data.len)
                return OPENAI_TAKEN;
        cm_arena_reset(&stream->arena);
        root = cm_json_parse(tidy(stream, data), &stream->arena, &fault);
        if (!root || root->type != CM_JSON_OBJECT)
                return -CM_E_PROTOCOL;
        error = get(root, "error");
        if (error && error->type != CM_JSON_NULL)
                return take_error(stream, error);
        take_choices(stream, get(root, "choices"), text);
        usage = get(root, "usage");
        stream->prompt_tokens = get_integer(usage, "prompt_tokens", stream->prompt_tokens);
        stream->completion_tokens =
                get_integer(usage, "completion_tokens", stream->completion_tokens);
        return OPENAI_TAKEN;
}
