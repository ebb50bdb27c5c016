"""Sessions of one's own: seen, ended from elsewhere, and over for good whatever is killed; and the end of
an account by its owner."""

import random
import threading
from concurrent.futures import ThreadPoolExecutor

import httpx
import pytest
from support import client
from support.client import PASSWORD, Api, problem
from support.waiting import eventually


def log_in(url: str, person, **headers) -> dict:
    body = {"email": person.email, "password": PASSWORD, "device_name": headers.pop("device", "device")}
    with Api(url) as api:
        answer = api.post("/v1/auth/login", json=body, headers=headers)
    assert answer.status_code == 200, answer.text
    return answer.json()


def refresh(api: Api, token: str) -> httpx.Response:
    return api.post("/v1/auth/refresh", json={"refresh_token": token})


def sessions(api: Api, **params) -> list[dict]:
    return api.get("/v1/me/sessions", params=params).json()["items"]


def refused(api: Api, path: str = "/v1/me") -> bool:
    return api.get(path).status_code == 401


# ---- seen

def test_where_one_is_signed_in(auth, person):
    somebody, other = person(device_name="first"), person()
    phone = log_in(auth.url, somebody, device="Dana's phone", **{"User-Agent": "Salus/1 (phone)", "X-Forwarded-For": "203.0.113.7"})
    with Api(auth.url, phone["access_token"]) as api:
        found = sessions(api)
        assert [one["id"] for one in found] == [phone["session_id"], somebody.tokens["session_id"]]
        assert [one["current"] for one in found] == [True, False]
        assert found[0]["device_name"] == "Dana's phone" and found[0]["ip"] == "203.0.113.7"
        assert found[0]["user_agent"] == "Salus/1 (phone)" and found[1]["device_name"] == "first"
        before = found[0]["last_used_at"]
        assert refresh(api, phone["refresh_token"]).status_code == 200
        again = sessions(api)[0]
        assert again["last_used_at"] > before and again["created_at"] == found[0]["created_at"] < again["expires_at"]
    assert [one["id"] for one in sessions(other.auth)] == [other.tokens["session_id"]]


def test_pages_of_sessions(auth, person):
    somebody = person()
    made = [somebody.tokens["session_id"], *(log_in(auth.url, somebody)["session_id"] for _ in range(6))]
    seen, cursor = [], {}
    while True:
        page = somebody.auth.get("/v1/me/sessions", params={"limit": 3, **cursor}).json()
        seen += [one["id"] for one in page["items"]]
        if "next_cursor" not in page:
            break
        cursor = {"cursor": page["next_cursor"]}
    assert seen == made[::-1]
    problem(somebody.auth.get("/v1/me/sessions", params={"cursor": "x"}), 400, None, "/query/cursor")
    problem(person().auth.get("/v1/me/sessions", params=cursor), 400, None, "/query/cursor")


def test_what_is_over_is_not_shown(auth, person, stack):
    somebody = person()
    idle, old, left = (log_in(auth.url, somebody) for _ in range(3))
    with stack.postgres.connect("salus_auth") as database:
        database.execute("UPDATE sessions SET idle_expires_at = now() WHERE id = %s", [idle["session_id"]])
        database.execute("UPDATE sessions SET expires_at = now() WHERE id = %s", [old["session_id"]])
    assert Api(auth.url, left["access_token"]).post("/v1/auth/logout").status_code == 204
    assert [one["id"] for one in sessions(somebody.auth)] == [somebody.tokens["session_id"]]


# ---- ended from elsewhere

def test_one_is_ended_and_the_others_stay(auth, person):
    somebody = person()
    lost, kept = log_in(auth.url, somebody), log_in(auth.url, somebody)
    for _ in range(2):  # again has no effect
        assert somebody.auth.delete(f"/v1/me/sessions/{lost['session_id']}").status_code == 204
    with Api(auth.url, lost["access_token"]) as api:
        problem(refresh(api, lost["refresh_token"]), 401, "token_expired")
        eventually(lambda: refused(api), within=1, what="the access token is void")
        assert refresh(api, kept["refresh_token"]).status_code == 200
    assert [one["id"] for one in sessions(somebody.auth)] == [kept["session_id"], somebody.tokens["session_id"]]


