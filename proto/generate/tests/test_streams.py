"""Routes that answer with a stream of events."""
import json

import pytest
from sample import FILES
from test_generate import compiles, squeezed

LISTS = """\
components:
  x-event-streams:
    story:
      description: What a story is made of
      events:
        part.told: { summary: More of it, schema: { $ref: "../schemas/thing.yaml#/ThingInput" } }
        done: { summary: The end, schema: { $ref: "../schemas/thing.yaml#/Thing" } }
        error: { summary: It broke off, schema: { $ref: "../schemas/thing.yaml#/Thing" } }
"""
ANSWERS = """\
        "400": { $ref: "../schemas/problem.yaml#/BadRequest" }
        "403": { $ref: "../schemas/problem.yaml#/Forbidden" }
        "426": { $ref: "../schemas/problem.yaml#/BadRequest" }
        "503": { $ref: "../schemas/problem.yaml#/Unavailable" }
        "504": { $ref: "../schemas/problem.yaml#/Timeout" }
"""
STREAM = """\
  /v1/stories:
    get:
      operationId: story_follow
      summary: Follow a story
      x-access: { open: all }
      x-event-stream: story
      responses:
        "200": { description: Events, content: { text/event-stream: {} } }
""" + ANSWERS
SOCKET = """\
  /v1/socket:
    get:
      operationId: story_socket
      summary: Follow stories
      x-access: { open: all }
      x-websocket: story
      x-websocket-messages: { $ref: "../schemas/thing.yaml#/ThingInput" }
      responses:
        "101": { description: Frames }
""" + ANSWERS


@pytest.fixture
def streams(folder):
    folder.write("proto/http/thing.yaml", FILES["http/thing.yaml"] + STREAM + SOCKET + LISTS)
    return folder


def test_routes_and_events(streams):
    streams.succeeds()
    compiles(streams, "thing_api.c")
    header, source = squeezed(streams.read("thing_api.h")), squeezed(streams.read("thing_api.c"))
    assert "extern const struct cm_event_type story_event_part_told;" in header
    assert "extern const struct cm_event_list story_events;" in header
    assert 'story_event_part_told = { .name = "part.told", .schema = &thing_input_schema };' in source
    assert 'story_event_done = { .name = "done", .schema = &thing_schema, .is_last = true };' in source
    assert source.count(".events = &story_events,") == 2
    assert source.count(".websocket = true,") == 1
    assert source.count(".messages = &thing_input_schema,") == 1


def test_the_document_says_how_to_resume(streams):
    streams.succeeds()
    document = json.loads(streams.read("thing_openapi.json"))
    stream, socket = document["paths"]["/v1/stories"]["get"], document["paths"]["/v1/socket"]["get"]
    assert [p["name"] for p in stream["parameters"]] == ["Last-Event-ID", "last_event_id"]
    assert "parameters" not in socket
    told = document["components"]["x-event-streams"]["story"]["events"]["part.told"]
    assert told["schema"] == {"$ref": "#/components/schemas/ThingInput"}


def test_the_page_lists_the_events(streams):
    docs = streams.path / "docs"
    assert streams.generate("--docs", str(docs)).returncode == 0
    page = (docs / "api-thing.md").read_text(encoding="utf-8")
    assert "| `part.told` | [ThingInput](#thinginput) | More of it |" in page


REFUSALS = {
    "no end": ("        done: { summary: The end, schema: { $ref: \"../schemas/thing.yaml#/Thing\" } }\n", "", "lacks done"),
    "unknown list": ("x-event-stream: story", "x-event-stream: tale", "there is no tale"),
    "no media type": ("content: { text/event-stream: {} }", "content: { text/plain: {} }", "must have content of text/event-stream"),
    "both": ("x-websocket: story", "x-websocket: story\n      x-event-stream: story", "not both"),
    "no 426": ('        "426": { $ref: "../schemas/problem.yaml#/BadRequest" }\n', "", "does not list 426"),
    "schema by hand": ("part.told: { summary: More of it, schema: { $ref: \"../schemas/thing.yaml#/ThingInput\" } }",
                       "part.told: { summary: More of it, schema: { type: string } }", "must be a $ref"),
    "a name that is none": ("part.told:", "Part:", "must be like"),
    "messages without a socket": ("      x-websocket: story\n", "", "needs x-websocket"),
}


@pytest.mark.parametrize("case", REFUSALS)
def test_refusals(streams, case):
    old, new, reason = REFUSALS[case]
    streams.replace("http/thing.yaml", old, new)
    assert reason in streams.refusal()
