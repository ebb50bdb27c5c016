"""What the generator makes of contracts that are right."""
import json
import subprocess

import pytest
from sample import FILES, ROOT


def compiles(folder, *names):
    flags = ["-std=gnu17", "-D_GNU_SOURCE", "-Wall", "-Wextra", "-Werror", "-Wstrict-prototypes", "-Wmissing-prototypes",
             "-Wno-missing-field-initializers", "-fsyntax-only", f"-I{ROOT}/libcommon", f"-I{folder.path}/out"]
    for name in names:
        result = subprocess.run(["gcc", *flags, str(folder.path / "out" / name)], capture_output=True, text=True, check=False)
        assert result.returncode == 0, result.stderr


def squeezed(text):
    return " ".join(text.split())


def test_all_of_it_compiles(folder):
    folder.succeeds()
    compiles(folder, *[path.name for path in (folder.path / "out").glob("*.c")])


def test_nothing_is_written_twice(folder):
    folder.succeeds()
    before = {path: path.stat().st_mtime_ns for path in (folder.path / "out").iterdir()}
    folder.succeeds()
    assert before == {path: path.stat().st_mtime_ns for path in (folder.path / "out").iterdir()}


def test_only_what_changed_is_written(folder):
    folder.succeeds()
    before = {path.name: path.stat().st_mtime_ns for path in (folder.path / "out").iterdir()}
    folder.write("proto/errors.yaml", FILES["errors.yaml"] + "gone: { status: 410, title: Gone }\n")
    folder.succeeds()
    changed = {path.name for path in (folder.path / "out").iterdir() if path.stat().st_mtime_ns != before[path.name]}
    assert changed == {"errors.h", "errors.c"}


@pytest.mark.parametrize("missing", ["http/thing.yaml", "events.yaml", "rpc.yaml", "keys.yaml", "errors.yaml", "settings/thing.yaml"])
def test_works_while_contracts_are_missing(folder, missing):
    (folder.path / "proto" / missing).unlink()
    compiles(folder.succeeds(), "schemas.c")


def test_objects_and_presence(folder):
    header = squeezed(folder.succeeds().read("schemas.h"))
    assert "struct thing_input { struct cm_str name; int64_t count; uint8_t has_count; };" in header
    assert "enum mood { MOOD_GOOD = 1, MOOD_BAD, };" in header
    assert "int32_t mood; /* enum mood */ uint8_t has_mood;" in header


TYPES = {
    "{ type: string }": "struct cm_str x;",
    "{ type: integer }": "int64_t x;",
    "{ type: number }": "double x;",
    "{ type: boolean }": "bool x;",
    "{ type: string, format: date-time }": "cm_time x;",
    "{ type: string, format: date }": "cm_date x;",
    "{ type: string, format: uuid }": "struct cm_uuid x;",
    "{ type: string, enum: [a, b] }": "int32_t x; /* enum shape_x */",
    "{ type: string, const: a }": "int32_t x; /* enum shape_x */",
    "{ type: array, items: { type: string } }": "struct { struct cm_str *items; size_t count; } x;",
    "{ type: array, items: { $ref: '#/Thing' } }": "struct { struct thing *items; size_t count; } x;",
    "{ type: array, items: { type: string, enum: [a] } }": "struct { int32_t *items; size_t count; } x;",
    "{ type: object, additionalProperties: true, x-max-bytes: 9 }": "struct cm_str x;",
    "{ type: object, additionalProperties: false, properties: { y: { type: boolean } } }": "struct shape_x x;",
    "{ type: [string, 'null'] }": "struct cm_str x; uint8_t has_x;",
    "{ $ref: '#/Thing' }": "struct thing x;",
}