def test_this_one_ended_by_its_id_is_a_logout(person, stack):
    somebody = person()
    assert somebody.auth.delete(f"/v1/me/sessions/{somebody.tokens['session_id']}").status_code == 204
    eventually(lambda: refused(somebody.auth), within=1, what="the access token is void")
    rows = stack.postgres.rows("salus_auth", "SELECT ended_reason FROM sessions WHERE id = %s", somebody.tokens["session_id"])
    assert rows == [(1,)]


def test_somebody_elses_session_is_not_found(auth, person):
    somebody, other = person(), person()
    problem(somebody.auth.delete(f"/v1/me/sessions/{other.tokens['session_id']}"), 404)
    problem(somebody.auth.delete("/v1/me/sessions/0198c0de-0000-7000-8000-000000000000"), 404)
    problem(somebody.auth.delete("/v1/me/sessions/none"), 400, None, "/path/id")
    assert other.auth.get("/v1/me").status_code == 200
    with Api(auth.url) as api:
        assert refresh(api, other.tokens["refresh_token"]).status_code == 200


def test_all_others_end_everywhere_within_a_second(stack, auth, health, patient):
    """In every worker of every service: each client connects anew, so that all workers are met."""
    second = stack.daemon("auth", name="auth-sessions", SALUS_WORKERS="2")
    somebody = patient()
    others = [log_in(auth.url, somebody) for _ in range(3)]
    places = [(auth.url, "/v1/me"), (second.url, "/v1/me"), (health.url, "/v1/health-events")]

    def statuses(token):
        found = set()
        for url, path in places:
            for _ in range(4):
                with Api(url, token) as api:
                    found.add(api.get(path).status_code)
        return found

    eventually(lambda: statuses(others[0]["access_token"]) == {200}, what="the person is known everywhere")
    assert somebody.auth.delete("/v1/me/sessions").json() == {"ended": 3}
    for other in others:
        eventually(lambda token=other["access_token"]: statuses(token) == {401}, within=1, what="all refuse the token")
        with Api(second.url) as api:
            problem(refresh(api, other["refresh_token"]), 401, "token_expired")
    assert statuses(somebody.token) == {200}
    assert somebody.auth.delete("/v1/me/sessions").json() == {"ended": 0}
    second.stop()


@pytest.mark.parametrize("lost", [False, True], ids=["Redis was down", "Redis lost all"])
def test_an_end_that_redis_did_not_hear_is_told_when_it_is_back(private_stack, lost):
    auth, health = private_stack.daemon("auth"), private_stack.daemon("main-health")
    somebody = client.register(auth.url, health.url)
    other = log_in(auth.url, somebody)
    with Api(auth.url, other["access_token"]) as here, Api(health.url, other["access_token"]) as there:
        assert here.get("/v1/me").status_code == 200
        eventually(lambda: there.get("/v1/health-events").status_code == 200)
        private_stack.bus.kill()
        assert somebody.auth.delete("/v1/me/sessions").json() == {"ended": 1}
        problem(refresh(here, other["refresh_token"]), 401, "token_expired")
        if lost:
            private_stack.bus.empty()
        private_stack.bus.start()
        eventually(lambda: refused(here), within=20, what="auth refuses the token")
        eventually(lambda: refused(there, "/v1/health-events"), within=20, what="main-health refuses the token")
        assert somebody.auth.get("/v1/me").status_code == 200


# ---- theft

def test_theft_is_found_out_once_and_written_down(auth, person, stack):
    somebody = person()
    before = auth.metric("salus_auth_token_thefts_total")
    with Api(auth.url) as api:
        tokens = [somebody.tokens["refresh_token"]]
        for _ in range(2):
            tokens.append(refresh(api, tokens[-1]).json()["refresh_token"])
        for _ in range(3):
            problem(refresh(api, tokens[0]), 401, "token_reused")
    assert auth.metric("salus_auth_token_thefts_total") == before + 1, "the person is told once"
    rows = stack.postgres.rows(
        "salus_auth", "SELECT outcome, reason, actor IS NULL FROM audit_log WHERE target = %s AND action = 'session.refresh'"
        " ORDER BY position", somebody.tokens["session_id"])
    assert rows == [("done", None, False)] * 2 + [("refused", "token_reused", True)] * 3


