"""Signing keys as operators and other services meet them: made once, told before they sign, rotated, withdrawn."""

import json
import random
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import httpx
import pytest
from support import client
from support.client import PLAIN, Api, problem
from support.keys import Keys
from support.waiting import eventually

# A whole life in seconds. Nobody's token outlives the test's patience.
QUICK = {"SALUS_ACCESS_TOKEN_LIFE": "4s", "SALUS_KEY_GRACE": "6s", "SALUS_KEY_ANNOUNCE": "300ms", "SALUS_KEY_CACHE": "0s"}
WORKERS = 8


@pytest.fixture
def keys(private_stack):
    return Keys(private_stack)


def start(stack, count: int, **settings) -> list:
    """So many daemons of auth, started at once."""
    daemons = [stack.daemon("auth", name=f"auth-{n}", start=False, **settings) for n in range(count)]
    daemons[0].migrate()
    for daemon in daemons:
        daemon.start(wait=False)
    for daemon in daemons:
        daemon.wait_ready()
    return daemons


def published(daemon) -> set[str]:
    return {key["kid"] for key in httpx.get(f"{daemon.url}/.well-known/jwks.json", **PLAIN).json()["keys"]}


# ---- made once, sealed

def test_no_private_half_can_be_read_in_the_database(private_stack, keys):
    auth = private_stack.daemon("auth", **QUICK)
    auth.run("--rotate-keys")
    eventually(lambda: "retired" in dict(keys.rows()).values(), what="one key of each kind")
    auth.run("--rotate-keys")
    dump = private_stack.postgres.dump("salus_auth")
    for kid, state in keys.rows():
        assert kid in dump
        sealed = keys.sealed(kid)
        assert (sealed is None) == (state in ("retired", "ended", "withdrawn"))
    assert "PRIVATE KEY" not in dump and "UFJJVkFURSBLRVk" not in dump and '"d"' not in dump


# ---- rotation

class Load:
    """People who refresh and use their tokens without a pause; `failures` has what was not 200."""

    def __init__(self, auths: list, others: list, people: int):
        self.auths, self.others = auths, others
        self.people = [client.register(auths[0].url) for _ in range(people)]
        self.stop, self.failures, self.done, self.kids = threading.Event(), [], 0, set()

    def __enter__(self):
        self.pool = ThreadPoolExecutor(len(self.people))
        self.running = [self.pool.submit(self._one, person) for person in self.people]
        return self

    def __exit__(self, *what):
        self.stop.set()
        for each in self.running:
            each.result()
        self.pool.shutdown()

    def _expect_200(self, answer: httpx.Response):
        self.done += 1
        if answer.status_code != 200:
            self.failures.append((answer.request.url.path, answer.status_code, answer.text[:200]))

    def _one(self, person):
        chance = random.Random(person.id)
        token, refresh = person.token, person.tokens["refresh_token"]
        with httpx.Client(**PLAIN, timeout=20) as http:
            while not self.stop.is_set():
                answer = http.post(f"{chance.choice(self.auths).url}/v1/auth/refresh", json={"refresh_token": refresh})
                self._expect_200(answer)
                if answer.status_code != 200:
                    return
                token, refresh = answer.json()["access_token"], answer.json()["refresh_token"]
                self.kids.add(client.header(token)["kid"])
                mine = {"Authorization": f"Bearer {token}"}
                for daemon, path in [(daemon, "/v1/me") for daemon in self.auths] + self.others:
                    self._expect_200(http.get(f"{daemon.url}{path}", headers=mine))


def test_rotations_under_load_fail_nobody(private_stack, keys, rotations):
    """Two daemons of auth with two workers each, and another service: each token is taken by all from the moment it
    was given, however often keys change."""
    auths = start(private_stack, 2, SALUS_WORKERS="2", **QUICK)
    other = private_stack.daemon("main-health")
    pids = [daemon.pid for daemon in (*auths, other)]
    with Load(auths, [(other, "/v1/health-events")], WORKERS) as load:
        for n in range(rotations):
            before = keys.active()
            eventually(lambda: auths[0].run("--rotate-keys", check=False).returncode == 0, within=20, what="there is room")
            after = eventually(lambda before=before: keys.active() != before and keys.active(), within=20,
                               what=f"rotation {n}")
            eventually(lambda after=after: after in load.kids, within=20, what="the new key signs")
            assert not load.failures, load.failures[:5]
    assert not load.failures, load.failures[:5]
    assert len(load.kids) >= rotations + 1 and load.done > 20 * rotations
    assert pids == [daemon.pid for daemon in (*auths, other)] and all(daemon.is_running() for daemon in (*auths, other))
    # What is over is gone from the set, and a key that nobody uses is nobody's.
    eventually(lambda: published(auths[0]) == published(auths[1]) == {keys.active()}, within=20, what="retired keys end")
    assert json.loads(private_stack.bus.connect().get("s1:auth:jwks"))["keys"][0]["kid"] == keys.active()


