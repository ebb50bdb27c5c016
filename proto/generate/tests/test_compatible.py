"""Which changes of a contract are refused, and which are not."""
import subprocess
import sys

import pytest
from sample import FILES, ROOT, Folder

NEW_ROUTE = """\
  /v1/more:
    get:
      operationId: more_get
      summary: More
      x-access: { open: all }
      responses:
        "204": { description: Nothing }
        "503": { $ref: "../schemas/problem.yaml#/Unavailable" }
        "504": { $ref: "../schemas/problem.yaml#/Timeout" }
"""
RESPONSE = "application/json: { schema: { $ref: \"../schemas/thing.yaml#/Thing\" } }"

# file, what stands there, what stands there instead, what is said
BREAKING = [
    ("http/thing.yaml", "/v1/things/{id}", "/v2/things/{id}", "PUT /v1/things/{id}: is gone"),
    ("http/thing.yaml", "    put:", "    patch:", "PUT /v1/things/{id}: is gone"),
    ("http/thing.yaml", "x-scope: thing:write\n      x-access: { own: [person], other: [keeper] }",
     "x-scope: thing:read\n      x-access: { own: [person, guest] }", "the scope was thing:write, is thing:read"),
    ("http/thing.yaml", "x-idempotent: true", "x-idempotent: false", "does not honour Idempotency-Key any more"),
    ("http/thing.yaml", "x-max-body: 16KiB", "x-max-body: 8KiB", "x-max-body was 16384, is 8192"),
    ("http/thing.yaml", "content: { application/json: { schema: { $ref: \"../schemas/thing.yaml#/ThingInput\"",
     "content: { application/merge-patch+json: { schema: { $ref: \"../schemas/thing.yaml#/ThingInput\"", "the body was"),
    ("http/thing.yaml", "        - { name: If-Match, in: header, schema: { type: string, maxLength: 20 } }\n", "",
     "header If-Match: is gone"),
    ("http/thing.yaml", "{ name: If-Match, in: header,", "{ name: If-Match, in: header, required: true,",
     "header If-Match: is required now"),
    ("http/thing.yaml", "maxLength: 20", "maxLength: 10", "header If-Match: maxLength was 20, is 10"),
    ("http/thing.yaml", "      requestBody:\n", "        - { name: q, in: query, required: true, schema: { type: integer } }\n"
     "      requestBody:\n", "query q: is new and required"),
    ("http/thing.yaml", '"200": {', '"201": {', "200: is gone"),
    ("http/thing.yaml", RESPONSE, RESPONSE.replace("json", "x-ndjson"), "200 application/json: is gone"),
    ("http/thing.yaml", RESPONSE, RESPONSE.replace("#/Thing", "#/ThingInput"), "200/id: is gone"),
    ("schemas/thing.yaml", "enum: [good, bad]", "enum: [bad, good]", "do not come first and in this order"),
    ("schemas/thing.yaml", "enum: [good, bad]", "enum: [good]", "do not come first and in this order"),
    ("schemas/thing.yaml", "required: [name]", "required: [name, count]", "body/count: is required now"),
    ("schemas/thing.yaml", "    count: { type: integer, minimum: 0, maximum: 10 }\n", "", "body/count: is gone"),
    ("schemas/thing.yaml", "type: integer, minimum: 0", "type: number, minimum: 0", "body/count: was integer, is number"),
    ("schemas/thing.yaml", "minimum: 0, maximum: 10", "minimum: 1, maximum: 10", "body/count: minimum was 0, is 1"),
    ("schemas/thing.yaml", "maximum: 10", "maximum: 9", "body/count: maximum was 10, is 9"),
    ("schemas/thing.yaml", "maxLength: 100", "maxLength: 99", "body/name: maxLength was 100, is 99"),
    ("schemas/thing.yaml", "maxLength: 100", "minLength: 1, maxLength: 100", "body/name: minLength was none, is 1"),
    ("schemas/thing.yaml", "format: x-line", "format: email", "body/name: the format was x-line, is email"),
    ("schemas/thing.yaml", "required: [name]\n  properties:\n", "required: [name, at]\n  properties:\n    at: { type: integer }\n",
     "body/at: is new and required"),
    ("schemas/thing.yaml", "required: [id]", "required: []", "200/id: may be absent now"),
    ("schemas/thing.yaml", "    mood: { $ref: \"#/Mood\" }\n", "", "200/mood: is gone"),
    ("schemas/thing.yaml", "id: { type: string, format: uuid", "id: { type: [string, 'null'], format: uuid",
     "200/id: may be null now"),
    ("events.yaml", "schemas/thing.yaml#/Thing\"", "schemas/thing.yaml#/ThingInput\"", "event thing.made.v1/id: is gone"),
    ("events.yaml", "thing.made.v1", "thing.created.v1", "event thing.made.v1: is gone"),
    ("events.yaml", "s1:events:thing", "s1:events:other", "was on the stream of thing, is on other"),
    ("rpc.yaml", "thing.make.v1", "thing.build.v1", "call thing.make.v1: is gone"),
    ("rpc.yaml", "s1:rpc:thing", "s1:rpc:other", "call thing.find.v1: was answered by thing, is by other"),
    ("rpc.yaml", "x-timeout: 500ms", "x-timeout: 500ms\n    x-idempotent: true", "call thing.find.v1: needs an idempotency key"),
    ("rpc.yaml", "x-callers: [other]", "x-callers: [thing]", "call thing.find.v1: may not be called by other any more"),
    ("schemas/call.yaml", "required: [user_id]", "required: [user_id, word]", "call thing.find.v1 request/word: is required now"),
    ("schemas/call.yaml", "maxLength: 10", "maxLength: 9", "call thing.find.v1 request/word: maxLength was 10, is 9"),
    ("rpc.yaml", "find_reply: { name: thing.find.reply.v1, contentType: application/json, payload: { $ref: \"schemas/thing.yaml#/Thing\"",
     "find_reply: { name: thing.find.reply.v1, contentType: application/json, payload: { $ref: \"schemas/call.yaml#/ThingFind\"",
     "call thing.find.v1 reply/id: is gone"),
    ("errors.yaml", "status: 422", "status: 400", "error invalid: was 422, is 400"),
    ("errors.yaml", "invalid:", "bad:", "error invalid: was 422, is gone"),
    ("keys.yaml", "key: thing:{user_id}:{word}", "key: things:{user_id}:{word}", "key thing_cache: was thing:"),
    ("keys.yaml", "type: string", "type: hash", "key thing_cache: was"),
]
HARMLESS = [
    ("rpc.yaml", "x-callers: [other]", "x-callers: [other, thing]"),
    ("rpc.yaml", "x-timeout: 500ms", "x-timeout: 1s"),
    ("rpc.yaml", "x-timeout: 2s\n    x-idempotent: true", "x-timeout: 2s"),
    ("schemas/call.yaml", "maxLength: 10", "maxLength: 11"),
    ("http/thing.yaml", "paths:\n", "paths:\n" + NEW_ROUTE),
    ("http/thing.yaml", "x-max-body: 16KiB", "x-max-body: 32KiB"),
    ("http/thing.yaml", "operationId: thing_put", "operationId: thing_write"),
    ("http/thing.yaml", "      requestBody:\n", "        - { name: q, in: query, schema: { type: integer } }\n      requestBody:\n"),
    ("http/thing.yaml", "{id}", "{key}"),
    ("schemas/thing.yaml", "enum: [good, bad]", "enum: [good, bad, other]"),
    ("schemas/thing.yaml", "required: [name]", "required: []"),
    ("schemas/thing.yaml", "maximum: 10", "maximum: 11"),
    ("schemas/thing.yaml", "minimum: 0, maximum: 10", "maximum: 10"),
    ("schemas/thing.yaml", "    count:", "    more: { type: integer }\n    count:"),
    ("schemas/thing.yaml", "required: [id]", "required: [id, mood]"),
    ("errors.yaml", "title: Not valid", "title: Not right"),
    ("keys.yaml", "prefix: \"s1:\"", "prefix: \"s2:\""),
    ("keys.yaml", "life: 5 min", "life: 6 min"),
]


