"""Conversations with the companion: what is stored, what is streamed, and what the other services are asked."""

import time
import uuid
from concurrent.futures import ThreadPoolExecutor

import pytest
from support import client, streams
from support.client import problem
from support.companions import CONFIRM, RECALL, REMEMBER, Memory, Scheduler, now
from support.paths import ROOT
from support.waiting import eventually

pytestmark = pytest.mark.usefixtures("others_away")

@pytest.fixture(scope="module")
def chat(stack, health):
    return stack.daemon("chat", SALUS_CONTEXT_TIMEOUT="2s", SALUS_TOOL_TIMEOUT="3s")


@pytest.fixture(scope="module")
def memory(stack, chat):
    callee = Memory(stack.bus)
    yield callee
    callee.close()


@pytest.fixture(scope="module")
def scheduler(stack, chat):
    callee = Scheduler(stack.bus)
    yield callee
    callee.close()


@pytest.fixture
def talker(patient, chat, memory, scheduler):
    """Somebody who talks to the companion, known to all services."""
    def make(**about):
        person = patient(**about)
        person.chat = client.Api(chat.url, person.token)
        eventually(lambda: knows(person), what="main-health and chat know the person")
        return person
    return make


def knows(person) -> bool:
    say(person, begin(person), "how was my week?")
    return "main-health" not in repr(person.last.tools_that_failed())


class Reply:
    def __init__(self, message: dict, events: list):
        self.message, self.events = message, events
        self.text = streams.text_of(events)

    def tools_that_failed(self) -> list[str]:
        return [f"main-health {event.data}" for event in self.events
                if event.type == "tool" and event.data["status"] != "done"]

    def tools(self) -> list[tuple[str, str]]:
        return [(event.data["name"], event.data["status"]) for event in self.events if event.type == "tool"]

    @property
    def last(self):
        return self.events[-1]


def begin(person, **about) -> str:
    answer = person.chat.post("/v1/conversations", json=about)
    assert answer.status_code == 201, answer.text
    return answer.json()["id"]


def send(person, conversation: str, content: str, **headers) -> dict:
    answer = person.chat.post(f"/v1/conversations/{conversation}/messages", json={"content": content},
                              headers={name.replace("_", "-"): value for name, value in headers.items()})
    assert answer.status_code == 202, answer.text
    return answer.json()


def say(person, conversation: str, content: str) -> Reply:
    sent = send(person, conversation, content)
    person.last = Reply(sent["message"], streams.read(person.chat, f"/v1/replies/{sent['reply_id']}/stream"))
    return person.last


def messages(person, conversation: str, **params) -> list[dict]:
    answer = person.chat.get(f"/v1/conversations/{conversation}/messages", params=params)
    assert answer.status_code == 200, answer.text
    return answer.json()["items"]


def events_of(person) -> list[dict]:
    return person.health.get("/v1/health-events").json()["items"]


# ---- the thread

def test_a_message_and_its_reply(talker, stack):
    person = talker()
    heard = stack.events("chat")
    conversation = begin(person, title="Monday", session_type="checkup")
    reply = say(person, conversation, "hello")
    assert [event.type for event in reply.events][0] == "started" and reply.last.type == "done"
    assert [event.id for event in reply.events] == list(range(1, len(reply.events) + 1))
    first, second = messages(person, conversation)
    assert (first["seq"], first["role"], first["content"], first["language"]) == (0, "user", "hello", "en")
    assert (second["seq"], second["role"], second["state"]) == (1, "assistant", "complete")
    assert second["content"] == reply.text and second["id"] == first["reply_id"] == reply.last.data["message_id"]
    assert second["model_used"] == "rules" and second["response_time_ms"] >= 0
    shown = eventually(lambda: (lambda it: it["message_count"] == 2 and it)(
        person.chat.get(f"/v1/conversations/{conversation}").json()), what="the conversation counts its messages")
    assert shown["title"] == "Monday" and shown["session_type"] == "checkup" and shown["crisis_level"] == "none"
    types = eventually(lambda: (lambda found: len(found) >= 3 and found)(
        [event["type"] for event in heard.read() if (event["data"] or {}).get("conversation_id") == conversation]), what="events of chat")
    assert sorted(types) == ["chat.started.v1", "message.created.v1", "message.created.v1"]


