"""The companion's tools: schemas with `x-tool` become a table, each with its arguments as one self-contained JSON Schema."""
import json

from contract import c_text, shout

# What a model need not know: ours alone, or said by other words.
LEFT_OUT = ("x-tool", "x-origin", "x-max-bytes", "readOnly")
OWN_FORMATS = "x-"


def load_tools(contracts, library):
    """[(name, place, arguments schema, result schema, writes, JSON Schema)], in the order of proto/"""
    tools = []
    for file in contracts.files("schemas"):
        for _, place in contracts.root(file).children():
            if "x-tool" not in place:
                continue
            tool = place.at("x-tool")
            tool.allow("name", "result", "writes")
            if not isinstance(tool.at("writes").node, bool):
                tool.at("writes").fail("must be true or false")
            place.at("description")
            result = library.named(contracts.find(place, f"#/{tool.at('result').node}"))
            shape = parameters(contracts, place)
            tools.append((tool.at("name").node, place, library.named(place), result, tool.get("writes"), shape))
    names = [name for name, *_ in tools]
    for name, place, *_ in tools:
        if names.count(name) > 1:
            place.fail(f"the tool {name} stands twice")
    return tools


def parameters(contracts, place):
    """The schema with all that it refers to in its place."""
    place = contracts.resolve(place)
    if isinstance(place.node, list):
        return [parameters(contracts, child) for child in place.items()]
    if not isinstance(place.node, dict):
        return place.node
    return {key: parameters(contracts, child) for key, child in place.children()
            if key not in LEFT_OUT and not (key == "format" and str(child.node).startswith(OWN_FORMATS))}


def header(tools):
    lines = ["#pragma once", "#include <stdbool.h>", "", '#include "codec/schema.h"', "",
             "/* A tool of the companion: docs/contracts.md. */", "struct chat_tool {", "\tconst char *name;",
             "\tconst char *description;", "\tconst char *parameters; /* JSON Schema of the arguments */",
             "\tconst struct cm_schema *arguments;", "\tconst struct cm_schema *result;",
             "\tbool writes; /* has an effect: at most once for each call */", "};", "", "enum chat_tool_id {"]
    lines += [f"\tCHAT_TOOL_{shout(name)}," for name, *_ in tools]
    return lines + ["\tCHAT_TOOLS", "};", "", "extern const struct chat_tool chat_tools[CHAT_TOOLS + 1];"]


def source(tools):
    lines = ['#include "chat_tools.h"', "", '#include "schemas.h"', "", "const struct chat_tool chat_tools[CHAT_TOOLS + 1] = {"]
    for name, place, arguments, result, writes, shape in tools:
        text = json.dumps(shape, ensure_ascii=False, separators=(",", ":"))
        pieces = [text[start:start + 400] for start in range(0, len(text), 400)]
        lines += ["\t{", f"\t\t{c_text(name)},", f"\t\t{c_text(' '.join(place.get('description').split()))},",
                  *[f"\t\t{c_text(piece)}" for piece in pieces], f"\t\t, &{arguments.c_name}_schema, &{result.c_name}_schema,",
                  f"\t\t{'true' if writes else 'false'},", "\t},"]
    return lines + ["\t{ .name = NULL },", "};"]
