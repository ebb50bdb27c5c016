"""The daemons against their own OpenAPI documents: schemathesis makes requests, valid and not, and checks every
answer. No 5xx, nothing undocumented, nothing invalid taken, nothing valid refused."""

import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from support import admins, client

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


def without(*operations: str) -> list[str]:
    return [word for operation in operations for word in ("--exclude-operation-id", operation)]


# The longest first: two run at a time. auth_introspect is for machines: test_introspection sends its forms, the good and the bad.
RUNS = {
    "main-health": without(*STREAMED),
    "scheduler": [],
    "chat": without("reply_socket"),  # what is no handshake gets 426: test_chat_socket speaks it
    "memory": [],
    "auth": without("auth_logout", "auth_introspect") + ["--exclude-path-regex", "^/v1/admin/"],
    "admin": ["--include-path-regex", "^/v1/admin/"],
    "logout": ["--include-operation-id", "auth_logout"],
}


@pytest.fixture(scope="module")
def checks(request, stack, auth, health, scheduler, memory):
    """The checks that this session asks for, under way."""
    daemons = {"main-health": health, "scheduler": scheduler, "memory": memory, "auth": auth, "admin": auth, "logout": auth}
    wanted = [item.callspec.params["run"] for item in request.session.items if item.module is request.module]
    if "chat" in wanted:
        daemons["chat"] = stack.daemon("chat", name="chat-contract")

    def token(run: str) -> str:
        return admins.somebody(stack, auth.url, "admin").token if run == "admin" else client.register(auth.url).token

    with ThreadPoolExecutor(2) as pool:
        yield {run: pool.submit(check, daemons[run], token(run), *RUNS[run]) for run in wanted}


@pytest.mark.slow
@pytest.mark.timeout(600)
@pytest.mark.parametrize("run", RUNS)
def test_it_keeps_its_contract(checks, run):
    checks[run].result()
