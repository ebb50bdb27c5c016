"""Operations of an OpenAPI document, as a model. What a route needs and does not say is an error."""
import re
from dataclasses import dataclass, field

from access import SCOPE, load_access
from contract import check_origins, snake
from schemas import Member, Schema, check_limits

METHODS = ("get", "post", "put", "patch", "delete", "head", "options")
OPERATION_KEYS = ("operationId", "summary", "description", "tags", "parameters", "requestBody", "responses",
                  "x-scope", "x-access", "x-limit", "x-idempotent", "x-stream", "x-max-body", "x-origin", "deprecated", "security",
                  "x-event-stream", "x-websocket", "x-websocket-messages")
FORM = "application/x-www-form-urlencoded"
PLACES = {"path": "CM_IN_PATH", "query": "CM_IN_QUERY", "header": "CM_IN_HEADER"}
UNITS = {"s": 1, "min": 60, "h": 3600, "d": 86400}
SIZES = {"": 1, "KiB": 2 ** 10, "MiB": 2 ** 20, "GiB": 2 ** 30}


@dataclass
class Param(Member):
    where: str = "query"


@dataclass
class EventList:
    """What a stream to a client may say: (name, summary, schema) of each event."""
    place: object
    name: str
    events: list = field(default_factory=list)


@dataclass
class Operation:
    place: object
    method: str
    path: str
    name: str
    scope: str = None
    access: dict = field(default_factory=dict)      # "own" -> callers that reach such things: access.py
    limit: tuple = None         # (per, count, window in µs)
    idempotent: bool = False
    streamed: bool = False
    max_body: int = 0
    params: list = field(default_factory=list)
    media: str = None
    form: bool = False          # the body is a form (FORM), not JSON
    body: Schema = None         # decoded before the handler runs
    body_required: bool = False
    events: EventList = None    # answers with an event stream ...
    websocket: bool = False     # ... or over a WebSocket
    messages: Schema = None     # what a client may say there
    responses: list = field(default_factory=list)   # (status, place)


def load_event_lists(contracts, library, name):
    """components/x-event-streams of proto/http/<name>.yaml, by name."""
    root = contracts.root(f"http/{name}.yaml")
    if "components" not in root or "x-event-streams" not in root.at("components"):
        return {}
    return {key: _event_list(library, place, key)
            for key, place in root.at("components").at("x-event-streams").children()}


def _event_list(library, place, name):
    place.allow("description", "events", "x-origin")
    if not re.fullmatch(r"[a-z][a-z0-9_]*", name):
        place.fail("must be snake_case: it is part of C names")
    place.at("description")
    found = EventList(place, name)
    for key, event in place.at("events").children():
        event.allow("summary", "schema", "x-origin")
        if not re.fullmatch(r"[a-z][a-z0-9_.]*", key):
            event.fail('must be like "tool.started"')
        if "$ref" not in event.at("schema"):
            event.at("schema").fail("must be a $ref to a schema in schemas/")
        found.events.append((key, event.at("summary").node, library.reference(event.at("schema"))))
    missing = {"done", "error"} - {key for key, _, _ in found.events}
    if missing:
        place.at("events").fail(f"lacks {', '.join(sorted(missing))}: each stream ends with done or error")
    return found


def load_operations(contracts, library, name, lists, callers):
    """All operations of proto/http/<name>.yaml; `lists` are its event lists, `callers` those of access.yaml."""
    root = contracts.root(f"http/{name}.yaml")
    root.allow("openapi", "info", "servers", "security", "paths", "components", "tags")
    if not str(root.text("openapi", "")).startswith("3.1."):
        root.at("openapi").fail("must be 3.1.x")
    root.at("info").at("title"), root.at("info").at("version")
    check_origins(root)
    operations, names = [], set()
    for path, item in root.at("paths").children():
        for method, place in item.children():
            if method not in METHODS:
                place.fail("is not supported in a path")
            operation = _operation(contracts, library, place, method, path, lists)
            in_path = [param.name for param in operation.params if param.where == "path" and param.schema.kind == "uuid"]
            operation.access = load_access(place, operation.scope, in_path, callers)
            if operation.name in names:
                place.fail(f"operationId {operation.name} stands twice")
            names.add(operation.name)
            operations.append(operation)
    return operations


def _operation(contracts, library, place, method, path, lists):
    place.allow(*OPERATION_KEYS)
    operation = Operation(place, method.upper(), path, place.text("operationId") or place.at("operationId").node)
    if not re.fullmatch(r"[a-z][a-z0-9_]*", operation.name):
        place.at("operationId").fail("must be snake_case: it is the name of a C function")
    place.at("summary")
    operation.scope = place.text("x-scope")
    if operation.scope is not None and not re.fullmatch(SCOPE, operation.scope):
        place.at("x-scope").fail('must be like "health:write"')
    operation.idempotent = _flag(place, "x-idempotent")
    operation.streamed = _flag(place, "x-stream")
    operation.limit = _limit(place)
    operation.max_body = _size(place)
    _params(contracts, library, operation)
    _body(contracts, library, operation)
    _events(library, operation, lists)
    _responses(contracts, library, operation)
    return operation


def _flag(place, key):
    value = place.get(key, False)
    if not isinstance(value, bool):
        place.at(key).fail("must be true or false")
    return value


def _limit(place):
    if "x-limit" not in place:
        return None
    limit = place.at("x-limit")
    limit.allow("per", "rate")
    if limit.get("per") not in ("user", "address"):
        limit.at("per").fail("must be user or address")
    if limit.get("per") == "user" and "x-scope" not in place:
        limit.at("per").fail("an open route knows no user")
    match = re.fullmatch(r"([1-9][0-9]*)/(s|min|h|d)", str(limit.at("rate").node))
    if not match:
        limit.at("rate").fail("must be like 600/min")
    return limit.get("per"), int(match[1]), UNITS[match[2]] * 1_000_000


