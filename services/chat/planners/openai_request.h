#pragma once
#include "analysis/pii.h"
#include "planner.h"

/*
 * The request to a chat completions server: what the model is told, in the order in which servers
 * want it. All text of the person goes through the map of pseudonyms; nothing else leaves. Pure.
 */
struct openai_options {
        const char *model;
        int max_tokens;     /* 0: not said */
        double temperature; /* negative: not said */
        bool asks_usage;    /* stream_options.include_usage */
};

/* A call as the model made it, and what it is told came of it. */
struct openai_exchange {
        struct cm_str id, name, arguments; /* arguments: JSON, with pseudonyms */
        struct cm_str result;              /* JSON or a sentence, with pseudonyms */
};

/* Appends messages: the system's, the conversation so far, the person's. */
void openai_write_messages(struct cm_buf *out, struct cm_arena *arena,
                           const struct planner_input *input, struct pii_map *map);
/* Appends an assistant's message with its calls, and one with the result of each. `text` may be
 * empty. */
void openai_write_exchange(struct cm_buf *out, struct cm_str text,
                           const struct openai_exchange *calls, size_t count);
/* The whole body. `messages` is what the others wrote. */
void openai_write_request(struct cm_buf *out, const struct openai_options *options,
                          struct cm_str messages, bool with_tools);
/* What a model is told of a result. */
struct cm_str openai_result_text(struct cm_arena *arena, const struct chat_tool_result *result,
                                 struct pii_map *map);
