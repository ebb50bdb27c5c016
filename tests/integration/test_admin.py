"""Admins: what they see and do, within their tenant, and what is left of a person whom they suspend."""

import json
import uuid

import pytest
from support import admins, client
from support.client import PASSWORD, Api, new_email, problem
from support.waiting import eventually


@pytest.fixture(scope="module")
def admin(stack, auth):
    return admins.first_admin(stack, auth.url)


@pytest.fixture(scope="module")
def elsewhere(stack, auth):
    """An admin and a patient of another tenant."""
    tenant = admins.new_tenant(stack)
    return [admins.somebody(stack, auth.url, kind, tenant) for kind in ("admin", "patient")]


def audit(stack, target: str) -> list[tuple]:
    return stack.postgres.rows("salus_auth", "SELECT action, outcome, reason, actor::text FROM audit_log WHERE target = %s"
                               " AND action NOT LIKE 'login.%%' ORDER BY position", target)


# ---- the first admin

def test_the_first_admin_has_to_choose_a_password(private_stack):
    auth = private_stack.daemon("auth")
    tokens = admins.log_in(auth.url, private_stack.admin_email, private_stack.admin_password)
    assert tokens["scope"] == "password:change" and tokens["user"]["user_type"] == "admin"
    with Api(auth.url, tokens["access_token"]) as api:
        for path in ("/v1/me", "/v1/admin/users", "/v1/admin/flags", "/v1/admin/clients"):
            problem(api.get(path), 403, "forbidden")
    with Api(auth.url) as api:
        again = api.post("/v1/auth/refresh", json={"refresh_token": tokens["refresh_token"]})
        assert again.json()["scope"] == "password:change"


def test_there_is_one_first_admin(private_stack):
    first = private_stack.daemon("auth", SALUS_WORKERS="4", start=False)
    second = private_stack.daemon("auth", name="auth-second", SALUS_WORKERS="4", start=False)
    first.migrate()
    for daemon in (first, second):
        daemon.start()
    rows = private_stack.postgres.rows("salus_auth", "SELECT email, password_must_change FROM users WHERE user_type = 3")
    assert rows == [(private_stack.admin_email, True)]
    second.stop()
    again = private_stack.daemon("auth", name="auth-third", ADMIN_EMAIL="other@salus.example")
    assert private_stack.postgres.rows("salus_auth", "SELECT email FROM users WHERE user_type = 3") == [(private_stack.admin_email,)]
    again.stop()


def test_shipped_defaults_are_for_development(private_stack):
    for settings in ({"ADMIN_PASSWORD": None}, {"ADMIN_PASSWORD": "change-me-at-once"}, {"SALUS_ENVIRONMENT": "staging"},
                     {"ADMIN_EMAIL": "nobody"}):
        daemon = private_stack.daemon("auth", name="auth-refuses", start=False, **settings)
        daemon.migrate()
        done = daemon.run(check=False)
        assert done.returncode == 1, done.stderr
        assert "ADMIN_PASSWORD" in done.stderr or "SALUS_ENVIRONMENT" in done.stderr or "ADMIN_EMAIL" in done.stderr
        private_stack.daemons.remove(daemon)
    assert private_stack.postgres.rows("salus_auth", "SELECT count(*) FROM users") == [(0,)]
    private_stack.daemon("auth", name="auth-development", ADMIN_PASSWORD=None, SALUS_ENVIRONMENT="development")
    assert private_stack.postgres.rows("salus_auth", "SELECT count(*) FROM users") == [(1,)]


# ---- finding

