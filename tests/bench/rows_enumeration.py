"""Whether time tells an address with an account from one without: the same request for both, interleaved at random.

AUC: how often a known one took longer than an unknown one (0.5: nothing to be learnt). Welch's t over what is below the 95th
percentile of both together, so that a pause of the machine does not hide a difference. SALUS_BENCH_SAMPLES: of each request, 1000.
SALUS_BENCH_REQUESTS: which ones, by comma."""

import http.client
import json
import os
import random
import statistics
import time
from bisect import bisect_left, bisect_right

from bench.rig import Rig
from bench.table import Row
from support.accounts import REQUESTS, address_of

SAMPLES = int(os.environ.get("SALUS_BENCH_SAMPLES", "1000"))
OTHERS = "unknown, others"  # against "unknown": what the measure says where there is nothing to be found
ADDRESSES = 10  # of each state, so that no limit is met
NAMES = ("login", "register", "forgot", "resend")
STATES = {"login": ("active", "inactive", "waiting"), "register": ("active",), "forgot": ("active", "inactive"),
          "resend": ("active", "waiting")}


def auc(ours: list[float], others: list[float]) -> float:
    ordered = sorted(others)
    return sum(bisect_left(ordered, one) + bisect_right(ordered, one) for one in ours) / (2 * len(ours) * len(others))


def welch(ours: list[float], others: list[float]) -> float:
    limit = sorted(ours + others)[int(0.95 * (len(ours) + len(others)))]
    ours, others = ([one for one in side if one < limit] for side in (ours, others))
    spread = statistics.variance(ours) / len(ours) + statistics.variance(others) / len(others)
    return (statistics.fmean(ours) - statistics.fmean(others)) / spread ** 0.5


def measure(port: int, name: str, addresses: dict[str, list[str]], samples: int = SAMPLES) -> dict[str, list[float]]:
    """Microseconds of each request by state."""
    path, body = REQUESTS[name]
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
    order = [state for state in addresses for _ in range(samples)]
    random.shuffle(order)
    taken: dict[str, list[float]] = {state: [] for state in addresses}
    for n, state in enumerate(order):
        text = json.dumps(body(addresses[state][n % ADDRESSES]))
        start = time.perf_counter_ns()
        connection.request("POST", path, text, {"Content-Type": "application/json"})
        answer = connection.getresponse()
        answer.read()
        taken[state].append((time.perf_counter_ns() - start) / 1000)
        assert answer.status in (202, 401), (name, state, answer.status)
    connection.close()
    return taken


def enumeration(rig: Rig) -> list[Row]:
    plain = rig.auth
    daemon = rig.stack.daemon("auth", name="auth-tells-nothing", SALUS_EMAIL_VERIFICATION="required", SALUS_LOGIN_ACCOUNT_LIMIT="10000",
                              SALUS_MAIL_ACCOUNT_LIMIT="10000", SALUS_MAIL_NETWORK_LIMIT="1000000")
    rows = []
    for name in os.environ.get("SALUS_BENCH_REQUESTS", ",".join(NAMES)).split(","):
        addresses = {state: [address_of(state.partition(",")[0], rig.stack, plain.url, daemon.url) for _ in range(ADDRESSES)]
                     for state in (*STATES[name], "unknown", OTHERS)}
        measure(daemon.port, name, addresses, 100)  # warms up
        taken = measure(daemon.port, name, addresses)
        for state in (*STATES[name], OTHERS):
            told = f"medians {statistics.median(taken[state]):.0f} and {statistics.median(taken['unknown']):.0f} us, {SAMPLES} each"
            area, t = auc(taken[state], taken["unknown"]), welch(taken[state], taken["unknown"])
            rows += [Row(f"{name}: {state} or unknown, |AUC - 0.5|", "", goal=0.02, at_most=True, absolute=True, ours=[abs(area - 0.5)],
                         checked=told),
                     Row(f"{name}: {state} or unknown, |Welch t|", "", goal=4.5, at_most=True, absolute=True, ours=[abs(t)])]
    daemon.stop()
    return rows


ROWS = {"enumeration": enumeration}
