"""The companion's main job through all five services: each tool call has its effect in the service that owns it, once."""

from datetime import UTC, datetime, timedelta

import pytest
from support import client, streams
from support.waiting import eventually


@pytest.fixture
def talker(patient, chat, memory, scheduler):
    def make(**about):
        person = patient(**about)
        person.chat, person.memory, person.scheduler = (client.Api(daemon.url, person.token)
                                                        for daemon in (chat, memory, scheduler))
        def known():
            tools = talk(person, begin(person), "what are my reminders?")[1] + talk(
                person, begin(person), "how was my week?")[1] + talk(person, begin(person), "what am I allergic to?")[1]
            return {status for _, status in tools} == {"done"} and len(tools) == 3
        eventually(known, within=20, what="everybody knows the person")
        return person
    return make


def begin(person) -> str:
    return person.chat.post("/v1/conversations", json={}).json()["id"]


def talk(person, conversation: str, content: str):
    sent = person.chat.post(f"/v1/conversations/{conversation}/messages", json={"content": content})
    assert sent.status_code == 202, sent.text
    events = streams.read(person.chat, f"/v1/replies/{sent.json()['reply_id']}/stream")
    assert events[-1].type == "done", events
    tools = [(event.data["name"], event.data["status"]) for event in events if event.type == "tool"]
    return streams.text_of(events), tools, events[-1].data.get("sources", [])


def items(api, path: str) -> list[dict]:
    answer = api.get(path)
    assert answer.status_code == 200, answer.text
    return answer.json()["items"]


def test_the_thread(talker):
    person = talker(time_zone="Europe/Berlin")
    conversation = begin(person)
    assert talk(person, conversation, "I slept badly and feel anxious")[1] != []
    assert talk(person, conversation, "did 3 sets of 10 squats with 60 kg")[1] == [("log_exercise", "done")]
    assert talk(person, conversation, "remember that I am allergic to penicillin")[1] == [("remember", "done")]
    assert talk(person, conversation, "remind me every weekday at 8 to take my meds")[1] == [("create_reminder", "done")]
    text, tools, _ = talk(person, conversation, "how was my week?")
    assert tools == [("week_summary", "done")] and "anxious" in text
    assert len(items(person.health, "/v1/health-events")) == 3

    (memory,) = items(person.memory, "/v1/memories")
    assert "penicillin" in memory["content"] and memory["source"]["conversation_id"] == conversation
    (schedule,) = items(person.scheduler, "/v1/schedules")
    assert schedule["cron_expression"] == "0 8 * * 1-5" and schedule["follow_user"] and "meds" in schedule["name"]

    other = begin(person)
    text, _, sources = talk(person, other, "what am I allergic to?")
    assert "penicillin" in text and sources == [memory["id"]]
    assert talk(person, other, "forget that")[1] == [("forget", "done")]
    text, _, sources = talk(person, other, "what am I allergic to?")
    assert "penicillin" not in text and sources == [] and items(person.memory, "/v1/memories") == []


def test_a_reminder_for_once_is_confirmed(talker):
    person = talker()
    conversation = begin(person)
    text, tools, _ = talk(person, conversation, "remind me in 20 minutes to call mum")
    assert tools == [("create_reminder", "done")] and "call mum" in text
    soon = (datetime.now(UTC) + timedelta(seconds=2)).strftime("%Y-%m-%dT%H:%M:%SZ")
    made = person.scheduler.post("/v1/schedules", json={"name": "take my meds", "cron_expression": f"@at {soon}",
                                                        "medication_name": "Metformin", "dose": {"value": 500, "unit": "mg"},
                                                        "reminder_method": "none"}).json()
    runs = lambda: items(person.scheduler, f"/v1/schedules/{made['id']}/runs")  # noqa: E731
    eventually(runs, within=20, what="its time has come")
    assert talk(person, conversation, "I took my meds")[1] == [("record_dose", "done"), ("confirm_reminder", "done")]
    assert runs()[0]["ack"] == "done"
    (dose,) = items(person.health, "/v1/health-events")
    assert dose["event_data"] == {"name": "Metformin", "status": "taken", "dose": {"value": 500, "unit": "mg"}}
    assert talk(person, conversation, "I took my meds")[1] == [("record_dose", "done")], "nothing waits any more"


def test_the_same_in_hebrew(talker):
    person = talker(time_zone="Asia/Jerusalem", language="he")
    conversation = begin(person)
    assert talk(person, conversation, "עשיתי 3 סטים של 10 סקוואט עם 60 קילו")[1] == [("log_exercise", "done")]
    assert talk(person, conversation, "תזכור שאני אלרגי לפניצילין")[1] == [("remember", "done")]
    assert talk(person, conversation, "תזכיר לי כל יום ב-8 לקחת תרופות")[1] == [("create_reminder", "done")]
    (memory,) = items(person.memory, "/v1/memories")
    text, _, sources = talk(person, begin(person), "למה אני אלרגי?")
    assert "פניצילין" in text and sources == [memory["id"]]
    assert len(items(person.scheduler, "/v1/schedules")) == 1


def test_memory_dies_and_comes_back(talker, memory):
    person = talker()
    conversation = begin(person)
    talk(person, conversation, "remember that I am allergic to penicillin")
    memory.kill()
    text, tools, sources = talk(person, conversation, "what am I allergic to?")
    assert tools == [("recall", "unavailable")] and "penicillin" not in text and sources == []
    assert talk(person, conversation, "I feel anxious")[1] == [("record_mood", "done")]
    memory.start()
    eventually(lambda: "penicillin" in talk(person, conversation, "what am I allergic to?")[0], within=20)
