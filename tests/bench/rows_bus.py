"""The way of a fact: from auth's commit to main-health's committed effect."""

import statistics
import time

from bench.rig import Rig
from bench.table import Row


def commit_to_handler(rig: Rig):
    """PATCH /v1/me changes a version; the consumer's own histogram says how long after the event's commit its effect was
    committed. Against one Redis round trip, which no event can beat."""
    row = Row("commit to handler, p50", "ms", "2 Redis round trips (XADD, XREADGROUP)", 2, at_most=True, absolute=True)
    people = rig.people[:20]
    for turn in range(5):
        delays = []
        for person in people:
            before = version(rig, person)
            answer = person.auth.patch("/v1/me", json={"language": "he" if turn % 2 else "en"})
            assert answer.status_code == 200, answer.text
            begin = time.monotonic()
            while version(rig, person) == before:
                assert time.monotonic() - begin < 5, "the fact did not arrive"
            delays.append((time.monotonic() - begin) * 1000)
        row.ours.append(statistics.median(delays))
        row.references.append(redis_round_trips(rig))
    row.checked = f"{5 * len(people)} effects seen"
    return [row]


_connections: dict = {}


def version(rig: Rig, person) -> int:
    if rig not in _connections:
        _connections[rig] = rig.stack.postgres.connect("salus_health")
    found = _connections[rig].execute("SELECT version FROM user_refs WHERE user_id = %s", (person.id,), prepare=True).fetchone()
    return found[0] if found else 0


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


ROWS = {"commit_to_handler": commit_to_handler}
