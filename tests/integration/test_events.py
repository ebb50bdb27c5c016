"""The health record through the running daemon: one fact, its versions, the timeline, days, health data, old paths."""

import concurrent.futures
import datetime
import json
import socket
import time
import uuid
import zoneinfo

import pytest
from support import client
from support.client import problem
from support.waiting import eventually

MOOD = {"event_type": "mood", "event_subtype": "quick_checkin", "event_data": {"mood": "calm", "confidence": 7}}


def weight(value, **more):
    return {"event_type": "vital", "event_subtype": "weight", "event_data": {"value": value, "unit": "kg"}, **more}


def at(person, zone):
    """Waits until main-health knows in which zone the person is."""
    def known():
        answer = person.health.post("/v1/health-events", json=MOOD)
        assert answer.status_code == 201, answer.text
        return answer.json()["time_zone"] == zone

    eventually(known, what=f"zone {zone}")
    return person


def record(person, event, **headers):
    answer = person.health.post("/v1/health-events", json=event, headers=headers)
    assert answer.status_code == 201, answer.text
    return answer.json()


def items(person, **query):
    answer = person.health.get("/v1/health-events", params=query)
    assert answer.status_code == 200, answer.text
    return answer.json()["items"]


# ---- one fact

def test_a_fact_is_stored_and_read(patient):
    person = patient()
    stored = record(person, weight(71.2345678901234, occurred_at="2026-03-01T08:30:00.5+02:00", source="scale"))
    assert stored["user_id"] == person.id
    assert stored["version"] == 1 and stored["status"] == "recorded" and stored["flags"] == []
    assert stored["occurred_at"] == "2026-03-01T06:30:00.5Z"
    answer = person.health.get(f"/v1/health-events/{stored['id']}")
    assert answer.status_code == 200
    assert answer.json() == stored
    assert '71.2345678901234' in answer.text
    again = person.health.get(f"/v1/health-events/{stored['id']}", headers={"If-None-Match": answer.headers["etag"]})
    assert again.status_code == 304


@pytest.mark.parametrize("event", [
    MOOD,
    {"event_type": "medication", "event_subtype": "as_needed",
     "event_data": {"status": "taken", "name": "Ibuprofen", "dose": {"value": 400, "unit": "mg"}, "time": "08:30"}},
    {"event_type": "symptom", "event_subtype": "side_effect",
     "event_data": {"symptoms": ["bloating", "עייפות"], "severity": 6, "triggers": ["injection"]}},
    {"event_type": "assessment", "event_subtype": "phq4", "event_data": {"answers": [{"item": "1", "value": 3}]}},
    {"event_type": "vital", "event_subtype": "blood_pressure", "event_data": {"systolic": 120, "diastolic": 80}},
    {"event_type": "treatment", "event_subtype": "infusion", "event_data": {"name": "Iron", "status": "completed"}},
    {"event_type": "appointment", "event_subtype": "visit", "event_data": {"title": "Dentist", "status": "booked"}},
    {"event_type": "note", "event_subtype": "journal", "event_data": {"text": "שלום\n\t\"quoted\" 🙂"}},
], ids=lambda event: event["event_type"])
def test_all_types(patient, event):
    person = patient()
    stored = record(person, event)
    assert stored["event_data"] == event["event_data"]
    assert items(person, event_type=event["event_type"]) == [stored]


@pytest.mark.parametrize("body, pointer", [
    (weight(651), "/event_data/value"),
    (weight("71"), "/event_data/value"),
    ({**weight(71), "event_subtype": "wait"}, "/event_subtype"),
    ({**MOOD, "extra": 1}, "/extra"),
    ({"event_type": "mood"}, "/event_data"),
    ({**MOOD, "event_type": "moods"}, "/event_type"),
    ({**MOOD, "occurred_at": "9999-01-01T00:00:00Z"}, "/occurred_at"),
    ({**MOOD, "occurred_at": "0001-01-01T00:00:00Z"}, "/occurred_at"),
    ({**MOOD, "occurred_at": "yesterday"}, "/occurred_at"),
    ({**MOOD, "time_zone": "Mars/Olympus"}, "/time_zone"),
    ({"event_type": "vital", "event_subtype": "blood_pressure", "event_data": {"systolic": 80, "diastolic": 90}},
     "/event_data/diastolic"),
])
def test_bad_facts_are_refused_at_the_place(patient, body, pointer):
    person = patient()
    problem(person.health.post("/v1/health-events", json=body), 422, "invalid", pointer)
    assert items(person) == []


