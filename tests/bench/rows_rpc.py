"""Calls between services: what one costs, and what a person's health context costs."""

import json
import statistics
import subprocess
import time

from bench.rig import BENCH, BUILD, Rig
from bench.table import Row
from support.paths import ROOT
from support.rpc import Caller

RATE, CALLERS = 2000, 64


def program():
    """Linked against the release build's library."""
    BUILD.mkdir(parents=True, exist_ok=True)
    out = ROOT / "build/release-gcc"
    flags = subprocess.run(["make", "-s", "print-cppflags"], cwd=ROOT, capture_output=True, text=True, check=True).stdout.split()
    archives = [out / f"libsalus-{layer}.a" for layer in ("bus", "store", "codec", "sys", "base")]
    objects = sorted((out / "gen").glob("schemas.o")) + [out / "gen/errors.o", out / "gen/keys.o", out / "gen/events.o"]
    libraries = subprocess.run(
        ["pkg-config", "--libs", "libevent_core", "libevent_pthreads", "libpq", "hiredis", "jansson", "libsodium", "libutf8proc",
         "libidn2", "libcrypto"], capture_output=True, text=True, check=True).stdout.split()
    subprocess.run(["gcc", "-O2", *flags, BENCH / "rpc.c", *objects, *archives, *libraries, "-lm", "-lpthread",
                    "-o", BUILD / "rpc"], cwd=ROOT, check=True)
    return BUILD / "rpc"


def measure(rig: Rig, seconds: int, rate: int, callers: int) -> dict:
    url = f"redis://tests:tests@127.0.0.1:{rig.stack.bus.port}/0"
    done = subprocess.run([program(), url, str(seconds), str(rate), str(callers)], capture_output=True, text=True)
    assert done.returncode == 0, f"{done.stdout}{done.stderr}"
    return json.loads(done.stdout)


def calls(rig: Rig):
    """2,000 calls a second over the stack's own Redis (append-only), two processes of ours; then as many as go."""
    p50, p99 = Row("rpc, p50 at 2,000/s", "ms"), Row("rpc, p99 at 2,000/s", "ms", goal=5, at_most=True, absolute=True)
    rate = Row("rpc, most a second", "calls/s")
    total = 0
    for _ in range(3):
        found = measure(rig, 10, RATE, CALLERS)
        p50.ours.append(found["p50_ms"])
        p99.ours.append(found["p99_ms"])
        fast = measure(rig, 5, 0, CALLERS)
        rate.ours.append(fast["rate"])
        total += found["calls"] + fast["calls"]
    for row in (p50, p99, rate):
        row.checked = f"{total:,} replies, each to its question"
    return [p50, p99, rate]


def context(rig: Rig):
    """health.context of somebody with a week of entries, one at a time, from Python."""
    row = Row("health.context by rpc, p50", "ms")
    person = rig.people[0]
    chat = Caller(rig.stack.bus)
    for day in range(7):
        for hour in range(8, 20):
            answer = person.health.post("/v1/health-events", json={
                "event_type": "vital", "event_subtype": "heart_rate", "event_data": {"value": 70, "unit": "/min"},
                "occurred_at": time.strftime(f"%Y-%m-%dT{hour:02}:00:00Z", time.gmtime(time.time() - 86400 * (day + 1)))})
            assert answer.status_code == 201, answer.text
    for _ in range(3):
        times = []
        for _ in range(200):
            began = time.perf_counter()
            found = chat.ok("health.context.v1", {"user_id": person.id})
            times.append((time.perf_counter() - began) * 1000)
        assert sum(count["count"] for day in found["days"] for count in day["counts"]) >= 72
        row.ours.append(statistics.median(times))
    row.checked = "600 contexts with their days"
    return [row]


ROWS = {"rpc": calls, "rpc_context": context}
