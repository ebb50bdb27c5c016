"""Fixtures of all tests. `stack` is shared by a session; a test that breaks stores asks for
`private_stack` and has one of its own. SALUS_BUILD (release, asan) chooses the daemons."""

import shutil
import tempfile
from pathlib import Path

import pytest
from support import client
from support.mail import SinkThread
from support.paths import REALDATA
from support.stack import Stack


# How much of it. What is here is what continuous integration does; CONTRIBUTING.md has the sizes of the goals.
SIZES = {
    "facts": (10_000, "facts of each fault run"),
    "kills": (8, "random kill -9 of daemons and Redis"),
    "lockouts": (1, "times that 500 guesses meet one limit"),
    "mutations": (11, "changes to a sealed audit log"),
    "requests": (4_000, "requests that are counted for rate limits"),
    "restarts": (4, "times that something is killed and nothing is forgiven or forgotten"),
    "rotations": (5, "rotations of signing keys under load"),
    "rounds": (4, "rounds of each race"),
    "tokens": (20_000, "tokens that other verifiers judge, too"),
}


def pytest_addoption(parser):
    for name, (size, what) in SIZES.items():
        parser.addoption(f"--{name}", type=int, default=size, help=f"{what} (default {size})")


@pytest.hookimpl(tryfirst=True)
def pytest_configure(config):
    """No test that was made larger is too slow."""
    if any(config.getoption(f"--{name}") > usual for name, (usual, _) in SIZES.items()) and config.getoption("timeout") is None:
        config.option.timeout = 0


def size(name: str):
    return pytest.fixture(scope="session", name=name)(lambda request: request.config.getoption(f"--{name}"))


facts = size("facts")
kills = size("kills")
lockouts = size("lockouts")
mutations = size("mutations")
requests = size("requests")
restarts = size("restarts")
rotations = size("rotations")
rounds = size("rounds")
tokens = size("tokens")


@pytest.fixture(scope="session")
def workspace():
    """A folder for everything; kept with its logs when something failed."""
    folder = Path(tempfile.mkdtemp(prefix="salus-tests-"))
    folder.chmod(0o755)
    yield folder


@pytest.fixture(scope="session", autouse=True)
def remove_workspace(request, workspace):
    yield
    if request.session.testsfailed:
        print(f"\nlogs of the servers: {workspace}/*/*.log")
    else:
        shutil.rmtree(workspace, ignore_errors=True)


@pytest.fixture(scope="session")
def stack(workspace):
    """The three stores, shared by all tests of the session."""
    started = Stack(workspace / "shared")
    try:
        yield started.start()
    finally:
        started.stop()


@pytest.fixture
def private_stack(workspace, request):
    """Stores of this test alone: stop them, kill them, empty them."""
    folder = Path(tempfile.mkdtemp(prefix=request.node.name[:40].replace("/", "_") + "-", dir=workspace))
    started = Stack(folder)
    try:
        yield started.start()
    finally:
        started.stop()


@pytest.fixture(scope="session")
def auth(stack):
    """The auth daemon of the shared stack."""
    return stack.daemon("auth")


@pytest.fixture(scope="session")
def health(stack, auth):
    """The main-health daemon of the shared stack; auth runs too, for tokens."""
    return stack.daemon("main-health")


@pytest.fixture(scope="session")
def mail(workspace):
    """The mail server of the shared stack: mail.sink.messages(to)."""
    with SinkThread(workspace / "mail") as running:
        yield running


@pytest.fixture(scope="session")
def scheduler(stack, auth, mail):
    """The scheduler daemon of the shared stack; auth runs too, for tokens and accounts."""
    return stack.daemon("scheduler", SALUS_SMTP_URL=f"smtp://127.0.0.1:{mail.port}")


@pytest.fixture
def planner(auth, scheduler):
    """Makes people who use auth and scheduler: planner(time_zone=…).api.post("/v1/schedules", …)."""
    def make(**about):
        made = client.register(auth.url, **about)
        made.api = client.Api(scheduler.url, made.token)
        return made

    return make


@pytest.fixture
def person(auth):
    """Makes people known to auth: person(), person(name="dana", time_zone="Asia/Jerusalem")."""
    return lambda **about: client.register(auth.url, **about)


@pytest.fixture
def patient(auth, health):
    """Makes people who use both services: patient(time_zone=…).health.post("/v1/health-events", …)."""
    return lambda **about: client.register(auth.url, health.url, **about)


@pytest.fixture(scope="session")
def memory(stack, auth):
    """The memory daemon of the shared stack, with two workers; auth runs too, for tokens."""
    return stack.daemon("memory", SALUS_WORKERS="2")


@pytest.fixture(scope="session")
def chat(stack, health):
    """The chat daemon of the shared stack; main-health and auth run too."""
    return stack.daemon("chat", SALUS_CONTEXT_TIMEOUT="2s", SALUS_TOOL_TIMEOUT="3s")


@pytest.fixture(scope="module")
def others_away(stack):
    """For modules that play memory or scheduler, or talk to chat without them."""
    with stack.away("memory", "scheduler"):
        yield


@pytest.fixture
def rememberer(auth, memory):
    """Makes people who use memory: rememberer().memory.post("/v1/memories", …)."""
    return lambda **about: client.register(auth.url, memory_url=memory.url, **about)


@pytest.fixture(scope="session")
def realdata() -> Path:
    """Real files that do not ship with the project; tests that need them are skipped where they are not."""
    if not REALDATA.is_dir():
        pytest.skip(f"real data is not here: {REALDATA} (SALUS_REALDATA names another folder)")
    return REALDATA