@pytest.mark.parametrize("raw", [b"", b"{", b'{"a":1,"a":2}', b'"\xff"', b"[" * 3000, b'{"event_type":"mo\x00od"}'])
def test_bytes_that_are_no_json(patient, raw):
    answer = patient().health.post("/v1/health-events", content=raw, headers={"Content-Type": "application/json"})
    assert answer.status_code in (400, 422), answer.text
    assert answer.headers["content-type"] == "application/problem+json"


def test_unusual_values_are_flagged(patient):
    person = patient()
    assert record(person, weight(400))["flags"] == ["unusually_high"]
    assert record(person, weight(1))["flags"] == ["unusually_low"]


def test_others_see_nothing(patient):
    owner, other = patient(), patient()
    event = record(owner, MOOD)
    problem(other.health.get(f"/v1/health-events/{event['id']}"), 404, "not_found")
    problem(other.health.get(f"/v1/health-events/{event['id']}/history"), 404, "not_found")
    problem(other.health.post(f"/v1/health-events/{event['id']}/void", json={"reason": "x"}), 404, "not_found")
    problem(other.health.post(f"/v1/health-events/{event['id']}/corrections", headers={"If-Match": '"1"'},
                              json={"event": MOOD, "reason": "x"}), 404, "not_found")
    assert items(other) == []


# ---- idempotency

def test_a_key_stores_once(patient):
    person = patient()
    key = {"Idempotency-Key": str(uuid.uuid4())}
    first = person.health.post("/v1/health-events", json=weight(70), headers=key)
    again = person.health.post("/v1/health-events", json=weight(70), headers=key)
    assert first.status_code == 201 and again.status_code == 200
    assert again.headers["idempotency-replayed"] == "true"
    assert again.content == first.content
    problem(person.health.post("/v1/health-events", json=weight(71), headers=key), 422, "idempotency_conflict")
    assert len(items(person)) == 1
    assert record(patient(), weight(71), **key)["version"] == 1  # keys are each person's own


def test_a_raced_key_stores_once(patient):
    person = patient()
    key = {"Idempotency-Key": str(uuid.uuid4())}
    with concurrent.futures.ThreadPoolExecutor(16) as pool:
        answers = list(pool.map(lambda _: person.health.post("/v1/health-events", json=MOOD, headers=key), range(64)))
    assert {answer.status_code for answer in answers} <= {200, 201, 409}
    assert sum(answer.status_code == 201 for answer in answers) == 1
    answers.append(person.health.post("/v1/health-events", json=MOOD, headers=key))
    assert answers[-1].status_code == 200
    assert len({answer.json()["id"] for answer in answers if answer.status_code != 409}) == 1
    assert len(items(person)) == 1


def test_a_key_that_is_at_work_is_said_so_at_once(health, stack, patient):
    person = patient()
    key = {"Idempotency-Key": str(uuid.uuid4())}
    with concurrent.futures.ThreadPoolExecutor(1) as pool:
        with stack.postgres.connect("salus_health") as blocker, blocker.transaction():
            blocker.execute("LOCK TABLE health_events IN EXCLUSIVE MODE")
            first = pool.submit(person.health.post, "/v1/health-events", json=MOOD, headers=key)
            eventually(lambda: stack.postgres.rows("salus_health", "SELECT FROM pg_locks WHERE NOT granted"))
            begin = time.monotonic()
            second = person.health.post("/v1/health-events", json=MOOD, headers=key)
            assert time.monotonic() - begin < 2
            problem(second, 409, "idempotency_in_progress")
            assert int(second.headers["retry-after"]) > 0
        assert first.result().status_code == 201
    again = person.health.post("/v1/health-events", json=MOOD, headers=key)
    assert again.status_code == 200 and again.json() == first.result().json()


@pytest.fixture(scope="module")
def replica(stack, health):
    """A second main-health over the same stores."""
    daemon = stack.daemon("main-health", name="main-health-2")
    yield daemon
    assert daemon.stop() == 0


def at_other(person, replica):
    api = client.Api(replica.url, person.token)
    eventually(lambda: api.get("/v1/health-events").status_code == 200, what="the replica knows the person")
    return api


