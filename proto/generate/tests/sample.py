"""A small set of contracts in a folder of its own, which a test changes before it generates."""
import pathlib
import subprocess
import sys

ROOT = pathlib.Path(__file__).resolve().parents[3]

SCHEMAS = """\
Mood: { type: string, enum: [good, bad] }
Note: { type: string, maxLength: 100, format: x-line }
ThingInput:
  type: object
  additionalProperties: false
  required: [name]
  properties:
    name: { $ref: "#/Note" }
    count: { type: integer, minimum: 0, maximum: 10 }
Thing:
  type: object
  additionalProperties: false
  required: [id]
  properties:
    id: { type: string, format: uuid, x-origin: 001.users.id }
    mood: { $ref: "#/Mood" }
"""
PROBLEMS = """\
Problem: { type: object, additionalProperties: false, properties: { code: { type: string } } }
""" + "".join(
    f"{name}: {{ description: {name}, content: {{ application/problem+json: {{ schema: {{ $ref: '#/Problem' }} }} }} }}\n"
    for name in ("BadRequest", "Unauthorized", "Forbidden", "TooLarge", "UnsupportedMedia", "Invalid", "TooMany",
                 "Unavailable", "Timeout"))
HTTP = """\
openapi: 3.1.0
info: { title: Things, version: 1.0.0, description: All about things. }
paths:
  /v1/things/{id}:
    put:
      operationId: thing_put
      summary: Put a thing
      x-scope: thing:write
      x-access: { own: [person], other: [keeper] }
      x-limit: { per: user, rate: 600/min }
      x-idempotent: true
      x-max-body: 16KiB
      parameters:
        - { name: id, in: path, required: true, schema: { type: string, format: uuid } }
        - { name: If-Match, in: header, schema: { type: string, maxLength: 20 } }
        - { name: moods, in: query, schema: { type: array, maxItems: 3, items: { $ref: "../schemas/thing.yaml#/Mood" } } }
      requestBody:
        required: true
        content: { application/json: { schema: { $ref: "../schemas/thing.yaml#/ThingInput" } } }
      responses:
        "200": { description: Done, content: { application/json: { schema: { $ref: "../schemas/thing.yaml#/Thing" } } } }
        "400": { $ref: "../schemas/problem.yaml#/BadRequest" }
        "401": { $ref: "../schemas/problem.yaml#/Unauthorized" }
        "403": { $ref: "../schemas/problem.yaml#/Forbidden" }
        "413": { $ref: "../schemas/problem.yaml#/TooLarge" }
        "415": { $ref: "../schemas/problem.yaml#/UnsupportedMedia" }
        "422": { $ref: "../schemas/problem.yaml#/Invalid" }
        "429": { $ref: "../schemas/problem.yaml#/TooMany" }
        "503": { $ref: "../schemas/problem.yaml#/Unavailable" }
        "504": { $ref: "../schemas/problem.yaml#/Timeout" }
"""
EVENTS = """\
asyncapi: 3.0.0
info: { title: Events, version: 1.0.0 }
channels:
  thing:
    address: s1:events:thing
    messages:
      thing_made: { $ref: "#/components/messages/thing_made" }
operations:
  thing_publish: { action: send, channel: { $ref: "#/channels/thing" } }
components:
  messages:
    thing_made:
      name: thing.made.v1
      summary: A thing was made
      contentType: application/json
      payload: { $ref: "schemas/thing.yaml#/Thing" }
"""
RPC = """\
asyncapi: 3.0.0
info: { title: Calls, version: 1.0.0 }
channels:
  thing:
    address: s1:rpc:thing
    x-callers: [other]
    messages:
      find: { $ref: "#/components/messages/find" }
      make: { $ref: "#/components/messages/make" }
  reply:
    address: null
    messages:
      find: { $ref: "#/components/messages/find_reply" }
      make: { $ref: "#/components/messages/make_reply" }
operations:
  thing_find:
    action: receive
    summary: Find a thing
    channel: { $ref: "#/channels/thing" }
    messages: [{ $ref: "#/channels/thing/messages/find" }]
    reply:
      address: { location: "$message.header#/reply" }
      channel: { $ref: "#/channels/reply" }
      messages: [{ $ref: "#/channels/reply/messages/find" }]
    x-timeout: 500ms
  thing_make:
    action: receive
    summary: Make a thing
    channel: { $ref: "#/channels/thing" }
    messages: [{ $ref: "#/channels/thing/messages/make" }]
    reply:
      address: { location: "$message.header#/reply" }
      channel: { $ref: "#/channels/reply" }
      messages: [{ $ref: "#/channels/reply/messages/make" }]
    x-timeout: 2s
    x-idempotent: true
components:
  messageTraits:
    request:
      headers:
        type: object
        required: [ce_id]
        properties: { ce_id: { type: string, description: The call. } }
  messages:
    find: { name: thing.find.v1, contentType: application/json, payload: { $ref: "schemas/call.yaml#/ThingFind" } }
    find_reply: { name: thing.find.reply.v1, contentType: application/json, payload: { $ref: "schemas/thing.yaml#/Thing" } }
    make: { name: thing.make.v1, contentType: application/json, payload: { $ref: "schemas/call.yaml#/ThingMake" } }
    make_reply: { name: thing.make.reply.v1, contentType: application/json, payload: { $ref: "schemas/thing.yaml#/Thing" } }
"""
CALLS = """\
ThingFind:
  type: object
  additionalProperties: false
  required: [user_id]
  properties:
    user_id: { type: string, format: uuid }
    word: { type: string, maxLength: 10 }
ThingMake:
  type: object
  additionalProperties: false
  required: [user_id, thing]
  properties:
    user_id: { type: string, format: uuid }
    thing: { $ref: "thing.yaml#/ThingInput" }
"""
KEYS = """\
prefix: "s1:"
services: [thing, other]
keys:
  thing_cache:
    key: thing:{user_id}:{word}
    parts: { user_id: uuid, word: text }
    type: string
    owner: thing
    life: 5 min
    description: A thing.
  events:
    key: events:{own_service}
    parts: { own_service: text }
    type: stream
    owner: all
    readers: [all]
    life: kept
    description: Facts.
"""
ACCESS = "person: [thing:read, thing:write]\nkeeper: [thing:write]\nguest: [thing:read]\nnewcomer: [thing:begin]\n"
ERRORS = "invalid: { status: 422, title: Not valid }\n"
SETTINGS = """\
SALUS_LISTEN: { type: text, help: where to listen }
SALUS_DRAIN: { type: duration, default: 10s, min: 1s, help: time at the end }
"""
FILES = {"schemas/thing.yaml": SCHEMAS, "schemas/problem.yaml": PROBLEMS, "http/thing.yaml": HTTP, "events.yaml": EVENTS, "rpc.yaml": RPC,
         "schemas/call.yaml": CALLS,
         "keys.yaml": KEYS, "errors.yaml": ERRORS, "access.yaml": ACCESS, "settings/common.yaml": SETTINGS,
         "settings/thing.yaml": "SALUS_THING: { type: bool, default: true, help: whether }\n"}


class Folder:
    def __init__(self, path):
        self.path = path
        for name, text in FILES.items():
            self.write("proto/" + name, text)

    def write(self, name, text):
        path = self.path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")

    def replace(self, name, old, new):
        text = (self.path / "proto" / name).read_text(encoding="utf-8")
        assert text.count(old) >= 1, f"{old} is not in {name}"
        self.write("proto/" + name, text.replace(old, new))

    def read(self, name):
        return (self.path / "out" / name).read_text(encoding="utf-8")

    def generate(self, *arguments):
        return subprocess.run([sys.executable, str(ROOT / "proto/generate/generate.py"), "--proto", str(self.path / "proto"),
                               "--out", str(self.path / "out"), *arguments], capture_output=True, text=True, check=False)

    def succeeds(self):
        result = self.generate()
        assert result.returncode == 0, result.stderr
        return self

    def refusal(self):
        """What it says when it refuses; nothing was written then."""
        result = self.generate()
        assert result.returncode != 0, "it should have been refused"
        assert "Traceback" not in result.stderr, result.stderr
        return result.stderr
