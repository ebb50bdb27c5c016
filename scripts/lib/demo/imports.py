"""Chapters 2 and 5: imports of Apple Health exports, told with their progress, and one through two power cuts."""

import os
import subprocess
import time
import zipfile
from pathlib import Path

from client import Upload
from tell import chapter, expect, note, progress, progress_end, saw

ROOT = Path(__file__).resolve().parents[3]
DATA = Path(os.environ["SALUS_DATA"])
REALDATA = Path(os.environ.get("SALUS_REALDATA", ROOT.parent / "shared" / "realdata"))
UPLOADS = "/v1/imports/uploads"
ENDED = ("done", "failed", "cancelled")

first_import_id = ""


# ---- the files
def sample(records: int, seed: int) -> Path:
    """An export that our generator writes."""
    file = DATA / "scratch" / f"sample-{records}-{seed}.zip"
    if not file.exists():
        subprocess.run(["python3", ROOT / "scripts/make-apple-sample", "--records", str(records), "--seed", str(seed), file], check=True)
    return file


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
           "every record of the file is accounted for", job)
    return job


def rejected_lines(dana, job: dict):
    if not job["rejected"]:
        return
    items = dana.api.get(f"/v1/imports/{job['id']}/report?limit=3").json["items"]
    for item in items:
        note(f"  rejected        line {item['line']}: {item['type']}: {item['reason']}")
    expect(items and all(item["line"] > 0 for item in items), "what was rejected is named with its line", items)


def chapter_import(dana):
    global first_import_id
    chapter(2, "Years of data from a phone")
    files = [(sample(20_000, 1), "the sample that our generator wrote")]
    files += [(file, f"a real export, {file.name},") for file in real_exports()]
    for file, name in files:
        job = bring_in(dana, file, name)
        first_import_id = first_import_id or job["id"]
        tell_summary(job)
        rejected_lines(dana, job)
        again = bring_in(dana, file, "the same file again")
        expect(again["added"] == 0 and again["understood"] == job["understood"], "which adds nothing: all of it is known", again)


# ---- the power cut
def cut_power():
    """Both daemons, kill -9 at once; then they are started again."""
    for name in ("main-health", "auth"):
        subprocess.run([ROOT / "scripts/lib/daemon", "kill", name], check=True)
    saw("both daemons are killed with kill -9")
    for name in ("auth", "main-health"):
        subprocess.run([ROOT / "scripts/lib/daemon", "start", name], check=True, stdout=subprocess.DEVNULL)
    saw("and started again")


def chapter_power_cut(dana):
    chapter(5, "A power cut")
    file = sample(200_000, 2)
    sending = Upload(dana.api, UPLOADS, file)
    sending.send_until(file.stat().st_size // 2, progress=lambda sent, size: progress(f"uploading {sent / size:4.0%}"))
    progress_end()
    before = sending.offset()
    saw(f"a second export is half uploaded ({before:,} of {sending.size:,} bytes)")
    cut_power()
    after = sending.offset()
    expect(after == before, f"the upload goes on at byte {after:,}", after)
    sending.send_until()
    import_id = sending.path.rsplit("/", 1)[1]
    job = follow(dana.api, import_id, until=lambda job: job["records"] > 20_000)
    expect(job["state"] == "running", f"the import is running: {job['records']:,} records so far", job)
    cut_power()
    reached = follow(dana.api, import_id, until=lambda job: True)
    expect(reached["records"] >= job["added"] > 0, f"the import goes on where it was, at {reached['records']:,} records", reached)
    job = follow(dana.api, import_id)
    expect(job["state"] == "done", f"and ends: {job['records']:,} records, {job['added']:,} new facts", job)
    nothing_lost(dana, file, job)


def nothing_lost(dana, file: Path, job: dict):
    parts = job["understood"] + job["without_fact"] + job["not_understood"] + job["rejected"]
    expect(job["records"] == parts and job["understood"] == job["added"] + job["duplicates"],
           "every record of the file is accounted for", job)
    again = bring_in(dana, file, "the same file, without a power cut,")
    expect(again["records"] == job["records"] and again["understood"] == job["understood"],
           "has as many records: nothing was counted twice or left out", (again, job))
    expect(again["added"] == 0, "and adds nothing: nothing was lost", again)
