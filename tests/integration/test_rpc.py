"""Calls of other services to main-health (docs/rpc.md): what the methods say, and what becomes of calls when things break."""

import datetime
import signal
import time
import uuid

import pytest
import redis
from support import client
from support.rpc import Caller, new_key
from support.waiting import eventually

STREAM = "s1:rpc:main-health"
CONTEXT, SUMMARY, RECORD = "health.context.v1", "health.summary.v1", "health.record.v1"
CORRECT = "health.correct.v1"
SQUATS = {"event_type": "vital", "event_subtype": "workout", "event_data": {
    "exercise": {"exercise_name": "squat", "exercise_name_he": "סקוואט", "sets": 3, "repetitions": 10, "weight_kg": 60}}}
MOOD = {"event_type": "mood", "event_subtype": "quick_checkin", "event_data": {"mood": "anxious", "confidence": 4}}


@pytest.fixture
def chat(stack, health):
    caller = Caller(stack.bus)
    yield caller
    caller.close()


def known(chat, person):
    """Waits until main-health knows the person."""
    eventually(lambda: chat.call(CONTEXT, {"user_id": person.id}).code == "ok", what="the person is known")
    return person


def record(chat, person, *events, key=None, **more):
    return chat.call(RECORD, {"user_id": person.id, "events": list(events)}, key=key or new_key(), **more)


def events_of(person) -> list[dict]:
    answer = person.health.get("/v1/health-events")
    assert answer.status_code == 200, answer.text
    return answer.json()["items"]


def is_empty(bus) -> bool:
    connection = bus.connect()
    return connection.xlen(STREAM) == 0 and connection.xpending(STREAM, "rpc")["pending"] == 0


# ---- what the methods say

def test_the_context_of_a_person(chat, patient):
    person = known(chat, patient(time_zone="Asia/Jerusalem", language="he"))
    morning = datetime.datetime.now(datetime.UTC).replace(hour=4, minute=30) - datetime.timedelta(days=1)  # 6:30 or 7:30 there
    for event in (
        MOOD, SQUATS,
        {"event_type": "symptom", "event_subtype": "general", "event_data": {"symptoms": ["headache"], "severity": 6}},
        {"event_type": "medication", "event_subtype": "scheduled", "event_data": {"name": "Ramipril", "status": "taken"}},
        {"event_type": "vital", "event_subtype": "sleep", "occurred_at": (morning - datetime.timedelta(hours=7)).isoformat(),
         "ended_at": morning.isoformat(), "event_data": {"total_duration": 400}},
        {"event_type": "vital", "event_subtype": "weight", "event_data": {"value": 71.5, "unit": "kg"}},
    ):
        assert person.health.post("/v1/health-events", json=event).status_code == 201
    assert person.health.put("/v1/health-data", json={"allergies": "penicillin"}).status_code == 200

    found = chat.ok(CONTEXT, {"user_id": person.id})
    assert found["user_id"] == person.id and found["language"] == "he" and found["time_zone"] == "Asia/Jerusalem"
    assert found["health_data"]["allergies"] == "penicillin"
    assert {vital["event_subtype"] for vital in found["vitals"]} >= {"weight"}
    assert len(found["days"]) == 7 and found["days"][-1]["date"] == found["today"]
    moods = [day["mood"]["latest"] for day in found["days"] if "mood" in day]
    assert moods == ["anxious"]
    assert [symptom["symptom"] for day in found["days"] for symptom in day["symptoms"]] == ["headache"]
    assert sum(day["doses"]["taken"] for day in found["days"]) == 1
    assert sum(day["sleep"]["total_duration"] for day in found["days"] if "sleep" in day) == 400
    (workout,) = [workout for day in found["days"] for workout in day["workouts"]]
    assert workout["exercise"] == SQUATS["event_data"]["exercise"]

    assert len(chat.ok(CONTEXT, {"user_id": person.id, "days": 31})["days"]) == 31
    day = person.health.get(f"/v1/days/{found['today']}/summary")
    assert day.json() == found["days"][-1]


