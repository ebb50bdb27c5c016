"""The way of a fact: from the commit in auth's outbox over relay, stream and group to main-health's inbox and its effect."""

import json
import statistics
import threading
import time
import uuid
from dataclasses import dataclass, field

from bench.rig import Rig
from bench.table import Row

PEOPLE = [str(uuid.uuid4()) for _ in range(4000)]
TENANT = str(uuid.uuid4())
INSERT = """
    WITH written AS (INSERT INTO outbox (payload, event_count) VALUES (%s::jsonb, %s) RETURNING id)
    SELECT pg_notify('salus_outbox', '') FROM written"""
POISON = [  # as tests/faults/test_bus.py has it: kinds of which each needs another look to be refused
    {"data": "{"}, {"data": "[" * 10_000 + "]" * 10_000}, {"data": '{"a":"\0"}'}, {"data": ""}, {"data": b"\xff\xfe"},
    {"data": '{"user_id":"nobody","version":-1}'}, {"ce_specversion": "0.3"}, {"ce_id": None},
    {"ce_id": "1; DROP TABLE inbox"}, {"ce_type": "a\0b"}, {"ce_time": "yesterday"}, {"data": None},
]


@dataclass
class Facts:
    """Outbox rows made beforehand, so that the run pays for writing them only, and when each was committed."""

    rows: list[tuple[str, list[str]]] = field(default_factory=list)
    committed: dict[str, float] = field(default_factory=dict)

    @classmethod
    def make(cls, count: int, in_row: int) -> "Facts":
        facts = cls()
        version = time.time_ns()
        for begin in range(0, count, in_row):
            events = [event(PEOPLE[i % len(PEOPLE)], version + i) for i in range(begin, min(begin + in_row, count))]
            facts.rows.append((json.dumps(events), [one["id"] for one in events]))
        return facts

    def write(self, rig: Rig, *, rate: float | None = None):
        """Commits row after row, `rate` facts a second or as fast as they go."""
        with rig.stack.postgres.connect("salus_auth") as connection:
            begin, done = time.perf_counter(), 0
            for payload, ids in self.rows:
                if rate:
                    time.sleep(max(0, begin + done / rate - time.perf_counter()))
                connection.execute(INSERT, (payload, len(ids)), prepare=True)
                self.committed.update(dict.fromkeys(ids, time.time()))
                done += len(ids)

    def received(self, rig: Rig, within: float = 60) -> dict[str, float]:
        """When the inbox took each: at the start of its handler. The row of the inbox and the effect are one
        transaction, so that one of these that is there had its effect."""
        with rig.stack.postgres.connect("salus_health") as connection:
            connection.execute("CREATE TEMP TABLE wanted (id uuid PRIMARY KEY)")
            with connection.cursor().copy("COPY wanted FROM STDIN") as copy:
                copy.write("".join(f"{one}\n" for one in self.committed))
            deadline, last = time.monotonic() + within, self.rows[-1][1][-1]
            seen, rows = False, []
            while len(rows) < len(self.committed) and time.monotonic() < deadline:
                time.sleep(0.1)
                # Asking for one row does not disturb what is measured.
                seen = seen or connection.execute("SELECT FROM inbox WHERE event_id = %s", (last,), prepare=True).rowcount
                if seen:
                    rows = connection.execute(
                        "SELECT event_id::text, extract(epoch FROM received_at)::float8"
                        " FROM inbox JOIN wanted ON id = event_id").fetchall()
            return dict(rows)

    def delays_ms(self, received: dict[str, float]) -> list[float]:
        return sorted((received[one] - at) * 1000 for one, at in self.committed.items() if one in received)

    def verdict(self, received: dict[str, float]) -> str:
        missing = len(self.committed) - len(received)
        return f"VOID: {missing} facts without effect" if missing else f"{len(received)} effects"


def event(person: str, version: int) -> dict:
    return {"id": str(uuid.uuid4()), "source": "/salus/auth", "type": "user.updated.v1", "time": "2026-11-20T08:15:12Z",
            "subject": person, "tenant": TENANT,
            "data": {"user_id": person, "tenant_id": TENANT, "user_type": "patient", "language": "en",
                     "time_zone": "Europe/Berlin", "status": "active", "version": version,
                     "changed_at": "2026-11-20T08:15:12Z"}}


def quantile(values: list[float], part: float) -> float:
    return values[min(len(values) - 1, int(len(values) * part))]


def wait_for_daemons(rig: Rig):
    """Both are up, each person has come through once, and the planner knows of it: autovacuum, which is off here, would
    have told it by then."""
    assert rig.auth.is_running() and rig.health.is_running()
    first = Facts.make(len(PEOPLE), 100)
    first.write(rig)
    assert len(first.received(rig)) == len(PEOPLE), "facts do not come through"
    for database in ("salus_auth", "salus_health"):
        with rig.stack.postgres.connect(database) as connection:
            connection.execute("ANALYZE")


