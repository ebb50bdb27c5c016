"""Limits of what is open to everybody, and a lockout that cannot be turned against the owner. docs/accounts.md."""

import http.client
import json
import random
import threading
import time
from collections import Counter

import pytest
from support.client import PASSWORD, Api, in_parallel, log_in, new_email, problem, register, registration
from support.mailbox import Mailbox
from support.races import Shot, fire
from support.waiting import eventually

GUESSES, ADDRESSES, LIMIT = 500, 50, 10


def from_device(api, email, token, password=PASSWORD, address=None):
    headers = {"X-Forwarded-For": address} if address else {}
    return api.post("/v1/auth/login", json={"email": email, "password": password, "device_token": token}, headers=headers)


def lock(api, email, limit=LIMIT):
    """Somebody else uses up what the account has."""
    for n in range(limit):
        problem(log_in(api, email, f"guess {n}", f"203.0.113.{n}"), 401, "invalid_credentials")
    problem(log_in(api, email, "one more", "203.0.113.200"), 429, "rate_limited")


@pytest.fixture
def api(auth):
    with Api(auth.url) as open_api:
        yield open_api


# ---- exactly

def test_as_many_passwords_are_checked_as_the_limit_says(stack, auth, lockouts):
    """CVE-2023-47111, CVE-2024-4629: guesses at once, from many addresses, over two instances; --lockouts times each."""
    daemons = [stack.daemon("auth", name=f"auth-guessed-{n}", SALUS_HASH_QUEUE="1000") for n in range(2)]
    for email in [email for _ in range(lockouts) for email in (register(auth.url).email, new_email())]:
        before = sum(daemon.metric("salus_auth_password_checks_total") for daemon in daemons)
        answers = [answer.status for answer in fire([
            Shot(daemons[n % 2], "/v1/auth/login", {"email": email.title() if n % 3 else email, "password": f"guess {n}"},
                 **{"X-Forwarded-For": f"198.18.0.{n % ADDRESSES}"}) for n in range(GUESSES)])]
        checked = sum(daemon.metric("salus_auth_password_checks_total") for daemon in daemons) - before
        assert checked == LIMIT == answers.count(401), (checked, answers)
        assert answers.count(429) == GUESSES - LIMIT
    for daemon in daemons:
        daemon.stop()


class Counted:
    """A worker that asks for something of which each network may have so much; daemons may die meanwhile."""

    def __init__(self, daemons):
        self.daemons, self.chance, self.connections = daemons, random.Random(), {}

    def ask(self, network: str) -> int | None:
        """The status; None when the connection broke, and nobody knows whether this was counted."""
        daemon = self.chance.choice(self.daemons)
        connection = self.connections.setdefault(daemon, http.client.HTTPConnection("127.0.0.1", daemon.port, timeout=30))
        feigned = f"203.0.113.{self.chance.randrange(256)}"
        headers = {"Content-Type": "application/json", "X-Real-IP": feigned, "Forwarded": f"for={feigned}",
                   "X-Forwarded-For": f"{feigned}, {network}::{self.chance.randrange(1, 65536):x}"}
        try:
            connection.request("POST", "/v1/auth/verify-email", BODY, headers)
            answer = connection.getresponse()
            answer.read()
            return answer.status
        except ConnectionRefusedError:
            return self.ask(network)  # it was never sent
        except (http.client.HTTPException, OSError):
            connection.close()
            return None


BODY = json.dumps({"token": "A" * 43})
WANTED, GRANTED, NETWORKS = 100, 60, 10


