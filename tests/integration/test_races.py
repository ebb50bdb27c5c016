"""What counts once counts once: 64 uses at the same moment over two daemons of auth, --rounds times each; in one of ten rounds one
of the two dies by kill -9 in the middle."""

import random
import time

import pytest
from support.client import PASSWORD, Api, log_in, register, registration
from support.keys import Keys
from support.mailbox import CODE, Mailbox
from support.races import PARALLEL, Race, Shot, fire
from support.second_factor import CODE as FINISH
from support.second_factor import LOGIN, Guarded

FREE = {"SALUS_MAIL_NETWORK_LIMIT": "1000000", "SALUS_MAILED_CODE_LIMIT": "1000000", "SALUS_MAIL_ACCOUNT_LIMIT": "100",
        "SALUS_LOGIN_ACCOUNT_LIMIT": "10000", "SALUS_CODE_LIMIT": "100", "SALUS_HASH_QUEUE": "1000"}


def count(stack, what: str, *params) -> int:
    return stack.postgres.rows("salus_auth", f"SELECT count(*) FROM {what}", *params)[0][0]


# ---- sessions

def test_a_refresh_leaves_one_chain(stack, rounds):
    """All who hear of a child hear of the same one, nobody benign is signed out, and one chain lives."""
    path = "/v1/auth/refresh"
    with Race(stack) as race:
        for _ in race.rounds(rounds):
            somebody = register(race.url)
            body = {"refresh_token": somebody.tokens["refresh_token"]}
            answers = race.run(path, lambda _, body=body: body)
            assert {answer.status for answer in answers} <= ({200, 503} if race.killing else {200}), answers
            answers += fire([Shot(race.first, path, body)])
            children = {answer.json()["refresh_token"] for answer in answers if answer.status == 200}
            assert len(children) == 1, "a token was used twice"
            session = somebody.tokens["session_id"]
            state = stack.postgres.rows("salus_auth", "SELECT generation, ended_at FROM sessions WHERE id = %s", session)
            assert state == [(2, None)]
            assert count(stack, "audit_log WHERE target = %s AND action = 'session.refresh' AND reason IS NULL", session) == 1
            assert fire([Shot(race.first, path, {"refresh_token": children.pop()})])[0].status == 200


def test_a_refresh_without_grace_has_one_winner(stack, rounds):
    with Race(stack, SALUS_REFRESH_GRACE="0s") as race:
        for _ in race.rounds(rounds):
            tokens = register(race.url).tokens
            race.one_wins("/v1/auth/refresh", lambda _, tokens=tokens: {"refresh_token": tokens["refresh_token"]}, 200, 401,
                          lambda tokens=tokens: count(stack, "audit_log WHERE target = %s AND action = 'session.refresh'"
                                                      " AND outcome = 'done'", tokens["session_id"]))


# ---- accounts

def made(stack, emails: list[str]) -> int:
    """Accounts of these addresses; each has its row of the audit log."""
    users = "users u WHERE u.email_key = ANY (%s)"
    accounts = count(stack, users, emails)
    assert count(stack, f"audit_log WHERE action = 'account.create' AND user_id IN (SELECT u.id FROM {users})", emails) == accounts
    return accounts


def test_an_address_is_registered_once(stack, rounds):
    with Race(stack, **FREE) as race:
        for _ in race.rounds(rounds):
            body = registration()
            race.one_wins("/v1/auth/register", lambda _, body=body: body, 201, 409, lambda body=body: made(stack, [body["email"]]))
            assert count(stack, "sessions WHERE user_id = (SELECT id FROM users WHERE email_key = %s)", body["email"]) == 1


def test_an_invitation_is_used_once(stack, auth, rounds):
    admin = register(auth.url)
    with stack.postgres.connect("salus_auth") as database:
        database.execute("UPDATE users SET user_type = 3 WHERE id = %s", [admin.id])
    with Race(stack, SALUS_REGISTRATION="invitation", **FREE) as race, Api(race.url) as api:
        for _ in race.rounds(rounds):
            token = log_in(api, admin.email).json()["access_token"]
            code = api.post("/v1/admin/invitations", json={}, headers={"Authorization": f"Bearer {token}"}).json()["token"]
            bodies = [registration(invitation=code) for _ in range(PARALLEL)]
            race.one_wins("/v1/auth/register", lambda use, bodies=bodies: bodies[use], 201, 403,
                          lambda bodies=bodies: made(stack, [body["email"] for body in bodies]))


