"""Faults around reminders: each planned time ends in one state, each message goes out once, whatever is gone meanwhile."""

import json
from collections import Counter
from datetime import UTC, datetime, timedelta

import pytest
from support.client import Api, register
from support.load import Reminder
from support.mail import SinkThread
from support.stack import Stack
from support.waiting import eventually

NAME = "salus_scheduler"


@pytest.fixture
def sink(tmp_path):
    with SinkThread(tmp_path / "mail") as running:
        yield running


@pytest.fixture
def scheduler(private_stack, sink):
    private_stack.daemon("auth")
    return private_stack.daemon("scheduler", SALUS_SMTP_URL=f"smtp://127.0.0.1:{sink.port}", SALUS_SMTP_TIMEOUT="2s",
                                SALUS_EMAIL_RETRY="1s,1s,1s")


def people(stack, scheduler, count: int = 1):
    made = [register(stack.daemons[0].url) for _ in range(count)]
    for one in made:
        one.api = Api(scheduler.url, one.token)
    ids = [one.id for one in made]
    eventually(lambda: len(stack.postgres.rows(NAME, "SELECT FROM user_contacts WHERE user_id = ANY(%s::uuid[])", ids)) == count,
               what="accounts are known")
    return made


def rfc(at: datetime) -> str:
    return at.strftime("%Y-%m-%dT%H:%M:%SZ")


def in_seconds(seconds: float) -> datetime:
    """That many seconds from now, or up to one more: times are whole seconds."""
    return (datetime.now(UTC) + timedelta(seconds=seconds + 1)).replace(microsecond=0)


def schedule(person, at: datetime, **about) -> dict:
    answer = person.api.post("/v1/schedules", json={"name": "take it", "cron_expression": f"@at {rfc(at)}"} | about)
    assert answer.status_code == 201, answer.text
    return answer.json()


def states(stack) -> Counter:
    return Counter(state for state, in stack.postgres.rows(NAME, "SELECT state FROM occurrences"))


FIRED, MISSED = 1, 3


# ---- replicas

@pytest.mark.timeout(120)
def test_two_replicas_send_a_thousand_reminders_once(house, ledger):
    before = house.sink.count
    ledger.make(1000, [(Reminder, 1)]).check()
    assert house.sink.count - before == 1000 and not house.sink.complaints
    told = [event.data["delivery_id"] for event in ledger.written("scheduler").values() if event.kind == "reminder.delivered.v1"]
    assert len(set(told)) == len(told) == 1000
    shares = [daemon.metric("salus_reminders_sent_total") for daemon in house.replicas["scheduler"]]
    assert min(shares) > 0, shares


def test_a_killed_sender_is_replaced(private_stack, scheduler, sink):
    dana, = people(private_stack, scheduler)
    hanging = []
    sink.sink.fault = lambda stage, to: "hang" if stage == "data" and not hanging else None
    schedule(dana, in_seconds(1))
    eventually(lambda: private_stack.postgres.rows(NAME, "SELECT FROM deliveries WHERE state = 2"), within=20, what="it is being sent")
    scheduler.kill()
    hanging.append("no more")
    with private_stack.postgres.connect(NAME) as connection:  # its lease ends
        connection.execute("UPDATE delivery_queue SET due_at = now()")
    private_stack.daemon("scheduler", name="next", SALUS_SMTP_URL=f"smtp://127.0.0.1:{sink.port}")
    eventually(lambda: sink.sink.messages(dana.email), within=20)
    assert states(private_stack) == {FIRED: 1}


# ---- fault 15: PostgreSQL is down when reminders come due

@pytest.mark.timeout(180)
def test_postgres_is_down_when_they_come_due(private_stack, scheduler, sink):
    dana, = people(private_stack, scheduler)
    at = in_seconds(3)
    within = [schedule(dana, at, overlap_policy="allow") for _ in range(20)]
    strict = [schedule(dana, at, max_lateness_s=1) for _ in range(20)]
    private_stack.postgres.kill()
    eventually(lambda: datetime.now(UTC) > at + timedelta(seconds=4), within=20, what="their time has passed")
    assert sink.sink.count == 0
    private_stack.postgres.start()
    eventually(lambda: sink.sink.count >= 20, within=60, what="20 messages")
    eventually(lambda: states(private_stack) == {FIRED: 20, MISSED: 20}, within=30)
    eventually(lambda: not private_stack.postgres.rows(NAME, "SELECT FROM delivery_queue"), within=30)
    assert len({message["Message-ID"] for message in sink.sink.messages()}) == sink.sink.count == 20
    eventually(scheduler.is_ready)
    for made in (within[0], strict[0]):
        run, = dana.api.get(f"/v1/schedules/{made['id']}/runs").json()["items"]
        assert run["state"] == ("fired" if made is within[0] else "missed")