def test_not_one_request_too_many_is_let_through(stack, requests):
    """--requests over four instances, from networks that ask for 100 each and may have 60; in one of ten rounds one instance dies
    by kill -9. As many are let through as may be, but for those whose answers died."""
    daemons = [stack.daemon("auth", name=f"auth-counted-{n}", SALUS_MAILED_CODE_LIMIT=str(GRANTED)) for n in range(4)]
    workers, chance, granted, missing = [Counted(daemons) for _ in range(8)], random.Random(11), 0, 0
    for number in range(requests // WANTED // NETWORKS):
        networks = [f"2001:db9:{number:x}:{n}" for n in range(NETWORKS)]
        asked = chance.sample(networks * WANTED, NETWORKS * WANTED)
        victim = chance.choice(daemons)
        killer = threading.Timer(chance.uniform(0, 0.2), victim.kill)
        if number % 10 == 1:
            killer.start()
        answers = [answer for one in in_parallel(8, lambda n, asked=asked: [(network, workers[n].ask(network)) for network in asked[n::8]])
                   for answer in one]
        for network in networks:
            said = Counter(status for asked_by, status in answers if asked_by == network)
            assert said.keys() <= {400, 429, 503, None}, said
            unknown = said[503] + said[None]
            assert GRANTED - unknown <= said[400] <= GRANTED and said.total() == WANTED, said
            granted, missing = granted + GRANTED, missing + GRANTED - said[400]
        if killer.ident:
            killer.join()
            victim.start()
    assert missing <= granted / 1000 + 8, f"{missing} of {granted}"
    for daemon in daemons:
        daemon.stop()


PATHS = ["//v1/auth/login", "/v1//auth/login", "/v1/auth/login/", "/v1/auth/%6cogin", "/v1/auth/./login", "/./v1/auth/login",
         "/v1/auth/x/../login", "/V1/auth/LOGIN", "/v1/auth/login?x=1", "/v1/auth/login;x", "/v1/auth%2flogin", "/v1/auth/login%00"]


def test_no_spelling_of_the_path_escapes_the_limit(api, auth, person):
    """CVE-2025-71399: what the router takes the limiter counts, and what it does not take checks no password."""
    somebody = person()
    lock(api, somebody.email)
    body = f'{{"email": "{somebody.email}", "password": "{PASSWORD}"}}'
    for path in PATHS:
        connection = http.client.HTTPConnection("127.0.0.1", auth.port, timeout=10)
        connection.request("POST", path, body, {"Content-Type": "application/json"})
        assert connection.getresponse().status in (400, 404, 405, 429), path
        connection.close()


FORGED = [{"X-Forwarded-For": "203.0.113.7"}, {"X-Real-IP": "203.0.113.7"}, {"Forwarded": "for=203.0.113.7"},
          {"X-Client-IP": "203.0.113.7"}, {"True-Client-IP": "203.0.113.7"}, {"X-Forwarded-For": "::1, 127.0.0.1"},
          {"CF-Connecting-IP": "203.0.113.7"}, {"X-Forwarded-For": "unknown"}, {"X-Forwarded-For": ", ,"}]


def test_nobody_comes_from_where_they_say(private_stack):
    auth = private_stack.daemon("auth", SALUS_LOGIN_NETWORK_LIMIT="4", SALUS_TRUSTED_PROXIES="192.0.2.1")
    with Api(auth.url) as api:
        def attempt(headers):
            return api.post("/v1/auth/login", json={"email": new_email(), "password": "wrong"}, headers=headers).status_code

        answers = [attempt(headers) for headers in FORGED]
    assert answers == [401] * 4 + [429] * (len(FORGED) - 4)
    rows = private_stack.postgres.rows("salus_auth", "SELECT DISTINCT ip FROM audit_log WHERE action = 'login.password'")
    assert rows == [("127.0.0.1",)]


def test_behind_a_proxy_the_nearest_untrusted_address_counts(private_stack):
    """What stands before it in X-Forwarded-For was written by who knows whom; other headers say nothing."""
    auth = private_stack.daemon("auth", SALUS_LOGIN_NETWORK_LIMIT="2", SALUS_TRUSTED_PROXIES="127.0.0.1,10.0.0.0/8")
    with Api(auth.url) as api:
        def attempt(forwarded, **more):
            headers = {"X-Forwarded-For": forwarded} | more
            return api.post("/v1/auth/login", json={"email": new_email(), "password": "wrong"}, headers=headers).status_code

        assert attempt("1.1.1.1, 198.51.100.9, 10.1.2.3") == 401
        assert attempt("2.2.2.2, 198.51.100.9", **{"X-Real-IP": "3.3.3.3", "Forwarded": "for=4.4.4.4"}) == 401
        assert attempt("198.51.100.9") == 429
        assert attempt("198.51.100.9, 198.51.100.10") == 401
        for n in range(2):
            assert attempt(f"2001:db8:1:2:{n}::5") == 401
        assert attempt("2001:db8:1:2:ffff:ffff:ffff:ffff") == 429
        assert attempt("2001:db8:1:3::1") == 401


@pytest.mark.parametrize(("path", "body", "setting"), [
    ("password/forgot", {"email": "a.b@example.org"}, "SALUS_MAIL_NETWORK_LIMIT"),
    ("verify-email/resend", {"email": "a.b@example.org"}, "SALUS_MAIL_NETWORK_LIMIT"),
    ("verify-email", {"token": "A" * 43}, "SALUS_MAILED_CODE_LIMIT"),
    ("password/reset", {"token": "A" * 43, "new_password": PASSWORD}, "SALUS_MAILED_CODE_LIMIT"),
])
def test_every_open_route_has_a_limit(stack, path, body, setting):
    daemons = [stack.daemon("auth", name=f"auth-limited-{n}", **{setting: "3"}) for n in range(2)]
    network = f"2001:db8:{abs(hash(path)) % 65536:x}:1"
    apis = [Api(daemon.url) for daemon in daemons]
    answers = in_parallel(24, lambda n: apis[n % 2].post(f"/v1/auth/{path}", json=body, headers={
        "X-Forwarded-For": f"{network}::{n + 1:x}"}).status_code)
    assert answers.count(429) == 21, answers
    for daemon in daemons:
        daemon.stop()


# ---- not against the owner

def test_the_owner_comes_in_on_a_known_device(api, auth, person, stack):
    """CVE-2024-1722: while somebody keeps the account locked, its owner signs in 100 of 100 times where they have been before."""
    somebody = person()
    token = log_in(api, somebody.email).json()["device_token"]
    lock(api, somebody.email)
    statuses = []
    for n in range(100):
        assert log_in(api, somebody.email, f"guess {n}", "203.0.113.201").status_code == 429
        answer = from_device(api, somebody.email.upper(), token, address="203.0.113.201")
        statuses.append(answer.status_code)
        token = answer.json().get("device_token")
    assert statuses == [200] * 100
    problem(log_in(api, somebody.email, PASSWORD), 429)


def test_a_device_has_a_counter_of_its_own(api, person):
    somebody, other = person(), person()
    token = log_in(api, somebody.email).json()["device_token"]
    for n in range(LIMIT):
        problem(from_device(api, somebody.email, token, f"guess {n}"), 401)
    problem(from_device(api, somebody.email, token), 429)
    assert log_in(api, somebody.email).status_code == 200, "guesses on one device do not lock the account elsewhere"
    lock(api, other.email)
    for wrong in (token, token[:-1], token[:-2] + "AA", "A" * 75, "x", "A" * 200):
        problem(from_device(api, other.email, wrong), 429)


def test_a_device_is_known_for_some_time(stack, person):
    daemon = stack.daemon("auth", name="auth-forgetful", SALUS_DEVICE_TOKEN_LIFE="1s")
    somebody = person()
    with Api(daemon.url) as api:
        token = log_in(api, somebody.email).json()["device_token"]
        lock(api, somebody.email)
        eventually(lambda: from_device(api, somebody.email, token).status_code == 429, within=5)
    daemon.stop()


def test_registration_makes_a_device_known_too(api, person):
    somebody = person()
    lock(api, somebody.email)
    assert from_device(api, somebody.email, somebody.tokens["device_token"]).status_code == 200


def test_the_owner_is_told_once_a_day(stack, auth, scheduler, mail, person, api):
    somebody = person(language="he")
    events = stack.events("auth")
    lock(api, somebody.email)
    message, = Mailbox(mail.sink, somebody.email).wait_for()
    assert message["Subject"] == "ניסיונות כניסה שנכשלו לחשבונך"
    with stack.bus.connect() as bus:
        for key in bus.keys("s1:auth:login:account:*"):
            bus.delete(key)  # as when the window is over
    lock(api, somebody.email)
    lock(api, new_email())
    facts = eventually(lambda: found if len(found := events.of("mail.requested.v1")) == 2 else None,
                       what="one mail for the owner, one for nobody")
    assert {fact["data"]["template"] for fact in facts} == {"unusual_sign_ins"}
    assert len({len(fact["data"]["sealed"]) for fact in facts}) == 1, "nothing tells the two apart"
    eventually(lambda: scheduler.metric("salus_mails_total", outcome="nobody") >= 1)
    assert len(Mailbox(mail.sink, somebody.email).wait_for()) == 1


# ---- when it cannot be counted

def test_without_redis_nobody_is_let_in(private_stack):
    auth = private_stack.daemon("auth", SALUS_EMAIL_VERIFICATION="off")
    somebody = register(auth.url)
    token = somebody.tokens["device_token"]
    ways = [("login", {"email": somebody.email, "password": PASSWORD}),
            ("login", {"email": somebody.email, "password": PASSWORD, "device_token": token}),
            ("register", registration()), ("password/forgot", {"email": somebody.email}),
            ("verify-email/resend", {"email": somebody.email}), ("verify-email", {"token": "A" * 43}),
            ("password/reset", {"token": "A" * 43, "new_password": PASSWORD})]
    with Api(auth.url) as api:
        for stop in (private_stack.bus.pause, private_stack.bus.kill):
            stop()
            for path, body in ways:
                start = time.monotonic()
                problem(api.post(f"/v1/auth/{path}", json=body), 503)
                assert time.monotonic() - start < 5, "far from the time of a request, 10 s"
            private_stack.bus.resume()
        assert auth.metric("salus_auth_password_checks_total") == 0