@pytest.mark.parametrize("mails", [1, 8], ids=["one code", "eight codes"])
def test_an_address_is_confirmed_once(stack, scheduler, mail, rounds, mails):
    """By one code, or by each of several that were mailed to it."""
    with Race(stack, SALUS_EMAIL_VERIFICATION=None, **FREE) as race, Api(race.url) as api:
        for _ in race.rounds(rounds):
            body = registration()
            for _ in range(mails):
                assert api.post("/v1/auth/register", json=body).status_code == 202
            codes = [CODE.search(message.get_content())[1] for message in Mailbox(mail.sink, body["email"]).wait_for(mails)]
            race.one_wins("/v1/auth/verify-email", lambda use, codes=codes: {"token": codes[use % mails]}, 204, 400,
                          lambda body=body: made(stack, [body["email"]]))


def test_a_password_is_reset_once(stack, scheduler, mail, rounds):
    with Race(stack, **FREE) as race, Api(race.url) as api:
        for _ in race.rounds(rounds):
            somebody = register(race.url)
            assert api.post("/v1/auth/password/forgot", json={"email": somebody.email}).status_code == 202
            code = Mailbox(mail.sink, somebody.email).code()
            won = race.one_wins("/v1/auth/password/reset",
                                lambda use, code=code: {"token": code, "new_password": f"the {use}th sentence of mine"}, 204, 400,
                                lambda somebody=somebody: count(stack, "audit_log WHERE action = 'password.reset' AND outcome = 'done'"
                                                                " AND user_id = %s", somebody.id))
            assert not won or log_in(api, somebody.email, f"the {won.use}th sentence of mine").status_code == 200


# ---- second factors

@pytest.mark.parametrize("what", ["code of an app", "recovery code", "ticket"])
def test_a_second_factor_counts_once(stack, rounds, what):
    """One code with tickets of their own; one ticket with each of ten codes."""
    with Race(stack, **FREE) as race:
        for _ in race.rounds(rounds):
            guarded = Guarded(race.first)
            password = {"email": guarded.person.email, "password": PASSWORD}
            tickets = [answer.json()["ticket"] for answer in fire([Shot(race.first, LOGIN, password) for _ in range(PARALLEL)])]
            code = guarded.app.code() if what == "code of an app" else guarded.recovery[3]
            uses = [{"ticket": ticket, "code": code} for ticket in tickets]
            if what == "ticket":
                uses = [{"ticket": tickets[0], "code": guarded.recovery[use % 10]} for use in range(PARALLEL)]
            race.one_wins(FINISH, lambda use, uses=uses: uses[use], 200, 401,
                          lambda guarded=guarded: count(stack, "sessions WHERE user_id = %s", guarded.person.id) - 1)
            assert count(stack, "audit_log WHERE user_id = %s AND action IN ('login.totp', 'login.recovery_code')",
                         guarded.person.id) == 1
            spent = count(stack, "recovery_codes WHERE user_id = %s AND used_at IS NOT NULL", guarded.person.id)
            assert spent == (0 if what == "code of an app" else 1)


# ---- signing keys

def test_daemons_started_at_once_make_one_key(private_stack, rounds):
    """Two without a key, in one of four rounds eight; in some rounds one dies meanwhile."""
    eight = [private_stack.daemon("auth", name=f"auth-{number}", start=False) for number in range(8)]
    eight[0].migrate()
    keys, chance = Keys(private_stack), random.Random(8)
    for number in range(rounds):
        with private_stack.postgres.connect("salus_auth") as database:
            database.execute("DELETE FROM signing_keys")
        private_stack.bus.connect().delete("s1:auth:jwks")
        daemons = eight if number % 4 == 0 else eight[:2]
        for daemon in daemons:
            daemon.start(wait=False)
        if number % 10 == 2:
            time.sleep(chance.uniform(0, 0.1))
            daemons[1].kill()
            daemons[1].start(wait=False)
        for daemon in daemons:
            daemon.wait_ready()
        assert [state for _, state in keys.rows()] == ["active"]
        somebody = register(daemons[0].url)
        for daemon in daemons:
            with Api(daemon.url, somebody.token) as api:
                assert [key["kid"] for key in api.get("/.well-known/jwks.json").json()["keys"]] == [keys.active()]
                assert api.get("/v1/me").status_code == 200
            daemon.stop()