def test_keys_rotate_by_schedule(private_stack, keys):
    auth = private_stack.daemon("auth", **QUICK | {"SALUS_KEY_ROTATION_PERIOD": "2s"})
    first = keys.active()
    eventually(lambda: keys.active() not in (None, first), within=20, what="another key signs")
    kid = client.header(client.register(auth.url).token)["kid"]
    assert kid != first
    eventually(lambda: dict(keys.rows())[first] == "ended", within=20, what="the first one has ended")
    actions = [row[0] for row in private_stack.postgres.rows("salus_auth", "SELECT action FROM audit_log WHERE target = %s"
                                                             " ORDER BY position", first)]
    assert actions == ["key.make", "key.end"]


def test_a_key_is_told_before_it_signs(private_stack, keys):
    """For so long that whoever keeps the set may look again; and never while services could not be told."""
    auth = private_stack.daemon("auth", **QUICK | {"SALUS_KEY_ANNOUNCE": "2s", "SALUS_KEY_CACHE": "1s"})
    other = private_stack.daemon("main-health")
    first = keys.active()
    assert "is announced" in auth.run("--rotate-keys").stdout
    announced = time.monotonic()
    assert "is announced already" in auth.run("--rotate-keys").stdout
    second = next(kid for kid, state in keys.rows() if state == "announced")
    eventually(lambda: published(auth) == {first, second}, within=2, what="the set has both")
    answer = httpx.get(f"{auth.url}/.well-known/jwks.json", **PLAIN)
    assert answer.headers["cache-control"] == "public, max-age=1"
    while keys.active() == first:
        assert client.header(client.register(auth.url).token)["kid"] == first or keys.active() == second
    assert time.monotonic() - announced > 1.5

    # Without Redis nobody could be told of the next one: it waits.
    third = auth.run("--rotate-keys").stdout.split()[0]
    private_stack.bus.kill()
    eventually(lambda: private_stack.postgres.rows("salus_auth", "SELECT clock_timestamp() > created_at + interval '4 s'"
                                                   " FROM signing_keys WHERE id = %s", third)[0][0], what="it would be due")
    assert keys.active() == second
    private_stack.bus.start()
    eventually(lambda: keys.active() == third, within=20, what="it goes on when Redis is back")
    token = client.register(auth.url).token
    assert Api(other.url, token).get("/v1/health-events").status_code == 200


def test_a_kill_in_the_middle_of_rotations(private_stack, keys, rotations):
    """kill -9 of a daemon at any place of a rotation: there is always one key that signs, and everybody has it."""
    auths = start(private_stack, 2, **QUICK)
    other = private_stack.daemon("main-health")
    chance = random.Random(7)
    for _ in range(max(3, rotations)):
        before = keys.active()
        eventually(lambda: auths[0].run("--rotate-keys", check=False).returncode == 0, within=20, what="there is room")
        time.sleep(chance.uniform(0, 0.8))
        killed = chance.choice(auths)
        killed.kill()
        assert [state for _, state in keys.rows()].count("active") == 1
        killed.start(wait=False)
        eventually(lambda before=before: keys.active() != before, within=20, what="the rotation goes on")
        killed.wait_ready()
        token = client.register(killed.url).token
        for daemon, path in ((auths[0], "/v1/me"), (auths[1], "/v1/me"), (other, "/v1/health-events")):
            assert Api(daemon.url, token).get(path).status_code == 200


# ---- withdrawal

def test_a_withdrawn_key_is_refused_everywhere(private_stack, keys):
    """By all workers of all daemons, within a second, and people go on with a refresh."""
    auths = start(private_stack, 2, SALUS_WORKERS="2", **QUICK | {"SALUS_ACCESS_TOKEN_LIFE": "10m", "SALUS_KEY_GRACE": "1h"})
    other = private_stack.daemon("main-health", SALUS_WORKERS="2")
    people = [client.register(auths[0].url, other.url) for _ in range(8)]

    def statuses():
        return {answer.status_code for person in people for daemon, path in
                ((auths[0], "/v1/me"), (auths[1], "/v1/me"), (other, "/v1/health-events"))
                if (answer := Api(daemon.url, person.token).get(path))is not None}

    assert statuses() == {200}
    leaked = keys.active()
    said = auths[0].run("--withdraw-key", leaked).stdout
    begin = time.monotonic()
    assert f"{leaked} is withdrawn" in said and f"{keys.active()} signs from now on" in said
    eventually(lambda: statuses() == {401}, within=1, what="nobody takes the key")
    assert time.monotonic() - begin < 3
    assert published(auths[0]) == published(auths[1]) == {keys.active()} != {leaked}
    assert keys.sealed(leaked) is None
    for person in people:
        answer = httpx.post(f"{auths[1].url}/v1/auth/refresh", json={"refresh_token": person.tokens["refresh_token"]}, **PLAIN)
        assert Api(other.url, answer.json()["access_token"]).get("/v1/health-events").status_code == 200
    # Nor does a Redis that lost everything bring it back.
    private_stack.bus.connect().flushall()
    eventually(lambda: private_stack.bus.connect().exists("s1:auth:jwks"), what="keys are told again")
    assert statuses() == {401}