@pytest.mark.parametrize("here_first", [True, False])
def test_a_key_that_is_at_work_elsewhere_is_said_so_at_once(stack, patient, replica, here_first):
    person = patient()
    first_at, second_at = (person.health, at_other(person, replica))[::1 if here_first else -1]
    key = {"Idempotency-Key": str(uuid.uuid4())}
    with concurrent.futures.ThreadPoolExecutor(2) as pool:
        with stack.postgres.connect("salus_health") as blocker, blocker.transaction():
            blocker.execute("LOCK TABLE health_events IN EXCLUSIVE MODE")
            first = pool.submit(first_at.post, "/v1/health-events", json=MOOD, headers=key)
            eventually(lambda: stack.postgres.rows("salus_health", "SELECT FROM pg_locks WHERE NOT granted"))
            second = pool.submit(second_at.post, "/v1/health-events", json=MOOD, headers=key).result(timeout=5)
            problem(second, 409, "idempotency_in_progress")
            assert int(second.headers["retry-after"]) > 0
            assert not first.done()
        assert first.result().status_code == 201
    for api in (second_at, first_at):
        again = api.post("/v1/health-events", json=MOOD, headers=key)
        assert again.status_code == 200 and again.json() == first.result().json()
    assert len(items(person)) == 1


def test_a_line_whose_key_is_at_work_elsewhere_is_said_so_at_once(stack, patient, replica):
    """And a batch that is at work is not waited for either."""
    person = patient()
    other = at_other(person, replica)
    keys = [str(uuid.uuid4()) for _ in range(3)]

    def single(api, key: str):
        return api.post("/v1/health-events", json=MOOD, headers={"Idempotency-Key": key})

    with concurrent.futures.ThreadPoolExecutor(2) as pool:
        with stack.postgres.connect("salus_health") as blocker, blocker.transaction():
            blocker.execute("LOCK TABLE health_events IN EXCLUSIVE MODE")
            first = pool.submit(single, person.health, keys[0])
            eventually(lambda: stack.postgres.rows("salus_health", "SELECT FROM pg_locks WHERE NOT granted"))
            (line,) = pool.submit(send_batch, person, [MOOD | {"key": keys[0]}], at=other).result(timeout=5)
            assert (line["status"], line["problem"]["code"]) == (409, "idempotency_in_progress")
            lines = pool.submit(send_batch, person, [MOOD | {"key": key} for key in keys[1:]])
            eventually(lambda: len(stack.postgres.rows("salus_health", "SELECT FROM pg_locks WHERE NOT granted")) == 2)
            problem(single(other, keys[2]), 409, "idempotency_in_progress")
            assert not first.done() and not lines.done()
        assert first.result().status_code == 201
        assert [line["status"] for line in lines.result()] == [201, 201]
    assert len(items(person)) == 3


def test_a_correction_at_work_elsewhere_is_said_so_at_once(stack, patient, replica):
    person = patient()
    other = at_other(person, replica)
    path = f"/v1/health-events/{record(person, weight(70))['id']}/void"
    key = {"Idempotency-Key": str(uuid.uuid4())}
    with concurrent.futures.ThreadPoolExecutor(2) as pool:
        with stack.postgres.connect("salus_health") as blocker, blocker.transaction():
            blocker.execute("LOCK TABLE health_events IN EXCLUSIVE MODE")
            first = pool.submit(person.health.post, path, json={"reason": "a mistake"}, headers=key)
            eventually(lambda: stack.postgres.rows("salus_health", "SELECT FROM pg_locks WHERE NOT granted"))
            second = pool.submit(other.post, path, json={"reason": "a mistake"}, headers=key).result(timeout=5)
            problem(second, 409, "idempotency_in_progress")
        assert first.result().status_code == 201
    again = other.post(path, json={"reason": "a mistake"}, headers=key)
    assert again.status_code == 200 and again.json() == first.result().json()


# ---- the timeline

def test_pages_stay_right_while_facts_arrive(patient):
    person = patient()
    for minute in range(25):
        record(person, {**MOOD, "occurred_at": f"2026-01-01T00:{minute:02}:00Z"})
    seen, cursor = [], None
    while True:
        answer = person.health.get("/v1/health-events", params={"limit": 7, **({"cursor": cursor} if cursor else {})})
        page = answer.json()
        seen += [event["occurred_at"] for event in page["items"]]
        record(person, MOOD)
        cursor = page.get("next_cursor")
        if not cursor:
            break
    assert seen == sorted(seen, reverse=True)
    assert len(seen) == 25