@pytest.mark.parametrize(("schema", "declaration"), TYPES.items())
def test_c_type_of(folder, schema, declaration):
    shape = f"Shape: {{ type: object, additionalProperties: false, required: [x], properties: {{ x: {schema} }} }}\n"
    folder.write("proto/schemas/thing.yaml", FILES["schemas/thing.yaml"] + shape)
    header = squeezed(folder.succeeds().read("schemas.h"))
    assert declaration in header[header.index("struct shape {"):]
    compiles(folder, "schemas.c")


LIMITS = {
    "type: string, minLength: 1, maxLength: 5": [".min_len = 1,", ".max_len = 5,"],
    "type: string, format: email": [".format = CM_FORMAT_EMAIL,"],
    "type: integer, minimum: -3": [".has_min = true,", ".min = -3.0,"],
    "type: number, exclusiveMaximum: 1.5": [".has_max = true,", ".max = 1.5,", ".exclusive_max = true,"],
    "type: array, items: { type: integer }, minItems: 2, maxItems: 3, uniqueItems: true":
        [".min_len = 2,", ".max_len = 3,", ".unique_items = true,"],
    "type: object, additionalProperties: true, x-max-bytes: 100": [".type = CM_TYPE_ANY,", ".max_len = 100,"],
}


@pytest.mark.parametrize(("schema", "fields"), LIMITS.items())
def test_limits_reach_the_descriptor(folder, schema, fields):
    folder.write("proto/schemas/thing.yaml", FILES["schemas/thing.yaml"] + f"Shape: {{ {schema} }}\n")
    source = folder.succeeds().read("schemas.c")
    descriptor = source[source.index("struct cm_schema shape_schema"):].split("};")[0]
    for field in fields:
        assert field in descriptor


def test_one_of(folder):
    folder.write("proto/schemas/pet.yaml", """\
Cat: { type: object, additionalProperties: false, required: [kind], properties: { kind: { type: string, const: cat } } }
Dog: { type: object, additionalProperties: false, required: [kind], properties: { kind: { type: string, const: dog } } }
Pet:
  oneOf: [{ $ref: "#/Cat" }, { $ref: "#/Dog" }]
  discriminator: { propertyName: kind, mapping: { cat: "#/Cat", dog: "#/Dog" } }
""")
    header = squeezed(folder.succeeds().read("schemas.h"))
    assert "enum pet_kind { PET_KIND_CAT = 1, PET_KIND_DOG, };" in header
    assert "struct pet { int32_t kind; /* enum pet_kind */ union { struct cat cat; struct dog dog; }; };" in header
    compiles(folder, "schemas.c")


def test_routes(folder):
    folder.succeeds()
    header, source = squeezed(folder.read("thing_api.h")), folder.read("thing_api.c")
    assert ("int thing_put(struct cm_request *request, const struct thing_put_params *params, "
            "const struct thing_input *in);") in header
    assert "struct cm_uuid id; struct cm_str if_match; uint8_t has_if_match;" in header
    for field in ('.method = "PUT"', '.path = "/v1/things/{id}"', '.scope = "thing:write"', '.limit_by = "user"', ".limit = 600",
                  ".limit_window_us = INT64_C(60000000)", ".idempotent = true", ".max_body = INT64_C(16384)",
                  '.media = "application/json"', ".body = &thing_input_schema", ".body_required = true"):
        assert field in source


def test_the_openapi_document_stands_alone(folder):
    document = json.loads(folder.succeeds().read("thing_openapi.json"))
    text = json.dumps(document)
    assert ".yaml" not in text and "x-origin" not in text
    assert set(document["components"]["schemas"]) == {"Mood", "Note", "Problem", "Thing", "ThingInput"}
    assert document["paths"]["/v1/things/{id}"]["put"]["security"] == [{"bearer": ["thing:write"]}]
    assert document["components"]["schemas"]["Note"]["pattern"].startswith("^[^")


