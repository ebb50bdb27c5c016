"""Imports of Apple Health exports: how fast a file is read and stored, and in how much memory."""

import subprocess
import time
from pathlib import Path

from bench.rig import BUILD, Rig
from bench.table import Row
from support.client import register
from support.imports import ENDED, append, begin, look, make_export
from support.paths import ROOT

PIECE = 8 << 20
SIZE = "1GB"


def reader_program() -> Path:
    program, out = BUILD / "apple", ROOT / "build/release-gcc"
    BUILD.mkdir(parents=True, exist_ok=True)
    subprocess.run(
        ["gcc", "-O2", "-D_GNU_SOURCE", "-std=gnu17", f"-I{ROOT}/libcommon", f"-I{ROOT}/build/gen",
         f"-I{ROOT}/services/main-health", ROOT / "tests/bench/apple.c", "-o", program,
         out / "services/main-health/.objects.a", out / "gen/schemas.o",
         *(out / f"libsalus-{layer}.a" for layer in ("codec", "sys", "base")),
         "-lexpat", "-lzip", "-ljansson", "-lsodium", "-lcrypto", "-lutf8proc", "-lidn2", "-levent_core", "-levent_pthreads",
         "-lpthread", "-lm"], check=True)
    return program


def import_reader(rig: Rig):
    """Without a database: the scanner, and all of reading, against expat that does nothing with what it finds."""
    subprocess.run(["make", "-s", "BUILD=release", "build/release-gcc/services/main-health/.objects.a"], cwd=ROOT, check=True)
    file = Path(rig.home.name) / "export.xml"
    make_export(file, "--size", "200MB")
    output = subprocess.run([reader_program(), file, "5"], capture_output=True, text=True, check=True).stdout
    file.unlink()
    found: dict[str, list[float]] = {}
    for line in output.splitlines():
        name, speed, _, _ = line.split("\t")
        found.setdefault(name, []).append(float(speed))
    scan = Row("Apple export, scanned", "MB/s", "expat without handlers", 2, ours=found["scan"], references=found["expat"])
    read = Row("Apple export, read and mapped", "MB/s", "expat without handlers", ours=found["read"], references=found["expat"])
    return [scan, read]


def import_file(rig: Rig):
    """A generated export, from its last uploaded byte to its last stored fact; every fact is counted afterwards."""
    file = Path(rig.home.name) / "export.zip"
    manifest = make_export(file, "--size", SIZE)
    person = register(rig.auth.url, rig.health.url, time_zone="Europe/Berlin")
    speed = Row(f"Apple import, {SIZE}", "records/s", goal=60_000, absolute=True)
    again = Row(f"Apple import, {SIZE}, the same file again", "records/s")
    memory = Row(f"Apple import, {SIZE}, peak memory", "MiB", goal=48, at_most=True, absolute=True)
    for row in (speed, again):
        job, seconds = bring_in(rig, person, file)
        row.ours.append(job["records"] / seconds)
        row.checked = verdict(rig, person, job, manifest)
    memory.ours.append(peak_mib(rig.health.pid))
    file.unlink()
    return [speed, again, memory]


def bring_in(rig: Rig, person, file: Path):
    size = file.stat().st_size
    path, at = begin(person.health, size), 0
    with file.open("rb") as content:
        while piece := content.read(PIECE):
            started = time.monotonic()
            assert append(person.health, path, at, piece).status_code == 204
            at += len(piece)
    while True:
        job = look(person.health, path.rsplit("/", 1)[1])
        if job["state"] in ENDED:
            return job, time.monotonic() - started
        time.sleep(0.05)


def verdict(rig: Rig, person, job: dict, manifest: dict) -> str:
    stored, = rig.stack.postgres.rows("salus_health", "SELECT count(*) FROM health_events WHERE user_id = %s", person.id)
    expected = (manifest["records"], manifest["understood"], manifest["added"])
    if job["state"] != "done" or (job["records"], job["understood"], stored[0]) != expected:
        return f"VOID: {job['state']}, {stored[0]} facts of {manifest['added']}"
    return f"{stored[0]} facts"


def peak_mib(pid: int) -> float:
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("VmHWM"):
            return int(line.split()[1]) / 1024
    raise AssertionError("the kernel does not say")


ROWS = {"import_reader": import_reader, "import_file": import_file}
