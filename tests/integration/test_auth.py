"""auth as its users meet it: accounts, sessions, tokens, profile."""

import base64
import json
import time

import httpx
import pytest
from support import client
from support.client import PASSWORD, Api, in_parallel, log_in, new_email, problem, registration
from support.waiting import eventually

PARALLEL = 64


def refresh(api: Api, token: str) -> httpx.Response:
    return api.post("/v1/auth/refresh", json={"refresh_token": token})


def parts(token: str) -> list[dict]:
    """Header and claims, unverified."""
    return [json.loads(base64.urlsafe_b64decode(part + "==")) for part in token.split(".")[:2]]


@pytest.fixture
def api(auth):
    with Api(auth.url) as open_api:
        yield open_api


# ---- registration

def test_register_signs_in(api, stack):
    events = stack.events("auth")
    body = registration(display_name="דנה", first_name="Dana", language="he", time_zone="Asia/Jerusalem",
                        device_name="Dana's phone")
    answer = api.post("/v1/auth/register", json=body)
    assert answer.status_code == 201
    assert answer.headers["cache-control"] == "no-store"
    tokens = answer.json()
    user = tokens["user"]
    assert tokens["token_type"] == "Bearer" and tokens["expires_in"] == 600
    assert tokens["refresh_expires_in"] == 30 * 86400
    assert user["email"] == body["email"] and user["display_name"] == "דנה" and user["first_name"] == "Dana"
    assert user["language"] == "he" and user["time_zone"] == "Asia/Jerusalem"
    assert user["user_type"] == "patient" and user["status"] == "active" and user["version"] == 1
    assert PASSWORD not in answer.text and "password_hash" not in answer.text

    header, claims = parts(tokens["access_token"])
    assert header["alg"] == "ES256" and header["typ"] == "at+jwt"
    assert claims["sub"] == user["id"] and claims["sid"] == tokens["session_id"]
    assert "health:write" in claims["scope"] and "admin" not in claims["scope"]

    fact = events.wait_for("user.created.v1", user["id"])[0]["data"]
    assert body["email"] not in base64.urlsafe_b64decode(fact.pop("contact") + "==").decode("latin-1")
    assert fact == {"user_id": user["id"], "tenant_id": user["tenant_id"], "user_type": "patient", "language": "he",
                    "time_zone": "Asia/Jerusalem", "status": "active", "version": 1, "changed_at": user["created_at"]}
    rows = stack.postgres.rows("salus_auth", "SELECT device_name, ip, user_agent FROM sessions WHERE id = %s",
                               tokens["session_id"])
    assert rows[0][0] == "Dana's phone" and rows[0][1] == "127.0.0.1" and "httpx" in rows[0][2]


@pytest.mark.parametrize("variant", [str, str.upper, str.title])
def test_an_address_has_one_account(api, variant):
    body = registration()
    assert api.post("/v1/auth/register", json=body).status_code == 201
    problem(api.post("/v1/auth/register", json=body | {"email": variant(body["email"])}), 409, "email_taken")