def test_the_embedded_document_is_the_same(folder):
    folder.succeeds()
    folder.write("print.c", '#include <stdio.h>\nextern const char thing_openapi_json[];\n'
                            'int main(void) { fputs(thing_openapi_json, stdout); return 0; }\n')
    source = folder.read("thing_api.c")
    folder.write("document.c", source[source.rindex("const char thing_openapi_json[]"):])
    subprocess.run(["gcc", "-o", "print", "print.c", "document.c"], cwd=folder.path, check=True)
    printed = subprocess.run(["./print"], cwd=folder.path, capture_output=True, text=True, check=True).stdout
    assert printed == folder.read("thing_openapi.json").rstrip("\n")


def test_events(folder):
    header = squeezed(folder.succeeds().read("events.h"))
    assert '#define STREAM_THING "thing"' in header
    assert '#define EVENT_THING_MADE "thing.made.v1"' in header
    assert "void event_thing_made(struct cm_event *event_r" in header


def test_a_second_version_stands_beside_the_first(folder):
    folder.replace("events.yaml", "      thing_made: { $ref: \"#/components/messages/thing_made\" }\n",
                   "      thing_made: { $ref: \"#/components/messages/thing_made\" }\n"
                   "      thing_made_v2: { $ref: \"#/components/messages/thing_made_v2\" }\n")
    folder.replace("events.yaml", "    thing_made:\n", """\
    thing_made_v2: { name: thing.made.v2, summary: New, contentType: application/json, payload: { $ref: "schemas/thing.yaml#/Mood2" } }
    thing_made:
""")
    folder.write("proto/schemas/thing.yaml", FILES["schemas/thing.yaml"] +
                 "Mood2: { type: object, additionalProperties: false, properties: { mood: { $ref: '#/Mood' } } }\n")
    header = folder.succeeds().read("events.h")
    assert "void event_thing_made_v2(" in header and "void event_thing_made(" in header


def test_keys_and_rights(folder):
    folder.succeeds()
    assert "#define KEY_THING_CACHE_LIFE_US INT64_C(300000000)" in folder.read("keys.h")
    assert '#define KEY_THING_CACHE_PREFIX "s1:thing:"' in folder.read("keys.h")
    assert ("struct cm_str key_thing_cache(struct cm_arena *arena, const struct cm_uuid *user_id, struct cm_str word)"
            in folder.read("keys.h"))
    assert '"s1:thing:%s:%.*s"' in folder.read("keys.c")
    users = {line.split()[1]: line for line in folder.read("redis.acl").splitlines() if line.startswith("user ")}
    assert "~s1:thing:*:*" in users["salus-thing"] and "~s1:thing:*:*" not in users["salus-other"]
    own, consumer, _ = users["salus-other"].split("(")
    assert "~s1:events:other" in own and "~s1:events:*" not in own and "+xadd" in own
    assert "~s1:events:*" in consumer and "+xreadgroup" in consumer and "+xadd" not in consumer and "+xtrim" not in consumer
    assert "flushall" not in users["salus-thing"].replace("-flushall", "")


def test_calls(folder):
    folder.succeeds()
    stubs = squeezed(folder.read("rpc.h"))
    assert '#define RPC_THING_FIND "thing.find.v1"' in stubs
    assert ("int thing_rpc_find(struct cm_rpc *rpc, struct cm_arena *arena, const struct thing_find *request, "
            "struct thing *reply_r, struct cm_rpc_problem *problem_r) CM_MUST_CHECK;" in stubs)
    assert "int thing_rpc_make(struct cm_rpc *rpc, struct cm_arena *arena, struct cm_str idempotency_key, " in stubs
    source = squeezed(folder.read("rpc.c"))
    assert ".timeout_us = INT64_C(500000), .idempotent = false" in source
    assert ".timeout_us = INT64_C(2000000), .idempotent = true" in source
    assert ".user_offset = offsetof(struct thing_find, user_id)" in source
    table = squeezed(folder.read("thing_rpc.h"))
    assert "int thing_serve_find(struct cm_rpc_request *call, const struct thing_find *in, struct thing *out);" in table
    assert "extern const struct cm_rpc_methods thing_rpc;" in table
    assert "{ &thing_rpc_make_method, call_thing_make }" in squeezed(folder.read("thing_rpc.c"))


