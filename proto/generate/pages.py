"""Reference pages of docs/: API, events, calls, errors, keys, configuration. Committed; --check says when they are stale."""
import access
import help_lines
from contract import notation

NOTICE = "<!-- Generated from proto/ by proto/generate/generate.py. Change the contract, then: make docs -->"
WORDS = {"minLength": "at least {} characters", "maxLength": "at most {} characters", "minItems": "at least {} items",
         "maxItems": "at most {} items", "minimum": "from {}", "maximum": "up to {}", "exclusiveMinimum": "more than {}",
         "exclusiveMaximum": "less than {}", "x-max-bytes": "at most {} bytes"}
KINDS = {"string": "text", "integer": "integer", "number": "number", "boolean": "boolean", "time": "date-time",
         "date": "date", "uuid": "UUID", "any": "free-form object"}


def pages(model):
    """path below docs/ -> text"""
    written = {f"api-{service}.md": _api(model, service) for service in model.services}
    written["access.md"] = access.page(NOTICE, model.callers, model.operations)
    written["events.md"] = _events(model)
    written["rpc.md"] = _calls(model)
    written["errors.md"] = _errors(model)
    written["redis-keys.md"] = _keys(model)
    written["configuration.md"] = _configuration(model)
    written["help-lines.md"] = help_lines.page(model.help_lines)
    return {name: "\n".join(lines).rstrip("\n") + "\n" for name, lines in written.items() if lines}


def _cell(text):
    return " ".join(str(text or "").split()).replace("|", "\\|")


def _table(head, rows):
    return [f"| {' | '.join(head)} |", f"|{' --- |' * len(head)}",
            *[f"| {' | '.join(_cell(cell) for cell in row)} |" for row in rows], ""]


# ---- API

def _api(model, service):
    info = model.contracts.root(f"http/{service}.yaml").get("info")
    lines = [NOTICE, f"# API of {service}", "", " ".join(info["description"].split()), "",
             "The same as a document for machines: `/openapi.json` of the service.", ""]
    lines += _table(["route", "scope", "what"],
                    [(f"[{o.method} {o.path}](#{_anchor(o)})", o.scope or "open", o.place.get("summary"))
                     for o in model.operations[service]])
    used = {}
    for operation in model.operations[service]:
        lines += _operation(model, operation, used)
    lines += ["## Shapes", ""]
    for _, schema in sorted(_closure(used).items()):
        lines += _shape(schema)
    return lines


def _anchor(operation):
    return operation.name.replace("_", "-")


def _operation(model, operation, used):
    lines = [f'<a id="{_anchor(operation)}"></a>', f"## {operation.method} {operation.path}", "",
             f"{operation.place.get('summary')}. {_cell(operation.place.get('description'))}".rstrip(), ""]
    facts = []
    if operation.scope:
        facts.append(f"scope `{operation.scope}`")
    if operation.limit:
        facts.append(f"{operation.place.get('x-limit')['rate']} per {operation.limit[0]}")
    if operation.idempotent:
        facts.append("honours `Idempotency-Key`")
    if operation.max_body:
        facts.append(f"body of at most {operation.place.get('x-max-body')}")
    if facts:
        text = "; ".join(facts)
        lines += [text[0].upper() + text[1:] + ".", ""]
    if operation.params:
        rows = [(f"`{p.name}`", p.where, _kind(p.schema), "yes" if p.required else "", p.description)
                for p in operation.params]
        lines += _table(["parameter", "in", "type", "required", "meaning"], rows)
    lines += _event_list(operation, used)
    if operation.media:
        lines += [f"Body: `{operation.media}`" + _body_shape(model, operation, used), ""]
    rows = [(status, _answer(model, response, used), response.get("description")) for status, response in operation.responses]
    return lines + _table(["status", "body", "when"], rows)


def _event_list(operation, used):
    if not operation.events:
        return []
    how = "A WebSocket" if operation.websocket else "A stream of events"
    lines = [f"{how} ([streams.md](streams.md)): {_cell(operation.events.place.get('description'))}", ""]
    lines += _table(["event", "data", "when"],
                    [(f"`{name}`", _link(schema, used), summary) for name, summary, schema in operation.events.events])
    if operation.messages:
        lines += [f"A client may send {_link(operation.messages, used)}.", ""]
    return lines


def _body_shape(model, operation, used):
    schema = operation.body
    if not schema:
        for _, media in operation.place.at("requestBody").at("content").children():
            if "schema" in media and "$ref" in media.at("schema"):
                schema = model.library.reference(media.at("schema"))
    return f", {_link(schema, used)}" if schema else ""


