"""Uploads with the official tus client (tus-js-client): whole, in pieces, with the first bytes in the creation, and
with the daemon killed in between."""

import json
import shutil
import subprocess

import httpx
import pytest
from support.client import register
from support.imports import SAMPLE, ended, manifest_of, same_as
from support.paths import ROOT

HERE = ROOT / "tests/integration/tus_client"


@pytest.fixture(scope="module")
def client():
    """The folder where the client is installed by its lock file, once a checkout."""
    folder = ROOT / "build/tus-client"
    folder.mkdir(parents=True, exist_ok=True)
    lock, installed = HERE / "package-lock.json", folder / "installed"
    if not installed.exists() or installed.read_bytes() != lock.read_bytes():
        for name in ("package.json", "package-lock.json"):
            shutil.copy(HERE / name, folder)
        subprocess.run(["npm", "ci", "--silent", "--no-audit", "--no-fund", "--ignore-scripts"], cwd=folder, check=True)
        shutil.copy(lock, installed)
    shutil.copy(HERE / "upload.cjs", folder)
    return folder


class Upload:
    """The client at work on the sample."""

    def __init__(self, client, url: str, token: str, **options):
        command = ["node", "upload.cjs", f"{url}/v1/imports/uploads", token, str(SAMPLE), json.dumps(options)]
        self.process = subprocess.Popen(command, cwd=client, stdout=subprocess.PIPE, text=True)

    def until(self, sent: int):
        """Waits for so many bytes to be on their way."""
        for line in self.process.stdout:
            word, value = line.split()
            if word == "progress" and int(value) >= sent:
                return
        raise AssertionError("the upload ended before")

    def finish(self) -> str:
        """Waits for the end; returns the id of the import."""
        last = self.process.stdout.read().strip().splitlines()[-1]
        assert self.process.wait(60) == 0
        word, url = last.split()
        assert word == "done"
        return httpx.URL(url).path.rsplit("/", 1)[1]


@pytest.mark.parametrize("options", [
    {},
    {"chunkSize": 20_000},
    {"chunkSize": 20_000, "uploadDataDuringCreation": True},
    {"uploadDataDuringCreation": True},
], ids=["whole", "pieces", "pieces-in-creation", "whole-in-creation"])
def test_official_client(patient, client, health, options):
    dana = patient()
    job = ended(dana.health, Upload(client, health.url, dana.token, **options).finish())
    assert job["state"] == "done"
    assert same_as(job, manifest_of(SAMPLE))


def test_daemon_is_killed_in_between(private_stack, client):
    auth, health = private_stack.daemon("auth"), private_stack.daemon("main-health")
    dana = register(auth.url, health.url)
    upload = Upload(client, health.url, dana.token, chunkSize=2_000)
    for sent in (10_000, 30_000):
        upload.until(sent)
        health.kill()
        health.start()
    job = ended(dana.health, upload.finish())
    assert job["state"] == "done"
    assert same_as(job, manifest_of(SAMPLE))