def test_a_method_without_a_handler_does_not_link(folder):
    """The table names the handler, which nobody defines here."""
    folder.succeeds()
    flags = ["-std=gnu17", "-D_GNU_SOURCE", f"-I{ROOT}/libcommon", f"-I{folder.path}/out"]
    subprocess.run(["gcc", *flags, "-c", folder.path / "out/thing_rpc.c", "-o", folder.path / "table.o"], check=True)
    symbols = subprocess.run(["nm", "-u", folder.path / "table.o"], capture_output=True, text=True, check=True).stdout.split()
    assert {"thing_serve_find", "thing_serve_make"} <= set(symbols)


def test_the_second_version_of_a_method(folder):
    folder.replace("rpc.yaml", "thing.make.v1", "thing.find.v2")
    stubs = folder.succeeds().read("rpc.h")
    assert "int thing_rpc_find_v2(" in stubs and "int thing_rpc_find(" in stubs
    assert "int thing_serve_find_v2(" in folder.read("thing_rpc.h")


def test_rights_of_calls(folder):
    folder.succeeds()
    users = {line.split()[1]: line for line in folder.read("redis.acl").splitlines() if line.startswith("user ")}
    assert users["salus-other"].endswith(" (%W~s1:rpc:thing +xadd)")
    assert users["salus-thing"].endswith(" (&s1:reply:other.* +publish)")


def test_errors(folder):
    header = folder.succeeds().read("errors.h")
    assert '#define CM_CODE_INVALID "invalid" /* 422 Not valid */' in header


def test_settings(folder):
    folder.succeeds()
    header, source = squeezed(folder.read("settings.h")), squeezed(folder.read("settings.c"))
    assert "struct cm_service_settings { char *listen; /* SALUS_LISTEN */ int64_t drain_us; /* SALUS_DRAIN */ };" in header
    assert "struct thing_settings { struct cm_service_settings service; /* first */ bool thing; /* SALUS_THING */ };" in header
    assert '{ "SALUS_DRAIN", CM_SETTING_DURATION, "10s", "1s", NULL,' in source
    assert '{ "SALUS_THING", CM_SETTING_BOOL, "true", NULL, NULL,' in source


def test_migrations(folder):
    folder.write("services/thing/migrations/0001_first.up.sql", "-- include: shared/outbox.sql\nCREATE TABLE \"a\" (b text);\n")
    folder.write("services/thing/migrations/0001_first.down.sql", "DROP TABLE a;\n")
    folder.write("shared/outbox.sql", "CREATE TABLE outbox ();\n")
    source = folder.succeeds().read("thing_migrations.c")
    assert '"CREATE TABLE outbox ();\\n"' in source and '"CREATE TABLE \\"a\\" (b text);\\n"' in source
    assert "include:" not in source
    compiles(folder, "thing_migrations.c")


def test_pages_and_their_check(folder):
    pages = folder.path / "docs"
    assert folder.generate("--docs", str(pages)).returncode == 0
    page = (pages / "api-thing.md").read_text(encoding="utf-8")
    assert "PUT /v1/things/{id}" in page and "600/min per user" in page and "### ThingInput" in page
    page = (pages / "rpc.md").read_text(encoding="utf-8")
    assert "`thing.make.v1`" in page and "needs a key" in page and "may be asked by other" in page and "| `ce_id` | yes |" in page
    assert "`SALUS_DRAIN`" in (pages / "configuration.md").read_text(encoding="utf-8")
    assert folder.generate("--docs", str(pages), "--check").returncode == 0
    folder.replace("settings/common.yaml", "10s", "20s")
    result = folder.generate("--docs", str(pages), "--check")
    assert result.returncode == 1 and "configuration.md" in result.stdout
    assert "`10s`" in (pages / "configuration.md").read_text(encoding="utf-8"), "a check writes nothing"