def test_the_summary_of_days(chat, patient):
    person = known(chat, patient(time_zone="UTC"))
    assert person.health.post("/v1/health-events", json=MOOD | {"occurred_at": "2026-03-02T10:00:00Z"}).status_code == 201
    found = chat.ok(SUMMARY, {"user_id": person.id, "from": "2026-03-01", "to": "2026-03-03"})
    assert [day["date"] for day in found["days"]] == ["2026-03-01", "2026-03-02", "2026-03-03"]
    assert [day.get("mood", {}).get("latest") for day in found["days"]] == [None, "anxious", None]
    for wrong in ({"from": "2026-03-03", "to": "2026-03-01"}, {"from": "2026-03-01", "to": "2026-04-01"}):
        reply = chat.call(SUMMARY, {"user_id": person.id} | wrong)
        assert reply.code == "invalid" and reply.data["errors"][0]["pointer"] == "/to"


def test_facts_are_recorded(chat, patient):
    person = known(chat, patient())
    reply = record(chat, person, SQUATS, MOOD)
    assert reply.code == "ok", reply
    ids = [item["id"] for item in reply.data["items"]]
    assert [item["known"] for item in reply.data["items"]] == [False, False]
    assert {event["id"] for event in events_of(person)} == set(ids)
    stored = person.health.get(f"/v1/health-events/{ids[0]}").json()
    assert stored["event_data"] == SQUATS["event_data"] and stored["local_date"] == reply.data["items"][0]["local_date"]


def correct(chat, person, event_id, event=None, key=None):
    return chat.call(CORRECT, {"user_id": person.id, "event_id": event_id, "reason": "said so"} | ({"event": event} if event else {}),
                     key=key or new_key())


def history(person, event_id) -> list[tuple]:
    items = person.health.get(f"/v1/health-events/{event_id}/history").json()["items"]
    return [(item["version"], item["status"]) for item in items]


def test_a_fact_is_corrected_and_taken_back(chat, patient):
    """Each is a further version; the same key is the same version, and its time stays unless the correction names one."""
    person = known(chat, patient())
    event_id = record(chat, person, MOOD).data["items"][0]["id"]
    first = person.health.get(f"/v1/health-events/{event_id}").json()
    calmer = {**MOOD, "event_data": {"mood": "calm"}}
    for known_before in (False, True):
        done = correct(chat, person, event_id, calmer, key="no-calm").data
        assert done | {"local_date": ""} == {"id": event_id, "version": 2, "status": "amended", "local_date": "", "known": known_before}
    now = person.health.get(f"/v1/health-events/{event_id}").json()
    assert now["event_data"] == {"mood": "calm"} and now["occurred_at"] == first["occurred_at"]
    assert correct(chat, person, event_id, MOOD, key="no-calm").code == "idempotency_conflict"
    yesterday = (datetime.datetime.now(datetime.UTC) - datetime.timedelta(days=1)).strftime("%Y-%m-%dT%H:%M:%SZ")
    moved = correct(chat, person, event_id, {**calmer, "occurred_at": yesterday}).data
    assert moved["version"] == 3 and moved["local_date"] < done["local_date"]
    for known_before in (False, True):
        gone = correct(chat, person, event_id).data
        assert (gone["version"], gone["status"], gone["known"]) == (4, "entered_in_error", known_before)
    assert correct(chat, person, event_id, calmer).code == "conflict"
    assert events_of(person) == []
    assert history(person, event_id) == [(4, "entered_in_error"), (3, "amended"), (2, "amended"), (1, "recorded")]


def test_what_cannot_be_corrected(chat, patient):
    person, other = known(chat, patient()), known(chat, patient())
    event_id = record(chat, person, MOOD).data["items"][0]["id"]
    assert correct(chat, other, event_id).code == "not_found"
    assert correct(chat, person, str(uuid.uuid4()), MOOD).code == "not_found"
    wrong = correct(chat, person, event_id, SQUATS)
    assert wrong.code == "invalid" and wrong.data["errors"][0]["pointer"] == "/event/event_type"
    assert correct(chat, person, event_id, {**MOOD, "event_data": {}}).code == "invalid"
    assert history(person, event_id) == [(1, "recorded")]


def test_the_same_key_has_one_effect(chat, patient):
    person, key = known(chat, patient()), new_key()
    first = record(chat, person, SQUATS, MOOD, key=key)
    again = record(chat, person, SQUATS, MOOD, key=key)
    assert [item["id"] for item in again.data["items"]] == [item["id"] for item in first.data["items"]]
    assert all(item["known"] for item in again.data["items"])
    other = record(chat, person, SQUATS, MOOD, MOOD, key=key)
    assert other.code == "idempotency_conflict"
    assert len(events_of(person)) == 2
    # Somebody else's key is another key.
    assert record(chat, known(chat, patient()), MOOD, key=key).code == "ok"


