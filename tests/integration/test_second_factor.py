"""The second factor: one-time codes of an authenticator app and recovery codes, beside the password."""

import base64
import re
import time
import urllib.parse
from concurrent.futures import ThreadPoolExecutor

import pytest
from support import client
from support.client import PASSWORD, Api, problem
from support.second_factor import LOGIN, App, Guarded
from support.waiting import eventually


@pytest.fixture
def guarded(auth):
    return Guarded(auth)


def reason(stack, user_id: str) -> str:
    """Why the last attempt on an account was refused, as the audit log has it."""
    return stack.postgres.rows("salus_auth", "SELECT reason FROM audit_log WHERE target = %s AND outcome = 'refused'"
                               " ORDER BY at DESC LIMIT 1", user_id)[0][0]


def test_a_sign_in_asks_for_a_code(auth, guarded):
    answer = guarded.api.post(LOGIN, json={"email": guarded.person.email, "password": PASSWORD, "device_name": "tablet"})
    assert answer.status_code == 202 and answer.headers["cache-control"] == "no-store"
    assert answer.json().keys() == {"ticket", "expires_in"} and answer.json()["expires_in"] == 300
    tokens = guarded.finish(answer.json()["ticket"], guarded.app.code())
    assert tokens.status_code == 200 and tokens.headers["cache-control"] == "no-store"
    with Api(auth.url, tokens.json()["access_token"]) as api:
        assert api.get("/v1/me").json()["id"] == guarded.person.id
        state = api.get("/v1/me/second-factor").json()
    assert state["active"] and state["recovery_codes_left"] == 10 and state["active_since"]


def test_nothing_changes_before_the_app_has_proved_itself(auth, stack):
    person = client.register(auth.url)
    first = person.auth.post("/v1/me/second-factor", json={"password": PASSWORD}).json()
    second = person.auth.post("/v1/me/second-factor", json={"password": PASSWORD}).json()
    assert first["secret"] != second["secret"] and re.fullmatch("[A-Z2-7]{32}", second["secret"])
    uri = urllib.parse.urlsplit(second["uri"])
    assert (uri.scheme, uri.netloc) == ("otpauth", "totp") and urllib.parse.unquote(uri.path) == f"/Salus:{person.email}"
    assert urllib.parse.parse_qs(uri.query) == {"secret": [second["secret"]], "issuer": ["Salus"]}
    assert person.auth.post(LOGIN, json={"email": person.email, "password": PASSWORD}).status_code == 200
    assert person.auth.get("/v1/me/second-factor").json() == {"active": False, "recovery_codes_left": 0}
    problem(person.auth.post("/v1/me/second-factor/confirm", json={"code": App(first["secret"]).code()}), 401, "invalid_credentials")
    kept = stack.postgres.rows("salus_auth", "SELECT sealed FROM second_factors WHERE user_id = %s", person.id)[0][0]
    raw = base64.urlsafe_b64decode(kept + "=" * (-len(kept) % 4))
    assert second["secret"] not in kept and base64.b32decode(second["secret"]) not in raw


def test_setting_it_up_asks_for_the_password(auth, stack):
    person = client.register(auth.url)
    problem(person.auth.post("/v1/me/second-factor", json={"password": "not it, sorry"}), 401, "invalid_credentials")
    assert reason(stack, person.id) == "wrong_password"
    problem(person.auth.post("/v1/me/second-factor", json={}), 422, "invalid", "/password")
    problem(person.auth.post("/v1/me/second-factor/confirm", json={"code": "123456"}), 401, "invalid_credentials")
    with Api(auth.url) as nobody:
        problem(nobody.post("/v1/me/second-factor", json={"password": PASSWORD}), 401, "unauthorized")


def test_setting_it_up_ends_the_other_sessions(auth):
    person = client.register(auth.url)
    other = person.auth.post(LOGIN, json={"email": person.email, "password": PASSWORD}).json()
    app = App(person.auth.post("/v1/me/second-factor", json={"password": PASSWORD}).json()["secret"])
    assert person.auth.post("/v1/me/second-factor/confirm", json={"code": app.code()}).status_code == 200
    with Api(auth.url, other["access_token"]) as api:
        eventually(lambda: api.get("/v1/me").status_code == 401, within=5, what="the other session's tokens are refused")
        problem(api.post("/v1/auth/refresh", json={"refresh_token": other["refresh_token"]}), 401)
    assert person.auth.get("/v1/me").status_code == 200


def test_it_cannot_be_replaced_without_being_removed(guarded):
    problem(guarded.api.post("/v1/me/second-factor", json={"password": PASSWORD}), 409, "conflict")
    problem(guarded.api.post("/v1/me/second-factor/confirm", json={"code": guarded.app.code()}), 401, "invalid_credentials")


def test_a_ticket_is_good_for_nothing_else(auth, guarded):
    ticket = guarded.ticket()
    with Api(auth.url, ticket) as api:
        problem(api.get("/v1/me"), 401)
        problem(api.post("/v1/auth/refresh", json={"refresh_token": ticket}), 401)


