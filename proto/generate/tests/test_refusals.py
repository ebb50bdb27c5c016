"""What the generator does not understand is an error that names file and place."""
import pytest
from sample import FILES

# schema of a property x -> what is said, and where below it
SCHEMAS = {
    "{ }": "`type` is missing",
    "{ type: text }": "x/type: text is not supported",
    "{ type: [string, integer] }": "x/type: must be one type",
    "{ type: string, pattern: a }": "x/pattern: is not supported",
    "{ type: string, default: a }": "x/default: is not supported",
    "{ type: string, format: hostname }": "x/format: hostname is not supported",
    "{ type: string, format: date, maxLength: 3 }": "x/maxLength: says nothing",
    "{ type: string, maxLength: -1 }": "x/maxLength: must be a whole number",
    "{ type: string, minLength: 3, maxLength: 2 }": "x: minLength is more than maxLength",
    "{ type: string, enum: [] }": "x/enum: must be a list",
    "{ type: string, enum: [a, A] }": "x: has two values of one name",
    "{ type: string, enum: [1] }": "x: value 1 must be text",
    "{ type: string, enum: [a], const: a }": "x: has both enum and const",
    "{ type: string, enum: [a], maxLength: 3 }": "x/maxLength: says nothing",
    "{ type: integer, enum: [1] }": "x/enum: is not supported",
    "{ type: integer, minimum: 0.5 }": "x/minimum: must be a whole number",
    "{ type: integer, maximum: 9007199254740993 }": "x/maximum: must be a whole number of at most 2^53",
    "{ type: number, multipleOf: 2 }": "x/multipleOf: is not supported",
    "{ type: number, minimum: a }": "x/minimum: must be a number",
    "{ type: number, minimum: 1, exclusiveMinimum: 1 }": "x: has both minimum and exclusiveMinimum",
    "{ type: array }": "x: `items` is missing",
    "{ type: array, items: { type: array, items: { type: string } } }": "x/items: arrays of arrays",
    "{ type: array, items: { type: [string, 'null'] } }": "x/items: items that may be null",
    "{ type: array, items: { $ref: '#/Thing' }, uniqueItems: true }": "x/uniqueItems: is supported for scalars",
    "{ type: array, prefixItems: [] }": "x/prefixItems: is not supported",
    "{ type: object, properties: { a: { type: string } } }": "x: `additionalProperties` must be written",
    "{ type: object, additionalProperties: { type: string } }": "x/additionalProperties: must be false or true",
    "{ type: object, additionalProperties: false }": "x: `properties` is missing",
    "{ type: object, additionalProperties: false, properties: { } }": "x/properties: must have 1 to 64",
    "{ type: object, additionalProperties: true }": "x: `x-max-bytes` is missing",
    "{ type: object, additionalProperties: true, x-max-bytes: 5, properties: { } }": "x/properties: is not supported",
    "{ type: object, additionalProperties: false, required: [b], properties: { a: { type: string } } }":
        "x/required: b is not among",
    "{ type: object, additionalProperties: false, properties: { a-b: { type: string }, a_b: { type: string } } }":
        "a_b: is called shape__x__a_b in C, and so is",
    "{ type: string, allOf: [] }": "x/allOf: is not supported",
    "{ anyOf: [] }": "x: `type` is missing",
    "{ $ref: '#/Nothing' }": "x: refers to #/Nothing, which is not there",
    "{ $ref: 'nothing.yaml#/Thing' }": "x: refers to nothing.yaml, which is not there",
    "{ $ref: 'Thing' }": "x: `$ref` must be",
    "{ $ref: '#/Shape' }": "Shape: contains itself",
    "{ $ref: '#/Thing/properties/id' }": "only schemas at the top",
    "{ $ref: '#/Thing', maxLength: 3 }": "x/maxLength: is not supported",
    "{ type: string, x-origin: 001.users }": 'x/x-origin: must be "<seed>.<entity>.<field>"',
    "{ type: string, x-origin: [] }": "x/x-origin: names no origin",
    "{ type: object, additionalProperties: false, properties: { a: { type: string } }, x-tool: { name: a } }":
        "x/x-tool: stands only at the top",
    "{ type: string, x-unknown: 1 }": "x/x-unknown: is not supported",
}


@pytest.mark.parametrize(("schema", "said"), SCHEMAS.items())
def test_schema(folder, schema, said):
    shape = f"Shape: {{ type: object, additionalProperties: false, properties: {{ x: {schema} }} }}\n"
    folder.write("proto/schemas/thing.yaml", FILES["schemas/thing.yaml"] + shape)
    refusal = folder.refusal()
    assert said in refusal and "proto/schemas/thing.yaml#/" in refusal