def test_a_repetition_while_the_first_is_running(chat, patient, stack):
    """The call was sent twice, as after a lost reply; both run at once."""
    person, key = known(chat, patient()), new_key()
    body = {"user_id": person.id, "events": [MOOD, SQUATS]}
    with stack.postgres.connect("salus_health") as connection, connection.transaction():
        connection.execute("LOCK TABLE health_events IN SHARE MODE")
        calls = [chat.send(RECORD, body, key=key) for _ in range(2)]
        eventually(lambda: stack.bus.connect().xpending(STREAM, "rpc")["pending"] == 2)
    replies = [chat.replies(call)[0] for call in calls]
    assert {reply.code for reply in replies} == {"ok"}, replies
    assert len({tuple(item["id"] for item in reply.data["items"]) for reply in replies}) == 1
    assert len(events_of(person)) == 2


@pytest.mark.parametrize(("events", "pointer"), [
    ([MOOD, {**MOOD, "event_data": {}}], "/events/1/event_data/mood"),
    ([SQUATS, {"event_type": "vital", "event_subtype": "heart_rate", "event_data": {"value": 1000, "unit": "/min"}}],
     "/events/1/event_data/value"),
    ([{"event_type": "vital", "event_subtype": "workout", "event_data": {"duration": 3}}], "/events/0/event_data/activity"),
    ([{"event_type": "vital", "event_subtype": "weight",
       "event_data": {"value": 70, "unit": "kg", "exercise": {"exercise_name": "squat"}}}], "/events/0/event_data/exercise"),
    ([{"event_type": "vital", "event_subtype": "workout", "event_data": {"exercise": {"exercise_name": "squat", "sets": 0}}}],
     "/events/0/event_data/exercise/sets"),
    ([{**MOOD, "occurred_at": "2999-01-01T00:00:00Z"}], "/events/0/occurred_at"),
    ([], "/events"),
    ([MOOD] * 21, "/events"),
])
def test_what_is_not_valid_stores_nothing(chat, patient, events, pointer):
    person = known(chat, patient())
    reply = record(chat, person, *events)
    assert reply.code == "invalid" and [error["pointer"] for error in reply.data["errors"]] == [pointer], reply
    assert events_of(person) == []


def test_whom_nobody_knows(chat):
    reply = chat.call(CONTEXT, {"user_id": str(uuid.uuid4())})
    assert reply.code == "not_found"


# ---- entries that are no proper requests

@pytest.mark.parametrize(("changes", "code"), [
    ({"ce_type": "health.context.v9"}, "not_implemented"),
    ({"ce_type": None}, "bad_request"),
    ({"ce_specversion": "0.3"}, "bad_request"),
    ({"ce_datacontenttype": "text/plain"}, "bad_request"),
    ({"timeout_ms": "soon"}, "bad_request"),
    ({"timeout_ms": "60001"}, "bad_request"),
    ({"data": None}, "bad_request"),
    ({"data": "{"}, "invalid"),
    ({"data": "[]"}, "invalid"),
    ({"data": b"\xff\xfe"}, "invalid"),
    ({"data": '{"user_id": "me"}'}, "invalid"),
    ({"data": "{" * 100_000}, "invalid"),
    ({"data": '{"a": "' + "x" * 1_100_000 + '"}'}, "too_large"),
    ({"method": RECORD, "data": "{}"}, "bad_request"),  # needs a key
    ({"method": RECORD, "key": "k" * 256, "data": "{}"}, "bad_request"),
])
def test_improper_requests_are_answered(chat, stack, changes, code):
    changes = dict(changes)
    data = changes.pop("data", {"user_id": str(uuid.uuid4())})
    reply = chat.call(changes.pop("method", CONTEXT), data, **changes)
    assert reply.code == code, reply
    eventually(lambda: is_empty(stack.bus))