def test_filters_and_their_faults(patient):
    person = patient()
    for hour in range(4):
        record(person, {**MOOD, "occurred_at": f"2026-01-01T0{hour}:00:00Z"})
    record(person, weight(70, occurred_at="2026-01-01T02:30:00Z"))
    assert len(items(person, event_type="mood")) == 4
    assert len(items(person, event_type="vital", event_subtype="weight")) == 1
    assert len(items(person, event_type="vital", event_subtype="height")) == 0
    times = {"from": "2026-01-01T01:00:00Z", "to": "2026-01-01T03:00:00Z"}
    assert len(items(person, **times)) == 3  # 01:00, 02:00, 02:30
    assert len(items(person, event_subtype="weight")) == 1
    assert len(items(person, event_type="mood", event_subtype="weight")) == 0
    problem(person.health.get("/v1/health-events", params={"event_subtype": "other"}), 400, None, "/query/event_type")
    problem(person.health.get("/v1/health-events", params={"event_subtype": "wait"}), 400, None, "/query/event_subtype")
    problem(person.health.get("/v1/health-events", params={"limit": 0}), 400, None, "/query/limit")
    problem(person.health.get("/v1/health-events", params={"cursor": "made-up"}), 400, None, "/query/cursor")
    cursor = person.health.get("/v1/health-events", params={"limit": 1}).json()["next_cursor"]
    for wrong in ({"cursor": cursor, "event_type": "mood"}, {"cursor": cursor[:-2] + "AA"}):
        problem(person.health.get("/v1/health-events", params=wrong), 400, None, "/query/cursor")
    problem(patient().health.get("/v1/health-events", params={"cursor": cursor}), 400, None, "/query/cursor")


# ---- corrections and voids

def test_a_correction_appends_a_version(patient):
    person = patient()
    event = record(person, weight(17, occurred_at="2026-01-01T08:00:00Z"))
    path = f"/v1/health-events/{event['id']}"
    body = {"event": weight(71), "reason": "typing error"}
    problem(person.health.post(f"{path}/corrections", json=body), 428, "precondition_required")
    problem(person.health.post(f"{path}/corrections", json=body, headers={"If-Match": '"2"'}), 412)
    problem(person.health.post(f"{path}/corrections", json={"event": weight(7100), "reason": "x"},
                               headers={"If-Match": '"1"'}), 422, "invalid", "/event/event_data/value")
    problem(person.health.post(f"{path}/corrections", json={"event": MOOD, "reason": "x"},
                               headers={"If-Match": '"1"'}), 422, "invalid", "/event/event_type")
    headers = {"If-Match": '"1"', "Idempotency-Key": str(uuid.uuid4())}
    amended = person.health.post(f"{path}/corrections", json=body, headers=headers)
    assert amended.status_code == 201, amended.text
    assert amended.json()["version"] == 2 and amended.json()["status"] == "amended"
    assert amended.json()["occurred_at"] == event["occurred_at"]
    assert amended.headers["etag"] == '"2"'
    replay = person.health.post(f"{path}/corrections", json=body, headers=headers)
    assert replay.status_code == 200 and replay.content == amended.content
    problem(person.health.post(f"{path}/corrections", json=body, headers={"If-Match": '"1"'}), 412, "precondition_failed")
    assert [e["event_data"]["value"] for e in items(person)] == [71]
    history = person.health.get(f"{path}/history").json()["items"]
    assert [(e["version"], e["event_data"]["value"]) for e in history] == [(2, 71), (1, 17)]
    assert history[0]["reason"] == "typing error" and "reason" not in history[1]


def test_two_corrections_at_once(patient):
    person = patient()
    path = f"/v1/health-events/{record(person, weight(70))['id']}/corrections"

    def correct(value):
        return person.health.post(path, headers={"If-Match": '"1"'}, json={"event": weight(value), "reason": "x"}).status_code

    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        assert sorted(pool.map(correct, range(60, 68))) == [201] + [412] * 7