def test_what_was_said_is_recorded_once(talker):
    person = talker()
    conversation = begin(person)
    reply = say(person, conversation, "I slept badly and feel anxious")
    assert sorted(reply.tools()) == [("record_mood", "done"), ("record_sleep", "done")]
    squats = say(person, conversation, "did 3 sets of 10 squats with 60 kg")
    assert squats.tools() == [("log_exercise", "done")]
    found = events_of(person)
    assert sorted(event["event_type"] for event in found) == ["mood", "symptom", "vital"]
    exercise = next(event["event_data"]["exercise"] for event in found if event["event_type"] == "vital")
    assert (exercise["sets"], exercise["repetitions"], exercise["weight_kg"]) == (3, 10, 60)
    week = say(person, conversation, "how was my week?")
    assert ("week_summary", "done") in week.tools() and "anxious" in week.text


def test_the_same_in_hebrew(talker):
    person = talker(language="he", time_zone="Asia/Jerusalem")
    conversation = begin(person)
    reply = say(person, conversation, "עשיתי 3 סטים של 10 סקוואט עם 60 קילו")
    assert reply.tools() == [("log_exercise", "done")], reply.events
    assert any("\u05d0" <= letter <= "\u05ea" for letter in reply.text)
    (event,) = events_of(person)
    assert event["event_data"]["exercise"]["weight_kg"] == 60
    week = say(person, conversation, "איך היה השבוע שלי?")
    assert ("week_summary", "done") in week.tools()


def test_remembered_recalled_with_its_source_and_forgotten(talker, memory):
    person = talker()
    reply = say(person, begin(person), "remember that I am allergic to penicillin")
    assert reply.tools() == [("remember", "done")]
    (item,) = [item for item in memory.items if item["user_id"] == person.id]
    assert "penicillin" in item["content"]

    conversation = begin(person)
    asked = say(person, conversation, "what am I allergic to?")
    assert "penicillin" in asked.text and asked.last.data["sources"] == [item["id"]]
    assert messages(person, conversation)[1]["sources"] == [item["id"]]
    forgot = say(person, conversation, "forget that")
    assert forgot.tools() == [("forget", "done")]
    assert [it for it in memory.items if it["user_id"] == person.id] == []
    again = say(person, conversation, "what am I allergic to?")
    assert "penicillin" not in again.text and "sources" not in again.last.data


def test_a_reminder_and_its_dose(talker, scheduler):
    person = talker()
    conversation = begin(person)
    reply = say(person, conversation, "remind me every weekday at 8 to take my meds")
    assert reply.tools() == [("create_reminder", "done")], reply.text
    (item,) = scheduler.of({"user_id": person.id})
    assert (item["kind"], item["expression"]) == ("cron", "0 8 * * 1-5") and "meds" in item["title"]
    item |= {"last_run_at": now(), "waiting_occurrence_id": str(uuid.uuid4()), "medication_name": "Metformin"}
    taken = say(person, conversation, "I took my meds")
    assert taken.tools() == [("record_dose", "done"), ("confirm_reminder", "done")]
    assert scheduler.confirmed[-1]["id"] == item["id"]
    (dose,) = [event for event in events_of(person) if event["event_type"] == "medication"]
    assert dose["event_data"]["name"] == "Metformin"
    del item["waiting_occurrence_id"]
    assert say(person, conversation, "took my pills").tools() == [("record_dose", "done")], "it has its answer"
    dose, _ = [event for event in events_of(person) if event["event_type"] == "medication"]
    day = person.health.get(f"/v1/days/{dose['local_date']}/summary").json()
    assert day["doses"]["taken"] == 2


# ---- crisis

