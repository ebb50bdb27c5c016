"""Coming in by mail: confirmed addresses, forgotten passwords, invitations, and what people are told. docs/accounts.md."""

import base64
import json
import uuid

import pytest
from support.client import Api, in_parallel, log_in, new_email, problem, register, registration
from support.mailbox import CODE, Mailbox
from support.waiting import eventually

OTHER = "a whole other sentence of mine"
APP = "https://app.example.org"


@pytest.fixture(scope="module")
def confirming(stack, scheduler):
    """auth as it is when nothing is set: an account begins when its address is confirmed."""
    return stack.daemon("auth", name="auth-confirming", SALUS_EMAIL_VERIFICATION=None, SALUS_APP_URL=APP,
                        SALUS_MAIL_NETWORK_LIMIT="1000000", SALUS_MAILED_CODE_LIMIT="1000000")


@pytest.fixture
def api(confirming):
    with Api(confirming.url) as open_api:
        yield open_api


@pytest.fixture
def box(mail):
    return lambda address: Mailbox(mail.sink, address)


def accepted(answer):
    assert answer.status_code == 202, answer.text
    assert answer.json() == {"status": "accepted"}


def verify(api, code):
    return api.post("/v1/auth/verify-email", json={"token": code})


def forgot(api, email):
    return api.post("/v1/auth/password/forgot", json={"email": email})


def reset(api, code, password=OTHER):
    return api.post("/v1/auth/password/reset", json={"token": code, "new_password": password})


def resend(api, email):
    return api.post("/v1/auth/verify-email/resend", json={"email": email})


def confirmed(api, box, **changes) -> dict:
    """Somebody with an account; what was asked for."""
    body = registration(**changes)
    accepted(api.post("/v1/auth/register", json=body))
    assert verify(api, box(body["email"]).code()).status_code == 204
    return body


def traces_of(stack, email: str, user_id: str) -> dict[str, int]:
    """Tables of auth that have the address, as text or as bytes, or a code of this person."""
    found = {"mailed_codes": stack.postgres.rows("salus_auth", "SELECT count(*) FROM mailed_codes WHERE subject = %s", user_id)[0][0]}
    for (table,) in stack.postgres.rows("salus_auth", "SELECT tablename::text FROM pg_tables WHERE schemaname = 'public'"):
        found[table] = found.get(table, 0) + stack.postgres.rows(
            "salus_auth", f"SELECT count(*) FROM {table} t WHERE t::text LIKE ANY (%s)", [f"%{email}%", f"%{email.encode().hex()}%"])[0][0]
    return {table: rows for table, rows in found.items() if rows}


# ---- registration

def test_an_account_begins_when_its_address_is_confirmed(api, box, stack):
    events = stack.events("auth")
    body = registration(language="he", time_zone="Asia/Jerusalem", display_name="דנה", first_name="Dana")
    accepted(api.post("/v1/auth/register", json=body))
    text = box(body["email"]).newest()
    code = CODE.search(text)[1]
    assert f"{APP}/verify-email#token={code}" in text and "24 שעות" in text
    problem(log_in(api, body["email"], address="198.51.100.60"), 401, "invalid_credentials")
    assert stack.postgres.rows("salus_auth", "SELECT id FROM users WHERE email_key = %s", body["email"]) == []

    assert verify(api, code).status_code == 204
    signed_in = log_in(api, body["email"])
    assert signed_in.status_code == 200, signed_in.text
    user = signed_in.json()["user"]
    assert user["email_verified_at"] and user["display_name"] == "דנה" and user["user_type"] == "patient"
    assert user["language"] == "he" and user["time_zone"] == "Asia/Jerusalem" and user["version"] == 1
    assert len(events.wait_for("user.created.v1", user["id"])) == 1
    problem(verify(api, code), 400, "code_invalid")


def test_no_code_is_on_the_bus_in_a_table_or_in_a_log(api, box, confirming, scheduler, stack):
    events = stack.events("auth")
    body = registration()
    accepted(api.post("/v1/auth/register", json=body))
    code = box(body["email"]).code()
    accepted(forgot(api, body["email"]))
    fact = events.wait_for("mail.requested.v1")[0]
    said = json.dumps(fact)
    opened = base64.urlsafe_b64decode(fact["data"]["sealed"] + "==").decode("latin-1")
    for secret in (code, body["email"], body["password"]):
        assert secret not in said and secret not in opened
        assert secret not in confirming.log_text() and secret not in scheduler.log_text()
    eventually(lambda: stack.postgres.rows("salus_scheduler", "SELECT count(*) FROM mails") == [(0,)], what="nothing is left to be sent")
    rows = stack.postgres.rows("salus_auth", "SELECT digest FROM mailed_codes")
    assert all(code.encode() != bytes(row[0]) and base64.urlsafe_b64decode(code + "=") != bytes(row[0]) for row in rows)