def commit_to_handler(rig: Rig):
    """From the moment at which the writer knows of its commit to the handler's start. Against the hops that no bus over
    these two servers can do without: one XADD and one XREADGROUP."""
    wait_for_daemons(rig)
    rows = []
    for rate, in_row, seconds in ((100, 1, 2), (5000, 25, 2)):
        said = f"{rate:,} facts/s in {rate // in_row:,} commits/s"
        median = Row(f"commit to handler, p50, {said}", "ms", "XADD + XREADGROUP", 2, at_most=True, absolute=True)
        tail = Row(f"commit to handler, p99, {said}", "ms", "", 10, at_most=True, absolute=True)
        for _ in range(5):
            facts = Facts.make(rate * seconds, in_row)
            facts.write(rig, rate=rate)
            received = facts.received(rig)
            delays = facts.delays_ms(received)
            median.ours.append(statistics.median(delays))
            tail.ours.append(quantile(delays, 0.99))
            median.references.append(redis_round_trips(rig))
            median.checked = tail.checked = facts.verdict(received)
        rows += [median, tail]
    return rows


def redis_round_trips(rig: Rig) -> float:
    bus = rig.stack.bus.connect()
    bus.xgroup_create("bench", "group", mkstream=True)
    times = []
    for _ in range(200):
        begin = time.perf_counter()
        bus.xadd("bench", {"data": "x" * 200})
        bus.xreadgroup("group", "one", {"bench": ">"})
        times.append((time.perf_counter() - begin) * 1000)
    bus.delete("bench")
    return statistics.median(times)


def throughput(rig: Rig, facts: Facts) -> tuple[float, dict[str, float]]:
    """Facts a second from the first commit to the last effect, with writer and daemons on the same machine."""
    begin = time.time()
    facts.write(rig)
    received = facts.received(rig)
    return len(received) / (max(received.values(), default=time.time()) - begin), received


def bus_throughput(rig: Rig):
    wait_for_daemons(rig)
    row = Row("facts through outbox, bus and inbox, 100 a commit", "facts/s", goal=15_000, absolute=True)
    for _ in range(3):
        facts = Facts.make(60_000, 100)
        rate, received = throughput(rig, facts)
        row.ours.append(rate)
        row.checked = facts.verdict(received)
    return [row]


def bus_poison(rig: Rig):
    """The same load with and without a tenth of poison beside it, in turns."""
    wait_for_daemons(rig)
    speed = Row("good facts beside 10 % poison of 12 kinds", "facts/s", "the same without poison", 0.9)
    tail = Row("commit to handler, p99, 1,000 facts/s beside 10 % poison", "ms", "the same without poison", 1.1, at_most=True)
    for turn in range(6):
        measured = {}
        for poisoned in (turn % 2 == 0, turn % 2 == 1):
            facts = Facts.make(20_000, 100)
            with Poison(rig, len(facts.rows) * 10 if poisoned else 0, 1_000):
                rate, received = throughput(rig, facts)
            calm = Facts.make(2_000, 5)
            with Poison(rig, 200 if poisoned else 0, 100):
                calm.write(rig, rate=1_000)
                delays = calm.delays_ms(calm.received(rig))
            measured[poisoned] = rate, quantile(delays, 0.99)
            speed.checked = tail.checked = facts.verdict(received)
        for row, which in ((speed, 0), (tail, 1)):
            row.ours.append(measured[True][which])
            row.references.append(measured[False][which])
    return [speed, tail]


class Poison:
    """Sends `count` poisonous entries, `rate` a second, beside what is measured, and waits for the last dead letter."""

    def __init__(self, rig: Rig, count: int, rate: float):
        self.bus, self.count, self.rate = rig.stack.bus.connect(), count, rate
        self.thread = threading.Thread(target=self._send, daemon=True)

    def __enter__(self):
        self.before = self.bus.xlen("s1:dead:main-health")
        self.thread.start()
        return self

    def __exit__(self, *_):
        self.thread.join()
        deadline = time.monotonic() + 30
        while self.bus.xlen("s1:dead:main-health") < self.before + self.count:
            assert time.monotonic() < deadline, "poison that is nowhere"
            time.sleep(0.05)

    def _send(self):
        begin = time.perf_counter()
        for i in range(self.count):
            time.sleep(max(0, begin + i / self.rate - time.perf_counter()))
            good = {"salus_stream": "auth", "ce_specversion": "1.0", "ce_id": str(uuid.uuid4()), "ce_source": "/salus/auth",
                    "ce_type": "user.updated.v1", "ce_time": "2026-11-20T20:15:12Z",
                    "ce_datacontenttype": "application/json", "data": "{}"}
            entry = {name: value for name, value in (good | POISON[i % len(POISON)]).items() if value is not None}
            self.bus.xadd("s1:redelivery:main-health", entry)


ROWS = {"commit_to_handler": commit_to_handler, "bus_throughput": bus_throughput, "bus_poison": bus_poison}