@pytest.mark.parametrize(("about", "said", "reach"), [
    ({"time_zone": "America/New_York"}, "I don't want to live anymore", "988"),
    ({"time_zone": "Asia/Jerusalem", "language": "he"}, "אני לא רוצה לחיות יותר", "1201"),
])
def test_help_comes_first(talker, stack, memory, about, said, reach):
    person = talker(**about)
    heard = stack.events("chat")
    asked = len(memory.calls)
    conversation = begin(person)
    reply = say(person, conversation, said)
    assert [event.type for event in reply.events][:2] == ["started", "help"]
    assert {event.type for event in reply.events[2:-1]} == {"delta"} and reply.last.type == "done"
    assert reach in reply.text and reply.events[1].data["level"] != "none"
    assert len(memory.calls) == asked, "somebody was asked first"
    first, second = messages(person, conversation)
    assert first["crisis_level"] == reply.events[1].data["level"] and first["crisis_indicators"]
    assert second["message_type"] == "crisis_help" and "model_used" not in second
    (event,) = heard.wait_for("crisis.detected.v1", person.id)
    assert event["data"]["conversation_id"] == conversation and event["data"]["level"] == first["crisis_level"]
    assert said not in str(event)
    eventually(lambda: person.chat.get(f"/v1/conversations/{conversation}").json()["safety_plan_triggered"],
               what="the conversation knows")


def test_a_dose_that_answers_a_reminder_is_recorded_once(talker, scheduler, monkeypatch):
    """The scheduler does not hear that it was taken, so the person says it again."""
    person = talker()
    conversation = begin(person)
    say(person, conversation, "remind me every day at 8 to take my meds")
    (item,) = scheduler.of({"user_id": person.id})
    item |= {"last_run_at": now(), "waiting_occurrence_id": str(uuid.uuid4()), "medication_name": "Metformin"}
    with monkeypatch.context() as deaf:
        deaf.setitem(scheduler.answers, CONFIRM, lambda data, key: None)
        assert say(person, conversation, "I took my meds").tools() == [("record_dose", "done"), ("confirm_reminder", "unavailable")]
    assert say(person, conversation, "I took my meds").tools() == [("record_dose", "done"), ("confirm_reminder", "done")]
    (dose,) = [event for event in events_of(person) if event["event_type"] == "medication"]
    assert dose["event_data"]["name"] == "Metformin"


def test_the_age_of_the_help_lines_is_a_metric(chat):
    rows = [line.split("\t") for line in (ROOT / "services/chat/data/help.tsv").read_text().splitlines() if line and line[0] != "#"]
    never = [row for row in rows if row[8] == "-"]
    assert chat.metric("salus_chat_help_unchecked") == len(never)
    assert (chat.metric("salus_chat_help_oldest_check_seconds") == 0) == bool(never)


def test_gym_talk_is_no_crisis(talker):
    person = talker()
    reply = say(person, begin(person), "this workout is killing me")
    assert "help" not in [event.type for event in reply.events]


# ---- streams

def test_cut_and_resumed_at_every_event(talker):
    person = talker()
    conversation = begin(person)
    sent = send(person, conversation, "did 3 sets of 10 squats with 60 kg")
    path = f"/v1/replies/{sent['reply_id']}/stream"
    whole = [event.raw for event in streams.read(person.chat, path)]
    assert len(whole) >= 4
    for cut in range(len(whole)):
        head = streams.read(person.chat, path, most=cut) if cut else []
        rest = streams.read(person.chat, path, last=cut)
        assert [event.raw for event in head] + [event.raw for event in rest] == whole
    assert person.chat.get(path, headers={"Last-Event-ID": str(len(whole))}).status_code == 204
    assert len(events_of(person)) == 1, "the tool ran once"


def test_another_replica_serves_the_same(talker, stack):
    person = talker()
    sent = send(person, begin(person), "hello")
    path = f"/v1/replies/{sent['reply_id']}/stream"
    whole = [event.raw for event in streams.read(person.chat, path)]
    other = stack.daemon("chat", name="chat-other")
    api = client.Api(other.url, person.token)
    assert [event.raw for event in streams.read(api, path)] == whole
    assert [event.raw for event in streams.read(api, path, last=2)] == whole[2:]
    assert other.stop() == 0