BAD_REGISTRATIONS = [
    ("no e-mail", {"email": ...}, "/email"),
    ("no password", {"password": ...}, "/password"),
    ("no language", {"language": ...}, "/language"),
    ("no time zone", {"time_zone": ...}, "/time_zone"),
    ("e-mail without @", {"email": "dana.example.org"}, "/email"),
    ("e-mail with two @", {"email": "dana@@example.org"}, "/email"),
    ("e-mail without domain", {"email": "danalevi@"}, "/email"),
    ("e-mail of one label", {"email": "dana@localhost"}, "/email"),
    ("e-mail with blank", {"email": "dana levi@example.org"}, "/email"),
    ("e-mail with line break", {"email": "dana@example.org\r\nBcc: x@example.org"}, "/email"),
    ("e-mail with quotes", {"email": '"dana"@example.org'}, "/email"),
    ("e-mail at an address literal", {"email": "dana@[127.0.0.1]"}, "/email"),
    ("e-mail with dot at the end", {"email": "dana.@example.org"}, "/email"),
    ("local part too long", {"email": "d" * 65 + "@example.org"}, "/email"),
    ("e-mail too long", {"email": "d" * 60 + "@" + ".".join(["x" * 60] * 4) + ".org"}, "/email"),
    ("password of 7", {"password": "seven 7"}, "/password"),
    ("password of 257", {"password": "x" * 257}, "/password"),
    ("password is a number", {"password": 12345678}, "/password"),
    ("password is null", {"password": None}, "/password"),
    ("unknown zone", {"time_zone": "Mars/Olympus"}, "/time_zone"),
    ("zone in the wrong case", {"time_zone": "asia/jerusalem"}, "/time_zone"),
    ("zone that is a path", {"time_zone": "../../etc/passwd"}, "/time_zone"),
    ("zone that is an offset", {"time_zone": "+02:00"}, "/time_zone"),
    ("empty zone", {"time_zone": ""}, "/time_zone"),
    ("language that is a word", {"language": "klingonish language"}, "/language"),
    ("language with underscore", {"language": "en_US"}, "/language"),
    ("language is a list", {"language": ["en"]}, "/language"),
    ("name with control character", {"display_name": "Da\u0007na"}, "/display_name"),
    ("name with line break", {"display_name": "Da\nna"}, "/display_name"),
    ("empty name", {"display_name": ""}, "/display_name"),
    ("name too long", {"display_name": "x" * 101}, "/display_name"),
    ("member that is not known", {"user_type": "admin"}, "/user_type"),
    ("id from outside", {"id": "00000000-0000-7000-8000-000000000001"}, "/id"),
]


@pytest.mark.parametrize(("changes", "pointer"), [row[1:] for row in BAD_REGISTRATIONS],
                         ids=[row[0] for row in BAD_REGISTRATIONS])
def test_bad_registrations_name_the_field(api, changes, pointer):
    problem(api.post("/v1/auth/register", json=registration(**changes)), 422, "invalid", pointer)


def test_password_that_is_the_address(api):
    email = new_email("long.enough.name")
    problem(api.post("/v1/auth/register", json=registration(email=email, password=email)), 422, "invalid", "/password")


NOT_JSON = [
    ("empty", b""),
    ("broken", b'{"email": "a@example.org"'),
    ("duplicate key", b'{"email": "a@example.org", "email": "b@example.org", "password": "12345678", "language": "en",'
                      b' "time_zone": "UTC"}'),
    ("invalid UTF-8", b'{"email": "a\xff@example.org", "password": "12345678", "language": "en", "time_zone": "UTC"}'),
    ("NUL", b'{"email": "a\\u0000@example.org", "password": "12345678", "language": "en", "time_zone": "UTC"}'),
    ("NUL byte", b'{"email": "a\x00@example.org"}'),
    ("deep", b"[" * 5000 + b"]" * 5000),
    ("bytes after the end", b'{} {}'),
    ("array", b"[]"),
    ("null", b"null"),
]


@pytest.mark.parametrize("body", [row[1] for row in NOT_JSON], ids=[row[0] for row in NOT_JSON])
@pytest.mark.parametrize("path", ["register", "login", "refresh"])
def test_bodies_that_are_not_right(api, path, body):
    answer = api.post(f"/v1/auth/{path}", content=body, headers={"Content-Type": "application/json"})
    assert answer.status_code in (400, 413, 422), answer.text
    assert answer.headers["content-type"] == "application/problem+json"


def test_body_of_another_kind(api):
    problem(api.post("/v1/auth/login", content=b"email=a", headers={"Content-Type": "text/plain"}), 415)
    problem(api.post("/v1/auth/login", json={"email": "a@example.org", "password": "x" * 20_000}), 413)


def test_registrations_of_one_network_are_limited(private_stack):
    auth = private_stack.daemon("auth", SALUS_REGISTER_LIMIT="3")
    with Api(auth.url) as api:
        def register(address):
            return api.post("/v1/auth/register", json=registration(), headers={"X-Forwarded-For": address})

        assert [register(f"2001:db8::{n}").status_code for n in range(1, 6)] == [201, 201, 201, 429, 429]
        refused = register("2001:db8::9")
        problem(refused, 429, "rate_limited")
        assert int(refused.headers["retry-after"]) > 0
        assert register("2001:db8:0:1::1").status_code == 201


# ---- login

