"""The daemons against their own OpenAPI documents: schemathesis makes requests, valid and not, and checks every
answer. No 5xx, nothing undocumented, nothing invalid taken, nothing valid refused."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

EXAMPLES = os.environ.get("SALUS_EXAMPLES", "40")
SUPPORT = Path(__file__).resolve().parents[1] / "support"


# Their bodies are no JSON document: test_events and test_imports send them, the good and the bad.
STREAMED = ["health_event_batch", "import_create", "import_upload_create", "import_upload_append"]


def check(daemon, token: str, *options: str):
    """Runs all checks of schemathesis; its report is the message of a failure."""
    program = Path(sys.executable).parent / "schemathesis"
    done = subprocess.run(
        [program, "--config-file", SUPPORT / "schemathesis.toml", "run", f"{daemon.url}/openapi.json", "--url", daemon.url,
         "-H", f"Authorization: Bearer {token}", "--checks", "all", "--max-examples", EXAMPLES, "--seed", "1",
         "--suppress-health-check", "all", "--request-timeout", "30", *options],
        env=os.environ | {"SCHEMATHESIS_HOOKS": "support.schemathesis_hooks", "PYTHONPATH": str(SUPPORT.parent), "NO_COLOR": "1"},
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    assert done.returncode == 0, done.stdout[-20000:]
    assert daemon.is_ready()


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_auth_keeps_its_contract(auth, person):
    check(auth, person().token, "--exclude-operation-id", "auth_logout")


@pytest.mark.slow
def test_logout_keeps_its_contract(auth, person):
    check(auth, person().token, "--include-operation-id", "auth_logout")


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_main_health_keeps_its_contract(health, patient):
    check(health, patient().token, *(word for operation in STREAMED for word in ("--exclude-operation-id", operation)))


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_scheduler_keeps_its_contract(scheduler, planner):
    check(scheduler, planner().token)


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_memory_keeps_its_contract(memory, rememberer):
    check(memory, rememberer().token)


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_chat_keeps_its_contract(stack, patient):
    check(stack.daemon("chat", name="chat-contract"), patient().token)