def test_the_answer_itself_is_the_stream(talker):
    person = talker()
    conversation = begin(person)
    with person.chat.stream("POST", f"/v1/conversations/{conversation}/messages", json={"content": "hello"},
                            headers={"Accept": "text/event-stream"}) as answer:
        assert answer.status_code == 200 and answer.headers["content-type"].startswith("text/event-stream")
        events = streams.parse("".join(answer.iter_text()))
    assert events[0].type == "started" and events[-1].type == "done"
    assert messages(person, conversation)[1]["content"] == streams.text_of(events)
    again = streams.read(person.chat, f"/v1/replies/{events[0].data['reply_id']}/stream")
    assert [event.raw for event in again] == [event.raw for event in events], "it is found by its id, too"


def test_nobody_follows_and_the_reply_is_there(talker):
    person = talker()
    conversation = begin(person)
    send(person, conversation, "hello")
    eventually(lambda: messages(person, conversation)[1]["state"] == "complete", what="the reply is stored")


def test_stop(talker, chat, memory, monkeypatch):
    """The reply waits for memory, which does not answer."""
    person = talker()
    conversation = begin(person)
    monkeypatch.setitem(memory.answers, RECALL, lambda data, key: None)
    sent = send(person, conversation, "what am I allergic to?")
    eventually(lambda: person.id in [data["user_id"] for data in memory.asked(RECALL)], what="memory was asked")
    stopped = chat.metric("salus_chat_stop_seconds_count")
    start = time.monotonic()
    assert person.chat.post(f"/v1/replies/{sent['reply_id']}/stop").status_code == 204
    events = streams.read(person.chat, f"/v1/replies/{sent['reply_id']}/stream")
    assert time.monotonic() - start < 0.5  # the goal is 20 ms; this machine is shared
    assert events[-1].type == "done" and events[-1].data["state"] == "stopped"
    assert messages(person, conversation)[1]["state"] == "stopped"
    assert chat.metric("salus_chat_stop_seconds_count") == stopped + 1
    assert person.chat.post(f"/v1/replies/{sent['reply_id']}/stop").status_code == 204, "once more changes nothing"


def test_a_record_is_corrected_and_taken_back(talker):
    """Each is a further version of the same entry, in main-health, and the reply says only what happened."""
    person = talker()
    conversation = begin(person)

    def entries():
        return [(event["event_type"], event["status"], event["event_data"].get("dose"), event["local_date"])
                for event in person.health.get("/v1/health-events", params={"include_voided": True}).json()["items"]]

    say(person, conversation, "I took my meds")
    (first,) = entries()
    assert first[:3] == ("medication", "recorded", None)
    assert "2 mg" in say(person, conversation, "no, 2 mg").text
    (second,) = entries()
    assert second == ("medication", "amended", {"value": 2, "unit": "mg"}, first[3])
    assert "yesterday" in say(person, conversation, "that was yesterday").text
    (third,) = entries()
    assert third[:3] == second[:3] and third[3] < first[3]
    reply = say(person, conversation, "תמחק את זה")
    assert reply.tools() == [("void_record", "done")] and "בוטל" in reply.text
    assert entries() == [("medication", "entered_in_error", {"value": 2, "unit": "mg"}, third[3])]
    assert say(person, conversation, "undo that").tools() == [], "the last answer recorded nothing"


def test_memory_is_silent(talker, memory, monkeypatch):
    """The answer says that it cannot look, and nothing false."""
    person = talker()
    say(person, begin(person), "remember that I am allergic to penicillin")
    monkeypatch.setitem(memory.answers, RECALL, lambda data, key: None)
    conversation = begin(person)
    reply = say(person, conversation, "what am I allergic to?")
    assert reply.tools() == [("recall", "unavailable")] and reply.last.type == "done"
    assert "penicillin" not in reply.text and "sources" not in reply.last.data
    monkeypatch.setitem(memory.answers, REMEMBER, lambda data, key: None)
    kept = say(person, conversation, "remember that I am allergic to nuts")
    assert kept.tools() == [("remember", "unavailable")]
    mood = say(person, conversation, "I feel anxious")
    assert mood.tools() == [("record_mood", "done")], "what does not need memory goes on"


# ---- sending