def _answer(model, response, used):
    if "content" not in response:
        return ""
    for media_type, media in response.at("content").children():
        if "schema" in media and "$ref" in media.at("schema"):
            return _link(model.library.reference(media.at("schema")), used)
        return f"`{media_type}`"
    return ""


def _link(schema, used):
    used[schema.name] = schema
    return f"[{schema.name}](#{schema.name.lower()})"


def _closure(used):
    """Everything that the shapes are made of and that has a name of its own."""
    found, queue = {}, list(used.values())
    while queue:
        schema = queue.pop()
        if schema.name in found:
            continue
        if schema.kind in ("object", "one_of", "any") or schema.public:
            found[schema.name] = schema
        queue += [m.schema for m in schema.members] + [v.schema for v in schema.variants]
        queue += [schema.items] if schema.items else []
    return {name: schema for name, schema in found.items() if "." not in name}


def _shape(schema):
    lines = [f"### {schema.name}", "", *([_cell(schema.description), ""] if schema.description else [])]
    if schema.kind == "object":
        rows = [(f"`{m.name}`", _kind(m.schema) + (" or null" if m.nullable else ""), "yes" if m.required else "",
                 m.description) for m in schema.members]
        return lines + _table(["member", "type", "required", "meaning"], rows)
    if schema.kind == "one_of":
        rows = [(f"`{schema.discriminator}: {v.value}`", f"[{v.schema.name}](#{v.schema.name.lower()})") for v in schema.variants]
        return lines + _table(["when", "shape"], rows)
    return [*lines, _spelled(schema) + ".", ""]


def _kind(schema):
    """The type of a member, as a link when it has a name."""
    if schema.public and "." not in schema.name:
        return f"[{schema.name}](#{schema.name.lower()})"
    return _spelled(schema)


def _spelled(schema):
    if schema.kind == "enum":
        return ", ".join(f"`{value}`" for value in schema.values)
    if schema.kind == "array":
        text = f"list of {_kind(schema.items)}"
    else:
        text = KINDS.get(schema.kind, schema.name)
    if schema.format and schema.kind == "string":
        text += f" ({schema.format.removeprefix('x-')})"
    limits = [WORDS[keyword].format(f"{value:g}" if isinstance(value, float) else value)
              for keyword, value in schema.limits.items()]
    if schema.unique:
        limits.append("none twice")
    return ", ".join([text, *limits])


# ---- the rest

def _events(model):
    if not model.events:
        return []
    lines = [NOTICE, "# Events", "", "Facts on the bus. `bus-binding.md` says how an event lies on a stream; `data` is this JSON.", ""]
    used = {}
    for service in model.streams:
        rows = [(f"`{e.type}`", _link(e.payload, used), e.summary + ". " + e.description)
                for e in model.events if e.service == service]
        lines += [f"## {service}", "", f"Stream `{model.prefix}events:{service}`.", "", *_table(["type", "data", "when"], rows)]
    lines += ["## Shapes", ""]
    for _, schema in sorted(_closure(used).items()):
        lines += _shape(schema)
    return lines


CALLS = """\
A service asks another by a request on that service's stream and hears the reply on a channel of its own. Handlers see a
function that suspends: `memory_rpc_recall(worker->rpc, arena, &request, &reply, &problem)`; the other side defines
`memory_serve_recall(call, in, out)`. Both come from `proto/rpc.yaml`.

## How a call travels

1. The caller encodes the request and adds it to `s1:rpc:<service>` with a random id and the time it has left. A stream that
   is not there has no service behind it: the call ends at once.
2. One replica's worker takes the entry (consumer group `rpc`), drops it unanswered when its time is over, and runs the
   handler in a fiber with the time that is left. With `SALUS_RPC_CONCURRENCY` calls running it answers `overloaded` at once.
3. The answer is published on the channel that the request names; then the entry is acknowledged and removed.
4. The caller takes the reply whose id it waits for. What is late, comes twice or is made up is counted and dropped
   (`salus_rpc_replies_dropped_total`).

| what happens | what the caller gets |
| --- | --- |
| Redis is gone, or the connection for replies | at once `-CM_E_UNAVAILABLE`; of a write that was sent `-CM_E_UNCERTAIN` |
| no reply in time | `-CM_E_DEADLINE`; of a write `-CM_E_UNCERTAIN`: repeat it with the same key |
| the callee is not able to at the moment | `-CM_E_UNAVAILABLE` or `-CM_E_OVERLOAD` |
| the callee says no | `CM_RPC_REFUSED` and a problem: code, detail, errors with JSON Pointers |
| the replica dies | another takes the request over after `SALUS_RPC_LEASE`, once, while the caller still waits |

A handler that fails with a negative error becomes `503` with `Retry-After` (unavailable, overloaded, uncertain) or `504` for
whoever asked over HTTP, as everywhere.

## On the wire

A request is an entry with these fields and `data`, the JSON of the method. Each call is for a person, `user_id` in it.
"""