def test_login(api):
    body = registration(email=new_email().title())
    registered = api.post("/v1/auth/register", json=body).json()
    for email in (body["email"], body["email"].lower(), body["email"].upper()):
        answer = log_in(api, email)
        assert answer.status_code == 200, answer.text
        tokens = answer.json()
        assert tokens["user"] == registered["user"]
        assert tokens["session_id"] != registered["session_id"]
        assert Api(str(api.base_url), tokens["access_token"]).get("/v1/me").json() == registered["user"]


def test_login_clears_up_sessions_that_were_over_long_ago(api, person, stack):
    somebody, other = person(), person()
    kept = {somebody.tokens["session_id"], other.tokens["session_id"]}
    over = {name: log_in(api, somebody.email).json() for name in ("left", "idle", "recent")}
    others = log_in(api, other.email).json()
    with stack.postgres.connect("salus_auth") as database:
        for session, change_ in ((over["left"], "ended_at = now() - interval '31 days', ended_reason = 1"),
                                 (over["idle"], "idle_expires_at = now() - interval '31 days'"),
                                 (over["recent"], "idle_expires_at = now() - interval '29 days'"),
                                 (others, "expires_at = now() - interval '31 days'")):
            database.execute(f"UPDATE sessions SET {change_} WHERE id = %s", [session["session_id"]])
    kept |= {log_in(api, somebody.email).json()["session_id"], over["recent"]["session_id"], others["session_id"]}
    rows = stack.postgres.rows("salus_auth", "SELECT id FROM sessions WHERE user_id = ANY (%s)",
                               [somebody.id, other.id])
    assert {str(row[0]) for row in rows} == kept
    problem(refresh(api, over["left"]["refresh_token"]), 401, "token_expired")
    problem(refresh(api, over["recent"]["refresh_token"]), 401, "token_expired")


def test_login_tells_nothing(api, person):
    known = log_in(api, person().email, "wrong password", "198.51.100.1")
    unknown = log_in(api, new_email(), "wrong password", "198.51.100.1")
    problem(known, 401, "invalid_credentials")
    same = ("status", "code", "title", "type", "detail")
    assert [known.json().get(key) for key in same] == [unknown.json().get(key) for key in same]
    assert known.headers.keys() == unknown.headers.keys()


def test_inactive_accounts_do_not_sign_in(api, person, stack):
    somebody = person()
    with stack.postgres.connect("salus_auth") as database:
        database.execute("UPDATE users SET status = 2 WHERE id = %s", [somebody.id])
    problem(log_in(api, somebody.email, address="198.51.100.2"), 401, "invalid_credentials")
    problem(refresh(api, somebody.tokens["refresh_token"]), 401, "token_expired")
    problem(somebody.auth.get("/v1/me"), 401)
    problem(somebody.auth.patch("/v1/me", content=b'{"language": "he"}', headers=MERGE), 401)


@pytest.mark.parametrize("password", ["x" * 256, "ש" * 256, "😀" * 256, "        ", "a" * 71 + "b", "a" * 72 + "b"])
def test_passwords_count_to_the_last_byte(api, password):
    body = registration(password=password)
    assert api.post("/v1/auth/register", json=body).status_code == 201
    assert log_in(api, body["email"], password).status_code == 200
    address = "198.51.100.3"
    problem(log_in(api, body["email"], password[:-1], address), 401)
    problem(log_in(api, body["email"], password[:-1] + "c", address), 401)


def test_failed_logins_are_limited_for_the_account(api, person):
    somebody, other = person(), person()
    for n in range(10):
        problem(log_in(api, somebody.email.upper() if n % 2 else somebody.email, "wrong", f"203.0.113.{n}"), 401)
    refused = log_in(api, somebody.email, PASSWORD, "203.0.113.200")
    problem(refused, 429, "rate_limited")
    assert 0 < int(refused.headers["retry-after"]) <= 900
    assert log_in(api, other.email, PASSWORD, "203.0.113.1").status_code == 200