def test_who_has_an_account_is_told_by_mail_alone(api, box, stack):
    body = confirmed(api, box)
    again = registration(email=body["email"].upper(), password=OTHER)
    accepted(api.post("/v1/auth/register", json=again))
    first, second = box(body["email"]).wait_for(2)
    assert second["Subject"] == "You have an account already" and not CODE.search(second.get_content())
    assert second["To"] == body["email"], "to the address of the account, not to the one that was given"
    problem(log_in(api, body["email"], OTHER, "198.51.100.61"), 401)
    assert log_in(api, body["email"]).status_code == 200


def test_the_first_who_confirms_has_the_account(api, box):
    """Whoever registers a stranger's address cannot keep it from them."""
    mine = registration()
    stranger = mine | {"password": OTHER}
    accepted(api.post("/v1/auth/register", json=stranger))
    accepted(api.post("/v1/auth/register", json=mine))
    first, second = (CODE.search(message.get_content())[1] for message in box(mine["email"]).wait_for(2))
    assert verify(api, second).status_code == 204
    problem(verify(api, first), 400, "code_invalid")
    assert log_in(api, mine["email"]).status_code == 200
    problem(log_in(api, mine["email"], OTHER, "198.51.100.62"), 401)


@pytest.mark.parametrize("code", ["x", "A" * 43, "A" * 200, "../../etc/passwd", "' OR 1=1--", "קוד"])
@pytest.mark.parametrize("path", ["verify-email", "password/reset"])
def test_codes_that_nobody_mailed(api, path, code):
    body = {"token": code} | ({"new_password": OTHER} if path == "password/reset" else {})
    problem(api.post(f"/v1/auth/{path}", json=body), 400, "code_invalid")


def test_a_code_is_for_one_thing(api, box):
    body = registration()
    accepted(api.post("/v1/auth/register", json=body))
    problem(reset(api, box(body["email"]).code()), 400, "code_invalid")
    assert verify(api, box(body["email"]).code()).status_code == 204
    accepted(forgot(api, body["email"]))
    problem(verify(api, box(body["email"]).code(2)), 400, "code_invalid")


def test_the_mail_again(api, box):
    body = registration()
    accepted(api.post("/v1/auth/register", json=body))
    box(body["email"]).wait_for(1)
    accepted(resend(api, body["email"]))
    code = box(body["email"]).code(2)
    assert verify(api, code).status_code == 204
    accepted(resend(api, body["email"]))
    accepted(resend(api, new_email()))
    accepted(forgot(api, body["email"]))
    assert box(body["email"]).wait_for(3)[2]["Subject"] == "Set a new password", "who is confirmed gets no further code"


def test_mail_that_anybody_can_ask_for_has_a_limit(api, box, confirming):
    body = confirmed(api, box)
    for _ in range(6):
        accepted(forgot(api, body["email"].title()))
    refused = confirming.metric("salus_auth_limited_total", by="address")
    assert refused >= 3
    accepted(resend(api, body["email"]))
    assert len(box(body["email"]).wait_for(4)) == 4


def test_accounts_from_before_confirm_too(stack, auth, api, box):
    somebody = register(auth.url)
    problem(log_in(api, somebody.email, address="198.51.100.63"), 401, "invalid_credentials")
    accepted(resend(api, somebody.email))
    assert verify(api, box(somebody.email).code()).status_code == 204
    answer = log_in(api, somebody.email).json()
    assert answer["user"]["id"] == somebody.id and answer["user"]["version"] == 2 and answer["user"]["email_verified_at"]


def test_confirmation_may_be_optional(stack, scheduler, box):
    daemon = stack.daemon("auth", name="auth-optional", SALUS_EMAIL_VERIFICATION="optional")
    somebody = register(daemon.url, language="he")
    assert "email_verified_at" not in somebody.tokens["user"]
    with Api(daemon.url) as api:
        message, = box(somebody.email).wait_for(1)
        assert message["Subject"] == "אישור כתובת הדוא״ל שלך" and "https://" not in message.get_content()
        assert verify(api, CODE.search(message.get_content())[1]).status_code == 204
    me = somebody.auth.get("/v1/me").json()
    assert me["email_verified_at"] and me["version"] == 2
    daemon.stop()


