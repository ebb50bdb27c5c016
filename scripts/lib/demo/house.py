"""What the demo does to the house itself: looks at the bus, stops and starts servers, runs a second instance."""

import email
import email.policy
import json
import os
import subprocess
import time
from contextlib import contextmanager
from pathlib import Path

from client import Api
from people import PORT, Person
from tell import expect, saw

ROOT = Path(__file__).resolve().parents[3]
DATA = Path(os.environ["SALUS_DATA"])
SECOND = PORT + 90
SERVICES = ("auth", "main-health", "chat", "memory", "scheduler")
REPLICAS = int(os.environ["SALUS_REPLICAS"])


def until(condition, claim: str, within: float = 30, silently: bool = False):
    """Waits for what `condition` returns when it is something, and says the claim; ends the demo when it never is."""
    deadline = time.monotonic() + within
    while not (found := condition()):
        if time.monotonic() > deadline:
            expect(False, claim, f"not after {within:.0f} s")
        time.sleep(0.05)
    if not silently:
        saw(claim)
    return found


# ---- the bus
def _redis(*words: str):
    """A command on the bus, as its operator."""
    said = subprocess.run(["redis-cli", "--user", "salus-operator", "--no-auth-warning", "-e", "--json", "-p", str(PORT + 903), *words],
                          env=os.environ | {"REDISCLI_AUTH": (DATA / "secrets/redis/salus-operator").read_text().strip()},
                          check=True, capture_output=True, text=True)
    return json.loads(said.stdout)


def bus_events(service: str, kind: str, user_id: str) -> list[dict]:
    """The newest facts of one kind about somebody that a service has published."""
    found = []
    for _, flat in _redis("XREVRANGE", f"s1:events:{service}", "+", "-", "COUNT", "500"):
        fields = dict(zip(flat[::2], flat[1::2]))
        if fields["ce_type"] == kind and fields.get("ce_subject") == user_id:
            found.append(json.loads(fields["data"]))
    return found


def until_all_have_heard(*people: Person):
    """Every service has taken in what auth has said of somebody."""
    def heard() -> bool:
        if not all(bus_events("auth", "user.created.v1", person.id) for person in people):
            return False
        head = _redis("XINFO", "STREAM", "s1:events:auth")["last-generated-id"]
        groups = _redis("XINFO", "GROUPS", "s1:events:auth")
        return all(group["last-delivered-id"] == head and group["pending"] == 0 for group in groups)

    until(heard, "all services have heard of them", silently=True)


# ---- mail
def mails_of(address: str) -> list[Path]:
    """What the sink has for somebody, oldest first."""
    return sorted((DATA / "mail").glob(f"*-{address}.eml"))


def read(path: Path) -> email.message.EmailMessage:
    return email.message_from_bytes(path.read_bytes(), policy=email.policy.default)


# ---- servers
def daemon(action: str, *names: str):
    for name in names:
        subprocess.run([ROOT / "scripts/lib/daemon", action, name], check=True, stdout=subprocess.DEVNULL)


def daemon_command(service: str, *arguments: str, **settings: str) -> subprocess.CompletedProcess:
    """A command of a daemon's own, with the settings of the one that runs, or others."""
    return subprocess.run([ROOT / "scripts/lib/daemon", "command", service, *(f"{key}={value}" for key, value in settings.items()),
                           "--", *arguments], capture_output=True, text=True)


@contextmanager
def stopped(*names: str):
    """Servers are stopped meanwhile, and started again whatever happens."""
    daemon("stop", *names)
    try:
        yield
    finally:
        daemon("start", *names)


def is_ready(service: str) -> bool:
    return Api(PORT).get(f"/{service}/readyz").status == 200


@contextmanager
def second_instance(service: str, **settings: str):
    """Another instance of a service beside the first, at port SECOND."""
    command = [ROOT / "scripts/lib/daemon", "with", service, str(SECOND), *(f"{key}={value}" for key, value in settings.items()),
               "--", "sh", "-c", "echo ready; cat >/dev/null"]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        expect(process.stdout.readline() == "ready\n", f"a second instance of {service} is started beside the first")
        try:
            yield
        finally:
            process.stdin.close()
            process.wait(60)