def test_people_are_found_within_the_tenant(admin, elsewhere, stack, auth):
    name = uuid.uuid4().hex[:12]
    made = [admins.somebody(stack, auth.url, kind, name=f"{name}.{kind}") for kind in ("patient", "doctor", "institution")]

    def found(api, **query) -> list[str]:
        answer = api.get("/v1/admin/users", params=query)
        assert answer.status_code == 200, answer.text
        return [row["id"] for row in answer.json()["items"]]

    assert sorted(found(admin.auth, email=name.upper())) == sorted(person.id for person in made)
    assert found(admin.auth, email=f"{name}.doctor") == [made[1].id]
    assert found(admin.auth, email=name, user_type="institution") == [made[2].id]
    assert found(admin.auth, email=name, status="inactive") == []
    assert found(admin.auth, email=name, tenant_id=elsewhere[0].tokens["user"]["tenant_id"]) == []
    assert found(elsewhere[0].auth, email=name) == []
    assert sorted(found(elsewhere[0].auth)) == sorted(person.id for person in elsewhere)
    row = admin.auth.get(f"/v1/admin/users/{made[0].id}").json()
    assert row["last_sign_in_at"] >= row["created_at"] and row["email"] == made[0].email
    assert not {"preferences", "privacy_settings", "bio", "phone_number"} & row.keys()


def test_pages_show_everybody_once(admin, stack, auth):
    name = uuid.uuid4().hex[:12]
    made = {admins.somebody(stack, auth.url, name=f"{name}.{n}").id for n in range(5)}
    seen, cursor = [], None
    while True:
        page = admin.auth.get("/v1/admin/users", params={"email": name, "limit": 2} | ({"cursor": cursor} if cursor else {})).json()
        seen += [row["id"] for row in page["items"]]
        cursor = page.get("next_cursor")
        if not cursor:
            break
        problem(admin.auth.get("/v1/admin/users", params={"limit": 2, "cursor": cursor}), 400)
    assert len(seen) == 5 and set(seen) == made


def test_other_tenants_people_are_not_there(admin, elsewhere):
    for person in elsewhere:
        path = f"/v1/admin/users/{person.id}"
        problem(admin.auth.get(path), 404)
        problem(admin.auth.post(f"{path}/suspend"), 404)
        problem(admin.auth.post(f"{path}/reactivate"), 404)
        problem(admin.auth.post(f"{path}/password-reset"), 404)
        problem(admin.auth.delete(f"{path}/sessions"), 404)
        problem(admin.auth.patch(path, content=b'{"user_type": "doctor"}', headers={"Content-Type": "application/merge-patch+json"}), 404)
        assert person.auth.get("/v1/me").status_code == 200


def test_an_admin_who_is_none_any_more_sees_nobody(admin, stack, auth):
    """The token says admin until it ends; the database knows better."""
    other = admins.somebody(stack, auth.url, "admin")
    with stack.postgres.connect("salus_auth") as database:
        database.execute("UPDATE users SET user_type = 1 WHERE id = %s", [other.id])
    assert other.auth.get("/v1/admin/users").json() == {"items": []}
    problem(other.auth.post(f"/v1/admin/users/{admin.id}/suspend"), 404)
    problem(other.auth.post("/v1/admin/users", json={"email": new_email(), "user_type": "admin", "language": "en",
                                                     "time_zone": "UTC"}), 403)


def test_the_database_holds_the_tenant_by_itself(admin, elsewhere, stack, person):
    """Whatever the service asks for: as the role that it connects with."""
    tables = ("users", "sessions", "clients", "feature_flags")
    here, there = admin.tokens["user"]["tenant_id"], elsewhere[0].tokens["user"]["tenant_id"]
    elsewhere[0].auth.post("/v1/admin/clients", json={"name": "theirs", "scopes": ["admin:flags"]})
    elsewhere[0].auth.put("/v1/admin/flags/theirs", json={"enabled": True, "share": 1})
    with stack.postgres.connect("salus_auth", "salus_auth") as database:
        def seen(actor, role: str) -> dict[str, set]:
            database.execute("SELECT set_config('app.users', %s, false), set_config('app.role', %s, false)", [f"{{{actor}}}", role])
            tenants = {table: f"SELECT DISTINCT tenant_id::text FROM {table}" for table in tables}
            tenants["sessions"] = "SELECT DISTINCT u.tenant_id::text FROM sessions s JOIN users u ON u.id = s.user_id"
            return {table: {row[0] for row in database.execute(query).fetchall()} for table, query in tenants.items()}

        assert seen(elsewhere[0].id, "admin") == dict.fromkeys(tables, {there})
        assert seen(admin.id, "admin")["users"] == {here}
        for actor, role in ((elsewhere[1].id, "admin"), (person().id, "admin"), (admin.id, "user"), (uuid.uuid4(), "admin")):
            assert {table: rows for table, rows in seen(actor, role).items() if table in ("clients", "feature_flags")} == {
                "clients": set(), "feature_flags": set()}
        assert database.execute("UPDATE users SET user_type = 3 WHERE tenant_id = %s", [there]).rowcount == 0