REPLY = """\
A reply is one message: `<ce_id> <code>`, a line feed, JSON. With the code `ok` the JSON is the method's reply; any other code
is one of [errors.md](errors.md), and the JSON says more:

| member | meaning |
| --- | --- |
| `detail` | for people |
| `errors` | `[{pointer, detail}]`: what is wrong with the request |
| `retry_after_s` | when to try again |

Only a service that a caller may ask can publish on the caller's channels, and only the callee can read its requests: that is
in each daemon's rights in Redis ([redis-keys.md](redis-keys.md)).
"""


def _calls(model):
    if not model.methods:
        return []
    headers = model.contracts.root("rpc.yaml").at("components").at("messageTraits").at("request").at("headers")
    required = headers.get("required", [])
    rows = [(f"`{name}`", "yes" if name in required else "", _header(place)) for name, place in headers.at("properties").children()]
    lines = [NOTICE, "# Calls between services", "", *CALLS.split("\n"), *_table(["field", "required", "meaning"], rows),
             *REPLY.split("\n")]
    used = {}
    for service in dict.fromkeys(method.service for method in model.methods):
        methods = model.methods_of(service)
        rows = [(f"`{m.type}`", _link(m.request, used), _link(m.reply, used), f"{m.timeout_us / 1_000_000:g} s",
                 "needs a key" if m.idempotent else "", f"{m.summary}. {m.description}") for m in methods]
        lines += [f"## {service}", "", f"Stream `{model.prefix}rpc:{service}`; may be asked by {', '.join(methods[0].callers)}.", "",
                  *_table(["method", "request", "reply", "at most", "writes", "what"], rows)]
    lines += ["## Shapes", ""]
    for _, schema in sorted(_closure(used).items()):
        lines += _shape(schema)
    return lines


def _header(place):
    return place.text("description") or f"`{place.get('const')}`"


def _errors(model):
    rows = [(f"`{code}`", status, title + (". " + place.get("description") if "description" in place else ""))
            for code, status, title, place in model.errors]
    return rows and [NOTICE, "# Error codes", "",
                     "Errors are `application/problem+json` (RFC 9457). Decide by `code`; a code keeps its meaning for ever.",
                     "", *_table(["code", "status", "meaning"], rows)]


def _keys(model):
    rows = [(f"`{model.prefix}{key.template}`", key.type, key.owner, ", ".join(key.readers), key.life, key.description)
            for key in model.keys]
    return rows and [NOTICE, "# Redis keys", "",
                     "Each daemon has a Redis user that may touch these and nothing else. A lost cache costs time, never data.",
                     "", *_table(["key", "type", "owner", "others", "life", "what"], rows)]


def _configuration(model):
    if not model.settings:
        return []
    lines = [NOTICE, "# Configuration", "",
             "Each daemon reads its settings from the environment. For every `KEY` the value may stand in a file that",
             "`KEY_FILE` names instead. All faults are reported at once and stop the start; `--print-config` shows what",
             "holds, with secrets masked.", "",
             "Durations are written `500ms`, `10s`, `5m`, `24h`, `7d`; sizes `512`, `64KiB`, `1MiB`, `4GiB`.", ""]
    for table, settings in model.settings.items():
        title = "Every daemon" if table == "common" else f"salus-{table}"
        rows = [(f"`{key}`", place.get("type"), _default(place), _bounds(place), place.get("help")) for key, _, place in settings]
        lines += [f"## {title}", "", *_table(["key", "type", "default", "bounds", "what"], rows)]
    return lines


def _default(place):
    if "default" in place:
        return f"`{notation(place.get('default'))}`"
    return "none" if place.get("optional") else "**required**"


def _bounds(place):
    low, high = place.get("min"), place.get("max")
    unit = " characters" if place.get("type") in ("text", "secret", "url") else ""
    if low is None and high is None:
        return ""
    if high is None:
        return f"at least {low}{unit}"
    return f"at most {high}{unit}" if low is None else f"{low} to {high}{unit}"