def compare(tmp_path, file, old, new):
    before, after = Folder(tmp_path / "before"), Folder(tmp_path / "after")
    after.replace(file, old, new)
    if file == "http/thing.yaml" and old == "{id}":
        after.replace(file, "name: id,", "name: key,")
    before.succeeds()
    after.succeeds()
    return subprocess.run([sys.executable, str(ROOT / "proto/generate/compatible.py"), "--against",
                           str(before.path / "proto"), "--proto", str(after.path / "proto")],
                          capture_output=True, text=True, check=False)


@pytest.mark.parametrize(("file", "old", "new", "said"), BREAKING)
def test_breaking(tmp_path, file, old, new, said):
    result = compare(tmp_path, file, old, new)
    assert result.returncode == 1 and said in result.stdout, result.stdout + result.stderr


@pytest.mark.parametrize(("file", "old", "new"), HARMLESS)
def test_harmless(tmp_path, file, old, new):
    result = compare(tmp_path, file, old, new)
    assert result.returncode == 0, result.stdout + result.stderr


def test_against_a_tag(tmp_path):
    folder = Folder(tmp_path)

    def git(*arguments):
        subprocess.run(["git", "-c", "user.name=t", "-c", "user.email=t@example.org", *arguments], cwd=tmp_path, check=True,
                       capture_output=True)

    def compatible():
        return subprocess.run([sys.executable, str(ROOT / "proto/generate/compatible.py")], cwd=tmp_path, capture_output=True,
                              text=True, check=False)

    git("init", "-q")
    git("add", "proto")
    git("commit", "-qm", "first")
    assert "no release yet" in compatible().stdout
    git("tag", "v1.0.0")
    assert compatible().returncode == 0
    folder.write("proto/errors.yaml", FILES["errors.yaml"].replace("422", "400"))
    result = compatible()
    assert result.returncode == 1 and "v1.0.0" in result.stdout