def _size(place):
    if "x-max-body" not in place:
        return 0
    match = re.fullmatch(r"([1-9][0-9]*)(KiB|MiB|GiB|)", str(place.get("x-max-body")))
    if not match:
        place.at("x-max-body").fail("must be like 16KiB")
    return int(match[1]) * SIZES[match[2]]


# ---- parameters

def _params(contracts, library, operation):
    listed = operation.place.at("parameters").items() if "parameters" in operation.place else []
    for place in listed:
        param = _param(library, operation, contracts.resolve(place))
        if any(p.c_name == param.c_name for p in operation.params):
            place.fail(f"{param.name} stands twice")
        operation.params.append(param)
    in_path = re.findall(r"\{([^}]*)\}", operation.path)
    declared = [p.name for p in operation.params if p.where == "path"]
    if sorted(in_path) != sorted(declared):
        operation.place.fail(f"the path names {in_path or 'nothing'}, the parameters {declared or 'nothing'}")


def _param(library, operation, place):
    place.allow("name", "in", "required", "description", "schema", "x-origin", "deprecated")
    name, where = place.at("name").node, place.at("in").node
    if where not in PLACES:
        place.at("in").fail(f"{where} is not supported")
    required = _flag(place, "required")
    if where == "path" and not required:
        place.fail("a path parameter is always required")
    stem = f"{operation.name}_params__{snake(name)}"
    schema = library.use(place.at("schema"), name, stem)
    scalar = schema.items if schema.kind == "array" else schema
    if scalar.kind in ("object", "array", "any", "one_of") or schema.nullable:
        place.at("schema").fail("a parameter is a scalar or a list of scalars")
    check_limits(schema, operation.place)
    return Param(name, schema, required, False, False, place.text("description", "") or "", where)


# ---- event streams

def _events(library, operation, lists):
    place = operation.place
    operation.websocket = "x-websocket" in place
    keys = [key for key in ("x-event-stream", "x-websocket") if key in place]
    if len(keys) > 1:
        place.fail("answers with an event stream or over a WebSocket, not both")
    if "x-websocket-messages" in place:
        if not operation.websocket:
            place.at("x-websocket-messages").fail("needs x-websocket")
        operation.messages = library.reference(place.at("x-websocket-messages"))
    for key in keys:
        name = place.text(key)
        if name not in lists:
            place.at(key).fail(f"there is no {name} in components/x-event-streams")
        operation.events = lists[name]
        if operation.method != "GET" and operation.websocket:
            place.fail("a WebSocket begins with GET")
        if any(param.name.lower() in ("last-event-id", "last_event_id") for param in operation.params):
            place.at("parameters").fail("Last-Event-ID and last_event_id come with the stream")


# ---- body and responses

def _body(contracts, library, operation):
    if "requestBody" not in operation.place:
        if operation.streamed or operation.max_body:
            operation.place.fail("x-stream and x-max-body need a requestBody")
        return
    place = contracts.resolve(operation.place.at("requestBody"))
    place.allow("required", "content", "description")
    operation.body_required = _flag(place, "required")
    content = place.at("content").children()
    if len(content) != 1:
        place.at("content").fail("must name one media type")
    operation.media, media = content[0]
    media.allow("schema", "example", "examples")
    if operation.streamed:
        return
    operation.form = operation.media == FORM
    if not operation.form and not operation.media.endswith("json"):
        media.fail("only JSON and forms are decoded; a route that reads other media itself says x-stream: true")
    if "$ref" not in media.at("schema"):
        media.at("schema").fail("must be a $ref to a schema in schemas/")
    operation.body = library.reference(media.at("schema"))
    if operation.form and any(m.schema.kind not in ("string", "enum", "uuid") or m.nullable for m in operation.body.members):
        media.at("schema").fail("a form has texts only")
    check_limits(operation.body, operation.place)


def _responses(contracts, library, operation):
    statuses = operation.place.at("responses").children()
    if not any(str(status)[0] in "123" for status, _ in statuses):
        operation.place.at("responses").fail("has no status for success")
    for status, place in statuses:
        if not isinstance(status, str) or not re.fullmatch(r"[1-5][0-9][0-9]", status):
            place.fail("a status is three digits in quotes")
        response = contracts.resolve(place)
        response.allow("description", "content", "headers", "x-origin")
        response.at("description")
        if "content" in response:
            for _, media in response.at("content").children():
                if "schema" in media and "$ref" in media.at("schema"):
                    library.reference(media.at("schema"))
        operation.responses.append((status, response))
        if operation.events and not operation.websocket and status == "200" \
                and "text/event-stream" not in response.get("content", {}):
            response.fail("must have content of text/event-stream")
    _check_statuses(operation)


def _check_statuses(operation):
    """The answers that the machinery gives on its own are documented where they can occur."""
    needed = {"503", "504"}
    if operation.scope:
        needed |= {"401", "403"}
    if operation.limit:
        needed.add("429")
    if operation.media:
        needed |= {"400", "413", "415"}
    if operation.body:
        needed.add("422")
    if operation.params or operation.events:
        needed.add("400")
    if operation.events:
        needed.add("101" if operation.websocket else "200")
    if operation.websocket:
        needed |= {"403", "426"}
    missing = sorted(needed - {status for status, _ in operation.responses})
    if missing:
        operation.place.at("responses").fail(f"does not list {', '.join(missing)}, which can occur")
