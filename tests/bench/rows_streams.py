"""Streams to clients: a thousand at 20 events a second, served by the replica that makes them and by another one."""

import json
import subprocess
import tempfile
import time
import uuid
from pathlib import Path

import httpx

from bench.rig import BENCH, BUILD, Rig
from bench.table import Row
from support.paths import ROOT
from support.process import free_port

STREAMS = 1000
WORDS = 100
PAUSE_US = 50_000
REPLICA = ROOT / "build/release-gcc/tests/support/replica"


class Replica:
    def __init__(self, redis_port: int):
        self.popen = subprocess.Popen([REPLICA, f"redis://127.0.0.1:{redis_port}"], stdout=subprocess.PIPE, text=True)
        self.port = int(self.popen.stdout.readline())
        self.http = httpx.Client(base_url=f"http://127.0.0.1:{self.port}")


def stalls(_rig: Rig) -> list[Row]:
    BUILD.mkdir(parents=True, exist_ok=True)
    subprocess.run(["gcc", "-O2", "-D_GNU_SOURCE", BENCH / "streams.c", "-o", BUILD / "streams"], check=True)
    subprocess.run(["make", "-s", "BUILD=release", REPLICA.relative_to(ROOT)], cwd=ROOT, check=True)
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        port = free_port()
        redis = subprocess.Popen(["redis-server", "--port", str(port), "--bind", "127.0.0.1", "--save", "", "--dir", folder],
                                 stdout=subprocess.DEVNULL)
        replicas = [Replica(port), Replica(port)]
        try:
            wait_until_known(replicas)
            for where, reader in (("its replica", replicas[0]), ("another replica", replicas[1])):
                rows += measure(where, replicas[0], reader)
        finally:
            for process in (*(replica.popen for replica in replicas), redis):
                process.kill()
                process.wait()
    return rows


def wait_until_known(replicas):
    name = uuid.uuid4()
    replicas[0].http.post(f"/replies/{name}?words=1")
    while replicas[1].http.get(f"/replies/{name}").status_code != 200:
        time.sleep(0.05)


def measure(where: str, maker: Replica, reader: Replica) -> list[Row]:
    names = [str(uuid.uuid4()) for _ in range(STREAMS)]
    for name in names:
        maker.http.post(f"/replies/{name}?words={WORDS}&pause_us={PAUSE_US}").raise_for_status()
    done = subprocess.run([BUILD / "streams", str(reader.port), "60"], input="".join(f"/replies/{name}\n" for name in names),
                          capture_output=True, text=True, check=True)
    result = json.loads(done.stdout)
    whole = result["ended"] == STREAMS and result["events"] == STREAMS * (WORDS + 1)
    checked = f"{result['events']} events" if whole else f"VOID: {result['ended']} of {STREAMS} whole"
    memory = int(Path(f"/proc/{reader.popen.pid}/status").read_text().split("VmRSS:")[1].split()[0]) / 1024
    return [Row(f"1,000 streams by {where}: longest stall beyond the pause", "ms", goal=100, at_most=True, absolute=True,
                ours=[(result["longest_us"] - PAUSE_US) / 1000], checked=checked),
            Row(f"1,000 streams by {where}: p99 stall beyond the pause", "ms", absolute=True,
                ours=[(result["p99_us"] - PAUSE_US) / 1000], checked=checked),
            Row(f"1,000 streams by {where}: memory of the replica", "MiB", absolute=True, ours=[memory])]


ROWS = {"streams": stalls}
