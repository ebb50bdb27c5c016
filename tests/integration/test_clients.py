"""Machines: OAuth 2.0 client credentials (RFC 6749 section 4.4), and how they are let in and shut out."""

import base64
import json
import uuid

import pytest
from support import admins
from support.client import Api, problem
from support.waiting import eventually


@pytest.fixture(scope="module")
def admin(stack, auth):
    return admins.first_admin(stack, auth.url)


def let_in(admin, *scopes: str, **more) -> dict:
    answer = admin.auth.post("/v1/admin/clients", json={"name": f"machine {uuid.uuid4()}", "scopes": list(scopes), **more})
    assert answer.status_code == 201 and answer.headers["cache-control"] == "no-store", answer.text
    return answer.json()


def claims_of(token: str) -> dict:
    return json.loads(base64.urlsafe_b64decode(token.split(".")[1] + "=="))


def token_answer(daemon, data=None, **options):
    with Api(daemon.url) as api:
        return api.post("/v1/auth/token", data=data, **options)


def oauth_error(answer, status: int, error: str):
    assert answer.status_code == status, answer.text
    assert answer.headers["content-type"] == "application/json" and answer.headers["cache-control"] == "no-store"
    assert answer.json()["error"] == error, answer.text


def test_a_machine_gets_a_token_and_acts(admin, auth, person):
    machine = let_in(admin, "admin:accounts", "admin:flags")
    answer = admins.token_of(auth.url, machine)
    assert answer.status_code == 200 and answer.headers["cache-control"] == "no-store", answer.text
    token = answer.json()
    assert token.keys() == {"access_token", "token_type", "expires_in", "scope"}
    assert token["token_type"] == "Bearer" and token["scope"] == "admin:accounts admin:flags"
    claims = claims_of(token["access_token"])
    assert claims["type"] == "client" and claims["sub"] == machine["client_id"] and claims["sid"] == machine["secret_id"]
    assert claims["aud"] == "salus" and claims["tenant"] == admin.tokens["user"]["tenant_id"]
    somebody = person()
    with Api(auth.url, token["access_token"]) as api:
        assert api.post(f"/v1/admin/users/{somebody.id}/suspend").json()["status"] == "inactive"
        problem(api.get("/v1/admin/clients"), 403)
        problem(api.get("/v1/me"), 403)


def test_the_secret_may_stand_in_the_form(admin, auth):
    machine = let_in(admin, "admin:flags")
    form = {"grant_type": "client_credentials", "client_id": machine["client_id"], "client_secret": machine["client_secret"]}
    assert token_answer(auth, form).status_code == 200
    assert token_answer(auth, form | {"scope": "admin:flags", "resource": "x", "scope ": ""}).json()["scope"] == "admin:flags"
    oauth_error(token_answer(auth, form, auth=(machine["client_id"], machine["client_secret"])), 400, "invalid_request")


def test_what_is_refused(admin, auth):
    machine = let_in(admin, "admin:flags")
    both = (machine["client_id"], machine["client_secret"])
    grant = {"grant_type": "client_credentials"}
    oauth_error(token_answer(auth, {"x": "1"}, auth=both), 400, "invalid_request")
    oauth_error(token_answer(auth, {"grant_type": "password"}, auth=both), 400, "unsupported_grant_type")
    oauth_error(token_answer(auth, grant | {"scope": "admin:accounts"}, auth=both), 400, "invalid_scope")
    oauth_error(token_answer(auth, grant | {"scope": "health:read"}, auth=both), 400, "invalid_scope")
    oauth_error(token_answer(auth, grant), 401, "invalid_client")
    wrong = [(machine["client_id"], "sc_" + "x" * 43), (str(uuid.uuid4()), machine["client_secret"]), ("gateway", "x"),
             (machine["client_id"], "")]
    answers = [token_answer(auth, grant, auth=one) for one in wrong]
    for answer in answers:
        oauth_error(answer, 401, "invalid_client")
        assert answer.headers["www-authenticate"].startswith("Basic")
        assert answer.content == answers[0].content
    problem(token_answer(auth, None, json=grant), 415)
    form = {"Content-Type": "application/x-www-form-urlencoded"}
    problem(token_answer(auth, None, content=b"grant_type=a&grant_type=b", headers=form), 422, pointer="/grant_type")
    problem(token_answer(auth, None, content=b"grant_type=%zz", headers=form), 400)