def test_a_void_hides_and_is_kept(patient):
    person = patient()
    event = record(person, MOOD)
    path = f"/v1/health-events/{event['id']}"
    problem(person.health.post(f"{path}/void", json={}), 422, "invalid", "/reason")
    assert person.health.post(f"{path}/void", json={"reason": "not me"}).status_code == 201
    assert person.health.post(f"{path}/void", json={"reason": "again"}).status_code == 200
    assert items(person) == []
    assert [e["status"] for e in items(person, include_voided="true")] == ["entered_in_error"]
    assert person.health.get(path).json()["status"] == "entered_in_error"
    assert len(person.health.get(f"{path}/history").json()["items"]) == 2
    problem(person.health.post(f"{path}/corrections", headers={"If-Match": '"2"'}, json={"event": MOOD, "reason": "x"}),
            409, "conflict")


# ---- batches

def send_batch(person, lines, at=None):
    body = "".join(line if isinstance(line, str) else json.dumps(line) + "\n" for line in lines)
    answer = (at or person.health).post("/v1/health-events/batch", content=body, headers={"Content-Type": "application/x-ndjson"})
    assert answer.status_code == 200, answer.text
    return [json.loads(line) for line in answer.text.splitlines()]


def test_each_line_gets_its_answer(patient):
    person = patient()
    answers = send_batch(person, [
        {**MOOD, "key": "k"}, "{broken\n", "\n", {**MOOD, "key": "k"}, weight(70, key="k"), weight(9999),
        {"event_type": "note", "event_subtype": "general", "event_data": {"text": "x" * 300000}}, json.dumps(weight(72)),
    ])
    assert [(a["line"], a["status"]) for a in answers] == [
        (1, 201), (2, 400), (4, 200), (5, 422), (6, 422), (7, 413), (8, 201)]
    assert answers[0]["id"] == answers[2]["id"]
    assert answers[3]["problem"]["code"] == "idempotency_conflict"
    assert answers[4]["problem"]["errors"][0]["pointer"] == "/event_data/value"
    assert sorted(e["id"] for e in items(person)) == sorted([answers[0]["id"], answers[6]["id"]])


def test_ten_thousand_lines(stack, patient):
    person = patient()
    lines = [weight(50 + i % 50, occurred_at=f"2026-01-{1 + i % 28:02}T{i % 24:02}:00:00Z") for i in range(10_000)]
    answers = send_batch(person, lines)
    assert [a["line"] for a in answers] == list(range(1, 10_001))
    assert {a["status"] for a in answers} == {201}
    stored = stack.postgres.rows("salus_health", "SELECT id::text FROM health_events WHERE user_id = %s", person.id)
    assert {row[0] for row in stored} == {a["id"] for a in answers}


def test_a_client_that_sends_everything_before_it_reads(patient):
    count = 60_000  # answers of 4 MB: more than sockets hold
    answers = send_batch(patient(), [json.dumps(MOOD) + "\n"] * count)
    assert [a["line"] for a in answers] == list(range(1, count + 1))
    assert {a["status"] for a in answers} == {201}


def test_a_client_that_goes_away_in_a_batch(health, patient):
    person = patient()
    head = (f"POST /v1/health-events/batch HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {person.token}\r\n"
            "Content-Type: application/x-ndjson\r\nTransfer-Encoding: chunked\r\n\r\n")
    line = json.dumps(MOOD) + "\n"
    with socket.create_connection(("127.0.0.1", health.port)) as connection:
        connection.sendall(head.encode() + f"{len(line) * 3000:x}\r\n".encode() + (line * 2500).encode())
    eventually(lambda: len(items(person, limit=200)) == 200)  # whole chunks were stored
    assert health.is_ready()


def test_an_empty_batch(patient):
    answer = patient().health.post("/v1/health-events/batch", headers={"Content-Type": "application/x-ndjson"})
    problem(answer, 400, "bad_request")


# ---- days

def test_a_day_is_the_persons_own(patient):
    person = at(patient(time_zone="Asia/Jerusalem"), "Asia/Jerusalem")
    record(person, {**MOOD, "occurred_at": "2026-01-01T21:59:00Z"})  # 23:59
    record(person, {**MOOD, "occurred_at": "2026-01-01T22:00:00Z"})  # the next day
    record(person, {**MOOD, "occurred_at": "2026-01-01T23:30:00Z", "time_zone": "America/New_York"})  # 18:30 there
    days = {day: person.health.get(f"/v1/days/{day}/summary").json() for day in ("2026-01-01", "2026-01-02")}
    assert days["2026-01-01"]["mood"]["count"] == 2
    assert days["2026-01-02"]["mood"]["count"] == 1
    assert days["2026-01-01"]["time_zone"] == "Asia/Jerusalem"
    assert days["2026-01-01"]["starts_at"] == "2025-12-31T22:00:00Z"