@pytest.mark.parametrize("wrong", [
    {"SALUS_EMAIL_VERIFICATION": "maybe"}, {"SALUS_REGISTRATION": "friends"},
    {"SALUS_EMAIL_VERIFICATION": None, "SALUS_CONTACT_KEYS": None},
    {"SALUS_APP_URL": "http://app.example.org"}, {"SALUS_APP_URL": "app.example.org"}, {"SALUS_APP_URL": "https://app.example.org/"}])
def test_settings_that_cannot_work_stop_the_start(stack, wrong):
    daemon = stack.daemon("auth", name="auth-wrong", start=False, **wrong)
    daemon.migrate()
    done = daemon.run(check=False)
    assert done.returncode != 0 and any(key in done.stderr + done.stdout for key in wrong)


# ---- a forgotten password

def test_a_new_password(api, box, stack, confirming):
    body = confirmed(api, box)
    sessions = [log_in(api, body["email"]).json() for _ in range(2)]
    accepted(forgot(api, body["email"]))
    text = box(body["email"]).newest(2)
    code = CODE.search(text)[1]
    assert f"{APP}/reset-password#token={code}" in text and "10 minutes" in text
    answer = reset(api, code)
    assert answer.status_code == 204 and not answer.content, "it signs in nobody"
    problem(reset(api, code), 400, "code_invalid")
    problem(log_in(api, body["email"], address="198.51.100.64"), 401)
    assert log_in(api, body["email"], OTHER).status_code == 200
    for session in sessions:
        problem(api.post("/v1/auth/refresh", json={"refresh_token": session["refresh_token"]}), 401, "token_expired")
        problem(Api(confirming.url, session["access_token"]).get("/v1/me"), 401, "token_revoked")
    assert box(body["email"]).wait_for(3)[2]["Subject"] == "Your password was changed"
    rows = stack.postgres.rows("salus_auth", "SELECT outcome, method FROM audit_log WHERE action = 'password.reset' AND target = %s",
                               sessions[0]["user"]["id"])
    assert rows == [("done", "mailed_code")]


def test_a_reset_ends_the_codes_before_it(api, box):
    body = confirmed(api, box)
    accepted(forgot(api, body["email"]))
    first = box(body["email"]).code(2)
    accepted(forgot(api, body["email"]))
    second = box(body["email"]).code(3)
    problem(reset(api, second, body["email"]), 422, "invalid", "/new_password")
    problem(reset(api, second, "seven 7"), 422, "invalid", "/new_password")
    assert reset(api, second).status_code == 204
    problem(reset(api, first, "a third sentence of mine"), 400, "code_invalid")


def test_a_code_is_void_when_the_password_is_another(api, box, stack):
    body = confirmed(api, box)
    accepted(forgot(api, body["email"]))
    code = box(body["email"]).code(2)
    with stack.postgres.connect("salus_auth") as database:
        database.execute("UPDATE users SET password_hash = password_hash || ' ' WHERE email_key = %s", [body["email"]])
    problem(reset(api, code), 400, "code_invalid")


def test_a_reset_does_not_pass_by_the_status(api, box, stack):
    body = confirmed(api, box)
    accepted(forgot(api, body["email"]))
    code = box(body["email"]).code(2)
    with stack.postgres.connect("salus_auth") as database:
        database.execute("UPDATE users SET status = 2 WHERE email_key = %s", [body["email"]])
    problem(reset(api, code), 400, "code_invalid")
    accepted(forgot(api, body["email"]))
    with stack.postgres.connect("salus_auth") as database:
        database.execute("UPDATE users SET status = 1 WHERE email_key = %s", [body["email"]])
    accepted(forgot(api, body["email"]))
    assert len(box(body["email"]).wait_for(3)) == 3, "who is not active gets no mail"


def test_a_reset_leaves_the_second_factor(api, box, stack):
    body = confirmed(api, box)
    with stack.postgres.connect("salus_auth") as database:
        database.execute("INSERT INTO second_factors (user_id, sealed, confirmed_at) SELECT id, 'x', now() FROM users"
                         " WHERE email_key = %s", [body["email"]])
    accepted(forgot(api, body["email"]))
    assert reset(api, box(body["email"]).code(2)).status_code == 204
    answer = log_in(api, body["email"], OTHER)
    assert answer.status_code == 202 and "ticket" in answer.json() and "access_token" not in answer.text


def test_codes_end(api, box, stack):
    body = registration()
    accepted(api.post("/v1/auth/register", json=body))
    code = box(body["email"]).code()
    with stack.postgres.connect("salus_auth") as database:
        database.execute("UPDATE mailed_codes SET expires_at = now() WHERE subject ="
                         " (SELECT id FROM registrations WHERE email_key = %s)", [body["email"]])
    problem(verify(api, code), 400, "code_invalid")