def test_parallel_guesses_are_counted_exactly(stack, auth, person):
    """Two instances, many at once: as many passwords are checked as the limit says, not one more."""
    second = stack.daemon("auth", name="auth-second")
    for _ in range(5):
        somebody = person()
        with Api(auth.url) as one, Api(second.url) as two:
            answers = in_parallel(PARALLEL, lambda n, both=(one, two), email=somebody.email: log_in(
                both[n % 2], email, f"guess {n}", f"203.0.113.{n}").status_code)
        checked = [status for status in answers if status not in (429, 503)]
        assert set(checked) <= {401}, answers
        assert len(checked) + answers.count(503) >= 10 and len(checked) <= 10, answers
    second.stop()


def test_good_logins_are_not_counted(api, person):
    somebody = person()
    for _ in range(15):
        assert log_in(api, somebody.email, PASSWORD, "203.0.113.77").status_code == 200


def test_failed_logins_are_limited_for_the_network(private_stack):
    auth = private_stack.daemon("auth", SALUS_LOGIN_NETWORK_LIMIT="4", SALUS_LOGIN_WINDOW="2s")
    with Api(auth.url) as api:
        body = registration()
        assert api.post("/v1/auth/register", json=body).status_code == 201
        for n in range(4):
            problem(log_in(api, new_email(), "wrong", f"2001:db8:7:7::{n + 1}"), 401)
        problem(log_in(api, body["email"], PASSWORD, "2001:db8:7:7:ffff::1"), 429)
        assert log_in(api, body["email"], PASSWORD, "2001:db8:7:8::1").status_code == 200
        eventually(lambda: log_in(api, body["email"], PASSWORD, "2001:db8:7:7::1").status_code == 200,
                   within=5, what="the window ends")


def test_forwarded_addresses_count_from_trusted_proxies_only(private_stack):
    auth = private_stack.daemon("auth", SALUS_LOGIN_NETWORK_LIMIT="3", SALUS_TRUSTED_PROXIES="192.0.2.1")
    with Api(auth.url) as api:
        statuses = [log_in(api, new_email(), "wrong", f"203.0.113.{n}").status_code for n in range(6)]
        assert statuses == [401, 401, 401, 429, 429, 429]


def test_hashing_has_a_limit(private_stack):
    auth = private_stack.daemon("auth", SALUS_BCRYPT_COST="11", SALUS_HASH_THREADS="1", SALUS_HASH_QUEUE="2",
                                SALUS_LOGIN_ACCOUNT_LIMIT="100")
    with Api(auth.url) as api:
        body = registration()
        assert api.post("/v1/auth/register", json=body).status_code == 201
        answers = in_parallel(16, lambda _: log_in(api, body["email"]))
        statuses = {answer.status_code for answer in answers}
        assert statuses == {200, 503}, statuses
        assert all(int(answer.headers["retry-after"]) > 0 for answer in answers if answer.status_code == 503)
        # Refused for want of time, not for a wrong password: nothing was counted.
        eventually(lambda: log_in(api, body["email"]).status_code == 200, within=20)


def test_another_cost_takes_over_at_the_next_login(private_stack):
    cheap = private_stack.daemon("auth", SALUS_BCRYPT_COST="4")
    body = registration()
    with Api(cheap.url) as api:
        assert api.post("/v1/auth/register", json=body).status_code == 201
    cheap.stop()
    dear = private_stack.daemon("auth", name="auth-dear", SALUS_BCRYPT_COST="5")

    def stored():
        return private_stack.postgres.rows("salus_auth", "SELECT password_hash FROM users WHERE email_key = %s", body["email"])[0][0]

    assert stored()[:4] == "$s1$" and stored()[12:19] == "$2b$04$"
    with Api(dear.url) as api:
        assert log_in(api, body["email"]).status_code == 200
        assert stored()[12:19] == "$2b$05$"
        assert log_in(api, body["email"]).status_code == 200


def test_sign_ins_at_once_at_another_cost_all_succeed(private_stack):
    """The first stores the password anew; the others find another hash than the one that they checked."""
    cheap = private_stack.daemon("auth", SALUS_BCRYPT_COST="4")
    body = registration()
    with Api(cheap.url) as api:
        assert api.post("/v1/auth/register", json=body).status_code == 201
    cheap.stop()
    dear = private_stack.daemon("auth", name="auth-dear", SALUS_BCRYPT_COST="8", SALUS_HASH_THREADS="8")
    with Api(dear.url) as api:
        assert [answer.status_code for answer in in_parallel(8, lambda _: log_in(api, body["email"]))] == [200] * 8