def test_withdrawing_what_does_not_sign(private_stack, keys):
    auth = private_stack.daemon("auth", **QUICK | {"SALUS_KEY_ANNOUNCE": "1h", "SALUS_KEY_CACHE": "1m"})
    active = keys.active()
    announced = auth.run("--rotate-keys").stdout.split()[0]
    assert "signs" not in auth.run("--withdraw-key", announced).stdout
    assert keys.active() == active
    # The active one with one announced: that one takes over, early as it is.
    announced = auth.run("--rotate-keys").stdout.split()[0]
    assert f"{announced} signs from now on" in auth.run("--withdraw-key", active).stdout
    assert keys.active() == announced
    eventually(lambda: client.header(client.register(auth.url).token)["kid"] == announced, within=2, what="it signs")
    for kid in (active, "nothing", "' OR 1=1--"):
        done = auth.run("--withdraw-key", kid, check=False)
        assert done.returncode == 1 and "no published key" in done.stderr
    assert auth.run("--withdraw-key", check=False).returncode == 2
    listed = auth.run("--list-keys").stdout.splitlines()
    assert [line.split()[:2] for line in listed[1:]] == [[kid, state] for kid, state in reversed(keys.rows())]


def test_too_many_rotations_wait(private_stack, keys):
    auth = private_stack.daemon("auth", **QUICK | {"SALUS_KEY_GRACE": "1h", "SALUS_KEY_ANNOUNCE": "100ms"})
    for _ in range(14):
        before = keys.active()
        auth.run("--rotate-keys")
        eventually(lambda before=before: keys.active() != before, within=20, what="the next key signs")
    done = auth.run("--rotate-keys", check=False)
    assert done.returncode == 1 and "15 keys are published" in done.stderr
    assert "signs from now on" in auth.run("--withdraw-key", keys.active()).stdout


def test_settings_that_do_not_fit(private_stack):
    for settings, rule in (({"SALUS_KEY_ANNOUNCE": "1m", "SALUS_KEY_CACHE": "2m"}, "at least SALUS_KEY_CACHE"),
                           ({"SALUS_KEY_GRACE": "10m"}, "more than SALUS_ACCESS_TOKEN_LIFE"),
                           ({"SALUS_KEY_ROTATION_PERIOD": "10m"}, "more than SALUS_KEY_ANNOUNCE")):
        auth = private_stack.daemon("auth", start=False, **settings)
        auth.migrate()
        auth.start(wait=False)
        eventually(lambda auth=auth: not auth.is_running(), what="it refuses to run")
        assert rule in auth.log_text()
        private_stack.daemons.remove(auth)


def test_an_unknown_key_while_redis_is_gone(private_stack, keys):
    """Whether such a token is good nobody can say: 503, not 401, which would sign a person out."""
    auth = private_stack.daemon("auth", **QUICK | {"SALUS_ACCESS_TOKEN_LIFE": "10m", "SALUS_KEY_GRACE": "1h"})
    other = private_stack.daemon("main-health")
    somebody = client.register(auth.url, other.url)
    assert somebody.health.get("/v1/health-events").status_code == 200
    head, rest = somebody.token.split(".", 1)
    unknown = client.encode_part(client.header(somebody.token) | {"kid": "A" * 43}) + "." + rest
    problem(Api(other.url, unknown).get("/v1/health-events"), 401, "unauthorized")
    private_stack.bus.kill()
    eventually(lambda: other.metric("salus_dependency_up", dependency="redis-bus") == 0, what="Redis is gone")
    assert somebody.health.get("/v1/health-events").status_code == 200
    problem(Api(other.url, unknown).get("/v1/health-events"), 503, "unavailable")
    problem(Api(other.url, head[:-1] + "." + rest).get("/v1/health-events"), 401, "unauthorized")
    private_stack.bus.start()
    eventually(lambda: problem(Api(other.url, unknown).get("/v1/health-events"), 401), what="the newest keys are known again")
