"""proto/rpc.yaml (AsyncAPI 3.0): what services ask each other.

build/gen/rpc.{h,c} has a typed stub for each method, for callers; build/gen/<service>_rpc.{h,c} the table of the methods
that a service answers and a declaration of each handler that somebody has to write.
"""
import re
from dataclasses import dataclass

from c_schemas import comment
from contract import c_text, check_origins, shout, snake
from schemas import check_limits

UNITS = {"ms": 1_000, "s": 1_000_000}
MAX_TIMEOUT_US = 60_000_000


@dataclass
class Method:
    type: str           # memory.recall.v1
    service: str        # memory: who answers
    callers: list       # services that may ask
    request: object     # Schema
    reply: object       # Schema
    timeout_us: int
    idempotent: bool    # writes: needs an idempotency key
    summary: str
    description: str

    @property
    def stem(self):
        """memory_recall; from the second version on, memory_recall_v2"""
        name, version = self.type.rsplit(".v", 1)
        return snake(name) + ("" if version == "1" else f"_v{version}")

    @property
    def stub(self):
        """memory_rpc_recall: what callers call"""
        first, rest = self.stem.split("_", 1)
        return f"{first}_rpc_{rest}"

    @property
    def handler(self):
        """memory_serve_recall: what the service defines"""
        first, rest = self.stem.split("_", 1)
        return f"{first}_serve_{rest}"


def load_rpc(contracts, library, services):
    """Methods in the order of the file; none without the file."""
    if not contracts.has("rpc.yaml"):
        return []
    root = contracts.root("rpc.yaml")
    root.allow("asyncapi", "info", "channels", "operations", "components", "defaultContentType")
    if root.text("asyncapi") != "3.0.0":
        root.at("asyncapi").fail("must be 3.0.0")
    check_origins(root)
    callers = {str(channel): _callers(channel, services) for name, channel in root.at("channels").children() if name != "reply"}
    _check_reply_channel(root)
    methods = [_method(contracts, library, callers, place) for _, place in root.at("operations").children()]
    _check_complete(root, contracts, methods)
    return methods


def _callers(channel, services):
    channel.allow("address", "description", "messages", "title", "summary", "x-callers", "x-origin")
    match = re.fullmatch(r"s1:rpc:([a-z][a-z-]*)", str(channel.at("address").node))
    if not match or match[1] not in services:
        channel.at("address").fail("must be s1:rpc:<service>")
    callers = channel.at("x-callers").node
    if not isinstance(callers, list) or not callers or set(callers) - set(services):
        channel.at("x-callers").fail("must be a list of services")
    return match[1], callers


def _check_reply_channel(root):
    reply = root.at("channels").at("reply")
    reply.allow("address", "description", "messages")
    if reply.at("address").node is not None:
        reply.at("address").fail("must be null: each request names its own")


def _method(contracts, library, callers, place):
    place.allow("action", "channel", "summary", "description", "messages", "reply", "x-timeout", "x-idempotent", "x-origin")
    if place.at("action").node != "receive":
        place.at("action").fail("must be receive: it is described from the side of who answers")
    channel = contracts.resolve(place.at("channel"))
    if str(channel) not in callers:
        place.at("channel").fail("is not a channel of requests")
    service, allowed = callers[str(channel)]
    message = _only_message(contracts, place)
    name = message.at("name").node
    if not re.fullmatch(r"[a-z]+\.[a-z_]+\.v[1-9][0-9]*", name):
        message.at("name").fail('must be like "memory.recall.v1"')
    method = Method(name, service, allowed, _payload(library, message), _payload(library, _reply(contracts, place)),
                    _timeout(place), place.get("x-idempotent", False) is True, place.at("summary").node,
                    place.text("description", "") or "")
    _check_request(method, message)
    check_limits(method.reply, place)
    return method


def _only_message(contracts, place):
    messages = place.at("messages").items()
    if len(messages) != 1:
        place.at("messages").fail("must be one message")
    return contracts.resolve(messages[0])


def _reply(contracts, place):
    reply = place.at("reply")
    reply.allow("address", "channel", "messages")
    if reply.at("address").get("location") != "$message.header#/reply":
        reply.at("address").fail('its location must be "$message.header#/reply"')
    return _only_message(contracts, reply)


def _payload(library, message):
    message.allow("name", "title", "summary", "description", "contentType", "payload", "traits", "x-origin")
    if message.get("contentType") != "application/json":
        message.fail("contentType must be application/json")
    payload = library.reference(message.at("payload"))
    if payload.kind != "object":
        message.at("payload").fail("must be an object")
    return payload


def _timeout(place):
    match = re.fullmatch(r"([1-9][0-9]*)(ms|s)", str(place.at("x-timeout").node))
    timeout_us = int(match[1]) * UNITS[match[2]] if match else 0
    if not 0 < timeout_us <= MAX_TIMEOUT_US:
        place.at("x-timeout").fail('must be like "500ms" or "2s", and at most 60s')
    return timeout_us