# ---- refresh

def test_refresh_rotates(api, person):
    somebody = person()
    first = somebody.tokens
    answer = refresh(api, first["refresh_token"])
    assert answer.status_code == 200 and answer.headers["cache-control"] == "no-store"
    second = answer.json()
    assert second["refresh_token"] != first["refresh_token"] and second["access_token"] != first["access_token"]
    assert second["session_id"] == first["session_id"] and "user" not in second
    assert Api(str(api.base_url), second["access_token"]).get("/v1/me").status_code == 200


def test_the_same_token_again_gets_the_same_next_one(api, person):
    """A lost reply or a second tab must sign nobody out."""
    token = person().tokens["refresh_token"]
    answers = [refresh(api, token).json()["refresh_token"] for _ in range(3)]
    assert len(set(answers)) == 1
    assert refresh(api, answers[0]).status_code == 200


def test_an_older_token_ends_the_family(api, person, stack):
    somebody = person()
    elsewhere = log_in(api, somebody.email).json()
    tokens = [somebody.tokens["refresh_token"]]
    for _ in range(2):
        tokens.append(refresh(api, tokens[-1]).json()["refresh_token"])
    problem(refresh(api, tokens[0]), 401, "token_reused")
    for token in reversed(tokens):
        problem(refresh(api, token), 401, "token_reused")
    eventually(lambda: somebody.auth.get("/v1/me").status_code == 401, within=1, what="the access token is void")
    rows = stack.postgres.rows("salus_auth", "SELECT ended_reason FROM sessions WHERE id = %s",
                               somebody.tokens["session_id"])
    assert rows == [(2,)]
    # Only this family: another device of the same person goes on.
    assert refresh(api, elsewhere["refresh_token"]).status_code == 200


def test_sessions_end_by_themselves(private_stack):
    auth = private_stack.daemon("auth", SALUS_REFRESH_TOKEN_LIFE="2s", SALUS_SESSION_LIFE="4s",
                                SALUS_ACCESS_TOKEN_LIFE="1s")
    with Api(auth.url) as api:
        idle, busy = client.register(auth.url), client.register(auth.url)
        begin = time.monotonic()
        token = busy.tokens["refresh_token"]
        while (answer := refresh(api, token)).status_code == 200:
            token = answer.json()["refresh_token"]
            assert time.monotonic() - begin < 6, "the session outlives its absolute life"
        assert time.monotonic() - begin > 3, "the session ended before its absolute life"
        problem(answer, 401, "token_expired")
        problem(refresh(api, idle.tokens["refresh_token"]), 401, "token_expired")
        eventually(lambda: problem(idle.auth.get("/v1/me"), 401, "token_expired"), within=10,
                   what="the access token ends, after the leeway of clocks")


def test_tokens_that_are_none(api, person):
    good = person().tokens["refresh_token"]
    flipped = [good[:n] + ("A" if good[n] != "A" else "B") + good[n + 1:] for n in range(0, len(good), 7)]
    for token in ["x", "", good[:-1], good + "A", good + "=", " " + good, good.swapcase(), "A" * len(good), *flipped]:
        answer = refresh(api, token)
        assert answer.status_code == (422 if not token else 401), token
    problem(refresh(api, person().token[:200]), 401, "unauthorized")
    assert refresh(api, good).status_code == 200


# ---- logout

def test_logout_is_final(api, person):
    somebody = person()
    newest = refresh(api, somebody.tokens["refresh_token"]).json()["refresh_token"]
    assert somebody.auth.post("/v1/auth/logout").status_code == 204
    problem(refresh(api, newest), 401, "token_expired")
    problem(refresh(api, somebody.tokens["refresh_token"]), 401, "token_expired")
    eventually(lambda: somebody.auth.get("/v1/me").status_code == 401, within=1, what="the access token is void")
    assert log_in(api, somebody.email).status_code == 200


def test_logout_reaches_other_services(patient):
    somebody = patient()
    assert somebody.health.get("/v1/health-events").status_code == 200
    somebody.auth.post("/v1/auth/logout")
    eventually(lambda: somebody.health.get("/v1/health-events").status_code == 401, within=1,
               what="main-health refuses the token")


