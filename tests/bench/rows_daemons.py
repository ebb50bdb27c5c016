"""What a daemon costs before it does anything: memory and the time until it is ready; and what a token costs."""

import subprocess
import time

import httpx

from bench.rig import BUILD, Rig
from bench.table import Row
from support.paths import ROOT


def idle_memory(rig: Rig):
    rows = []
    for daemon in (rig.auth, rig.health):
        row = Row(f"idle memory, salus-{daemon.service}", "MiB", goal=12, at_most=True, absolute=True)
        daemon.stop()
        daemon.start()
        httpx.get(f"{daemon.url}/readyz")
        row.ours.append(daemon.resident_bytes() / 2**20)
        rows.append(row)
    return rows


def start_time(rig: Rig):
    rows = []
    for daemon in (rig.auth, rig.health):
        row = Row(f"start until ready, salus-{daemon.service}", "ms", goal=100, at_most=True, absolute=True)
        for _ in range(5):
            daemon.stop()
            daemon.start(wait=False)
            begin = time.monotonic()
            while not answers(daemon):
                assert time.monotonic() - begin < 20
            row.ours.append((time.monotonic() - begin) * 1000)
        rows.append(row)
    return rows


def answers(daemon) -> bool:
    try:
        return httpx.get(f"{daemon.url}/readyz", timeout=1).status_code == 200
    except httpx.HTTPError:
        return False


def token_verify(rig: Rig):
    """One ES256 verification, first sight of a token, against OpenSSL's own figure for the curve."""
    program = BUILD / "token"
    BUILD.mkdir(parents=True, exist_ok=True)
    objects = ROOT / "build/release-gcc"
    subprocess.run(
        ["gcc", "-O2", "-D_GNU_SOURCE", "-std=gnu17", f"-I{ROOT}/libcommon", ROOT / "tests/bench/token.c", "-o", program,
         *(objects / f"libsalus-{layer}.a" for layer in ("codec", "sys", "base")),
         "-ljwt", "-ljansson", "-lsodium", "-lcrypto", "-lutf8proc", "-lidn2", "-levent_core", "-lpthread", "-lm"], check=True)
    row = Row("ES256 verify", "/s", "openssl speed ecdsap256", 0.7)
    for _ in range(3):
        speed = subprocess.run(["openssl", "speed", "-seconds", "2", "ecdsap256"], capture_output=True, text=True, check=True)
        row.references.append(float(speed.stdout.splitlines()[-1].split()[-1]))
        row.ours.append(float(subprocess.run([program], capture_output=True, text=True, check=True).stdout))
    return [row]


ROWS = {"idle_memory": idle_memory, "start_time": start_time, "token_verify": token_verify}
