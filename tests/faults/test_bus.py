"""Faults of the bus (docs/faults.md), across all five services: each acknowledged fact has its effect once."""

import json
import random
import resource
import signal
import subprocess
import sys
import threading
import time
import uuid

import pytest
from support.house import FIVE, LEASE
from support.ledger import GROUPS
from support.load import MIX, Profile, Reminder
from support.paths import BUILD, ROOT
from support.proxy import Proxy
from support.waiting import eventually

PROFILES = [(Profile, 1)]
STREAMS = {service: f"s1:events:{service}" for service in FIVE}
AGAIN = {group: f"s1:redelivery:{group}" for group in GROUPS}
DEAD = {group: f"s1:dead:{group}" for group in GROUPS}

pytestmark = [pytest.mark.faults, pytest.mark.timeout(300)]


def test_1_redis_is_killed_under_load(house, ledger, facts):
    ledger.start(facts).wait_for(facts // 3)
    house.bus.kill()
    time.sleep(5)  # the fault: away for so long
    house.bus.start()
    before = {group: ledger.done(group) for group in GROUPS}
    eventually(lambda: all(ledger.done(group) > before[group] for group in GROUPS), within=2 if BUILD == "release" else 10,
               what="all consumers are back")
    ledger.finish().check()


def test_2_redis_comes_back_empty(house, ledger, facts):
    ledger.make(facts - facts // 10)
    house.stop(*GROUPS)
    ledger.make(facts // 10, PROFILES)
    house.bus.kill()
    house.bus.empty()
    house.bus.start()
    house.start(*GROUPS)
    ledger.check()
    assert sum(house.metric(group, "salus_bus_duplicates_total") for group in GROUPS) == 0


def test_4_and_12_streams_and_groups_are_taken_from_under_the_readers(house, ledger, facts):
    """FLUSHALL; then all groups destroyed; then all streams deleted; a quarter of the facts between each."""
    connection = house.bus.connect()
    ledger.start(facts).wait_for(facts // 4)
    connection.flushall()
    ledger.wait_for(facts // 2)
    for group in GROUPS:
        connection.xgroup_destroy(STREAMS["auth"], group)
    connection.xgroup_destroy(STREAMS["memory"], "memory")
    ledger.wait_for(3 * facts // 4)
    connection.delete(*STREAMS.values())
    ledger.finish().check()

    def reads() -> int:
        return connection.info("commandstats").get("cmdstat_xreadgroup", {"calls": 0})["calls"]

    connection.delete(*STREAMS.values())
    before, start = reads(), time.monotonic()
    time.sleep(2)  # what is counted
    readers = len(GROUPS) * 2 + 1
    assert (reads() - before) / (time.monotonic() - start) < 10 * readers
    ledger.make(100).check()


@pytest.mark.parametrize(("where", "number"), [("die-before-ack", 5), ("die-before-commit", 6)])
def test_5_6_every_consumer_dies_at_its_worst_moment(house, ledger, facts, where, number):
    ledger.make(facts - facts // 10)
    house.stop(*GROUPS)
    ledger.make(facts // 10, PROFILES)
    before = {group: ledger.inbox(group) for group in GROUPS}
    dying = {group: house.daemon(group, f"{group}-{where}", TEST_FAULT=where) for group in GROUPS}
    for daemon in dying.values():
        daemon.start(wait=False)
    for group, daemon in dying.items():
        eventually(lambda: not daemon.is_running(), within=60, what=f"{group} died as it was told to")
        assert daemon.popen.returncode == -signal.SIGKILL
        house.stack.daemons.remove(daemon)
        assert (ledger.inbox(group) > before[group]) == (where == "die-before-ack"), group
    house.start(*GROUPS)
    ledger.check()
    connection = house.bus.connect()
    for group in GROUPS:
        eventually(lambda: house.metric(group, "salus_bus_redelivered_total") > 0, within=LEASE + 10, what="what the dead one held")
        eventually(lambda: not connection.xpending(STREAMS["auth"], group)["pending"], within=LEASE + 20,
                   what="all of it is acknowledged")
        assert (house.metric(group, "salus_bus_duplicates_total") > 0) == (where == "die-before-ack"), group
        assert house.metric(group, "salus_bus_dead_letters_total") == 0


def leader(house, service: str):
    return next((daemon for daemon in house.replicas[service] if daemon.metric("salus_relay_leading") == 1), None)


def test_7_and_13_the_leader_of_every_service_sleeps(house, ledger, facts):
    """The process whose relay leads, of each service; it is a consumer too, and may be in the middle of a transaction.
    Another leads and takes its work over; then the first wakes, and believes to lead and to hold what it had."""
    ledger.start(facts).wait_for(facts // 4)
    old = {service: eventually(lambda: leader(house, service), what=f"a relay of {service} leads") for service in FIVE}
    new = {service: next(daemon for daemon in house.replicas[service] if daemon is not old[service]) for service in FIVE}
    for daemon in old.values():
        daemon.pause()
    start = time.monotonic()
    try:
        for service, daemon in new.items():
            eventually(lambda: daemon.metric("salus_relay_leading") == 1, within=20, what=f"the other relay of {service} leads")
        head = ledger.given("auth")
        # PostgreSQL ends the transaction of one that sleeps after 20 s here.
        eventually(lambda: all(ledger.done(group) >= head for group in GROUPS), within=40, what="the others have taken over")
        assert time.monotonic() - start > 3 * LEASE
    finally:
        for daemon in old.values():
            daemon.resume()
    ledger.finish().check()
    for service in FIVE:
        eventually(lambda: sum(daemon.metric("salus_relay_leading") for daemon in house.replicas[service]) == 1,
                   what=f"one relay of {service} leads")


# ---- faults 8 and 9

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


def test_8_and_9_slow_handlers_and_poison(house, ledger, facts):
    """One more consumer of each service holds its first entries for ten leases; meanwhile each group gets poison."""
    slow = {group: house.daemon(group, f"{group}-slow", TEST_FAULT="slow-handler") for group in GROUPS}
    for daemon in slow.values():
        daemon.start(wait=False)
    for daemon in slow.values():
        daemon.wait_ready()
    counted = {group: (*house.replicas[group], slow[group]) for group in GROUPS}

    def total(group: str, name: str, **labels: str) -> float:
        return sum(daemon.metric(name, **labels) for daemon in counted[group])

    before = {(group, name): total(group, name) for group in GROUPS
              for name in ("salus_bus_redelivered_total", "salus_bus_duplicates_total")}
    reasons = {(group, reason): total(group, "salus_bus_dead_letters_total", reason=reason)
               for group in GROUPS for reason, _ in POISON}
    connection, rounds = house.bus.connect(), 5
    ledger.start(facts)
    for i in range(rounds):
        ledger.wait_for(facts * i // (2 * rounds))
        for again in AGAIN.values():
            for _, poison in POISON:
                connection.xadd(again, poison)
            connection.xadd(again, good_event(ce_type="nobody.knows.v1"))  # not poison: skipped
    ledger.finish().check()
    for group in GROUPS:
        eventually(lambda: connection.xlen(DEAD[group]) == rounds * len(POISON) and connection.xlen(AGAIN[group]) == 0, within=60,
                   what="all poison is set aside")
        for reason in {reason for reason, _ in POISON}:
            wanted = rounds * sum(reason == other for other, _ in POISON)
            assert total(group, "salus_bus_dead_letters_total", reason=reason) - reasons[group, reason] == wanted
        for name in ("salus_bus_redelivered_total", "salus_bus_duplicates_total"):
            assert total(group, name) == before[group, name], f"{name} of {group}: the slow one was thought dead"
        assert slow[group].stop() == 0
    look_at_dead_letters(house.bus, connection, rounds * len(POISON))
    connection.delete(*DEAD.values())


def look_at_dead_letters(bus, connection, count: int):
    listed = dead_letters(bus, "list", "main-health").splitlines()
    assert len(listed) == count
    first = listed[0].split()[0]
    assert "dead_reason: " in dead_letters(bus, "show", "main-health", first)
    dead_letters(bus, "discard", "main-health", first)
    dead_letters(bus, "replay", "main-health", "--all")  # still poison: they come back
    eventually(lambda: connection.xlen(DEAD["main-health"]) == count - 1 and connection.xlen(AGAIN["main-health"]) == 0, within=60,
               what="what is still poison is set aside again")


def test_10_a_handler_that_always_crashes(house, ledger, facts):
    """An event kills each process that handles it: the daemons are started again until they have set it aside."""
    connection = house.bus.connect()
    house.stop(*GROUPS)
    for group in GROUPS:
        for daemon in house.replicas[group]:
            daemon.settings["TEST_FAULT"] = "crash-handler"
    house.start(*GROUPS)
    ledger.start(facts)
    data = {"user_id": house.people[0].id, "tenant_id": str(uuid.uuid4()), "user_type": "patient", "language": "en", "time_zone": "UTC",
            "status": "active", "version": 1, "changed_at": "2026-11-20T20:15:12Z"}
    for again in AGAIN.values():
        connection.xadd(again, good_event(data=json.dumps(data)))
    crashes = 0
    deadline = time.monotonic() + 120
    while not all(connection.xlen(dead) for dead in DEAD.values()):
        assert time.monotonic() < deadline, f"{crashes} crashes, and no end"
        for group in GROUPS:
            for daemon in house.replicas[group]:
                if not daemon.is_running():
                    assert daemon.popen.returncode == -signal.SIGABRT, daemon.log_tail()
                    crashes += 1
                    daemon.start(wait=False)
        time.sleep(0.05)
    house.start(*GROUPS)
    assert len(GROUPS) * 3 <= crashes <= len(GROUPS) * 6, f"{crashes} crashes"
    for group, dead in DEAD.items():
        (_, letter), = connection.xrange(dead)
        assert letter["dead_reason"] == "attempts", group
        for daemon in house.replicas[group]:
            daemon.settings.pop("TEST_FAULT")
            daemon.wait_ready()
    ledger.finish().check()
    connection.delete(*DEAD.values())


def test_11_streams_are_trimmed_before_they_were_read(house, ledger, facts):
    connection = house.bus.connect()
    house.stop(*GROUPS)
    ledger.make(facts // 10, PROFILES)
    eventually(lambda: connection.xlen(STREAMS["auth"]) >= facts // 10, what="the stream has them")
    connection.xtrim(STREAMS["auth"], maxlen=10, approximate=False)
    house.start(*GROUPS)
    with house.reader.paused():  # the reader of this test is the one that lags behind on all streams
        ledger.make(facts - facts // 10)
        for service, stream in STREAMS.items():
            eventually(lambda: ledger.head(service) == int(connection.xinfo_stream(stream)["last-generated-id"].split("-")[0]),
                       within=30, what=f"{service} has published")
            connection.xtrim(stream, maxlen=10, approximate=False)
    ledger.check()
    for group in GROUPS:
        assert house.metric(group, "salus_bus_gap_total") >= 1, group
        assert house.metric(group, "salus_bus_void_total") == 0, group


def test_15_postgres_is_killed_under_load(house, ledger, facts):
    """What comes due meanwhile fires afterwards, once; test_scheduler.py has what is too late by then."""
    ledger.start(facts).wait_for(facts // 3)
    house.postgres.kill()
    time.sleep(5)  # the fault: away for so long
    house.postgres.start()
    ledger.finish().check()


# ---- fault 20

def test_20_every_daemon_is_asked_to_end_under_load(house, ledger, facts):
    ledger.start(facts)
    for number, daemon in enumerate(house.daemons):
        ledger.wait_for(number * facts // 15)
        assert daemon.stop(within=10) == 0, daemon.log_tail()
        daemon.start(wait=False)
    house.wait_ready()
    ledger.wait_for(3 * facts // 4)
    house.stop()
    house.start()
    ledger.finish().check()


def test_20_redis_has_no_memory_left_and_then_no_disk(house, ledger, facts):
    connection = house.bus.connect()
    ledger.start(facts).wait_for(facts // 8)
    connection.config_set("maxmemory", connection.info("memory")["used_memory"] // 2)  # noeviction: each write is refused
    ledger.wait_for(facts // 4)
    connection.config_set("maxmemory", 0)
    ledger.wait_for(facts // 2)
    # A file that cannot grow is what a full disk looks like to a writer.
    resource.prlimit(house.bus.pid, resource.RLIMIT_FSIZE, (house.bus.aof_size(), resource.RLIM_INFINITY))
    eventually(lambda: connection.info("persistence")["aof_last_write_status"] == "err", within=20, what="Redis cannot write")
    ledger.wait_for(5 * facts // 8)
    resource.prlimit(house.bus.pid, resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
    ledger.finish().check()
    assert connection.info("persistence")["aof_last_write_status"] == "ok"


def test_20_connections_to_redis_are_half_open(house, ledger, facts):
    """A tenth of the facts: the proxy between is slow. What is lost is noticed within 30 s."""
    proxy = Proxy(house.bus.port)
    direct = {daemon: daemon.settings["REDIS_URL"] for daemon in house.daemons}
    house.stop()
    for daemon, url in direct.items():
        daemon.settings["REDIS_URL"] = url.replace(f":{house.bus.port}/", f":{proxy.port}/")
    house.start()
    try:
        ledger.start(facts // 10).wait_for(facts // 20)
        proxy.freeze()
        ledger.finish(within=30).check(within=30)
    finally:
        house.stop()
        for daemon, url in direct.items():
            daemon.settings["REDIS_URL"] = url
        house.start()
        proxy.close()
    ledger.make(100).check()


# ---- any of them, at any time

@pytest.mark.timeout(3600)
def test_kills(house, ledger, facts, kills):
    """`--kills N`: daemons and Redis die by kill -9 at random and come back, under a load of everything, which grows with N. Who is
    behind at the end has time by how much there was."""
    dice = random.Random(kills)
    victims = [*house.daemons, house.bus]
    mix = [*MIX, (Reminder, 2)]
    ended = threading.Event()

    def feed():
        ledger.start(facts, mix)
        while not ended.is_set():
            ledger.top_up(facts // 10, mix)
            ended.wait(0.1)

    feeding = threading.Thread(target=feed, daemon=True)
    feeding.start()
    try:
        for _ in range(kills):
            time.sleep(dice.uniform(0.1, 1))  # when it hits is the fault
            victim = dice.choice(victims)
            victim.kill()
            time.sleep(dice.uniform(0, 1.5))
            victim.start()
    finally:
        ended.set()
        feeding.join()
    ledger.finish().check(within=60 + ledger.given("auth") / 100)