def test_what_is_over_is_cleared_up(private_stack):
    daemon = private_stack.daemon("auth", SALUS_EMAIL_VERIFICATION=None, SALUS_RESET_LIFE="1s", SALUS_VERIFICATION_LIFE="1s")
    with Api(daemon.url) as api:
        accepted(api.post("/v1/auth/register", json=registration()))
        with private_stack.postgres.connect("salus_auth") as database:
            digest, = database.execute("SELECT digest FROM mailed_codes").fetchone()
            database.commit()

            def expired():
                row = database.execute("SELECT expires_at < now() FROM mailed_codes WHERE digest = %s", [digest]).fetchone()
                database.commit()
                return row == (True,)

            eventually(expired)
            accepted(api.post("/v1/auth/register", json=registration()))
            rows = database.execute("SELECT digest FROM mailed_codes").fetchall()
            assert len(rows) == 1 and rows[0][0] != digest


# Links lead where the operator says, whatever a request claims (CVE-2023-49097 and its kind).
FORGED = [{"Host": "evil.example"}, {"X-Forwarded-Host": "evil.example"}, {"Forwarded": "host=evil.example;proto=http"},
          {"X-Forwarded-Proto": "http"}, {"X-Original-URL": "https://evil.example/"}, {"Origin": "https://evil.example"},
          {"Referer": "https://evil.example/reset"}, {"User-Agent": "visit https://evil.example now"}]


def test_links_do_not_follow_the_request(api, box, confirming):
    body = confirmed(api, box)
    texts = []
    for n, headers in enumerate(FORGED[i:i + 3] for i in range(0, len(FORGED), 3)):
        merged = {key: value for one in headers for key, value in one.items()}
        accepted(api.post("/v1/auth/password/forgot", json={"email": body["email"]}, headers=merged))
        texts.append(box(body["email"]).newest(2 + n))
    for text in texts:
        assert f"{APP}/reset-password#token=" in text and "evil" not in text and "http://" not in text


# ---- invitations

@pytest.fixture(scope="module")
def by_invitation(stack, scheduler):
    return stack.daemon("auth", name="auth-by-invitation", SALUS_REGISTRATION="invitation", SALUS_EMAIL_VERIFICATION="required",
                        SALUS_APP_URL=APP)


@pytest.fixture
def admin(auth, stack, by_invitation):
    somebody = register(auth.url)
    with stack.postgres.connect("salus_auth") as database:
        database.execute("UPDATE users SET user_type = 3, email_verified_at = now() WHERE id = %s", [somebody.id])
    token = log_in(Api(by_invitation.url), somebody.email).json()["access_token"]
    return Api(by_invitation.url, token)


def invite(admin, **wanted) -> dict:
    answer = admin.post("/v1/admin/invitations", json=wanted)
    assert answer.status_code == 201, answer.text
    return answer.json()


def test_only_the_invited_register(by_invitation, admin, box):
    email = new_email()
    with Api(by_invitation.url) as api:
        problem(api.post("/v1/auth/register", json=registration()), 403, "invitation_invalid")
        problem(api.post("/v1/auth/register", json=registration(invitation="A" * 43)), 403, "invitation_invalid")
        made = invite(admin, email=email, user_type="doctor", language="en")
        assert "token" not in made and made["email"] == email
        text = box(email).newest()
        code = CODE.search(text)[1]
        assert f"{APP}/register#token={code}" in text and "7 days" in text
        problem(api.post("/v1/auth/register", json=registration(invitation=code)), 403, "invitation_invalid")
        body = registration(email=email, invitation=code)
        accepted(api.post("/v1/auth/register", json=body))
        assert verify(api, box(email).code(2)).status_code == 204
        assert log_in(api, email).json()["user"]["user_type"] == "doctor"
        problem(api.post("/v1/auth/register", json=body), 403, "invitation_invalid")