PETS = """\
Cat: { type: object, additionalProperties: false, required: [kind], properties: { kind: { type: string, const: cat } } }
Dog: { type: object, additionalProperties: false, required: [kind], properties: { kind: { type: string, const: dog } } }
"""
ONE_OFS = {
    "oneOf: [{ $ref: '#/Cat' }]": "Pet: `discriminator` is missing",
    "oneOf: [{ $ref: '#/Cat' }], discriminator: { propertyName: kind }": "`mapping` is missing",
    "oneOf: [{ $ref: '#/Cat' }], discriminator: { propertyName: kind, mapping: { dog: '#/Dog' } }": "dog: is not in oneOf",
    "oneOf: [{ $ref: '#/Cat' }, { $ref: '#/Dog' }], discriminator: { propertyName: kind, mapping: { cat: '#/Cat' } }":
        "oneOf: the mapping does not name",
    "oneOf: [{ $ref: '#/Cat' }], discriminator: { propertyName: kind, mapping: { cow: '#/Cat' } }":
        "`kind` must be required there, with const: cow",
    "oneOf: [{ $ref: '#/Cat' }], discriminator: { propertyName: name, mapping: { cat: '#/Cat' } }": "`name` must be required",
}


@pytest.mark.parametrize(("schema", "said"), ONE_OFS.items())
def test_one_of(folder, schema, said):
    folder.write("proto/schemas/pet.yaml", PETS + f"Pet: {{ {schema} }}\n")
    assert said in folder.refusal()