def test_redis_is_down_when_they_come_due(private_stack, scheduler, sink):
    dana, = people(private_stack, scheduler)
    stream = private_stack.events("scheduler")
    schedule(dana, in_seconds(2))
    private_stack.bus.kill()
    eventually(lambda: sink.sink.messages(dana.email), within=30, what="the mail goes out")
    private_stack.bus.start()
    stream.wait_for("reminder.delivered.v1", dana.id, within=60)
    assert len(stream.of("schedule.due.v1", dana.id)) == 1


# ---- the mail server

@pytest.fixture(scope="module")
def office(workspace):
    """Stores, a scheduler and a mail server that all tests of the latter share."""
    stack = Stack(workspace / "office")
    try:
        with SinkThread(stack.folder / "mail") as mail:
            stack.start()
            stack.daemon("auth")
            stack.daemon("scheduler", SALUS_SMTP_URL=f"smtp://127.0.0.1:{mail.port}", SALUS_SMTP_TIMEOUT="2s", SALUS_EMAIL_RETRY="1s,1s,1s")
            stack.sink = mail.sink
            yield stack
    finally:
        stack.stop()


def outcome(dana) -> dict:
    def settled():
        items = dana.api.get("/v1/occurrences").json()["items"]
        return items[0]["deliveries"][0] if items and items[0]["deliveries"][0]["state"] in ("sent", "failed") else None

    return eventually(settled, within=40, what="the message is settled")


@pytest.mark.parametrize(("stage", "wish", "times", "state", "attempts", "failure", "kept"), [
    ("rcpt", "451 later", 1, "sent", 2, None, 1),
    ("connect", "421 busy", 2, "sent", 3, None, 1),
    ("rcpt", "550 nobody of that name", 9, "failed", 1, "refused", 0),
    ("received", "554 spam", 9, "failed", 1, "refused", 0),
    ("mail", "450 greylisted", 99, "failed", 4, "refused", 0),
    ("data", "drop", 1, "sent", 2, None, 1),
    ("received", "drop", 1, "sent", 2, None, 1),
    ("connect", "hang", 1, "sent", 2, None, 1),
    ("received", "hang", 1, "sent", 2, None, 1),
    ("kept", "hang", 1, "sent", 2, None, 2),   # it was taken, but nobody was told: the same message comes again
    ("kept", "drop", 1, "sent", 2, None, 2),
])
@pytest.mark.timeout(120)
def test_what_the_mail_server_does(office, stage, wish, times, state, attempts, failure, kept):
    left = [times]

    def fault(here, _):
        if here != stage or left[0] == 0:
            return None
        left[0] -= 1
        return wish

    scheduler = office.daemons[1]
    if stage == "connect":  # it may have a connection from the test before
        scheduler.stop()
        scheduler.start()
    dana, = people(office, scheduler)
    stream = office.events("scheduler")
    office.sink.fault = fault
    schedule(dana, in_seconds(1))
    delivery = outcome(dana)
    assert (delivery["state"], delivery["attempts"], delivery.get("failure")) == (state, attempts, failure)
    messages = office.sink.messages(dana.email)
    assert len(messages) == kept and len({message["Message-ID"] for message in messages}) <= 1
    kind = "reminder.delivered.v1" if state == "sent" else "reminder.failed.v1"
    told, = stream.wait_for(kind, dana.id)
    assert told["data"]["attempts"] == attempts and told["data"].get("reason") == failure


def test_no_mail_server_at_all(private_stack, sink):
    private_stack.daemon("auth")
    lonely = private_stack.daemon("scheduler", SALUS_EMAIL_RETRY="1s")
    dana, = people(private_stack, lonely)
    schedule(dana, in_seconds(1))
    delivery = outcome(dana)
    assert (delivery["state"], delivery["failure"], delivery["attempts"]) == ("failed", "unreachable", 2)


