"""Faults of the bus (docs/travels.md), between auth and main-health: each acknowledged fact has its effect once."""

import json
import signal
import subprocess
import sys
import time
import uuid

import httpx
import pytest
from support import client
from support.ledger import Ledger
from support.paths import BUILD, ROOT
from support.waiting import eventually

STREAM, GROUP = "s1:events:auth", "main-health"
AGAIN, DEAD = f"s1:redelivery:{GROUP}", f"s1:dead:{GROUP}"
LEASE = 5.0

pytestmark = [pytest.mark.faults, pytest.mark.timeout(1200)]


@pytest.fixture
def ledger(private_stack):
    return Ledger(private_stack, private_stack.daemon("auth"))


@pytest.fixture
def health(private_stack, ledger):
    return private_stack.daemon("main-health")


@pytest.fixture
def bus(private_stack):
    return private_stack.bus


def effects(ledger) -> int:
    return ledger.stack.postgres.rows("salus_health", "SELECT count(*) FROM inbox")[0][0]


def test_1_redis_is_killed_under_load(ledger, health, bus, facts):
    ledger.start(facts)
    ledger.wait_for(facts // 3)
    bus.kill()
    time.sleep(5)  # the fault: away for so long
    bus.start()
    waiting = len(ledger.acknowledged)
    eventually(lambda: effects(ledger) >= waiting, within=2 if BUILD == "release" else 10, what="the consumer is back")
    ledger.finish().check()


def test_2_redis_comes_back_empty(ledger, health, bus, facts):
    ledger.make(facts // 10)
    ledger.check()
    health.stop()
    ledger.make(facts - facts // 10)
    bus.kill()
    bus.empty()
    bus.start()
    health.start()
    ledger.check()
    assert health.metric("salus_bus_duplicates_total") == 0


def test_4_everything_is_flushed_under_load(ledger, health, bus, facts):
    ledger.start(facts)
    for part in (3, 2):
        ledger.wait_for(facts // part)
        bus.connect().flushall()
    ledger.finish().check()


@pytest.mark.parametrize(("where", "number"), [("die-before-ack", 5), ("die-before-commit", 6)])
def test_5_6_the_consumer_dies_at_its_worst_moment(private_stack, ledger, facts, where, number):
    private_stack.daemon("main-health", start=False).migrate()
    ledger.make(facts // 2)
    dying = private_stack.daemon("main-health", name="dying", TEST_FAULT=where, start=False)
    dying.start(wait=False)
    eventually(lambda: not dying.is_running(), within=60, what="it died as it was told to")
    assert dying.popen.returncode == -signal.SIGKILL
    private_stack.daemons.remove(dying)
    committed = effects(ledger)
    assert (committed > 0) == (where == "die-before-ack")
    health = private_stack.daemon("main-health", name="next")
    ledger.make(facts - facts // 2)
    ledger.check()
    eventually(lambda: health.metric("salus_bus_redelivered_total") > 0, within=LEASE + 10, what="what the dead one held")
    eventually(lambda: not private_stack.bus.connect().xpending(STREAM, GROUP)["pending"], within=LEASE + 30,
               what="all of it is acknowledged")
    assert (health.metric("salus_bus_duplicates_total") > 0) == (where == "die-before-ack")
    assert health.metric("salus_bus_dead_letters_total") == 0


def test_7_the_consumer_sleeps_through_its_lease(private_stack, ledger, health, facts):
    second = private_stack.daemon("main-health", name="second")
    ledger.start(facts)
    ledger.wait_for(facts // 4)
    health.pause()
    time.sleep(3 * LEASE)  # the fault
    health.resume()
    ledger.finish().check()
    assert second.metric("salus_bus_published_total") == 0
    assert health.is_running() and second.is_running()


def good_event(**changes) -> dict:
    event = {"salus_stream": "auth", "ce_specversion": "1.0", "ce_id": str(uuid.uuid4()), "ce_source": "/salus/auth",
             "ce_type": "user.updated.v1", "ce_time": "2026-11-20T20:15:12Z", "ce_datacontenttype": "application/json",
             "data": "{}"}
    return {name: value for name, value in (event | changes).items() if value is not None}


POISON = [
    ("schema", good_event(data="{")),
    ("schema", good_event(data="[" * 10_000 + "]" * 10_000)),
    ("schema", good_event(data='{"a":"\0"}')),
    ("schema", good_event(data="")),
    ("schema", good_event(data=b"\xff\xfe")),
    ("schema", good_event(data=json.dumps({"user_id": "nobody", "version": -1}))),
    ("version", good_event(ce_specversion="0.3")),
    ("too_large", good_event(data='"' + "x" * (1 << 20) + '"')),
    ("invalid", good_event(ce_id=None)),
    ("invalid", good_event(ce_id="1; DROP TABLE inbox")),
    ("invalid", good_event(ce_type="a\0b")),
    ("invalid", good_event(ce_time="yesterday")),
    ("invalid", good_event(data=None)),
    ("invalid", {"nothing": "of an event"}),
]


def dead_letters(bus, *words) -> str:
    tool = [sys.executable, ROOT / "scripts/dead-letters", "--url", bus.url("salus-operator"), *words]
    return subprocess.run(tool, check=True, capture_output=True, text=True, timeout=60).stdout


def test_9_poison(ledger, health, bus, facts):
    connection = bus.connect()
    rounds = 10
    ledger.start(facts)
    for i in range(rounds):
        ledger.wait_for(facts * i // (2 * rounds))
        for _, poison in POISON:
            connection.xadd(AGAIN, poison)
        connection.xadd(AGAIN, good_event(ce_type="nobody.knows.v1"))  # not poison: skipped
    ledger.finish().check()
    eventually(lambda: connection.xlen(DEAD) == rounds * len(POISON) and connection.xlen(AGAIN) == 0, within=60,
               what="all poison is set aside")
    for reason in {reason for reason, _ in POISON}:
        wanted = rounds * sum(reason == other for other, _ in POISON)
        assert health.metric("salus_bus_dead_letters_total", reason=reason) == wanted
    assert health.is_running()
    listed = dead_letters(bus, "list", GROUP).splitlines()
    assert len(listed) == rounds * len(POISON)
    first = listed[0].split()[0]
    assert "dead_reason: " in dead_letters(bus, "show", GROUP, first)
    dead_letters(bus, "discard", GROUP, first)
    dead_letters(bus, "replay", GROUP, "--all")  # still poison: they come back
    eventually(lambda: connection.xlen(DEAD) == rounds * len(POISON) - 1 and connection.xlen(AGAIN) == 0, within=60,
               what="what is still poison is set aside again")


def test_11_the_stream_is_trimmed_before_it_was_read(ledger, health, bus, facts):
    ledger.make(facts // 10)
    ledger.check()
    health.stop()
    ledger.make(facts - facts // 10)
    eventually(lambda: bus.connect().xlen(STREAM) > facts // 2, what="the stream has them")
    bus.connect().xtrim(STREAM, maxlen=10, approximate=False)
    health.start()
    ledger.check()
    assert health.metric("salus_bus_gap_total") == 1
    assert health.metric("salus_bus_void_total") == 0


def test_12_group_and_stream_are_taken_from_under_the_readers(ledger, health, bus, facts):
    connection = bus.connect()
    ledger.start(facts)
    ledger.wait_for(facts // 4)
    connection.xgroup_destroy(STREAM, GROUP)
    ledger.wait_for(facts // 2)
    connection.delete(STREAM)
    ledger.finish().check()

    def reads() -> int:
        return connection.info("commandstats").get("cmdstat_xreadgroup", {"calls": 0})["calls"]

    connection.xgroup_destroy(STREAM, GROUP)
    connection.delete(STREAM)
    before, start = reads(), time.monotonic()
    time.sleep(3)  # what is counted
    assert (reads() - before) / (time.monotonic() - start) < 10
    ledger.make(100)
    ledger.check()


def liveness(daemon) -> tuple[int, dict]:
    answer = httpx.get(f"{daemon.url}/healthz", timeout=5)
    return answer.status_code, answer.json()


@pytest.mark.parametrize(("service", "part", "where"), [("auth", "relay", "hang-relay"), ("main-health", "consumer", "hang-consumer")])
def test_liveness_sees_a_step_that_does_not_end(private_stack, service, part, where):
    if service == "main-health":
        client.register(private_stack.daemon("auth").url)  # something to hang with
    hanging = private_stack.daemon(service, TEST_FAULT=where, SALUS_STUCK_AFTER="1s")
    eventually(lambda: liveness(hanging)[0] == 503, within=20, what=f"the {part} is seen to be stuck")
    assert liveness(hanging)[1][part] == "stuck"
    assert set(liveness(hanging)[1]["workers"]) == {"ok"}
    assert hanging.is_ready()


def test_liveness_never_asks_a_dependency(private_stack, ledger):
    health = private_stack.daemon("main-health", SALUS_STUCK_AFTER="2s")
    auth = private_stack.daemon("auth", name="auth-2", SALUS_STUCK_AFTER="2s")
    ledger.make(20)
    ledger.check()
    for store in (private_stack.bus, private_stack.postgres):
        store.kill()
        end = time.monotonic() + 6  # the fault: away for so long
        while time.monotonic() < end:
            for daemon in (auth, health):
                status, body = liveness(daemon)
                assert status == 200, body
            time.sleep(0.1)
        store.start()
        eventually(lambda: auth.is_ready() and health.is_ready(), within=20, what="both are back")
    ledger.make(20)
    ledger.check()