def _check_request(method, message):
    """Each call is for a person, whom the machinery sets in the context of the handler."""
    check_limits(method.request, message)
    user = method.request.member("user_id")
    if not user or not user.required or user.nullable or user.schema.kind != "uuid":
        message.at("payload").fail("must have a required member user_id of format uuid: whom the call is for")


def _check_complete(root, contracts, methods):
    """What a channel lists is what the operations describe, so that nothing in the file goes unread."""
    listed = []
    for name, channel in root.at("channels").children():
        if name != "reply":
            listed += [contracts.resolve(message).at("name").node for _, message in channel.at("messages").children()]
    types = [method.type for method in methods]
    for name in set(listed) ^ set(types):
        root.at("channels").fail(f"{name} must be listed by its channel and have an operation")
    for names, what in ((types, "is described twice"), ([method.stem for method in methods], "is a C name that two have")):
        for name in names:
            if names.count(name) > 1:
                root.at("operations").fail(f"{name} {what}")


# ---- rights

def callees(methods):
    """caller -> the services whose requests it may add to"""
    found = {}
    for method in methods:
        for caller in method.callers:
            found.setdefault(caller, [])
            if method.service not in found[caller]:
                found[caller].append(method.service)
    return found


def callers(methods):
    """callee -> the services on whose reply channels it may publish"""
    found = {}
    for caller, services in callees(methods).items():
        for service in services:
            found.setdefault(service, []).append(caller)
    return found


# ---- C, for callers

def stub_prototype(method):
    key = ["struct cm_str idempotency_key"] if method.idempotent else []
    arguments = ["struct cm_rpc *rpc", "struct cm_arena *arena", *key, f"const struct {method.request.c_name} *request",
                 f"struct {method.reply.c_name} *reply_r", "struct cm_rpc_problem *problem_r"]
    return f"int {method.stub}({', '.join(arguments)})"


def stubs_header(methods):
    lines = ["#pragma once", '#include "bus/rpc_client.h"', '#include "schemas.h"', "",
             "/* Calls of other services. Errors and ownership as cm_rpc_call() says: bus/rpc_client.h. They suspend. */", ""]
    for method in methods:
        lines += comment(f"{method.summary}. {method.description}".strip())
        lines += [f"#define RPC_{shout(method.stem)} {c_text(method.type)}", stub_prototype(method) + " CM_MUST_CHECK;",
                  f"extern const struct cm_rpc_method {method.stub}_method;", ""]
    return lines


def stubs_source(methods):
    lines = ['#include "rpc.h"', "", "#include <stddef.h>", ""]
    for method in methods:
        key = "idempotency_key" if method.idempotent else "CM_STR_NONE"
        lines += [f"const struct cm_rpc_method {method.stub}_method = {{", *[f"\t.{name} = {value}," for name, value in [
            ("type", f"RPC_{shout(method.stem)}"), ("service", c_text(method.service)),
            ("request", f"&{method.request.c_name}_schema"), ("reply", f"&{method.reply.c_name}_schema"),
            ("user_offset", f"offsetof(struct {method.request.c_name}, user_id)"),
            ("timeout_us", f"INT64_C({method.timeout_us})"), ("idempotent", str(method.idempotent).lower())]], "};", "",
            stub_prototype(method), "{",
            f"\treturn cm_rpc_call(rpc, &{method.stub}_method, arena, {key}, request, reply_r, problem_r);", "}", ""]
    return lines


# ---- C, for who answers

def handler_prototype(method):
    return (f"int {method.handler}(struct cm_rpc_request *call, const struct {method.request.c_name} *in, "
            f"struct {method.reply.c_name} *out)")


def table_header(stem, methods):
    lines = ["#pragma once", '#include "bus/rpc_server.h"', '#include "schemas.h"', "",
             "/* Handlers: see bus/rpc_server.h for what they return. */", ""]
    for method in methods:
        lines += comment(f"{method.type}: {method.summary}") + [handler_prototype(method) + ";", ""]
    return lines + ["/* Without methods it is empty. */", f"extern const struct cm_rpc_methods {stem}_rpc;"]


def table_source(stem, service, methods):
    lines = [f'#include "{stem}_rpc.h"', "", "#include <stddef.h>", "", '#include "rpc.h"', ""]
    for method in methods:
        lines += [f"static int call_{method.stem}(struct cm_rpc_request *call, const void *in, void *out)", "{",
                  f"\treturn {method.handler}(call, in, out);", "}", ""]
    if not methods:
        return lines + [f"const struct cm_rpc_methods {stem}_rpc = {{ .service = {c_text(service)} }};"]
    lines += ["static const struct cm_rpc_handler items[] = {",
              *[f"\t{{ &{method.stub}_method, call_{method.stem} }}," for method in methods], "};",
              "static const char *const callers[] = {",
              *[f"\t{c_text(caller)}," for caller in methods[0].callers], "\tNULL,", "};", ""]
    return lines + [f"const struct cm_rpc_methods {stem}_rpc = {{",
                    f"\t.service = {c_text(service)},", "\t.items = items,", "\t.count = CM_COUNT(items),",
                    "\t.callers = callers,", "};"]
