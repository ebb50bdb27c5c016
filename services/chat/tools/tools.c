#include "tools.h"

#include "base/assert.h"
#include "base/attr.h"

enum chat_tool_id chat_tool_find(struct cm_str name)
{
        int tool = 0;

        while (tool < CHAT_TOOLS && !cm_str_equal(name, cm_str_from(chat_tools[tool].name)))
                tool++;
        return (enum chat_tool_id)tool;
}

static struct cm_str explain(struct cm_arena *arena, const struct cm_faults *faults)
{
        const struct cm_fault *first = &faults->items[0];

        return cm_arena_printf(arena, "The arguments are not valid: %.*s%s%.*s.",
                               CM_STR_ARG(first->pointer), first->pointer.len ? " " : "",
                               CM_STR_ARG(first->detail));
}

struct chat_tool_call chat_tool_call_make(struct cm_arena *arena, enum chat_tool_id tool,
                                          const void *arguments)
{
        CM_CLEANUP(cm_buf_deinit) struct cm_buf json = { 0 };

        CM_ASSERT(tool < CHAT_TOOLS);
        cm_schema_encode(chat_tools[tool].arguments, arguments, &json);
        return (struct chat_tool_call){ .tool = tool,
                                        .arguments = cm_arena_str(arena, cm_buf_str(&json)),
                                        .decoded = arguments };
}

int chat_tool_call_read(struct cm_arena *arena, struct cm_str name, struct cm_str arguments,
                        struct chat_tool_call *call_r, struct cm_str *why_r)
{
        enum chat_tool_id tool = chat_tool_find(name);
        struct cm_faults faults = { .count = 0 };
        void *decoded;

        if (tool == CHAT_TOOLS) {
                *why_r = CM_STR("There is no such tool.");
                return CHAT_CALL_UNKNOWN_TOOL;
        }
        /* Models leave them out when there is nothing to say. */
        if (!cm_str_trim(arguments).len)
                arguments = CM_STR("{}");
        decoded = cm_arena_alloc(arena, chat_tools[tool].arguments->size);
        if (cm_schema_decode(chat_tools[tool].arguments, arguments, arena, decoded, &faults)) {
                *why_r = explain(arena, &faults);
                return CHAT_CALL_INVALID;
        }
        *call_r = chat_tool_call_make(arena, tool, decoded);
        return 0;
}

bool chat_tool_call_same(const struct chat_tool_call *a, const struct chat_tool_call *b)
{
        return a->tool == b->tool && cm_str_equal(a->arguments, b->arguments);
}

struct chat_tool_result chat_tool_result_read(struct cm_arena *arena, enum chat_tool_id tool,
                                              struct cm_str json)
{
        const struct cm_schema *schema = chat_tools[tool].result;
        struct cm_faults faults = { .count = 0 };
        void *decoded = cm_arena_alloc(arena, schema->size);

        if (cm_schema_decode(schema, json, arena, decoded, &faults))
                return (struct chat_tool_result){ .status = CHAT_RESULT_UNAVAILABLE,
                                                  .why = explain(arena, &faults) };
        return (struct chat_tool_result){ .json = json, .decoded = decoded };
}

void chat_tools_write(struct cm_json_writer *writer)
{
        cm_json_array(writer);
        for (const struct chat_tool *tool = chat_tools; tool->name; tool++) {
                cm_json_object(writer);
                cm_json_key(writer, "type");
                cm_json_text(writer, CM_STR("function"));
                cm_json_key(writer, "function");
                cm_json_object(writer);
                cm_json_key(writer, "name");
                cm_json_text(writer, cm_str_from(tool->name));
                cm_json_key(writer, "description");
                cm_json_text(writer, cm_str_from(tool->description));
                cm_json_key(writer, "parameters");
                cm_json_raw(writer, cm_str_from(tool->parameters));
                cm_json_object_end(writer);
                cm_json_object_end(writer);
        }
        cm_json_array_end(writer);
}
