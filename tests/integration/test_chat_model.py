"""Replies that a model plans: what it sees, what it may do, and who answers while it is gone."""

import json
import subprocess
import sys
import time

import httpx
import pytest
from support import admins, client, streams
from support.companions import Memory
from support.paths import ROOT
from support.waiting import eventually

pytestmark = pytest.mark.usefixtures("others_away")

@pytest.fixture(scope="module")
def provider():
    """A strict server of chat completions; its address."""
    with subprocess.Popen([sys.executable, "-P", ROOT / "tests/support/provider.py"], stdin=subprocess.PIPE,
                          stdout=subprocess.PIPE, text=True) as server:
        yield f"http://127.0.0.1:{server.stdout.readline().strip()}"
        server.stdin.close()


@pytest.fixture
def ask(stack, patient, provider):
    """Says something to a companion whose model is a case of the provider; the person, the reply's path and its events."""
    def say(case: str, content: str, *, follow: bool = True):
        chat = stack.daemon("chat", name=f"chat-{case}", SALUS_PLANNER="openai", SALUS_MODEL_URL=f"{provider}/{case}/v1",
                            SALUS_MODEL="m", SALUS_MODEL_ATTEMPTS="1", SALUS_CONTEXT_TIMEOUT="500ms")
        daemons.append(chat)
        person = patient()
        person.chat = client.Api(chat.url, person.token)
        conversation = person.chat.post("/v1/conversations", json={}).json()["id"]
        sent = person.chat.post(f"/v1/conversations/{conversation}/messages", json={"content": content})
        assert sent.status_code == 202, sent.text
        path = f"/v1/replies/{sent.json()['reply_id']}"
        events = streams.read(person.chat, path + "/stream") if follow else []
        return person, path, events
    daemons: list = []
    yield say
    for daemon in daemons:
        assert daemon.stop() == 0


def seen(provider: str, case: str) -> dict:
    return httpx.get(f"{provider}/seen/{case}", **client.PLAIN).json()


def test_what_leaves_the_house(ask, provider, stack):
    """Neither addresses nor names that were told, not even in what the companion said before; memories only with consent for that."""
    memory = Memory(stack.bus)
    person, _, events = ask("echo", "my name is Dana Levi, write to dana@example.org")
    assert events[-1].type == "done"
    assert streams.text_of(events) == "You wrote: my name is Dana Levi, write to dana@example.org"
    conversation = events[-1].data["conversation_id"]
    sent = person.chat.post(f"/v1/conversations/{conversation}/messages", json={"content": "hi, it is Dana again"}).json()
    assert streams.text_of(streams.read(person.chat, f"/v1/replies/{sent['reply_id']}/stream")) == "You wrote: hi, it is Dana again"
    came = seen(provider, "echo")
    assert came["wrong"] == [] and not [word for word in ("dana@", "Dana", "Levi") if word in json.dumps(came["bodies"])]
    assert {data["question"]["purpose"] for data in memory.asked("memory.recall.v1")} == {"external_model"}
    memory.close()


def test_what_the_person_wants_goes_along(ask, provider, stack, patient):
    """Style, units and goals of the profile, and health data, reach the model; what is not there is said to be missing."""
    def system(case) -> str:
        return seen(provider, case)["bodies"][-1]["messages"][0]["content"]
    person, _, _ = ask("echo", "hi")
    assert "goals that the person asked for: none" in system("echo") and "Health data: none" in system("echo")
    assert "Reminders: not available at the moment" in system("echo"), "no scheduler runs here"
    wishes = {"preferences": {"units": "imperial", "goals": ["run 5 km", "mail coach@example.org weekly"]},
              "ai_profile": {"conversation_style": "coach", "response_length": "short", "humor_level": 2}}
    assert person.chat.put("/v1/user-context", json=wishes).status_code == 200
    assert person.health.put("/v1/health-data", json={"allergies": "penicillin"}).status_code == 200
    conversation = person.chat.post("/v1/conversations", json={}).json()["id"]
    sent = person.chat.post(f"/v1/conversations/{conversation}/messages", json={"content": "hi"}).json()
    streams.read(person.chat, f"/v1/replies/{sent['reply_id']}/stream")
    said = system("echo")
    assert '"units":"imperial"' in said and '"run 5 km"' in said and '"conversation_style":"coach"' in said
    assert '"allergies":"penicillin"' in said and "coach@example.org" not in said


def test_a_tool_of_the_model(ask, provider, stack):
    memory = Memory(stack.bus)
    person, _, events = ask("tool", "I am allergic to nuts")
    assert [(event.data["name"], event.data["status"]) for event in events if event.type == "tool"] == [("remember", "done")]
    assert [item["content"] for item in memory.items if item["user_id"] == person.id] == ["I am allergic to nuts"]
    assert streams.text_of(events).startswith("Done: ") and seen(provider, "tool")["wrong"] == []
    memory.close()


def test_a_model_that_does_not_end(ask):
    """Its text is cut, what was said stands, and the conversation goes on."""
    person, _, events = ask("flood", "tell me a story")
    assert events[-1].type == "done" and events[-1].data["state"] == "complete"
    text = streams.text_of(events)
    assert text == "x" * 65536
    path = f"/v1/conversations/{events[-1].data['conversation_id']}/messages"
    assert person.chat.get(path).json()["items"][1]["content"] == text
    again = person.chat.post(path, json={"content": "and another"})
    assert again.status_code == 202, again.text


def test_the_model_is_gone(ask, provider):
    person, _, events = ask("down", "I feel anxious")
    assert events[-1].type == "done" and streams.text_of(events).startswith("The language model cannot be reached")
    assert [event.data["name"] for event in events if event.type == "tool"] == ["record_mood"]
    assert [event["event_type"] for event in person.health.get("/v1/health-events").json()["items"]] == ["mood"]


def test_a_flag_keeps_the_model_from_people(ask, stack, auth):
    person, _, events = ask("down", "I feel anxious")
    assert streams.text_of(events).startswith("The language model cannot be reached")
    admin = admins.first_admin(stack, auth.url)
    assert admin.auth.put("/v1/admin/flags/chat.model", json={"enabled": False, "share": 0}).status_code == 200
    conversation = person.chat.post("/v1/conversations", json={}).json()["id"]

    def nobody_asks_the_model():
        sent = person.chat.post(f"/v1/conversations/{conversation}/messages", json={"content": "I feel anxious"}).json()
        return "language model" not in streams.text_of(streams.read(person.chat, f"/v1/replies/{sent['reply_id']}/stream"))

    try:
        eventually(nobody_asks_the_model, within=5, what="chat has heard of the flag")
    finally:
        admin.auth.delete("/v1/admin/flags/chat.model")


def test_help_needs_no_model(ask, provider):
    _, _, events = ask("refuse", "I don't want to live anymore")
    assert [event.type for event in events][:2] == ["started", "help"] and events[-1].type == "done"
    assert seen(provider, "refuse") == {}


def test_stop_reaches_the_model(ask, provider):
    person, path, _ = ask("stall", "hello", follow=False)
    assert streams.read(person.chat, path + "/stream", most=2)[1].data == {"text": "He"}
    start = time.monotonic_ns() // 1000
    assert person.chat.post(path + "/stop").status_code == 204
    closed = eventually(lambda: seen(provider, "stall")["closed_at"], what="the model hears of it")
    assert closed - start < 500_000  # the goal is 20 ms; this machine is shared
    print(f"stopped after {(closed - start) / 1000:.1f} ms")
    events = streams.read(person.chat, path + "/stream")
    assert events[-1].data["state"] == "stopped" and streams.text_of(events) == "He"