@pytest.mark.parametrize("changes", [{"ce_id": "1"}, {"ce_id": None}, {"reply": "s1:signal:auth.keys"}, {"reply": None}])
def test_what_cannot_be_answered_is_removed(chat, stack, health, changes):
    before = health.metric("salus_rpc_requests_not_run_total", reason="malformed")
    chat.send(CONTEXT, {"user_id": str(uuid.uuid4())}, **changes)
    eventually(lambda: health.metric("salus_rpc_requests_not_run_total", reason="malformed") == before + 1)
    eventually(lambda: is_empty(stack.bus))


def test_who_may_not_ask(stack, health):
    """It gets no answer either: the callee may not publish there."""
    before = health.metric("salus_rpc_requests_not_run_total", reason="forbidden")
    memory = Caller(stack.bus, "memory")
    call = memory.send(CONTEXT, {"user_id": str(uuid.uuid4())})
    eventually(lambda: health.metric("salus_rpc_requests_not_run_total", reason="forbidden") == before + 1)
    eventually(lambda: is_empty(stack.bus))
    assert memory.replies(call, within=0) == []
    memory.close()


def test_what_the_callee_may_not_do(stack, health):
    """Its rights in Redis: no requests to itself by others' names, no listening to replies."""
    user = "salus-main-health"
    own = redis.Redis(host="127.0.0.1", port=stack.bus.port, username=user, password=stack.bus.passwords[user])
    own.publish("s1:reply:chat.x", "x")
    for words in (("XADD", "s1:rpc:memory", "*", "a", "b"), ("SUBSCRIBE", "s1:reply:chat.x"), ("PSUBSCRIBE", "s1:reply:*"),
                  ("PUBLISH", "s1:reply:auth.x", "x"), ("XRANGE", "s1:rpc:memory", "-", "+")):
        with pytest.raises(redis.exceptions.NoPermissionError):
            own.execute_command(*words)


# ---- time

def test_what_has_expired_is_dropped_unanswered(private_stack):
    health = daemons(private_stack)
    chat, person = Caller(private_stack.bus), client.register(private_stack.daemons[0].url, health.url)
    known(chat, person)
    health.pause()
    call = chat.send(CONTEXT, {"user_id": person.id}, timeout_ms=100)
    time.sleep(0.15)  # the fault: away for so long
    health.resume()
    eventually(lambda: health.metric("salus_rpc_requests_not_run_total", reason="expired") == 1)
    assert chat.replies(call, within=0) == []
    eventually(lambda: is_empty(private_stack.bus))
    assert chat.call(CONTEXT, {"user_id": person.id}).code == "ok"


def test_work_that_has_expired_is_given_up(private_stack):
    health = daemons(private_stack)
    chat, person = Caller(private_stack.bus), client.register(private_stack.daemons[0].url, health.url)
    known(chat, person)
    with locked(private_stack):
        call = chat.send(RECORD, {"user_id": person.id, "events": [MOOD]}, key=new_key(), timeout_ms=200)
        eventually(lambda: is_empty(private_stack.bus))  # while the lock is held still
    assert chat.replies(call, within=0) == []
    assert health.metric("salus_rpc_requests_not_run_total", reason="expired") == 1
    assert events_of(person) == []


# ---- losses

def daemons(stack, **settings):
    stack.daemon("auth")
    return stack.daemon("main-health", **settings)


class locked:
    """Nothing is written to the record meanwhile, and nothing read."""

    def __init__(self, stack):
        self.connection = stack.postgres.connect("salus_health")

    def __enter__(self):
        self.connection.execute("BEGIN")
        self.connection.execute("LOCK TABLE health_events IN ACCESS EXCLUSIVE MODE")

    def __exit__(self, *_):
        self.connection.execute("COMMIT")
        self.connection.close()


def pending(stack) -> int:
    return stack.bus.connect().xpending(STREAM, "rpc")["pending"]


def test_beyond_the_limit_the_answer_is_immediate(private_stack):
    health = daemons(private_stack, SALUS_RPC_CONCURRENCY="2")
    chat, person = Caller(private_stack.bus), client.register(private_stack.daemons[0].url, health.url)
    known(chat, person)
    with locked(private_stack):
        running = [chat.send(CONTEXT, {"user_id": person.id}) for _ in range(2)]
        eventually(lambda: pending(private_stack) == 2)
        began = time.monotonic()
        reply = chat.call(CONTEXT, {"user_id": person.id})
        assert reply.code == "overloaded" and reply.data["retry_after_s"] == 1
        assert time.monotonic() - began < 2
    assert {chat.replies(call)[0].code for call in running} == {"ok"}
    assert chat.call(CONTEXT, {"user_id": person.id}).code == "ok"


