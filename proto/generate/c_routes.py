"""build/gen/<service>_api.{h,c}: parameters, handlers, thunks and the table of routes."""
from contract import c_text, snake
from c_schemas import header_of, source_of, struct_members
from routes import PLACES


def params_struct(operation):
    return f"{operation.name}_params"


def prototype(operation):
    """The function that a service has to define."""
    arguments = ["struct cm_request *request"]
    if operation.params:
        arguments.append(f"const struct {params_struct(operation)} *params")
    if operation.body:
        arguments.append(f"const struct {operation.body.c_name} *in")
    return f"int {operation.name}({', '.join(arguments)})"


def event_name(stream, name):
    return f"{stream.name}_event_{snake(name.replace('.', '_'))}"


def event_declarations(stream):
    lines = [f"/* What the stream `{stream.name}` may say. */"]
    lines += [f"extern const struct cm_event_type {event_name(stream, name)};" for name, _, _ in stream.events]
    return lines + [f"extern const struct cm_event_list {stream.name}_events;", ""]


def event_tables(stream):
    lines = []
    for name, _, schema in stream.events:
        last = ", .is_last = true" if name in ("done", "error") else ""
        lines.append(f"const struct cm_event_type {event_name(stream, name)} = {{ "
                     f".name = {c_text(name)}, .schema = &{schema.c_name}_schema{last} }};")
    lines.append(f"static const struct cm_event_type *const {stream.name}_event_types[] = {{")
    lines += [f"\t&{event_name(stream, name)}," for name, _, _ in stream.events]
    return lines + ["};", f"const struct cm_event_list {stream.name}_events = {{ {c_text(stream.name)}, "
                    f"{stream.name}_event_types, CM_COUNT({stream.name}_event_types) }};", ""]


def header(service, operations, schemas, streams):
    lines = ["#pragma once", '#include "http/route.h"', '#include "schemas.h"', ""]
    for schema in schemas:
        lines += header_of(schema)
    for stream in streams:
        lines += event_declarations(stream)
    for operation in operations:
        lines.append(f"/* {operation.method} {operation.path}: {operation.place.text('summary')} */")
        if operation.params:
            lines += [f"struct {params_struct(operation)} {{", *struct_members(operation.params), "};"]
        lines += [prototype(operation) + ";", ""]
    return lines + [f"extern const struct cm_routes {service}_routes;"]


def source(service, operations, schemas, streams):
    lines = [f'#include "{service}_api.h"', "", "#include <stddef.h>", ""]
    for schema in schemas:
        lines += source_of(schema)
    for stream in streams:
        lines += event_tables(stream)
    for operation in operations:
        lines += param_table(operation) + thunk(operation)
    lines.append("static const struct cm_route items[] = {")
    for operation in operations:
        lines += route(operation)
    lines += ["};", "", f"extern const char {service}_openapi_json[];", "",
              f"const struct cm_routes {service}_routes = {{ items, CM_COUNT(items), {service}_openapi_json }};"]
    return lines


def param_table(operation):
    if not operation.params:
        return []
    struct = f"struct {params_struct(operation)}"
    lines = [f"static const struct cm_param {params_struct(operation)}_table[] = {{"]
    for param in operation.params:
        has = f"offsetof({struct}, has_{param.c_name})" if param.has else "CM_NO_OFFSET"
        lines.append(f"\t{{ {c_text(param.name)}, {PLACES[param.where]}, &{param.schema.c_name}_schema, "
                     f"offsetof({struct}, {param.c_name}), {has} }},")
    return lines + ["};", ""]


def thunk(operation):
    params = "params" if operation.params else "CM_UNUSED params"
    body = "body" if operation.body else "CM_UNUSED body"
    arguments = ["request"] + ["params"] * bool(operation.params) + ["body"] * bool(operation.body)
    return [f"static int call_{operation.name}(struct cm_request *request, {unused(params)}, {unused(body)})",
            "{", f"\treturn {operation.name}({', '.join(arguments)});", "}", ""]


def unused(argument):
    words = argument.split()
    return f"{'CM_UNUSED ' if len(words) == 2 else ''}const void *{words[-1]}"


def route(operation):
    fields = [("method", c_text(operation.method)), ("path", c_text(operation.path)),
              ("operation", c_text(operation.name))]
    if operation.scope:
        fields.append(("scope", c_text(operation.scope)))
    if operation.limit:
        per, count, window = operation.limit
        fields += [("limit_by", c_text(per)), ("limit", str(count)), ("limit_window_us", f"INT64_C({window})")]
    fields += [(name, "true") for name in ("idempotent", "streamed") if getattr(operation, name)]
    if operation.max_body:
        fields.append(("max_body", f"INT64_C({operation.max_body})"))
    if operation.media:
        fields.append(("media", c_text(operation.media)))
    if operation.params:
        table = f"{params_struct(operation)}_table"
        fields += [("params", table), ("param_count", f"CM_COUNT({table})"),
                   ("params_size", f"sizeof(struct {params_struct(operation)})")]
    if operation.body:
        fields.append(("body", f"&{operation.body.c_name}_schema"))
    if operation.form:
        fields.append(("form", "true"))
    if operation.body_required:
        fields.append(("body_required", "true"))
    if operation.events:
        fields.append(("events", f"&{operation.events.name}_events"))
    if operation.websocket:
        fields.append(("websocket", "true"))
    if operation.messages:
        fields.append(("messages", f"&{operation.messages.c_name}_schema"))
    fields.append(("call", f"call_{operation.name}"))
    return ["\t{", *[f"\t\t.{name} = {value}," for name, value in fields], "\t},"]