@pytest.mark.parametrize("ticket", ["x", "A" * 43, "../../etc/passwd", "' OR 1=1--"])
def test_a_ticket_that_is_none(guarded, ticket):
    problem(guarded.finish(ticket, guarded.app.code()), 401, "invalid_credentials")


@pytest.mark.parametrize(("code", "status"), [("12345", 422), ("", 422), ("1" * 21, 422), ("12345\n", 422), ("١٢٣٤٥٦", 401),
                                              ("abcdef", 401), ("AAAAA-AAAAA", 401), ("12 34 56", 401)])
def test_a_code_that_is_none(guarded, code, status):
    problem(guarded.finish(guarded.ticket(), code), status)


def test_a_code_counts_once(guarded, stack):
    code = guarded.app.code()
    assert guarded.finish(guarded.ticket(), code).status_code == 200
    problem(guarded.finish(guarded.ticket(), code), 401, "invalid_credentials")
    assert reason(stack, guarded.person.id) == "wrong_code"


def test_a_ticket_counts_once(guarded):
    ticket = guarded.ticket()
    assert guarded.finish(ticket, guarded.recovery[0]).status_code == 200
    problem(guarded.finish(ticket, guarded.recovery[1]), 401, "invalid_credentials")
    assert guarded.api.get("/v1/me/second-factor").json()["recovery_codes_left"] == 9  # the second was not spent


def test_a_recovery_code_is_taken_as_people_type_it(guarded):
    assert len(set(guarded.recovery)) == 10 and all(re.fullmatch("[0-9A-Z]{5}-[0-9A-Z]{5}", code) for code in guarded.recovery)
    typed = guarded.recovery[0].lower().replace("-", " ")
    assert guarded.finish(guarded.ticket(), typed).status_code == 200
    problem(guarded.finish(guarded.ticket(), guarded.recovery[0]), 401, "invalid_credentials")


def test_new_recovery_codes_end_the_old_ones(guarded):
    answer = guarded.api.post("/v1/me/second-factor/recovery-codes", json={"password": PASSWORD, "code": guarded.app.code()})
    assert answer.status_code == 200 and not set(answer.json()["recovery_codes"]) & set(guarded.recovery)
    problem(guarded.finish(guarded.ticket(), guarded.recovery[0]), 401, "invalid_credentials")
    assert guarded.finish(guarded.ticket(), answer.json()["recovery_codes"][0]).status_code == 200


def test_removing_it_asks_for_both(guarded):
    path = "/v1/me/second-factor/remove"
    problem(guarded.api.post(path, json={"password": "not it, sorry", "code": guarded.recovery[0]}), 401, "invalid_credentials")
    problem(guarded.api.post(path, json={"password": PASSWORD, "code": guarded.app.wrong_code()}), 401, "invalid_credentials")
    assert guarded.api.get("/v1/me/second-factor").json()["recovery_codes_left"] == 10
    assert guarded.api.post(path, json={"password": PASSWORD, "code": guarded.recovery[0]}).status_code == 204
    assert guarded.api.post(LOGIN, json={"email": guarded.person.email, "password": PASSWORD}).status_code == 200


def test_guessing_is_counted_before_it_is_looked_at(guarded):
    """Of 40 parallel guesses as many are looked at as may fail; then the right one is refused as well, and the password still
    leads to a ticket: the factors have counters of their own."""
    tickets = [guarded.ticket() for _ in range(4)]
    wrong = guarded.app.wrong_code()
    with ThreadPoolExecutor(40) as pool:
        answers = list(pool.map(lambda number: guarded.finish(tickets[number % 4], wrong).status_code, range(40)))
    assert sorted(answers) == [401] * 5 + [429] * 35
    late = guarded.finish(guarded.ticket(), guarded.app.code())
    problem(late, 429, "rate_limited")
    assert 0 < int(late.headers["retry-after"]) <= 900
    assert guarded.api.get("/v1/me").status_code == 200


def test_a_right_code_forgives_the_wrong_ones_before_it(guarded):
    for _ in range(2):
        for _ in range(4):
            problem(guarded.finish(guarded.ticket(), guarded.app.wrong_code()), 401)
        assert guarded.finish(guarded.ticket(), guarded.recovery.pop()).status_code == 200


@pytest.mark.parametrize("change", ["password_hash = 'v1:gone'", "status = 2"])
def test_a_sign_in_that_began_before_a_change_does_not_end_in_a_session(guarded, stack, change):
    ticket = guarded.ticket()
    stack.postgres.rows("salus_auth", f"UPDATE users SET {change} WHERE id = %s RETURNING 1", guarded.person.id)
    problem(guarded.finish(ticket, guarded.recovery[0]), 401, "invalid_credentials")


def test_a_ticket_ends(stack):
    short = stack.daemon("auth", name="auth-short-ticket", SALUS_LOGIN_TICKET_LIFE="1s")
    guarded = Guarded(short)
    ticket = guarded.ticket()
    time.sleep(1.2)  # what is tested
    problem(guarded.finish(ticket, guarded.recovery[0]), 401, "invalid_credentials")
