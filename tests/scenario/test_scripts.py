"""scripts/up and scripts/down as an operator uses them."""

import os
import socket
import time

import httpx
import pytest

from support import streams
from support.copy import Copy
from support.waiting import eventually

SERVERS = ["gateway", "auth", "main-health", "chat", "memory", "scheduler", "mail", "mongo", "postgres", "redis-bus", "redis-cache"]


def is_running(pid: int) -> bool:
    """An ended process stays in the list until somebody has asked how it ended."""
    try:
        return open(f"/proc/{pid}/stat").read().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


@pytest.fixture(scope="module")
def copy(workspace):
    """A copy that is up."""
    made = Copy(workspace / "copy")
    try:
        made.run("up")
        yield made
    finally:
        made.run("down", "--purge", check=False)


@pytest.mark.slow
def test_everything_is_up(copy):
    assert httpx.get(copy.url).status_code == 200
    for service in ("auth", "main-health", "chat", "memory", "scheduler"):
        assert httpx.get(f"{copy.url}/{service}/readyz").status_code == 200
        assert httpx.get(f"{copy.url}/{service}/openapi.json").json()["openapi"].startswith("3.1")


@pytest.mark.slow
def test_a_second_up_changes_nothing(copy):
    before = {name: copy.pid(name) for name in SERVERS}
    started = time.monotonic()
    said = copy.run("up").stdout
    assert time.monotonic() - started < 15
    assert {name: copy.pid(name) for name in SERVERS} == before
    assert str(copy.data) in said and copy.url in said


@pytest.mark.slow
def test_secrets_are_the_owner_s_alone(copy):
    secrets = copy.data / "secrets"
    assert secrets.stat().st_mode & 0o777 == 0o700
    files = [path for path in secrets.rglob("*") if path.is_file()]
    assert len(files) > 10
    assert {path.stat().st_mode & 0o777 for path in files} == {0o600}
    passwords = [path.read_text().strip() for path in files]
    for pid in filter(str.isdigit, os.listdir("/proc")):
        try:
            command = open(f"/proc/{pid}/cmdline").read()
        except OSError:
            continue
        assert not any(password in command for password in passwords), pid


@pytest.mark.slow
def test_a_killed_server_is_started_again(copy):
    os.kill(copy.pid("main-health"), 9)
    kept = copy.pid("auth")
    copy.run("up")
    assert httpx.get(f"{copy.url}/main-health/readyz").status_code == 200
    assert copy.pid("auth") == kept


@pytest.mark.slow
def test_down_stops_what_it_started_and_keeps_the_data(copy):
    pids = [copy.pid(name) for name in SERVERS]
    copy.run("down")
    assert not any(is_running(pid) for pid in pids)
    copy.run("up")
    assert httpx.get(f"{copy.url}/auth/readyz").status_code == 200


@pytest.fixture
def two(workspace):
    """A copy with auth and chat alone."""
    made = Copy(workspace / "two")
    try:
        made.said = made.run("up", "auth", "chat").stdout
        yield made
    finally:
        made.run("down", "--purge", check=False)


@pytest.mark.slow
def test_two_services_alone(two):
    """Only these two and their stores run; the companion answers, helps, and says what it could not do. What is started later
    takes part by itself."""
    running = {path.stem for path in (two.data / "run").glob("*.pid")}
    assert running == {"auth", "chat", "mongo", "postgres", "redis-bus", "redis-cache"}
    auth, chat = (f"http://127.0.0.1:{two.port + offset}" for offset in (1, 3))
    assert f"{auth}/v1/auth/register" in two.said and f"{chat}/openapi.json" in two.said and f"{two.url}/" not in two.said
    made = httpx.post(f"{auth}/v1/auth/register", json={"email": "dana@example.org", "password": "a long sentence of mine",
                                                        "language": "en", "time_zone": "America/New_York"})
    assert made.status_code == 201, made.text
    with httpx.Client(base_url=chat, headers={"Authorization": f"Bearer {made.json()['access_token']}"}, timeout=30) as api:
        assert talk(api, "hello")[1] == []
        for said, tool in (("how was my week?", "week_summary"), ("did 3 sets of 10 squats with 60 kg", "log_exercise"),
                           ("remember that I am allergic to penicillin", "remember"), ("what am I allergic to?", "recall"),
                           ("remind me every weekday at 8 to take my meds", "create_reminder")):
            text, tools = talk(api, said)
            assert tools == [(tool, "unavailable")] and text and "penicillin" not in text, said
        text, tools = talk(api, "I don't want to live anymore")
        assert "988" in text and tools == []
        two.run("up", "memory")
        eventually(lambda: talk(api, "remember that I am allergic to penicillin")[1] == [("remember", "done")], within=30)
        assert "penicillin" in talk(api, "what am I allergic to?")[0]


def talk(api: httpx.Client, content: str):
    conversation = api.post("/v1/conversations", json={}).json()["id"]
    answer = api.post(f"/v1/conversations/{conversation}/messages", json={"content": content}, headers={"Accept": "text/event-stream"})
    events = streams.parse(answer.text)
    assert events[-1].type == "done", answer.text
    return streams.text_of(events), [(event.data["name"], event.data["status"]) for event in events if event.type == "tool"]


@pytest.mark.slow
def test_a_taken_port_is_named(workspace):
    copy = Copy(workspace / "taken")
    with socket.create_server(("127.0.0.1", copy.port + 903)):
        refused = copy.run("up", check=False)
    assert refused.returncode == 1
    assert f"port {copy.port + 903}" in refused.stdout and "did not start" in refused.stdout
    copy.run("down", "--purge")
    assert not copy.data.exists()


def test_down_spares_what_is_not_ours(workspace):
    folder = workspace / "somebody's"
    folder.mkdir()
    (folder / "letter").write_text("dear")
    copy = Copy(folder)
    assert "not a data folder" in copy.run("down", "--purge").stdout
    assert (folder / "letter").read_text() == "dear"


@pytest.mark.parametrize("base", ["80", "99999", "abc", "7100; rm -rf /"])
def test_odd_port_bases_are_refused(workspace, base):
    copy = Copy(workspace / "odd")
    copy.port = base
    refused = copy.run("up", check=False)
    assert refused.returncode == 1 and "SALUS_PORT_BASE" in refused.stdout