def test_the_address_of_who_is_erased_is_nowhere(api, admin, box, stack):
    """Codes, registrations and invitations that wait, half a sign-in, a reply kept for a repeated request: all go with the account."""
    def somebody() -> dict:
        email = new_email("erased")
        made = admin.post("/v1/admin/users", headers={"Idempotency-Key": uuid.uuid4().hex},
                          json={"email": email, "user_type": "patient", "language": "en", "time_zone": "UTC"})
        assert made.status_code == 201, made.text
        assert reset(api, box(email).code()).status_code == 204
        accepted(forgot(api, email))
        accepted(api.post("/v1/auth/register", json=registration(email=email)))
        invite(admin, email=email, language="en")
        return log_in(api, email, OTHER).json()

    signed_in, others = somebody(), somebody()
    body, other = signed_in["user"], others["user"]
    with stack.postgres.connect("salus_auth") as database:
        for user in (signed_in["user"], others["user"]):
            database.execute("INSERT INTO login_tickets (digest, user_id, password_hash, device_name, expires_at)"
                             " VALUES (%s, %s, '', %s, now() + interval '1 hour')", [user["id"].encode(), user["id"], user["email"]])
    before = traces_of(stack, body["email"], signed_in["user"]["id"])
    assert before.keys() >= {"users", "mailed_codes", "registrations", "invitations", "login_tickets", "idempotency_key"}, before
    waiting = stack.postgres.rows("salus_auth", "SELECT id FROM registrations WHERE email_key = %s", body["email"])
    assert waiting
    with Api(api.base_url, signed_in["access_token"]) as me:
        assert me.request("DELETE", "/v1/me", json={"password": OTHER}).status_code == 204
    assert traces_of(stack, body["email"], signed_in["user"]["id"]) == {}
    assert stack.postgres.rows("salus_auth", "SELECT count(*) FROM mailed_codes WHERE subject = ANY (%s)",
                               [row[0] for row in waiting]) == [(0,)]
    assert traces_of(stack, other["email"], others["user"]["id"]).keys() >= before.keys(), "nobody else's are gone"


def test_an_invitation_makes_one_account(by_invitation, admin, box):
    code = invite(admin)["token"]
    bodies = [registration(invitation=code) for _ in range(2)]
    with Api(by_invitation.url) as api:
        for body in bodies:
            accepted(api.post("/v1/auth/register", json=body))
        codes = [box(body["email"]).code() for body in bodies]
        answers = in_parallel(2, lambda n: verify(api, codes[n]).status_code)
        assert sorted(answers) == [204, 400]


def test_who_may_invite(by_invitation, person, admin):
    problem(person().auth.post("/v1/admin/invitations", json={}), 403, "forbidden")
    problem(Api(by_invitation.url).post("/v1/admin/invitations", json={}), 401)
    problem(admin.post("/v1/admin/invitations", json={"user_type": "admin"}), 422, "invalid", "/user_type")
    problem(admin.post("/v1/admin/invitations", json={"email": "nobody"}), 422, "invalid", "/email")


def test_registration_may_be_closed(stack):
    daemon = stack.daemon("auth", name="auth-closed", SALUS_REGISTRATION="closed")
    with Api(daemon.url) as api:
        problem(api.post("/v1/auth/register", json=registration()), 403, "registration_closed")
    daemon.stop()


# ---- delivery

def test_no_request_waits_for_the_mail_server(private_stack):
    """Scheduler is not even there: the mail waits on the bus, and comes once, later."""
    from support.mail import SinkThread

    daemon = private_stack.daemon("auth", SALUS_EMAIL_VERIFICATION=None)
    body = registration()
    with Api(daemon.url) as api, SinkThread(private_stack.folder / "mail") as running:
        accepted(api.post("/v1/auth/register", json=body))
        private_stack.daemon("scheduler", SALUS_SMTP_URL=f"smtp://127.0.0.1:{running.port}", SALUS_EMAIL_RETRY="1s,1s,1s")
        box = Mailbox(running.sink, body["email"])
        assert verify(api, box.code()).status_code == 204
        assert len(box.wait_for()) == 1


def test_a_mail_is_tried_again(private_stack):
    from support.mail import SinkThread

    daemon = private_stack.daemon("auth", SALUS_EMAIL_VERIFICATION=None)
    body = registration()
    with Api(daemon.url) as api, SinkThread(private_stack.folder / "mail") as running:
        tries = []

        def fault(stage, to):
            if stage != "data":
                return None
            tries.append(to)
            return "451 not now" if len(tries) < 3 else None

        running.sink.fault = fault
        scheduler = private_stack.daemon("scheduler", SALUS_SMTP_URL=f"smtp://127.0.0.1:{running.port}", SALUS_EMAIL_RETRY="1s,1s,1s")
        accepted(api.post("/v1/auth/register", json=body))
        assert verify(api, Mailbox(running.sink, body["email"]).code()).status_code == 204
        assert scheduler.metric("salus_mails_total", outcome="retried") == 2
        eventually(lambda: scheduler.metric("salus_mails_total", outcome="sent") == 1)