def test_what_a_day_says(patient):
    person = patient()
    day = "2026-02-03"
    for value, hour in ((60, 8), (90, 9), (75, 10)):
        record(person, {"event_type": "vital", "event_subtype": "heart_rate", "occurred_at": f"{day}T{hour:02}:00:00Z",
                        "event_data": {"value": value, "unit": "/min"}})
    for source, start, end, steps in (("phone", 0, 30, 800), ("watch", 15, 45, 1000)):
        record(person, {"event_type": "vital", "event_subtype": "steps", "source": source,
                        "occurred_at": f"{day}T12:{start:02}:00Z", "ended_at": f"{day}T12:{end:02}:00Z",
                        "event_data": {"value": steps, "unit": "{steps}"}})
    record(person, {"event_type": "vital", "event_subtype": "sleep", "occurred_at": "2026-02-02T22:00:00Z",
                    "ended_at": f"{day}T06:00:00Z", "event_data": {"total_duration": 450, "sleep_quality": 80}})
    voided = record(person, {**MOOD, "occurred_at": f"{day}T13:00:00Z"})
    person.health.post(f"/v1/health-events/{voided['id']}/void", json={"reason": "x"})
    summary = person.health.get(f"/v1/days/{day}/summary").json()
    assert summary["vitals"]["min_heart_rate"] == 60 and summary["vitals"]["avg_heart_rate"] == 75
    assert summary["activity"]["steps"] == 1400
    assert summary["sleep"]["total_duration"] == 450 and summary["sleep"]["wake_time"] == f"{day}T06:00:00Z"
    assert "mood" not in summary
    assert {c["event_type"]: c["count"] for c in summary["counts"]} == {"vital": 6}
    problem(person.health.get("/v1/days/2026-02-30/summary"), 400, None, "/path/date")


def test_days_in_a_row_and_points(patient):
    """Of what the person recorded; devices alone keep no streak, and what is voided never was."""
    person = patient(time_zone="Asia/Jerusalem")
    here = datetime.datetime.now(zoneinfo.ZoneInfo("Asia/Jerusalem"))

    def progress() -> dict:
        answer = person.health.get("/v1/days/progress")
        assert answer.status_code == 200, answer.text
        return answer.json()

    def days_ago(days: int, event: dict) -> dict:
        return record(person, {**event, "occurred_at": (here - datetime.timedelta(days=days)).isoformat(), "time_zone": "Asia/Jerusalem"})

    nothing = {"days": 0, "current_streak": 0, "longest_streak": 0, "xp": 0}
    first = progress()
    assert {key: first[key] for key in nothing} == nothing and "last_day" not in first
    assert first["user_id"] == person.id
    days_ago(0, weight(70))
    assert progress()["days"] == 0
    for days in (1, 2, 3, 7, 7):
        days_ago(days, MOOD)
    some = progress()
    assert (some["days"], some["current_streak"], some["longest_streak"], some["xp"]) == (4, 3, 3, 40)
    assert some["last_day"] == (here.date() - datetime.timedelta(days=1)).isoformat()
    today = days_ago(0, MOOD)
    assert (progress()["current_streak"], progress()["xp"]) == (4, 50)
    person.health.post(f"/v1/health-events/{today['id']}/void", json={"reason": "x"})
    assert (progress()["current_streak"], progress()["xp"]) == (3, 40)
    days_ago(-3, {"event_type": "appointment", "event_subtype": "visit", "event_data": {"title": "dentist", "status": "booked"}})
    assert (progress()["days"], progress()["last_day"]) == (4, some["last_day"]), "what is planned has not been"
    days_ago(4, MOOD)
    assert (progress()["current_streak"], progress()["longest_streak"]) == (4, 4)
    assert patient().health.get("/v1/days/progress").json()["days"] == 0


# ---- latest vitals, health data, preferences

def test_latest_vitals_follow_changes(patient):
    person = patient()
    assert person.health.get("/v1/vitals/latest").json()["items"] == []
    for value in (70, 71, 72):
        record(person, weight(value))
        eventually(lambda value=value: [v["event_data"]["value"] for v in
                                        person.health.get("/v1/vitals/latest").json()["items"]] == [value])
    problem(person.health.get("/v1/vitals/latest", headers={"Authorization": "Bearer nonsense"}), 401)