def test_restarts_do_not_forgive(private_stack):
    """kill -9 of the daemon, and a Redis that lost everything: what was over stays over."""
    auth = private_stack.daemon("auth")
    left, reused, stays = (client.register(auth.url) for _ in range(3))
    with Api(auth.url) as api:
        assert left.auth.post("/v1/auth/logout").status_code == 204
        tokens = [reused.tokens["refresh_token"]]
        for _ in range(2):
            tokens.append(refresh(api, tokens[-1]).json()["refresh_token"])
        problem(refresh(api, tokens[0]), 401, "token_reused")
    auth.kill()
    private_stack.bus.kill()
    private_stack.bus.empty()
    private_stack.bus.start()
    auth.start()
    with Api(auth.url) as api:
        problem(refresh(api, left.tokens["refresh_token"]), 401, "token_expired")
        for token in tokens:
            problem(refresh(api, token), 401, "token_reused")
        eventually(lambda: left.auth.get("/v1/me").status_code == 401, what="the ended session is known again")
        eventually(lambda: reused.auth.get("/v1/me").status_code == 401, what="the ended session is known again")
        assert stays.auth.get("/v1/me").status_code == 200
        assert refresh(api, stays.tokens["refresh_token"]).status_code == 200


# ---- profile

MERGE = {"Content-Type": "application/merge-patch+json"}


def change(somebody, patch: dict, **headers) -> httpx.Response:
    return somebody.auth.patch("/v1/me", content=json.dumps(patch), headers=MERGE | headers)


def test_me(person):
    somebody = person()
    answer = somebody.auth.get("/v1/me")
    assert answer.status_code == 200 and answer.json() == somebody.tokens["user"]
    tag = answer.headers["etag"]
    assert somebody.auth.get("/v1/me", headers={"If-None-Match": tag}).status_code == 304
    changed = change(somebody, {"display_name": "D."})
    assert changed.headers["etag"] != tag
    assert somebody.auth.get("/v1/me", headers={"If-None-Match": tag}).status_code == 200


def test_me_needs_a_token(api):
    problem(api.get("/v1/me"), 401, "unauthorized")
    problem(api.get("/v1/me", headers={"Authorization": "Bearer nonsense"}), 401)
    problem(api.patch("/v1/me", content=b"{}", headers=MERGE), 401)
    problem(api.post("/v1/auth/logout"), 401)


def test_change_me(person, stack):
    events = stack.events("auth")
    somebody = person()
    answer = change(somebody, {"language": "he", "time_zone": "Asia/Jerusalem", "display_name": "דנה", "bio": "א\nב",
                               "avatar_url": "https://example.org/dana.png"})
    assert answer.status_code == 200, answer.text
    user = answer.json()
    assert user["language"] == "he" and user["time_zone"] == "Asia/Jerusalem" and user["version"] == 2
    assert user["display_name"] == "דנה" and user["bio"] == "א\nב"
    assert user["created_at"] == somebody.tokens["user"]["created_at"] and user["updated_at"] > user["created_at"]
    assert somebody.auth.get("/v1/me").json() == user
    fact = events.wait_for("user.updated.v1", somebody.id)[0]["data"]
    assert fact["version"] == 2 and fact["language"] == "he" and fact["time_zone"] == "Asia/Jerusalem"
    assert fact["changed_at"] == user["updated_at"]


def test_null_clears_and_the_rest_stays(person):
    somebody = person(name="cleared", display_name="Dana", first_name="D")
    user = change(somebody, {"display_name": None}).json()
    assert "display_name" not in user and user["first_name"] == "D"


def test_preferences_are_merged(person):
    somebody = person()
    change(somebody, {"preferences": {"units": {"weight": "kg", "length": "cm"}, "tags": [1, 2], "x": 0.1}})
    user = change(somebody, {"preferences": {"units": {"weight": None, "energy": "kJ"}, "tags": [3]}}).json()
    assert user["preferences"] == {"units": {"length": "cm", "energy": "kJ"}, "tags": [3], "x": 0.1}
    assert change(somebody, {"preferences": None}).json()["preferences"] == {}


