#pragma once
#include <stdbool.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/attr.h"
#include "base/str.h"

/*
 * What a chat completions server sends, put together: deltas of text come out as they come in, tool
 * calls when they are whole. Somebody else's protocol, spoken in many dialects: it is read by what
 * is there, and what is not known is skipped. Pure.
 *
 * Tolerated: indexes missing, not from 0, or repeated for another call; ids missing or repeated; a
 * whole call in one delta; arguments as an object; finish_reason of any kind or none; usage without
 * choices, or never; content as a list of parts; half a surrogate pair in a delta; bytes that are
 * not UTF-8 (they become U+FFFD).
 */
#define OPENAI_CALLS 32

struct openai_call {
        int64_t index; /* -1: not said */
        struct cm_buf id, name, arguments;
};

enum openai_finish {
        OPENAI_FINISH_NONE,
        OPENAI_FINISH_STOP,
        OPENAI_FINISH_LENGTH,
        OPENAI_FINISH_TOOLS,
        OPENAI_FINISH_FILTER
};

struct openai_stream {
        struct cm_arena arena; /* of one chunk */
        struct openai_call calls[OPENAI_CALLS];
        size_t call_count;
        bool has_choices; /* anything of a reply was seen */
        bool has_too_many_calls;
        enum openai_finish finish;
        bool is_done; /* [DONE] was seen */
        int64_t prompt_tokens, completion_tokens;
        uint32_t half; /* of a surrogate pair, until the other comes */
        char error[256];
};

enum { OPENAI_TAKEN = 0, OPENAI_DONE = 1, OPENAI_ERROR = 2 };

void openai_stream_init(struct openai_stream *stream);
void openai_stream_deinit(struct openai_stream *stream);
/*
 * Takes the data of one event and appends its text, whole characters, to `text`. OPENAI_DONE at
 * [DONE]; OPENAI_ERROR when the server says an error (stream->error); -CM_E_PROTOCOL when it is
 * nothing of the kind. A body that was not streamed is taken the same way.
 */
int openai_stream_take(struct openai_stream *stream, struct cm_str data,
                       struct cm_buf *text) CM_MUST_CHECK;
