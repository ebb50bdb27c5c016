"""What a daemon costs before it does anything: memory and the time until it is ready; and what a token costs."""

import socket
import subprocess
import time

import httpx

from bench.rig import BUILD, Rig
from bench.table import Row
from support.daemon import Daemon
from support.paths import ROOT


def all_five(rig: Rig) -> list[Daemon]:
    return [rig.auth, rig.health, *(rig.stack.daemon(name) for name in ("chat", "memory", "scheduler"))]


def idle_memory(rig: Rig):
    """Each by itself, started anew, and the house: what ps shows, shared libraries counted in each."""
    daemons = all_five(rig)
    house = Row("idle memory, all five", "MiB", goal=60, at_most=True, absolute=True)
    rows = []
    for daemon in daemons:
        goal = None if daemon.service == "chat" else 12  # it alone has MongoDB's driver
        row = Row(f"idle memory, salus-{daemon.service}", "MiB", goal=goal, at_most=True, absolute=True)
        daemon.stop()
        daemon.start()
        rows.append(row)
    time.sleep(2)  # what starts behind readiness (relay, consumer) is there
    for daemon, row in zip(daemons, rows, strict=True):
        httpx.get(f"{daemon.url}/readyz")
        row.ours.append(daemon.resident_bytes() / 2**20)
    house.ours.append(sum(row.ours[0] for row in rows))
    return [*rows, house]


def start_time(rig: Rig):
    """From exec to the first 200 of /readyz, stores and keys being there."""
    rows = []
    for daemon in all_five(rig):
        row = Row(f"start until ready, salus-{daemon.service}", "ms", goal=100, at_most=True, absolute=True)
        for _ in range(5):
            daemon.stop()
            begin = time.monotonic()
            daemon.start(wait=False)
            while not answers(daemon):
                assert time.monotonic() - begin < 20
            row.ours.append((time.monotonic() - begin) * 1000)
        rows.append(row)
    return rows


def answers(daemon: Daemon) -> bool:
    """Without httpx, whose client takes some milliseconds to make."""
    try:
        with socket.create_connection(("127.0.0.1", daemon.port), timeout=1) as connection:
            connection.sendall(b"GET /readyz HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
            return connection.recv(16).startswith(b"HTTP/1.1 200")
    except OSError:
        return False


def token_verify(rig: Rig):
    """One ES256 verification, first sight of a token, against OpenSSL's own figure for the curve."""
    program = BUILD / "token"
    BUILD.mkdir(parents=True, exist_ok=True)
    objects = ROOT / "build/release-gcc"
    subprocess.run(
        ["gcc", "-O2", "-D_GNU_SOURCE", "-std=gnu17", f"-I{ROOT}/libcommon", ROOT / "tests/bench/token.c", "-o", program,
         *(objects / f"libsalus-{layer}.a" for layer in ("codec", "sys", "base")),
         "-ljansson", "-lsodium", "-lcrypto", "-lutf8proc", "-lidn2", "-levent_core", "-levent_pthreads", "-lpthread", "-lm"], check=True)
    row = Row("ES256 verify", "/s", "openssl speed ecdsap256", 0.7)
    for _ in range(3):
        speed = subprocess.run(["openssl", "speed", "-seconds", "2", "ecdsap256"], capture_output=True, text=True, check=True)
        row.references.append(float(speed.stdout.splitlines()[-1].split()[-1]))
        row.ours.append(float(subprocess.run([program], capture_output=True, text=True, check=True).stdout))
    return [row]


ROWS = {"idle_memory": idle_memory, "start_time": start_time, "token_verify": token_verify}