@pytest.mark.parametrize("path, value", [
    ("/v1/health-data", {"height": 171.5, "weight": 70.1, "blood_type": "0 Rh−", "allergies": "nuts", "medications": "",
                         "medical_history": "line\nline", "last_checkup": "2026-02-28"}),
    ("/v1/health-preferences", {"age": 40, "relationship_status": "married", "work_status": "employed", "work_type": "nurse",
                                "sports": "swimming", "hobbies": "chess", "therapy_goals": "sleep",
                                "preferred_communication": "chat"}),
])
def test_what_is_known_of_the_person(patient, path, value):
    person = patient()
    before = person.health.get(path)
    assert before.status_code == 200 and before.json()["version"] == 0
    first = person.health.put(path, json=value, headers={"If-Match": before.headers["etag"]})
    assert first.status_code == 200, first.text
    assert first.json() == value | {"user_id": person.id, "version": 1, "updated_at": first.json()["updated_at"]}
    problem(person.health.put(path, json={}, headers={"If-Match": '"0"'}), 412)
    second = person.health.put(path, json={})
    assert second.json().keys() == {"user_id", "version", "updated_at"} and second.json()["version"] == 2
    assert person.health.get(path).json() == second.json()
    assert patient().health.get(path).json()["version"] == 0


# ---- what the bus hears

def test_facts_reach_the_bus(stack, patient):
    stream = stack.events("main-health")
    person = patient()
    event = record(person, {"event_type": "medication", "event_subtype": "scheduled", "occurred_at": "2026-01-01T08:30:00Z",
                            "event_data": {"status": "taken", "name": "x", "time": "08:30"}})
    taken = stream.wait_for("medication.taken.v1", person.id)[0]["data"]
    assert taken["event_id"] == event["id"] and taken["time"] == "08:30" and taken["local_date"] == "2026-01-01"
    updated = stream.wait_for("health.updated.v1", person.id)[0]["data"]
    assert updated == {"user_id": person.id, "count": 1, "event_types": ["medication"], "event_ids": [event["id"]],
                       "from_date": "2026-01-01", "to_date": "2026-01-01"}
    send_batch(person, [weight(70 + i, occurred_at=f"2026-01-{1 + i:02}T08:00:00Z") for i in range(20)])
    of_batch = stream.wait_for("health.updated.v1", person.id, count=2)[1]["data"]
    assert of_batch["count"] == 20 and of_batch["to_date"] == "2026-01-20" and len(of_batch["event_ids"]) == 20


# ---- the paths of Schema V2

def test_old_paths_store_the_same(patient):
    person = patient()
    old = person.health.post("/api/health-events", json={"type": "symptom", "data": {"symptoms": ["nausea"], "severity": 3},
                                                         "occurred_at": "2026-01-01T08:00:00Z"})
    assert old.status_code == 201, old.text
    assert old.json()["event_subtype"] == "general"
    assert person.health.get("/api/health-events", params={"event_type": "symptom"}).json()["items"] == [old.json()]
    problem(person.health.post("/api/health-events", json={"type": "vital", "subtype": "weight",
                                                           "data": {"value": 9999, "unit": "kg"}}), 422, None, "/data/value")
    problem(person.health.post("/api/health-events", json={"type": "mood", "data": {"mood": 1}}), 422, None, "/data/mood")
    problem(person.health.post("/api/health-events", json={"type": "vital", "data": {}}), 422, None, "/subtype")


def test_checkins(patient):
    person = patient()
    key = {"Idempotency-Key": str(uuid.uuid4())}
    body = {"mood_today": "anxious", "confidence_today": 7, "anxiety_level": 4, "side_effects": ["mild headache"]}
    first = person.health.post("/api/checkins", json=body, headers=key)
    assert first.status_code == 201, first.text
    assert first.json() | body == first.json()
    assert person.health.post("/api/checkins", json=body, headers=key).json() == first.json()
    event = items(person, event_type="mood", event_subtype="daily_checkin")
    assert len(event) == 1 and event[0]["id"] == first.json()["id"]
    assert event[0]["event_data"]["side_effects"] == ["mild headache"]
    today = datetime.datetime.now(datetime.UTC).date().isoformat()
    assert person.health.get(f"/v1/days/{today}/summary").json()["mood"]["latest"] == "anxious"