def test_one_address_is_not_flooded(private_stack, sink):
    private_stack.daemon("auth")
    patient = private_stack.daemon("scheduler", SALUS_SMTP_URL=f"smtp://127.0.0.1:{sink.port}", SALUS_EMAIL_SPACING="2s")
    dana, eve = people(private_stack, patient, 2)
    at = in_seconds(2)
    for _ in range(3):
        schedule(dana, at)
    schedule(eve, at)
    eventually(lambda: sink.sink.count == 4, within=40)
    sent = sorted(row[0] for row in private_stack.postgres.rows(NAME, "SELECT sent_at FROM deliveries WHERE user_id = %s", dana.id))
    assert all(later - earlier >= timedelta(seconds=1.9) for earlier, later in zip(sent, sent[1:], strict=False)), sent
    assert {row[0] for row in private_stack.postgres.rows(NAME, "SELECT attempts FROM deliveries")} == {1}


# ---- zones that change or vanish under a running daemon

@pytest.mark.timeout(180)
def test_zones_change_and_vanish(private_stack, sink, tmp_path):
    zones = tmp_path / "zoneinfo"
    (zones / "Asia").mkdir(parents=True)
    tmp_path.chmod(0o755)
    copy = lambda name: (zones / "Asia/Jerusalem").write_bytes(open(f"/usr/share/zoneinfo/{name}", "rb").read())  # noqa: E731
    copy("Asia/Jerusalem")
    (zones / "Asia/Tokyo").write_bytes(open("/usr/share/zoneinfo/Asia/Tokyo", "rb").read())
    private_stack.daemon("auth")
    settings = {"SALUS_SMTP_URL": f"smtp://127.0.0.1:{sink.port}", "SALUS_ZONEINFO": str(zones)}
    first = private_stack.daemon("scheduler", **settings)
    dana, = people(private_stack, first)
    stream = private_stack.events("scheduler")
    moved = schedule(dana, in_seconds(0), cron_expression="0 8 1 1 *", timezone="Asia/Jerusalem")
    kept = schedule(dana, in_seconds(0), cron_expression="0 8 1 1 *", timezone="Asia/Tokyo")
    assert moved["next_run_at"].endswith("T06:00:00Z")
    first.stop()
    copy("America/New_York")  # the rules are other ones now
    (zones / "Asia/Tokyo").unlink()
    second = private_stack.daemon("scheduler", name="second", **settings)
    dana.api = Api(second.url, dana.token)
    eventually(lambda: dana.api.get(f"/v1/schedules/{moved['id']}").json()["next_run_at"].endswith("T13:00:00Z"), within=30)
    told = stream.wait_for("schedule.rescheduled.v1", dana.id)
    assert moved["id"] in [event["data"]["schedule_id"] for event in told]
    gone = dana.api.get(f"/v1/schedules/{kept['id']}")
    assert gone.status_code == 200 and gone.json()["timezone"] == "Asia/Tokyo"
    answer = dana.api.patch(f"/v1/schedules/{kept['id']}", content=json.dumps({"timezone": "Nowhere/Land"}),
                            headers={"Content-Type": "application/merge-patch+json"})
    assert answer.status_code == 422


def test_a_database_that_hangs_does_not_hold_the_end_up(private_stack, sink):
    private_stack.daemon("auth")
    stuck = private_stack.daemon("scheduler", start=False, SALUS_DRAIN_TIMEOUT="2s")
    stuck.migrate()
    with private_stack.postgres.connect(NAME) as connection, connection.transaction():
        connection.execute("LOCK TABLE schedule_queue")
        stuck.start()
        eventually(lambda: private_stack.postgres.rows("postgres", "SELECT FROM pg_stat_activity WHERE wait_event_type = 'Lock'"),
                   what="the engine waits")
        assert stuck.stop(within=8) == 0


def test_a_mail_server_that_hangs_holds_nobody_up(private_stack, scheduler, sink):
    """Requests are answered meanwhile, and the daemon ends in time and in order; the message goes out later."""
    dana, = people(private_stack, scheduler)
    sink.sink.fault = lambda stage, to: "hang" if stage == "received" else None
    patient = private_stack.daemon("scheduler", name="patient", start=False, SALUS_SMTP_URL=f"smtp://127.0.0.1:{sink.port}",
                                   SALUS_SMTP_TIMEOUT="60s")
    scheduler.stop()
    patient.start()
    dana.api = Api(patient.url, dana.token)
    schedule(dana, in_seconds(1))
    eventually(lambda: private_stack.postgres.rows(NAME, "SELECT FROM deliveries WHERE state = 2"), within=20)
    assert dana.api.get("/v1/occurrences", timeout=5).status_code == 200
    assert patient.stop(within=12) == 0
    row, = private_stack.postgres.rows(NAME, "SELECT state, attempts FROM deliveries")
    assert row == (1, 1), "it waits for its next attempt"