def test_a_callee_that_is_killed_is_replaced(private_stack):
    first = daemons(private_stack)
    chat, person = Caller(private_stack.bus), client.register(private_stack.daemons[0].url, first.url)
    known(chat, person)
    key = new_key()
    with locked(private_stack):
        call = chat.send(RECORD, {"user_id": person.id, "events": [SQUATS]}, key=key, timeout_ms=30_000)
        eventually(lambda: pending(private_stack) == 1)
        first.kill()
        private_stack.daemons.remove(first)
        second = private_stack.daemon("main-health", name="replica", start=False)
        second.start()
    replies = chat.replies(call, within=20)
    assert [reply.code for reply in replies] == ["ok"]
    assert second.metric("salus_rpc_requests_not_run_total", reason="taken_over") == 1
    rows = private_stack.postgres.rows("salus_health", "SELECT count(*) FROM health_events WHERE user_id = %s", person.id)
    assert rows == [(1,)]
    eventually(lambda: is_empty(private_stack.bus))


def test_replicas_share_the_calls(private_stack):
    """Two daemons of two workers each; every call is answered once, by one of them."""
    first = daemons(private_stack, SALUS_WORKERS="2")
    second = private_stack.daemon("main-health", name="replica", SALUS_WORKERS="2")
    chat, person = Caller(private_stack.bus), client.register(private_stack.daemons[0].url, first.url)
    known(chat, person)
    calls = [chat.send(RECORD, {"user_id": person.id, "events": [MOOD]}, key=new_key(), timeout_ms=30_000) for _ in range(300)]
    assert [[reply.code for reply in chat.replies(call, within=30)] for call in calls] == [["ok"]] * 300
    assert len({chat.replies(call)[0].data["items"][0]["id"] for call in calls}) == 300
    shares = [daemon.metric("salus_rpc_requests_total", method=RECORD, outcome="ok") for daemon in (first, second)]
    assert sum(shares) == 300 and min(shares) > 0, shares
    eventually(lambda: is_empty(private_stack.bus))


def test_redis_goes_and_comes_back(private_stack):
    health = daemons(private_stack)
    person = client.register(private_stack.daemons[0].url, health.url)
    known(Caller(private_stack.bus), person)
    for empty in (False, True):
        private_stack.bus.kill()
        if empty:
            private_stack.bus.empty()
        private_stack.bus.start()
        chat = Caller(private_stack.bus)
        # The group is made anew; until then a request waits in the stream, or finds none.
        eventually(lambda chat=chat: chat.replies(chat.send(CONTEXT, {"user_id": person.id}, timeout_ms=500), within=0.5),
                   within=30, what="it answers again")
        assert chat.call(CONTEXT, {"user_id": person.id}).code == "ok"


def test_the_store_is_gone(private_stack):
    health = daemons(private_stack)
    chat, person = Caller(private_stack.bus), client.register(private_stack.daemons[0].url, health.url)
    known(chat, person)
    private_stack.postgres.kill()
    eventually(health.is_unready)
    reply = chat.call(CONTEXT, {"user_id": person.id})
    assert reply.code == "unavailable" and reply.data["retry_after_s"] > 0
    private_stack.postgres.start()
    eventually(lambda: chat.call(CONTEXT, {"user_id": person.id}).code == "ok", within=30)


def test_a_drain_finishes_what_runs(private_stack):
    health = daemons(private_stack)
    chat, person = Caller(private_stack.bus), client.register(private_stack.daemons[0].url, health.url)
    known(chat, person)
    with locked(private_stack):
        call = chat.send(RECORD, {"user_id": person.id, "events": [MOOD]}, key=new_key())
        eventually(lambda: pending(private_stack) == 1)
        health.signal(signal.SIGTERM)
        eventually(lambda: not accepts(health), what="it takes nothing more")
    assert chat.replies(call)[0].code == "ok"
    assert health.popen.wait(20) == 0
    private_stack.daemons.remove(health)
    assert private_stack.bus.connect().xinfo_consumers(STREAM, "rpc") == []


def accepts(daemon) -> bool:
    try:
        client.Api(daemon.url).get("/healthz")
        return True
    except Exception:
        return False