def test_another_audience_is_for_elsewhere(admin, auth):
    machine = let_in(admin, "admin:flags", audience="https://gateway.example")
    token = admins.token_of(auth.url, machine).json()["access_token"]
    assert claims_of(token)["aud"] == "https://gateway.example"
    with Api(auth.url, token) as api:
        problem(api.get("/v1/admin/flags"), 401)


def test_a_secret_is_changed_without_a_gap(admin, auth):
    machine = let_in(admin, "admin:flags")
    path = f"/v1/admin/clients/{machine['client_id']}"
    old = admins.token_of(auth.url, machine).json()["access_token"]
    second = admin.auth.post(f"{path}/secrets").json()
    problem(admin.auth.post(f"{path}/secrets"), 409, "conflict")
    new = admins.token_of(auth.url, second).json()["access_token"]
    assert [secret["id"] for secret in admin.auth.get(path).json()["secrets"]] == [machine["secret_id"], second["secret_id"]]
    assert admin.auth.delete(f"{path}/secrets/{machine['secret_id']}").status_code == 204
    problem(admin.auth.delete(f"{path}/secrets/{machine['secret_id']}"), 404)
    oauth_error(admins.token_of(auth.url, machine), 401, "invalid_client")
    with Api(auth.url, old) as gone, Api(auth.url, new) as here:
        eventually(lambda: gone.get("/v1/admin/flags").status_code == 401, within=1, what="tokens of the old secret are refused")
        assert here.get("/v1/admin/flags").status_code == 200


def test_a_machine_is_shut_out(admin, auth, stack):
    machine = let_in(admin, "admin:flags")
    path = f"/v1/admin/clients/{machine['client_id']}"
    token = admins.token_of(auth.url, machine).json()["access_token"]
    assert admin.auth.post(f"{path}/disable").status_code == 204
    assert admin.auth.post(f"{path}/disable").status_code == 204
    oauth_error(admins.token_of(auth.url, machine), 401, "invalid_client")
    with Api(auth.url, token) as api:
        eventually(lambda: api.get("/v1/admin/flags").status_code == 401, within=1)
    problem(admin.auth.post(f"{path}/secrets"), 409)
    assert admin.auth.get(path).json() | {"created_at": 0, "name": ""} == {
        "id": machine["client_id"], "name": "", "scopes": ["admin:flags"], "enabled": False, "secrets": [], "created_at": 0}
    rows = stack.postgres.rows("salus_auth", "SELECT action, outcome FROM audit_log WHERE target = %s ORDER BY position",
                               machine["client_id"])
    assert rows == [("client.create", "done"), ("token.client_credentials", "done"), ("client.disable", "done"),
                    ("token.client_credentials", "refused")]


def test_machines_are_a_tenants_own(admin, auth, stack):
    other = admins.somebody(stack, auth.url, "admin", admins.new_tenant(stack))
    machine = let_in(admin, "admin:flags")
    path = f"/v1/admin/clients/{machine['client_id']}"
    problem(other.auth.get(path), 404)
    problem(other.auth.post(f"{path}/secrets"), 404)
    problem(other.auth.post(f"{path}/disable"), 404)
    problem(other.auth.delete(f"{path}/secrets/{machine['secret_id']}"), 404)
    assert other.auth.get("/v1/admin/clients").json() == {"items": []}
    assert admins.token_of(auth.url, machine).status_code == 200


def test_secrets_are_nowhere(admin, auth, stack):
    machine = let_in(admin, "admin:flags")
    assert machine["client_secret"] not in admin.auth.get("/v1/admin/clients").text
    dump = stack.postgres.rows("salus_auth", "SELECT c::text || s::text FROM clients c JOIN client_secrets s ON s.client_id = c.id")
    assert dump and not any(machine["client_secret"] in row[0] for row in dump)


def test_requests_for_tokens_are_counted(private_stack):
    auth = private_stack.daemon("auth", SALUS_CLIENT_TOKEN_LIMIT="5")
    admin = admins.first_admin(private_stack, auth.url)
    machine, other = let_in(admin, "admin:flags"), let_in(admin, "admin:flags")
    wrong = machine | {"client_secret": "sc_wrong"}
    statuses = [admins.token_of(auth.url, wrong).status_code for _ in range(6)]
    assert statuses == [401] * 5 + [429]
    refused = admins.token_of(auth.url, machine)
    problem(refused, 429, "rate_limited")
    assert int(refused.headers["retry-after"]) > 0
    assert admins.token_of(auth.url, other).status_code == 200