# ---- acts

def test_a_suspended_person_is_out_everywhere(admin, stack, auth, health, patient):
    person = patient()
    facts = stack.events("auth")
    assert person.health.get("/v1/health-events").status_code == 200
    answer = admin.auth.post(f"/v1/admin/users/{person.id}/suspend", json={"reason": "asked by the clinic"})
    assert answer.status_code == 200 and answer.json()["status"] == "inactive" and answer.json()["version"] == 2
    for api, path in ((person.auth, "/v1/me"), (person.health, "/v1/health-events")):
        eventually(lambda api=api, path=path: api.get(path).status_code == 401, within=1, what="its tokens are refused")
    with Api(auth.url) as api:
        problem(api.post("/v1/auth/refresh", json={"refresh_token": person.tokens["refresh_token"]}), 401)
        problem(api.post("/v1/auth/login", json={"email": person.email, "password": PASSWORD},
                         headers={"X-Forwarded-For": "198.51.100.40"}), 401, "invalid_credentials")
    assert facts.wait_for("user.updated.v1", person.id)[0]["data"]["status"] == "inactive"

    again = admin.auth.post(f"/v1/admin/users/{person.id}/suspend")
    assert again.status_code == 200 and again.json()["version"] == 2
    assert admin.auth.post(f"/v1/admin/users/{person.id}/reactivate").json()["status"] == "active"
    admins.log_in(auth.url, person.email)
    assert audit(stack, person.id)[1:] == [("account.suspend", "done", "asked by the clinic", admin.id),
                                           ("account.reactivate", "done", None, admin.id)]


def test_a_type_is_changed(admin, stack, auth, person):
    somebody = person()
    facts = stack.events("auth")
    answer = admin.auth.patch(f"/v1/admin/users/{somebody.id}", content=json.dumps({"user_type": "institution"}),
                              headers={"Content-Type": "application/merge-patch+json"})
    assert answer.status_code == 200 and answer.json()["user_type"] == "institution"
    assert facts.wait_for("user.updated.v1", somebody.id)[0]["data"]["user_type"] == "institution"
    eventually(lambda: somebody.auth.get("/v1/me").status_code == 401, within=1, what="tokens with the old scopes are refused")
    assert "health" not in admins.log_in(auth.url, somebody.email)["scope"]


def test_an_account_stands_for_somebody(admin, stack, auth, person):
    """Main-health owns whom; it hears of it by the fact, and looks there."""
    somebody, whom, merge = person(), str(uuid.uuid4()), {"Content-Type": "application/merge-patch+json"}
    facts, path = stack.events("auth"), f"/v1/admin/users/{somebody.id}"
    assert admin.auth.patch(path, content=json.dumps({"reference_id": whom}), headers=merge).json()["reference_id"] == whom
    assert facts.wait_for("user.updated.v1", somebody.id)[0]["data"]["reference_id"] == whom
    assert somebody.auth.get("/v1/me").json()["reference_id"] == whom, "no session has ended"
    assert "reference_id" not in admin.auth.patch(path, content=b'{"reference_id": null}', headers=merge).json()
    problem(somebody.auth.patch("/v1/me", content=json.dumps({"reference_id": whom}), headers=merge), 422, "invalid", "/reference_id")