def test_the_same_key_is_sent_once(talker):
    person = talker()
    conversation = begin(person)
    key = str(uuid.uuid4())
    first = send(person, conversation, "did 3 sets of 10 squats with 60 kg", Idempotency_Key=key)
    streams.read(person.chat, f"/v1/replies/{first['reply_id']}/stream")
    again = send(person, conversation, "did 3 sets of 10 squats with 60 kg", Idempotency_Key=key)
    assert again["reply_id"] == first["reply_id"] and again["message"]["id"] == first["message"]["id"]
    assert len(messages(person, conversation)) == 2 and len(events_of(person)) == 1
    other = person.chat.post(f"/v1/conversations/{conversation}/messages", json={"content": "other"},
                             headers={"Idempotency-Key": key})
    problem(other, 422, "idempotency_conflict")


def test_a_conversation_is_begun_once(talker):
    person, key = talker(), str(uuid.uuid4())
    made = [person.chat.post("/v1/conversations", json={"title": "a"}, headers={"Idempotency-Key": key}) for _ in range(2)]
    assert {answer.status_code for answer in made} == {201} and made[0].json()["id"] == made[1].json()["id"]
    assert made[1].headers["Idempotency-Replayed"] == "true"
    problem(person.chat.post("/v1/conversations", json={"title": "b"}, headers={"Idempotency-Key": key}), 422,
            "idempotency_conflict")


def test_more_than_a_page(talker):
    person = talker()
    conversation = begin(person)
    for number in range(35):
        last = send(person, conversation, f"hello {number}")
    streams.read(person.chat, f"/v1/replies/{last['reply_id']}/stream")
    found, cursor = [], None
    while True:
        page = person.chat.get(f"/v1/conversations/{conversation}/messages",
                               params={"limit": 9} | ({"cursor": cursor} if cursor else {})).json()
        found += page["items"]
        cursor = page.get("next_cursor")
        if not cursor:
            break
    assert [message["seq"] for message in found] == list(range(70))
    assert [message["content"] for message in found if message["role"] == "user"] == [f"hello {n}" for n in range(35)]
    assert [message["seq"] for message in messages(person, conversation, from_seq=66)] == [66, 67, 68, 69]


def test_a_list_too_long_to_keep(talker, scheduler):
    """A hundred reminders, each as long as it may be: they are told, and the conversation stays readable."""
    person = talker()
    conversation = begin(person)
    expression = f"{','.join(map(str, range(60)))} {','.join(map(str, range(24)))} * * *"
    for _ in range(100):
        scheduler.create({"user_id": person.id, "kind": "cron", "expression": expression, "title": '"' * 200, "language": "en"}, None)
    reply = say(person, conversation, "what are my reminders?")
    assert reply.tools() == [("list_reminders", "done")] and '"' * 200 in reply.text
    assert len(messages(person, conversation)) == 2
    assert say(person, conversation, "thanks").last.type == "done"


def test_a_key_is_known_on_the_page_before(talker):
    person = talker()
    conversation = begin(person)
    sent = {f"key {n}": send(person, conversation, f"hello {n}", Idempotency_Key=f"key {n}")["reply_id"] for n in range(35)}
    again = {f"key {n}": send(person, conversation, f"hello {n}", Idempotency_Key=f"key {n}")["reply_id"] for n in (3, 31, 32, 34)}
    assert again == {key: sent[key] for key in again}
    assert len(person.chat.get(f"/v1/conversations/{conversation}/messages", params={"limit": 200}).json()["items"]) == 70


def test_the_page_before_is_known(talker):
    person = talker()
    conversation = begin(person)
    for _ in range(31):
        send(person, conversation, "hello")
    assert say(person, conversation, "I took my meds").message["seq"] == 62
    assert "2 mg" in say(person, conversation, "no, 2 mg").text
    (entry,) = person.health.get("/v1/health-events").json()["items"]
    assert entry["status"] == "amended" and entry["event_data"]["dose"] == {"value": 2, "unit": "mg"}


