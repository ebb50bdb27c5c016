"""Chapters 2 and 5: imports of Apple Health exports, told with their progress, and one through two power cuts."""

import json
import os
import subprocess
import time
import zipfile
from pathlib import Path

from client import Upload
from house import DATA, ROOT, daemon
from people import register
from tell import chapter, expect, note, progress, progress_end, saw

REALDATA = Path(os.environ.get("SALUS_REALDATA", ROOT.parent / "shared" / "realdata"))
UPLOADS = "/v1/imports/uploads"
ENDED = ("done", "failed", "cancelled")

first_import_id = ""


# ---- the files
def sample(records: int, seed: int) -> tuple[Path, dict]:
    """An export that our generator writes, and what an import must find in it."""
    file = DATA / "scratch" / f"sample-{records}-{seed}.zip"
    if not file.exists():
        subprocess.run([ROOT / "scripts/make-apple-export", file, "--records", str(records), "--seed", str(seed)],
                       check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    return file, json.loads(file.with_suffix(".manifest.json").read_text())


def real_exports():
    folder = REALDATA / "health" / "apple"
    if not folder.is_dir():
        note(f"(no real exports here: {folder}; SALUS_REALDATA names another folder)")
        return
    yield from sorted(folder.glob("*/export.zip"))
    for xml in sorted(folder.glob("*/*.xml")):
        if not xml.with_suffix(".zip").exists():
            yield zipped(xml)


def zipped(xml: Path) -> Path:
    """As the phone would have packed it."""
    file = DATA / "scratch" / f"{xml.stem}.zip"
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.write(xml, "apple_health_export/export.xml")
    return file


# ---- one import
def upload(api, file: Path) -> str:
    """Sends a file and returns the id of its import."""
    sending = Upload(api, UPLOADS, file)
    sending.send_until(progress=lambda sent, size: progress(f"uploading {sent / size:4.0%}"))
    progress_end()
    return sending.path.rsplit("/", 1)[1]


def follow(api, import_id: str, until=lambda job: False) -> dict:
    """Reads the import until it has ended, or `until` says so; a server that is away is waited for."""
    deadline = time.monotonic() + 300
    while time.monotonic() < deadline:
        try:
            answer = api.get(f"/v1/imports/{import_id}")
        except OSError:
            answer = None
        if answer is not None and answer.status == 200:
            job = answer.json
            share = job["bytes_done"] / job["bytes_total"] if job.get("bytes_total") else 0
            progress(f"importing {share:4.0%}   {job['records']:,} records, {job['added']:,} new")
            if job["state"] in ENDED or until(job):
                progress_end()
                return job
        elif answer is not None and answer.status not in (502, 503, 504):
            expect(False, "the import can be looked at", f"{answer.status} {answer.body[:300]}")
        time.sleep(0.05)
    expect(False, "the import ends", import_id)
    return {}


def tell_summary(job: dict):
    def lines(title: str, counts: list):
        for item in sorted(counts, key=lambda item: -item["count"])[:5]:
            where = ", ".join(map(str, item["first_lines"][:3]))
            note(f"  {title:15} {item['count']:>9,}  {item['name']}" + (f"  (line {where})" if where and title != "understood" else ""))

    note(f"{job['records']:,} records: {job['added']:,} new facts, {job['duplicates']:,} duplicates, "
         f"{job['without_fact']:,} without a fact, {job['not_understood']:,} not understood, {job['rejected']:,} rejected")
    lines("understood", job["summary"]["understood"])
    lines("not understood", job["summary"]["not_understood"])


def bring_in(dana, file: Path, name: str) -> dict:
    started = time.monotonic()
    job = follow(dana.api, upload(dana.api, file))
    expect(job["state"] == "done", f"{name} ({file.stat().st_size:,} bytes) is imported in {time.monotonic() - started:.1f} s", job)
    parts = job["understood"] + job["without_fact"] + job["not_understood"] + job["rejected"]
    expect(job["records"] == parts and job["understood"] == job["added"] + job["duplicates"],
           f"each of its {parts:,} records is accounted for", job)
    return job


def rejected_lines(dana, job: dict) -> list[int]:
    """Tells the first of what was rejected; returns the lines of all."""
    lines, cursor = [], ""
    while job["rejected"]:
        page = dana.api.get(f"/v1/imports/{job['id']}/report?limit=200{cursor}").json
        for item in page["items"][:3] if not lines else []:
            note(f"  rejected        line {item['line']}: {item['type']}: {item['reason']}")
        lines += [item["line"] for item in page["items"]]
        if "next_cursor" not in page:
            break
        cursor = f"&cursor={page['next_cursor']}"
    return sorted(lines)


def expect_manifest(job: dict, manifest: dict, claim: str):
    counts = ("records", "understood", "added", "duplicates", "without_fact", "not_understood", "rejected")
    expect([job[name] for name in counts] == [manifest[name] for name in counts], claim,
           {name: (job[name], manifest[name]) for name in counts})


def once_more(dana, file: Path, job: dict, name: str):
    again = bring_in(dana, file, name)
    expect(again["added"] == 0 and again["understood"] == job["understood"] and again["records"] == job["records"],
           "and adds nothing: all of it is known", again)


def chapter_import(dana):
    global first_import_id
    chapter(2, "Years of data from a phone")
    file, manifest = sample(20_000, 1)
    job = bring_in(dana, file, "the sample that our generator wrote")
    first_import_id = job["id"]
    tell_summary(job)
    expect(rejected_lines(dana, job) == manifest["rejected_lines"], "what was rejected is named with its line, and nothing else was", job)
    expect_manifest(job, manifest, "the counts are exactly those of the generator")
    once_more(dana, file, job, "the same file again")
    for real in real_exports():
        job = bring_in(dana, real, f"a real export, {real.parent.name}/{real.name},")
        tell_summary(job)
        rejected_lines(dana, job)
        once_more(dana, real, job, "the same file again")


# ---- the power cut
def cut_power():
    """Both daemons, kill -9 at once; then they are started again."""
    daemon("kill", "main-health", "auth")
    saw("both daemons are killed with kill -9")
    daemon("start", "auth", "main-health")
    saw("and started again")


def chapter_power_cut():
    chapter(5, "A power cut")
    person = register("Noam")
    file, manifest = sample(200_000, 2)
    sending = Upload(person.api, UPLOADS, file)
    sending.send_until(file.stat().st_size // 2, progress=lambda sent, size: progress(f"uploading {sent / size:4.0%}"))
    progress_end()
    before = sending.offset()
    saw(f"a second export is half uploaded ({before:,} of {sending.size:,} bytes)")
    cut_power()
    after = sending.offset()
    expect(after == before, f"the upload goes on at byte {after:,}", after)
    sending.send_until()
    import_id = sending.path.rsplit("/", 1)[1]
    job = follow(person.api, import_id, until=lambda job: job["records"] > 20_000)
    expect(job["state"] == "running", f"the import is running: {job['records']:,} records so far", job)
    cut_power()
    reached = follow(person.api, import_id, until=lambda job: True)
    expect(reached["records"] >= job["records"], f"the import goes on where it was, at {reached['records']:,} records", reached)
    job = follow(person.api, import_id)
    expect(job["state"] == "done", f"and ends: {job['records']:,} records, {job['added']:,} new facts", job)
    expect_manifest(job, manifest, "exactly what the generator wrote: nothing lost, nothing twice")
    once_more(person, file, job, "the same file, without a power cut,")