def test_main_health_keeps_whom_accounts_stand_for(admin, stack, auth, health, person):
    """As claims, until its directory can say more: of the newest version, gone with the account."""
    somebody, other, whom = person(), person(), str(uuid.uuid4())

    def patch(who, **changes):
        return admin.auth.patch(f"/v1/admin/users/{who.id}", content=json.dumps(changes),
                                headers={"Content-Type": "application/merge-patch+json"})

    def kept(who) -> list[tuple]:
        return stack.postgres.rows("salus_health", "SELECT user_type, reference_id::text FROM account_references WHERE user_id = %s",
                                   who.id)

    assert patch(somebody, reference_id=whom).status_code == 200
    eventually(lambda: kept(somebody) == [(1, whom)], what="the claim is there")
    problem(patch(other, reference_id=whom), 409, "conflict")
    assert patch(other, user_type="doctor", reference_id=whom).status_code == 200, "a doctor of that id is somebody else"
    eventually(lambda: kept(other) == [(2, whom)])
    assert "reference_id" not in patch(somebody, user_type="institution").json(), "it was a patient"
    eventually(lambda: kept(somebody) == [], what="the claim is gone")
    problem(patch(other, user_type="admin", reference_id=whom), 422, "invalid", "/reference_id")
    assert "reference_id" not in patch(other, user_type="admin").json()
    problem(patch(other, reference_id=whom), 422, "invalid", "/reference_id")
    eventually(lambda: kept(other) == [])


def test_a_claim_goes_with_its_account(admin, stack, auth, health, person):
    somebody, whom = person(), str(uuid.uuid4())
    claims = "SELECT count(*) FROM account_references WHERE user_id = %s"
    assert admin.auth.patch(f"/v1/admin/users/{somebody.id}", content=json.dumps({"reference_id": whom}),
                            headers={"Content-Type": "application/merge-patch+json"}).status_code == 200
    eventually(lambda: stack.postgres.rows("salus_health", claims, somebody.id) == [(1,)])
    assert somebody.auth.request("DELETE", "/v1/me", json={"password": PASSWORD}).status_code == 204
    eventually(lambda: stack.postgres.rows("salus_health", claims, somebody.id) == [(0,)])


def test_a_phone_is_confirmed(admin, stack, auth, person):
    """By whoever knows the number; admins are not shown it. Another number is not confirmed."""
    somebody, merge = person(), {"Content-Type": "application/merge-patch+json"}
    path = f"/v1/admin/users/{somebody.id}/phone-confirmation"
    problem(admin.auth.post(path, json={"phone_number": "+972501234567"}), 409, "conflict")
    assert "phone_confirmed_at" not in somebody.auth.patch("/v1/me", content=b'{"phone_number": "+972501234567"}', headers=merge).json()
    problem(admin.auth.post(path, json={"phone_number": "+972501234568"}), 409, "conflict")
    answer = admin.auth.post(path, json={"phone_number": "+972501234567", "reason": "we called"})
    assert answer.status_code == 200 and "phone_number" not in answer.json()
    assert answer.json()["phone_confirmed_at"] == somebody.auth.get("/v1/me").json()["phone_confirmed_at"]
    assert admin.auth.post(path, json={"phone_number": "+972501234567"}).json() == answer.json(), "again changes nothing"
    assert ("account.confirm_phone", "done", "we called", admin.id) in audit(stack, somebody.id)
    assert "phone_confirmed_at" in somebody.auth.patch("/v1/me", content=b'{"display_name": "D."}', headers=merge).json()
    changed = somebody.auth.patch("/v1/me", content=b'{"phone_number": "+972501234568"}', headers=merge).json()
    assert changed["phone_number"] == "+972501234568" and "phone_confirmed_at" not in changed
    assert "phone_confirmed_at" not in admin.auth.get(f"/v1/admin/users/{somebody.id}").json()