def test_the_end_and_the_mail_are_one_transaction(private_stack):
    """As long as its owner cannot be told, nothing is done and nothing written; then the same token does all of it."""
    auth = private_stack.daemon("auth")
    somebody = client.register(auth.url)
    session = somebody.tokens["session_id"]

    def traces() -> list[tuple]:
        ended = private_stack.postgres.rows("salus_auth", "SELECT ended_reason FROM sessions WHERE id = %s", session)
        refused = private_stack.postgres.rows("salus_auth", "SELECT reason FROM audit_log WHERE target = %s AND outcome = 'refused'",
                                              session)
        mails = private_stack.postgres.rows("salus_auth", "SELECT 'mail' FROM outbox WHERE payload LIKE %s AND payload LIKE %s",
                                            f"%{somebody.id}%", "%session_stolen%")
        return ended + refused + mails

    with Api(auth.url) as api:
        tokens = [somebody.tokens["refresh_token"]]
        for _ in range(2):
            tokens.append(refresh(api, tokens[-1]).json()["refresh_token"])
        with private_stack.postgres.connect("salus_auth") as database:
            database.execute("REVOKE INSERT ON outbox FROM salus_auth")
        assert refresh(api, tokens[0]).status_code in (500, 503)
        assert traces() == [(None,)]
        with private_stack.postgres.connect("salus_auth") as database:
            database.execute("GRANT INSERT ON outbox TO salus_auth")
        problem(refresh(api, tokens[0]), 401, "token_reused")
    assert traces() == [(2,), ("token_reused",), ("mail",)]


# ---- killed

def test_restarts_never_forgive(private_stack, restarts):
    """--restarts: tokens are rotated and revoked while the daemon, Redis (which loses all) or PostgreSQL is killed at a random
    moment. Then no token of before is accepted, and who did nothing wrong goes on."""
    auth = private_stack.daemon("auth", SALUS_REFRESH_GRACE="0s")
    chance = random.Random(12)
    kept = lost = 0
    for number in range(restarts):
        victim = (auth, private_stack.bus, private_stack.postgres)[number % 3]
        people = [client.register(auth.url) for _ in range(6)]
        old, current, revoked, unsure = [], {}, [], []
        killer = threading.Timer(chance.uniform(0, 0.15), victim.kill)
        killer.start()
        with Api(auth.url) as api:
            for step in range(40):
                somebody = people[step % len(people)]
                token = current.get(somebody.id, somebody.tokens["refresh_token"])
                try:
                    if step % 13 == 12:
                        unsure.append(somebody)
                        if somebody.auth.post("/v1/auth/logout").status_code == 204:
                            unsure.remove(somebody)
                            revoked.append(somebody)
                            old.append(token)
                    answer = refresh(api, token)
                except httpx.TransportError:
                    continue
                if answer.status_code == 200:
                    old.append(token)
                    current[somebody.id] = answer.json()["refresh_token"]
        killer.join()
        if victim is private_stack.bus:
            victim.empty()
        victim.start()
        eventually(lambda: all(auth.metric("salus_dependency_up", dependency=name) for name in ("postgres", "redis-bus")), within=20)
        with Api(auth.url) as api:
            for somebody in people:
                if somebody in revoked:
                    eventually(lambda somebody=somebody: refused(somebody.auth), within=20, what="the ended session is known again")
                    continue
                if somebody in unsure:
                    continue
                # The reply to the last use may have been lost: then its token counts as used.
                answer = refresh(api, current.get(somebody.id, somebody.tokens["refresh_token"]))
                kept += answer.status_code == 200
                lost += answer.status_code != 200
                assert answer.status_code == 200 or victim is not private_stack.bus, answer.text
            chance.shuffle(old)
            for token in old:
                problem(refresh(api, token), 401)
    assert lost <= restarts, f"{lost} of {kept + lost} live sessions were lost"


# ---- the end of an account

def facts_of(events, person, kind: str) -> dict:
    return events.wait_for(kind, person.id)[0]["data"]


