"""proto/events.yaml (AsyncAPI 3.0) and build/gen/events.{h,c}: names of events and streams, typed builders."""
import re
from dataclasses import dataclass

from c_schemas import comment
from contract import c_text, check_origins, shout, snake


@dataclass
class Event:
    type: str           # user.created.v1
    service: str        # auth
    payload: object     # Schema
    summary: str
    description: str

    @property
    def c_name(self):
        """event_user_created; from the second version on, event_user_created_v2"""
        name, version = self.type.rsplit(".v", 1)
        return "event_" + snake(name) + ("" if version == "1" else f"_v{version}")


def load_events(contracts, library):
    """(streams, events): what each service publishes."""
    if not contracts.has("events.yaml"):
        return [], []
    root = contracts.root("events.yaml")
    root.allow("asyncapi", "info", "channels", "operations", "components", "defaultContentType")
    if root.text("asyncapi") != "3.0.0":
        root.at("asyncapi").fail("must be 3.0.0")
    check_origins(root)
    streams, events = [], []
    for _, channel in root.at("channels").children():
        channel.allow("address", "description", "messages", "title", "summary", "x-origin")
        service = _service(channel.at("address"))
        streams.append(service)
        for _, place in channel.at("messages").children():
            events.append(_event(contracts, library, contracts.resolve(place), service))
    _check_operations(contracts, root)
    names = [event.type for event in events]
    for name in names:
        if names.count(name) > 1:
            root.at("channels").fail(f"{name} is published twice")
    return streams, events


def _service(address):
    match = re.fullmatch(r"s1:events:([a-z][a-z-]*)", str(address.node))
    if not match:
        address.fail("must be s1:events:<service>")
    return match[1]


def _event(contracts, library, place, service):
    place.allow("name", "title", "summary", "description", "contentType", "payload", "x-origin")
    name = place.at("name").node
    if not re.fullmatch(r"[a-z_]+(\.[a-z_]+)+\.v[1-9][0-9]*", name):
        place.at("name").fail('must be like "user.created.v1"')
    if place.get("contentType") != "application/json":
        place.fail("contentType must be application/json")
    payload = library.reference(place.at("payload"))
    if payload.kind != "object":
        place.at("payload").fail("must be an object")
    return Event(name, service, payload, place.text("summary") or place.at("summary").node,
                 place.text("description", "") or "")


def _check_operations(contracts, root):
    for _, operation in root.at("operations").children():
        operation.allow("action", "channel", "summary", "description", "messages", "title")
        if operation.at("action").node not in ("send", "receive"):
            operation.at("action").fail("must be send or receive")
        contracts.resolve(operation.at("channel"))


def prototype(event):
    return (f"void {event.c_name}(struct cm_event *event_r, struct cm_arena *arena, const struct cm_context *context,\n"
            f"\tcm_time now, const struct cm_uuid *subject, const struct {event.payload.c_name} *data)")


def header(streams, events):
    lines = ["#pragma once", '#include "bus/event.h"', '#include "schemas.h"', '#include "sys/context.h"', "",
             "/* Producers, as subscriptions name them. */"]
    lines += [f"#define STREAM_{shout(service)} {c_text(service)}" for service in streams] + [""]
    lines += [f"#define {shout(event.c_name)} {c_text(event.type)}" for event in events] + [""]
    lines += ["/*", " * Builders: a complete event with a new id, its data encoded in the arena. Tenant and trace come",
              " * from the context.", " */"]
    for event in events:
        lines += comment(event.summary) + [prototype(event) + ";"]
    return lines


BUILD = """\
static void build(struct cm_event *event_r, struct cm_arena *arena, const struct cm_context *context, cm_time now,
\tconst struct cm_uuid *subject, const struct cm_schema *schema, const void *data)
{
\tstruct cm_buf json = { 0 };

\tcm_schema_encode(schema, data, &json);
\tevent_r->id = cm_uuid7(now);
\tevent_r->time = now;
\tevent_r->subject = *subject;
\tevent_r->tenant = context->tenant_id;
\tif (context->traceparent[0])
\t\tevent_r->traceparent = cm_arena_str(arena, cm_str_from(context->traceparent));
\tevent_r->data = cm_arena_str(arena, cm_buf_str(&json));
\tcm_buf_deinit(&json);
}
"""


def source(_, events):
    lines = ['#include "events.h"', ""]
    if events:
        lines += BUILD.split("\n")
    for event in events:
        lines += [prototype(event), "{",
                  f"\t*event_r = (struct cm_event){{ .source = CM_STR({c_text('/salus/' + event.service)}),",
                  f"\t\t.type = CM_STR({shout(event.c_name)}) }};",
                  f"\tbuild(event_r, arena, context, now, subject, &{event.payload.c_name}_schema, data);", "}", ""]
    return lines