def test_preferences_have_a_limit(person):
    somebody = person()
    assert change(somebody, {"preferences": {"a": "x" * 10_000}}).status_code == 200
    problem(change(somebody, {"preferences": {"b": "x" * 10_000}}), 422, "invalid", "/preferences")
    problem(change(somebody, {"preferences": {"b": "x" * 17_000}}), 422, "invalid", "/preferences")
    assert somebody.auth.get("/v1/me").json()["version"] == 2


def test_no_change_is_no_version(person, stack):
    somebody = person()
    events = stack.events("auth")
    user = change(somebody, {"language": "en", "bio": None}).json()
    assert user == somebody.tokens["user"]
    assert change(somebody, {}).json()["version"] == 1
    assert change(somebody, {"language": "he"}).json()["version"] == 2
    assert len(events.wait_for("user.updated.v1", somebody.id)) == 1


def test_if_match(person):
    somebody = person()
    tag = somebody.auth.get("/v1/me").headers["etag"]
    assert change(somebody, {"language": "he"}, **{"If-Match": tag}).status_code == 200
    problem(change(somebody, {"language": "fr"}, **{"If-Match": tag}), 412)
    assert somebody.auth.get("/v1/me").json()["language"] == "he"


def test_changes_at_once_all_hold(person, stack):
    somebody = person()
    events = stack.events("auth")
    answers = in_parallel(12, lambda n: change(somebody, {"preferences": {f"key{n}": n}}))
    assert {answer.status_code for answer in answers} == {200}
    user = somebody.auth.get("/v1/me").json()
    assert user["preferences"] == {f"key{n}": n for n in range(12)} and user["version"] == 13
    facts = events.wait_for("user.updated.v1", somebody.id, count=12)
    # Facts of one moment may pass each other on the way: that is what their versions are for.
    assert sorted(fact["data"]["version"] for fact in facts) == list(range(2, 14))


BAD_CHANGES = [
    ("no language", {"language": None}, "/language"),
    ("no zone", {"time_zone": None}, "/time_zone"),
    ("unknown zone", {"time_zone": "Europe/Atlantis"}, "/time_zone"),
    ("e-mail", {"email": "other@example.org"}, "/email"),
    ("type", {"user_type": "admin"}, "/user_type"),
    ("status", {"status": "deleted"}, "/status"),
    ("version", {"version": 99}, "/version"),
    ("picture over http", {"avatar_url": "http://example.org/a.png"}, "/avatar_url"),
    ("picture that is a script", {"avatar_url": "javascript:alert(1)"}, "/avatar_url"),
    ("preferences are a list", {"preferences": [1]}, "/preferences"),
]


@pytest.mark.parametrize(("patch", "pointer"), [row[1:] for row in BAD_CHANGES], ids=[row[0] for row in BAD_CHANGES])
def test_bad_changes_name_the_field(person, patch, pointer):
    somebody = person()
    problem(change(somebody, patch), 422, "invalid", pointer)
    assert somebody.auth.get("/v1/me").json() == somebody.tokens["user"]


# ---- keys

def test_jwks(api, person):
    answer = api.get("/.well-known/jwks.json")
    assert answer.status_code == 200 and "max-age=" in answer.headers["cache-control"]
    keys = answer.json()["keys"]
    assert len(keys) == 1 and keys[0].keys() == {"kty", "crv", "x", "y", "use", "alg", "kid"}
    assert keys[0]["kid"] == parts(person().token)[0]["kid"]
    again = api.get("/.well-known/jwks.json", headers={"If-None-Match": answer.headers["etag"]})
    assert again.status_code == 304 and not again.content


def test_what_redis_has_forgotten_is_told_again(auth, person, stack):
    """Its data is gone and its connections are not: as after FLUSHALL."""
    somebody, connection = person(), stack.bus.connect()
    assert somebody.auth.post("/v1/auth/logout").status_code == 204
    told = ["s1:auth:jwks", f"s1:auth:tokens:revoked:{somebody.tokens['session_id']}"]
    eventually(lambda: connection.exists(*told) == 2, what="keys and the ended session are told")
    connection.delete(*told)
    eventually(lambda: connection.exists(*told) == 2, what="they are told again")