def test_deactivation(auth, person, stack):
    events = stack.events("auth")
    somebody, other = person(), person()
    elsewhere = log_in(auth.url, somebody)
    problem(somebody.auth.post("/v1/me/deactivate", json={"password": "wrong"}), 401, "invalid_credentials")
    problem(somebody.auth.post("/v1/me/deactivate", json={}), 422, "invalid", "/password")
    assert somebody.auth.get("/v1/me").status_code == 200
    assert somebody.auth.post("/v1/me/deactivate", json={"password": PASSWORD}).status_code == 204
    fact = facts_of(events, somebody, "user.updated.v1")
    assert fact["status"] == "inactive" and fact["version"] == 2
    with Api(auth.url, elsewhere["access_token"]) as api:
        problem(refresh(api, elsewhere["refresh_token"]), 401, "token_expired")
        problem(refresh(api, somebody.tokens["refresh_token"]), 401, "token_expired")
        problem(api.post("/v1/auth/login", json={"email": somebody.email, "password": PASSWORD}), 401, "invalid_credentials")
        eventually(lambda: refused(api) and refused(somebody.auth), within=1, what="access tokens are void")
    assert stack.postgres.rows("salus_auth", "SELECT status, email FROM users WHERE id = %s", somebody.id) == [(2, somebody.email)]
    assert other.auth.get("/v1/me").status_code == 200


def test_deletion(auth, person, stack):
    events = stack.events("auth")
    about = {"display_name": "Dana Canary", "first_name": "Canary", "device_name": "Canary's phone"}
    somebody = person(name="canary", language="he", time_zone="Asia/Jerusalem", **about)
    elsewhere = log_in(auth.url, somebody, device="canary", **{"User-Agent": "canary/1"})
    problem(somebody.auth.request("DELETE", "/v1/me", json={"password": "wrong"}), 401, "invalid_credentials")
    assert somebody.auth.request("DELETE", "/v1/me", json={"password": PASSWORD}).status_code == 204
    updated = facts_of(events, somebody, "user.updated.v1")
    assert updated["status"] == "deleted" and "contact" not in updated and updated["time_zone"] == "UTC"
    assert facts_of(events, somebody, "user.erased.v1")["user_id"] == somebody.id
    with Api(auth.url, elsewhere["access_token"]) as api:
        problem(refresh(api, elsewhere["refresh_token"]), 401, "token_expired")
        eventually(lambda: refused(api) and refused(somebody.auth), within=1, what="access tokens are void")
        problem(api.post("/v1/auth/login", json={"email": somebody.email, "password": PASSWORD}), 401, "invalid_credentials")
    for table, key in (("users", "id"), ("sessions", "user_id")):
        for row in stack.postgres.rows("salus_auth", f"SELECT t::text FROM {table} t WHERE {key} = %s", somebody.id):
            assert "canary" not in row[0].lower(), row
    again = client.Api(auth.url).post("/v1/auth/register", json={"email": somebody.email, "password": PASSWORD, "language": "en",
                                                                 "time_zone": "UTC"})
    assert again.status_code == 201 and again.json()["user"]["id"] != somebody.id


def test_no_session_begins_while_the_account_is_closed(auth, person, stack):
    """Logins race with the end of the account: afterwards no session goes on."""
    for _ in range(3):
        somebody = person()
        body = {"email": somebody.email, "password": PASSWORD}

        def attempt(n, somebody=somebody, body=body):
            with Api(auth.url) as api:
                if n == 4:
                    return somebody.auth.post("/v1/me/deactivate", json={"password": PASSWORD}).status_code
                return api.post("/v1/auth/login", json=body).status_code

        with ThreadPoolExecutor(8) as pool:
            statuses = list(pool.map(attempt, range(8)))
        assert statuses[4] == 204 and set(statuses) <= {200, 204, 401}, statuses
        assert stack.postgres.rows("salus_auth", "SELECT 1 FROM sessions WHERE user_id = %s AND ended_at IS NULL", somebody.id) == []


def test_wrong_passwords_count_as_failed_logins(person):
    somebody = person()
    for _ in range(10):
        problem(somebody.auth.post("/v1/me/deactivate", json={"password": "wrong"}), 401, "invalid_credentials")
    problem(somebody.auth.post("/v1/me/deactivate", json={"password": PASSWORD}), 429, "rate_limited")