def test_when_an_account_was_deleted(admin, auth, person):
    somebody = person()
    path, merge = f"/v1/admin/users/{somebody.id}", {"Content-Type": "application/merge-patch+json"}
    somebody.auth.patch("/v1/me", content=b'{"phone_number": "+972501234567"}', headers=merge)
    admin.auth.post(f"{path}/phone-confirmation", json={"phone_number": "+972501234567"})
    assert "deleted_at" not in admin.auth.get(path).json()
    assert somebody.auth.request("DELETE", "/v1/me", json={"password": PASSWORD}).status_code == 204
    row = admin.auth.get(path).json()
    assert row["status"] == "deleted" and row["deleted_at"] == row["updated_at"] and "phone_confirmed_at" not in row
    problem(admin.auth.post(f"{path}/phone-confirmation", json={"phone_number": "+972501234567"}), 409, "conflict")


def test_a_password_reset_can_be_forced(admin, stack, auth, person):
    somebody, facts = person(), stack.events("auth")
    answer = admin.auth.post(f"/v1/admin/users/{somebody.id}/password-reset")
    assert answer.status_code == 200 and answer.json()["password_must_change"] is True
    assert "password" not in answer.text.replace("password_must_change", "")
    eventually(lambda: somebody.auth.get("/v1/me").status_code == 401, within=1)
    assert [fact["data"]["template"] for fact in facts.wait_for("mail.requested.v1", somebody.id)] == ["reset_password"]
    assert admins.log_in(auth.url, somebody.email)["scope"] == "password:change"
    assert [row[0] for row in audit(stack, somebody.id)] == ["account.create", "account.force_password_reset"]


def test_sessions_are_ended(admin, stack, auth, person):
    somebody = person()
    other = Api(auth.url, admins.log_in(auth.url, somebody.email)["access_token"])
    assert admin.auth.delete(f"/v1/admin/users/{somebody.id}/sessions").json() == {"ended": 2}
    for api in (somebody.auth, other):
        eventually(lambda api=api: api.get("/v1/me").status_code == 401, within=1)
    assert admin.auth.delete(f"/v1/admin/users/{somebody.id}/sessions").json() == {"ended": 0}
    admins.log_in(auth.url, somebody.email)


def test_ones_own_account_stays_as_it_is(admin):
    for act in ("suspend", "reactivate", "password-reset"):
        problem(admin.auth.post(f"/v1/admin/users/{admin.id}/{act}"), 409, "own_account")
    problem(admin.auth.patch(f"/v1/admin/users/{admin.id}", content=b'{"user_type": "patient"}',
                             headers={"Content-Type": "application/merge-patch+json"}), 409, "own_account")


# ---- making

def test_an_account_is_made_once(admin, stack, auth):
    facts = stack.events("auth")
    body = {"email": new_email("doctor"), "user_type": "doctor", "full_name": "Dr. Noa Peretz", "language": "he", "time_zone": "UTC"}
    key = {"Idempotency-Key": uuid.uuid4().hex}
    made = admin.auth.post("/v1/admin/users", json=body, headers=key)
    assert made.status_code == 201, made.text
    assert admin.auth.post("/v1/admin/users", json=body, headers=key).json() == made.json()
    account = made.json()
    assert account["user_type"] == "doctor" and account["tenant_id"] == admin.tokens["user"]["tenant_id"]
    assert len(facts.wait_for("user.created.v1", account["id"])) == 1
    assert [fact["data"]["template"] for fact in facts.wait_for("mail.requested.v1", account["id"])] == ["reset_password"]
    problem(admin.auth.post("/v1/admin/users", json=body | {"email": body["email"].upper()}), 409, "email_taken")
    assert audit(stack, account["id"]) == [("account.create", "done", None, admin.id)]
    with Api(auth.url) as api:
        problem(api.post("/v1/auth/login", json={"email": body["email"], "password": PASSWORD},
                         headers={"X-Forwarded-For": "198.51.100.41"}), 401, "invalid_credentials")