# file, what stands there, what stands there instead, what is said
CHANGES = [
    ("http/thing.yaml", "openapi: 3.1.0", "openapi: 3.0.3", "openapi: must be 3.1.x"),
    ("http/thing.yaml", "      operationId: thing_put\n", "", "`operationId` is missing"),
    ("http/thing.yaml", "operationId: thing_put", "operationId: thingPut", "operationId: must be snake_case"),
    ("http/thing.yaml", "      summary: Put a thing\n", "", "`summary` is missing"),
    ("http/thing.yaml", "    put:", "    trace:", "trace: is not supported"),
    ("http/thing.yaml", "x-scope: thing:write", "x-scope: write", "x-scope: must be like"),
    ("http/thing.yaml", "      x-access: { own: [person], other: [keeper] }\n", "", "`x-access` is missing"),
    ("http/thing.yaml", "{ own: [person], other: [keeper] }", "{}", "x-access: names nobody"),
    ("http/thing.yaml", "other: [keeper]", "others: [keeper]", "x-access/others: is not supported here"),
    ("http/thing.yaml", "other: [keeper]", "other: [stranger]", "x-access/other/0: is no caller"),
    ("http/thing.yaml", "other: [keeper]", "other: [newcomer]", "x-access/other/0: is no caller"),
    ("http/thing.yaml", "other: [keeper]", "other: [keeper, guest]", "x-access: and the scope thing:write disagree about guest"),
    ("http/thing.yaml", ", other: [keeper]", "", "x-access: and the scope thing:write disagree about keeper"),
    ("http/thing.yaml", "own: [person], other: [keeper]", "open: [person, keeper]", "the path names a thing (id)"),
    ("http/thing.yaml", "own: [person]", "open: [person]", "so it stands alone"),
    ("http/thing.yaml", "x-scope: thing:write", "x-scope: thing:begin", "disagree about keeper, person"),
    ("access.yaml", "guest: [thing:read]", "guest: [read]", 'guest/0: must be like "health:write"'),
    ("access.yaml", "guest: [thing:read]", "guest: [thing:read, thing:read]", "guest: names a scope twice"),
    ("http/thing.yaml", "application/json: { schema: { $ref: \"../schemas/thing.yaml#/ThingInput\"",
     "application/x-www-form-urlencoded: { schema: { $ref: \"../schemas/thing.yaml#/ThingInput\"", "a form has texts only"),
    ("http/thing.yaml", "rate: 600/min", "rate: many", "x-limit/rate: must be like"),
    ("http/thing.yaml", "per: user", "per: planet", "x-limit/per: must be user or address"),
    ("http/thing.yaml", "x-idempotent: true", "x-idempotent: maybe", "x-idempotent: must be true or false"),
    ("http/thing.yaml", "x-max-body: 16KiB", "x-max-body: 16kb", "x-max-body: must be like"),
    ("http/thing.yaml", "x-max-body", "x-max-bodies", "x-max-bodies: is not supported"),
    ("http/thing.yaml", "/v1/things/{id}", "/v1/things/{thing}", "the path names ['thing'], the parameters ['id']"),
    ("http/thing.yaml", "in: path, required: true", "in: path", "a path parameter is always required"),
    ("http/thing.yaml", "in: header", "in: cookie", "cookie is not supported"),
    ("http/thing.yaml", "name: moods", "name: If_Match", "is called thing_put_params__if_match in C, and so is"),
    ("http/thing.yaml", "{ type: string, maxLength: 20 }", "{ type: string }", "needs maxLength"),
    ("http/thing.yaml", "maxItems: 3, ", "", "needs maxItems"),
    ("http/thing.yaml", "application/json: { schema: { $ref: \"../schemas/thing.yaml#/ThingInput\" } }",
     "text/plain: { schema: { $ref: \"../schemas/thing.yaml#/ThingInput\" } }", "only JSON and forms are decoded"),
    ("http/thing.yaml", "{ $ref: \"../schemas/thing.yaml#/ThingInput\" }", "{ type: object }", "must be a $ref"),
    ("http/thing.yaml", "schemas/thing.yaml#/ThingInput", "schemas/thing.yaml#/Nothing", "which is not there"),
    ("http/thing.yaml", "        \"200\": { description: Done, content: { application/json: { schema: { $ref: "
     "\"../schemas/thing.yaml#/Thing\" } } } }\n", "", "has no status for success"),
    ("http/thing.yaml", "        \"429\": { $ref: \"../schemas/problem.yaml#/TooMany\" }\n", "", "does not list 429"),
    ("http/thing.yaml", "        \"401\": { $ref: \"../schemas/problem.yaml#/Unauthorized\" }\n", "", "does not list 401"),
    ("http/thing.yaml", "        \"503\": { $ref", "        \"5XX\": { $ref", "a status is three digits"),
    ("http/thing.yaml", "        \"503\": { $ref", "        503: { $ref", "a status is three digits"),
    ("schemas/thing.yaml", "Note: { type: string, maxLength: 100, format: x-line }", "Note: { type: string }", "needs maxLength"),
    ("schemas/problem.yaml", "Problem: {", "Thing: {", "so is"),
    ("schemas/thing.yaml", "    count:", "    name:", "stands twice"),
    ("schemas/thing.yaml", "Mood:", "Mood: [", "is not YAML"),
    ("events.yaml", "asyncapi: 3.0.0", "asyncapi: 2.6.0", "asyncapi: must be 3.0.0"),
    ("events.yaml", "s1:events:thing", "events:thing", "address: must be s1:events:<service>"),
    ("events.yaml", "thing.made.v1", "thing.made", "name: must be like"),
    ("events.yaml", "application/json", "text/plain", "contentType must be application/json"),
    ("events.yaml", "#/Thing\"", "#/Mood\"", "payload: must be an object"),
    ("events.yaml", "action: send", "action: shout", "action: must be send or receive"),
    ("events.yaml", "#/channels/thing\"", "#/channels/other\"", "which is not there"),
    ("rpc.yaml", "asyncapi: 3.0.0", "asyncapi: 2.6.0", "asyncapi: must be 3.0.0"),
    ("rpc.yaml", "s1:rpc:thing", "s1:rpc:nobody", "address: must be s1:rpc:<service>"),
    ("rpc.yaml", "x-callers: [other]", "x-callers: [nobody]", "x-callers: must be a list of services"),
    ("rpc.yaml", "x-callers: [other]", "x-callers: []", "x-callers: must be a list of services"),
    ("rpc.yaml", "address: null", "address: s1:reply", "address: must be null"),
    ("rpc.yaml", "action: receive", "action: send", "action: must be receive"),
    ("rpc.yaml", "#/channels/thing\"", "#/channels/reply\"", "channel: is not a channel of requests"),
    ("rpc.yaml", "name: thing.find.v1", "name: find", "name: must be like"),
    ("rpc.yaml", "thing.make.v1", "thing.find.v1", "is described twice"),
    ("rpc.yaml", "x-timeout: 500ms", "x-timeout: 0s", "x-timeout: must be like"),
    ("rpc.yaml", "x-timeout: 500ms", "x-timeout: 61s", "x-timeout: must be like"),
    ("rpc.yaml", "message.header#/reply", "message.header#/answer", "its location must be"),
    ("rpc.yaml", "schemas/call.yaml#/ThingFind", "schemas/thing.yaml#/Thing", "must have a required member user_id"),
    ("rpc.yaml", "schemas/call.yaml#/ThingFind", "schemas/thing.yaml#/Mood", "payload: must be an object"),
    ("rpc.yaml", "      make: { $ref: \"#/components/messages/make\" }\n", "", "which is not there"),
    ("schemas/call.yaml", "word: { type: string, maxLength: 10 }", "word: { type: string }", "needs maxLength"),
    ("keys.yaml", "type: string", "type: bitmap", "type: must be one of"),
    ("keys.yaml", "life: 5 min", "life: short", "life: must be like"),
    ("keys.yaml", "owner: thing", "owner: nobody", "nobody is not a service"),
    ("keys.yaml", "user_id: uuid, word: text", "word: text, user_id: uuid", "in their order"),
    ("keys.yaml", "word: text", "word: number", "word must be one of"),
    ("keys.yaml", "description: A thing.", "x-note: A thing.", "x-note: is not supported"),
    ("errors.yaml", "status: 422", "status: 200", "status: must be from 400"),
    ("errors.yaml", "invalid:", "Invalid:", "a code is snake_case"),
    ("settings/common.yaml", "type: duration", "type: time", "type: must be one of"),
    ("settings/common.yaml", "help: where to listen", "note: where", "note: is not supported"),
    ("settings/common.yaml", "default: 10s", "default: 10s, optional: true", "has a default and is optional"),
    ("settings/thing.yaml", "SALUS_THING", "SALUS_LISTEN", "is in common.yaml already"),
]


