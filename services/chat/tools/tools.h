#pragma once
#include <stdbool.h>
#include <stddef.h>

#include "base/arena.h"
#include "chat_tools.h"
#include "codec/json.h"

/*
 * The registry of tools and the calls that planners make. Tools, their arguments and results are
 * contracts: proto/schemas/chat-tools.yaml. Pure; does not suspend.
 */
struct chat_tool_call {
        struct cm_str id; /* the planner's; unique in a reply */
        enum chat_tool_id tool;
        struct cm_str arguments; /* JSON, as our encoder writes it: the same call, the same text */
        const void *decoded;     /* the struct of the arguments */
};

enum chat_call_fault { CHAT_CALL_UNKNOWN_TOOL = 1, CHAT_CALL_INVALID };

/*
 * Takes a call as a planner wrote it. `arguments` may be anything. Returns 0,
 * CHAT_CALL_UNKNOWN_TOOL or CHAT_CALL_INVALID; then *why_r tells a model in one sentence what is
 * wrong.
 */
int chat_tool_call_read(struct cm_arena *arena, struct cm_str name, struct cm_str arguments,
                        struct chat_tool_call *call_r, struct cm_str *why_r) CM_MUST_CHECK;
/* A call with arguments of ours. */
struct chat_tool_call chat_tool_call_make(struct cm_arena *arena, enum chat_tool_id tool,
                                          const void *arguments);
/* The same tool with the same arguments. */
bool chat_tool_call_same(const struct chat_tool_call *a, const struct chat_tool_call *b);

enum chat_result_status {
        CHAT_RESULT_DONE,
        CHAT_RESULT_REFUSED,    /* the service said no: `why` is its reason */
        CHAT_RESULT_UNAVAILABLE /* no answer: nothing happened, or nobody knows */
};

struct chat_tool_result {
        enum chat_result_status status;
        struct cm_str json;  /* of a result that is DONE */
        const void *decoded; /* the same as a struct of the tool's result schema */
        struct cm_str why;   /* English, for a model; never shown as it is */
};

/* Decodes a result's JSON. A result that is not what the contract says becomes UNAVAILABLE. */
struct chat_tool_result chat_tool_result_read(struct cm_arena *arena, enum chat_tool_id tool,
                                              struct cm_str json);

/* The registry as the `tools` of a chat completion request. */
void chat_tools_write(struct cm_json_writer *writer);
/* CHAT_TOOLS when there is none. */
enum chat_tool_id chat_tool_find(struct cm_str name);