@pytest.mark.parametrize(("content", "status", "pointer"), [
    (b'{"content": "\xff\xfe"}', 400, None),
    (b'{"content": "\xd7"}', 400, None),
    (b'{"content": "a\\u0000b"}', 400, None),
    (b'{"content": ""}', 422, "/content"),
    (b'{"content": "   "}', 422, "/content"),
    (b'{"content": "' + b"x" * 32769 + b'"}', 422, "/content"),
    (b'{"content": "' + "ש".encode() * 16385 + b'"}', 422, "/content"),
    (b'{"content": 5}', 422, "/content"),
    (b'{"content": "a", "role": "system"}', 422, "/role"),
    (b'{"content": "' + b"x" * 300_000 + b'"}', 413, None),
    (b"{", 400, None),
])
def test_bad_messages(talker, content, status, pointer):
    person = talker()
    conversation = begin(person)
    answer = person.chat.post(f"/v1/conversations/{conversation}/messages", content=content,
                              headers={"Content-Type": "application/json"})
    problem(answer, status, pointer=pointer)
    assert messages(person, conversation) == []


def test_controls_that_turn_text_around_are_taken_out(talker):
    person = talker()
    conversation = begin(person)
    say(person, conversation, "hello \u202edlrow\u202c")
    assert messages(person, conversation)[0]["content"] == "hello dlrow"


def test_personal_data_is_noted(talker):
    person = talker()
    conversation = begin(person)
    say(person, conversation, "my address is dana@example.org")
    first = messages(person, conversation)[0]
    assert first["pii_detected"] == ["EMAIL"] and "dana@example.org" not in first["processed_content"]


# ---- whose it is

def test_somebody_elses(talker):
    owner, other = talker(), talker()
    conversation = begin(owner)
    reply = send(owner, conversation, "hello")["reply_id"]
    for answer in (
        other.chat.get(f"/v1/conversations/{conversation}"),
        other.chat.delete(f"/v1/conversations/{conversation}"),
        other.chat.post(f"/v1/conversations/{conversation}/archive"),
        other.chat.get(f"/v1/conversations/{conversation}/messages"),
        other.chat.post(f"/v1/conversations/{conversation}/messages", json={"content": "hello"}),
        other.chat.get(f"/v1/replies/{reply}/stream"),
        other.chat.post(f"/v1/replies/{reply}/stop"),
        owner.chat.get(f"/v1/replies/{uuid.uuid4()}/stream"),
    ):
        problem(answer, 404, "not_found")
    assert conversation not in [item["id"] for item in other.chat.get("/v1/conversations").json()["items"]]


def test_archived_and_deleted(talker, stack):
    person = talker()
    conversation = begin(person, title="secret title")
    say(person, conversation, "a secret word")
    archived = person.chat.post(f"/v1/conversations/{conversation}/archive")
    assert archived.status_code == 200 and archived.json()["status"] == "archived" and "ended_at" in archived.json()
    problem(person.chat.post(f"/v1/conversations/{conversation}/messages", json={"content": "hello"}), 409, "conflict")
    assert len(messages(person, conversation)) == 2
    listed = person.chat.get("/v1/conversations", params={"status": "archived"}).json()["items"]
    assert [item["id"] for item in listed] == [conversation]
    assert person.chat.delete(f"/v1/conversations/{conversation}").status_code == 204
    problem(person.chat.get(f"/v1/conversations/{conversation}"), 404)
    problem(person.chat.get(f"/v1/conversations/{conversation}/messages"), 404)
    kept = stack.mongo.documents("salus_chat", "conversations", {"_id": conversation}) + stack.mongo.documents(
        "salus_chat", "pages", {"_id": f"{conversation}/0"})
    assert kept and "secret" not in str(kept)


def test_lists_go_page_by_page(talker):
    person = talker()
    begun = [begin(person) for _ in range(5)]
    found, cursor = [], None
    while True:
        page = person.chat.get("/v1/conversations", params={"limit": 3} | ({"cursor": cursor} if cursor else {})).json()
        found += [item["id"] for item in page["items"]]
        cursor = page.get("next_cursor")
        if not cursor:
            break
    assert len(found) == len(set(found)) and set(begun) <= set(found)