@pytest.mark.parametrize(("changes", "pointer"), [
    ({"user_type": "root"}, "/user_type"), ({"email": "nobody"}, "/email"), ({"password": "one that I choose"}, "/password"),
    ({"tenant_id": str(uuid.uuid4())}, "/tenant_id"), ({"status": "deleted"}, "/status"), ({"time_zone": "Mars"}, "/time_zone")])
def test_accounts_that_are_not_made(admin, changes, pointer):
    body = {"email": new_email(), "user_type": "patient", "language": "en", "time_zone": "UTC"}
    problem(admin.auth.post("/v1/admin/users", json=body | changes), 422, "invalid", pointer)


# ---- tenants

def test_an_invitation_is_to_the_tenant_of_who_invites(elsewhere, admin, auth):
    for who in (elsewhere[0], admin):
        made = who.auth.post("/v1/admin/invitations", json={"user_type": "doctor"})
        assert made.status_code == 201, made.text
        invited = client.register(auth.url, invitation=made.json()["token"])
        assert invited.tokens["user"]["tenant_id"] == who.tokens["user"]["tenant_id"]
        assert who.auth.get(f"/v1/admin/users/{invited.id}").json()["user_type"] == "doctor"
    assert client.register(auth.url).tokens["user"]["tenant_id"] == admin.tokens["user"]["tenant_id"]


def test_who_is_no_admin_any_more_invites_nobody(stack, auth):
    other = admins.somebody(stack, auth.url, "admin")
    with stack.postgres.connect("salus_auth") as database:
        database.execute("UPDATE users SET user_type = 1 WHERE id = %s", [other.id])
    problem(other.auth.post("/v1/admin/invitations", json={}), 403, "forbidden")
    assert stack.postgres.rows("salus_auth", "SELECT count(*) FROM invitations WHERE invited_by = %s", other.id) == [(0,)]


def test_an_operator_makes_a_tenant(auth, admin, stack):
    facts, email, name = stack.events("auth"), new_email("tenant"), f"Clinic {uuid.uuid4().hex[:8]}"
    done = auth.run("--add-tenant", f"{name} <{email}>")
    tenant = done.stdout.split()[0]
    listed = auth.run("--list-tenants").stdout
    assert any(line.startswith(tenant) and line.endswith(f"1  {name}") for line in listed.splitlines()), listed
    for wrong in (f"{name} <{new_email()}>", f"Another <{email}>", f"{name.upper()} <{new_email()}>"):
        assert auth.run("--add-tenant", wrong, check=False).returncode == 1
    for wrong in (name, f"<{new_email()}>", f"{name} <nobody>", "x" * 101 + f" <{new_email()}>"):
        assert auth.run("--add-tenant", wrong, check=False).returncode == 2
    rows = stack.postgres.rows("salus_auth", "SELECT id::text, user_type, password_hash, status FROM users WHERE tenant_id = %s", tenant)
    assert [row[1:] for row in rows] == [(3, "!", 1)]
    assert facts.wait_for("user.created.v1", rows[0][0])[0]["data"]["tenant_id"] == tenant
    assert audit(stack, tenant) == [("tenant.create", "done", None, None)]
    with Api(auth.url) as api:
        for password in ("!", "", PASSWORD):
            assert api.post("/v1/auth/login", json={"email": email, "password": password}).status_code in (401, 422)
        assert api.post("/v1/auth/password/forgot", json={"email": email}).status_code == 202
    assert [fact["data"]["template"] for fact in facts.wait_for("mail.requested.v1", rows[0][0])] == ["reset_password"]
    problem(admin.auth.get(f"/v1/admin/users/{rows[0][0]}"), 404)
