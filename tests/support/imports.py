"""Imports as a client sees them: exports made for a test, uploads (tus), and what became of them."""

import base64
import json
import subprocess
import zipfile
from pathlib import Path

import httpx
from support.paths import ROOT
from support.waiting import eventually

TUS = {"Tus-Resumable": "1.0.0"}
ENDED = ("done", "failed", "cancelled")
SAMPLE = ROOT / "tests/data/apple/export.zip"


def make_export(file: Path, *options: str) -> dict:
    """Has our generator write an export; returns its manifest."""
    subprocess.run([ROOT / "scripts/make-apple-export", file, *options], check=True, capture_output=True)
    return manifest_of(file)


def manifest_of(file: Path) -> dict:
    return json.loads(file.with_suffix(".manifest.json").read_text())


def zipped(folder: Path, entries: dict[str, str | bytes]) -> Path:
    file = folder / "made.zip"
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in entries.items():
            archive.writestr(name, content)
    return file


def begin(api: httpx.Client, size: int, name: str = "export.zip") -> str:
    """Creates an upload and returns its path."""
    metadata = f"filename {base64.b64encode(name.encode()).decode()}"
    answer = api.post("/v1/imports/uploads", headers={**TUS, "Upload-Length": str(size), "Upload-Metadata": metadata})
    assert answer.status_code == 201, answer.text
    return httpx.URL(answer.headers["location"]).path


def append(api: httpx.Client, path: str, offset: int, content: bytes) -> httpx.Response:
    return api.patch(path, content=content, headers={
        **TUS, "Upload-Offset": str(offset), "Content-Type": "application/offset+octet-stream"})


def upload(api: httpx.Client, content: bytes | Path) -> str:
    """Uploads a file whole; returns the id of its import."""
    if isinstance(content, Path):
        content = content.read_bytes()
    path = begin(api, len(content))
    answer = append(api, path, 0, content)
    assert answer.status_code == 204, answer.text
    return path.rsplit("/", 1)[1]


def look(api: httpx.Client, import_id: str) -> dict:
    answer = api.get(f"/v1/imports/{import_id}")
    assert answer.status_code == 200, answer.text
    return answer.json()


def ended(api: httpx.Client, import_id: str, within: float = 60) -> dict:
    def check():
        job = look(api, import_id)
        return job if job["state"] in ENDED else None
    job = eventually(check, within=within, what=f"import {import_id} ends")
    parts = job["understood"] + job["without_fact"] + job["not_understood"] + job["rejected"]
    assert job["records"] == parts, job
    assert job["understood"] == job["added"] + job["duplicates"], job
    return job


def bring_in(api: httpx.Client, content: bytes | Path, within: float = 60) -> dict:
    return ended(api, upload(api, content), within)


def counts(listed: list[dict]) -> dict[str, int]:
    return {item["name"]: item["count"] for item in listed}


def same_as(job: dict, manifest: dict) -> bool:
    """Whether an import found what the generator says is there."""
    assert job["state"] == "done", job
    for key in ("records", "understood", "without_fact", "not_understood", "rejected"):
        assert job[key] == manifest[key], (key, job, manifest)
    for key, expected in manifest["types"].items():
        assert counts(job["summary"][key]) == expected, key
    assert counts(job["summary"]["ignored_files"]) == manifest["ignored_files"]
    return True