def test_what_one_thinks_of_a_reply(talker, memory, monkeypatch):
    """It stands with the reply, is replaced as a whole, and is nobody else's business."""
    person, other = talker(), talker()
    conversation = begin(person)
    said = say(person, conversation, "hello")
    path = f"/v1/replies/{said.message['reply_id']}/feedback"
    assert "feedback" not in messages(person, conversation)[1]
    for rating in ({"user_rating": 2, "feedback": "too short: \u05e7\u05e6\u05e8"}, {"user_rating": 5, "was_helpful": True}):
        given = person.chat.put(path, json=rating)
        assert given.status_code == 200, given.text
        assert given.json() == rating | {"message_id": said.message["reply_id"], "timestamp": given.json()["timestamp"]}
        assert messages(person, conversation)[1]["feedback"] == given.json()
    assert messages(person, conversation)[1]["content"] == said.text and "feedback" not in messages(person, conversation)[0]
    problem(person.chat.put(path, json={}), 422)
    problem(person.chat.put(path, json={"user_rating": 6}), 422, pointer="/user_rating")
    problem(other.chat.put(path, json={"user_rating": 1}), 404)
    problem(person.chat.put(f"/v1/replies/{said.message['id']}/feedback", json={"user_rating": 1}), 404)
    monkeypatch.setitem(memory.answers, RECALL, lambda data, key: None)
    sent = send(person, conversation, "what am I allergic to?")
    problem(person.chat.put(f"/v1/replies/{sent['reply_id']}/feedback", json={"user_rating": 1}), 409)
    person.chat.post(f"/v1/replies/{sent['reply_id']}/stop")
    assert person.chat.delete(f"/v1/conversations/{conversation}").status_code == 204
    problem(person.chat.put(path, json={"user_rating": 1}), 404)


def test_how_one_wants_to_be_talked_to(talker):
    person = talker()
    nothing = person.chat.get("/v1/user-context")
    assert nothing.status_code == 200 and nothing.json()["version"] == 0
    wanted = {"preferences": {"language": "he", "units": "metric", "goals": ["sleep more"],
                              "notifications": {"reminders": True, "achievements": False, "weekly_reports": True}},
              "ai_profile": {"conversation_style": "coach", "humor_level": 3}}
    stored = person.chat.put("/v1/user-context", json=wanted, headers={"If-Match": nothing.headers["ETag"]})
    assert stored.status_code == 200, stored.text
    found = person.chat.get("/v1/user-context")
    assert {key: found.json()[key] for key in wanted} == wanted and found.json()["version"] == 1
    assert person.chat.get("/v1/user-context", headers={"If-None-Match": found.headers["ETag"]}).status_code == 304
    problem(person.chat.put("/v1/user-context", json=wanted, headers={"If-Match": nothing.headers["ETag"]}), 412)
    problem(person.chat.put("/v1/user-context", json=wanted | {"ai_profile": {"humor_level": 11}}), 422,
            pointer="/ai_profile/humor_level")


def test_ten_thousand_messages_a_minute(talker, chat):
    """Some are taken, the others are told when to come again; who else talks notices nothing, and a cry for help is heard."""
    flooder, other = talker(), talker()
    conversation = begin(flooder)

    def flood(count: int) -> list:
        with client.Api(chat.url, flooder.token) as api:
            return [api.post(f"/v1/conversations/{conversation}/messages", json={"content": "how was my week?"})
                    for _ in range(count)]

    with ThreadPoolExecutor(12) as pool:
        batches = [pool.submit(flood, 200) for _ in range(12)]
        assert say(other, begin(other), "how was my week?").last.type == "done"
        help_asked = say(flooder, conversation, "I don't want to live anymore")
        answers = [answer for batch in batches for answer in batch.result()]
    assert [event.type for event in help_asked.events][:2] == ["started", "help"]
    taken = [answer.json() for answer in answers if answer.status_code == 202]
    refused = [answer for answer in answers if answer.status_code == 429]
    assert len(taken) + len(refused) == len(answers) and 8 <= len(taken) <= 1200   # 600 a minute, and a minute may end meanwhile
    problem(refused[0], 429, "rate_limited")
    assert all(0 < int(answer.headers["retry-after"]) <= 60 for answer in refused)
    eventually(lambda: {message["state"] for message in messages(flooder, conversation, limit=100) if message["role"] == "assistant"}
               == {"complete"}, within=30, what="what was taken is answered")
    stored = flooder.chat.get(f"/v1/conversations/{conversation}").json()["message_count"]
    assert stored == 2 * (len(taken) + 1)