@pytest.mark.parametrize(("file", "old", "new", "said"), CHANGES)
def test_change(folder, file, old, new, said):
    folder.replace(file, old, new)
    refusal = folder.refusal()
    assert said in refusal and "proto/" in refusal


def test_an_open_route_has_no_limit_per_user(folder):
    folder.replace("http/thing.yaml", "      x-scope: thing:write\n", "")
    folder.replace("http/thing.yaml", "{ own: [person], other: [keeper] }", "{ open: all }")
    assert "an open route knows no user" in folder.refusal()


def test_an_unknown_file(folder):
    folder.write("proto/things.yaml", "a: 1\n")
    assert "things.yaml" in folder.refusal()


@pytest.mark.parametrize(("names", "said"), [
    (["1_first.up.sql"], "must be called NNNN_name"),
    (["0001_first.up.sql"], "needs one .up.sql and one .down.sql"),
    (["0001_first.up.sql", "0001_other.down.sql"], "needs one .up.sql and one .down.sql"),
    (["0002_first.up.sql", "0002_first.down.sql"], "there is no migration 0001"),
])
def test_migrations(folder, names, said):
    for name in names:
        folder.write("services/thing/migrations/" + name, "SELECT 1;\n")
    assert said in folder.refusal()


def test_a_migration_that_includes_nothing(folder):
    folder.write("services/thing/migrations/0001_a.up.sql", "-- include: nowhere.sql\n")
    folder.write("services/thing/migrations/0001_a.down.sql", "\n")
    assert "includes nowhere.sql, which is not there" in folder.refusal()


def test_origins_name_tests(folder):
    folder.write("tests/test_a.py", "def test_it(): pass\n")
    folder.write("proto/origins.yaml", "004.mechanism.it: tests/test_a.py::test_it\n")
    folder.succeeds()


@pytest.mark.parametrize(("line", "said"), [
    ("it: tests/test_a.py", 'must be "<seed>.<entity>.<field>"'),
    ("004.mechanism.it: tests/test_b.py", "there is no test tests/test_b.py"),
    ("004.mechanism.it: tests/test_a.py::test_other", "tests/test_a.py has no test_other"),
])
def test_origins(folder, line, said):
    folder.write("tests/test_a.py", "def test_it(): pass\n")
    folder.write("proto/origins.yaml", line + "\n")
    assert said in folder.refusal()


TOOLS = {
    "{ name: a, result: Thing }": "`writes` is missing",
    "{ name: a, result: Thing, writes: 1 }": "writes: must be true or false",
    "{ name: a, result: Nothing, writes: true }": "refers to",
    "{ name: a, result: Thing, writes: true, more: 1 }": "more: is not supported",
}


@pytest.mark.parametrize(("tool", "said"), TOOLS.items())
def test_tool(folder, tool, said):
    shape = ("Shape: { type: object, description: x, additionalProperties: false, properties: { a: { type: string } }, "
             f"x-tool: {tool} }}\n")
    folder.write("proto/schemas/thing.yaml", FILES["schemas/thing.yaml"] + shape)
    assert said in folder.refusal()