def test_the_key_is_sealed(private_stack):
    auth = private_stack.daemon("auth")
    sealed = private_stack.postgres.rows("salus_auth", "SELECT sealed FROM signing_keys")[0][0]
    assert "PRIVATE KEY" not in sealed
    auth.stop()
    other = private_stack.daemon("auth", name="auth-other-seal", start=False,
                                 SALUS_SEAL_KEYS="k1:" + "A" * 43)
    other.start(wait=False)
    eventually(lambda: "does not open the signing key" in other.log_text(), what="it says why")
    assert not other.is_ready()
    other.kill()


def test_tables_are_closed_to_whom_nobody_named(person, stack):
    """Row-level security: the service's own role sees nothing until it says for whom it acts."""
    somebody, other = person(), person()
    with stack.postgres.connect("salus_auth", "salus_auth") as service:
        for table in ("users", "sessions", "signing_keys", "audit_log"):
            assert service.execute(f"SELECT count(*) FROM {table}").fetchone() == (0,)
        service.execute("SELECT set_config('app.users', %s, false)", ["{" + somebody.id + "}"])
        assert [str(row[0]) for row in service.execute("SELECT id FROM users").fetchall()] == [somebody.id]
        assert service.execute("SELECT count(*) FROM signing_keys").fetchone() == (0,)
        assert service.execute("UPDATE users SET bio = 'x' WHERE id = %s", [other.id]).rowcount == 0


# ---- when something is gone

def test_without_redis_only_what_must_be_counted_waits(private_stack):
    auth = private_stack.daemon("auth")
    somebody = client.register(auth.url)
    assert somebody.auth.get("/v1/me").status_code == 200
    private_stack.bus.kill()
    with Api(auth.url) as api:
        answer = eventually(lambda: found if (found := log_in(api, somebody.email)).status_code == 503 else None)
        problem(answer, 503)
        problem(api.post("/v1/auth/register", json=registration()), 503)
        assert somebody.auth.get("/v1/me").status_code == 200
        assert change(somebody, {"language": "he"}).status_code == 200
        assert refresh(api, somebody.tokens["refresh_token"]).status_code == 200
        assert somebody.auth.post("/v1/auth/logout").status_code == 204
        private_stack.bus.start()
        eventually(lambda: somebody.auth.get("/v1/me").status_code == 401, within=20,
                   what="the end of the session is told when Redis is back")
        eventually(lambda: log_in(api, somebody.email).status_code == 200, within=20)


def test_without_postgres_nothing_is_promised(private_stack):
    auth = private_stack.daemon("auth")
    somebody = client.register(auth.url)
    private_stack.postgres.kill()
    with Api(auth.url) as api:
        for answer in (log_in(api, somebody.email), refresh(api, somebody.tokens["refresh_token"]),
                       somebody.auth.get("/v1/me"), somebody.auth.post("/v1/auth/logout")):
            assert answer.status_code == 503, answer.text
        eventually(auth.is_unready)
        private_stack.postgres.start()
        auth.wait_ready()
        eventually(lambda: log_in(api, somebody.email).status_code == 200, within=20)


def test_keys_come_back_when_redis_lost_them(private_stack):
    auth = private_stack.daemon("auth")
    assert eventually(lambda: private_stack.bus.connect().get("s1:auth:jwks"))
    private_stack.bus.kill()
    private_stack.bus.empty()
    private_stack.bus.start()
    keys = eventually(lambda: private_stack.bus.connect().get("s1:auth:jwks"), within=20)
    assert json.loads(keys) == httpx.get(f"{auth.url}/.well-known/jwks.json").json()


# ---- with main-health

def test_the_other_service_knows_the_person(patient, stack):
    somebody = patient(language="he", time_zone="Asia/Jerusalem")
    assert somebody.health.get("/v1/health-events").status_code == 200

    def known():
        return stack.postgres.rows("salus_health",
                                   "SELECT language, time_zone, version FROM user_refs WHERE user_id = %s", somebody.id)

    assert eventually(known) == [("he", "Asia/Jerusalem", 1)]
    change(somebody, {"time_zone": "America/New_York"})
    eventually(lambda: known() == [("he", "America/New_York", 2)], what="the change arrives")
