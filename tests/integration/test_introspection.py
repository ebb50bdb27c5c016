"""What gateways ask auth about tokens: introspection (RFC 7662), and auth_request of nginx."""

import httpx
import pytest
from support import admins, client
from support.client import PLAIN, Api, problem
from support.keys import Keys
from support.process import Process, free_port

SCOPE = "token:introspect"


@pytest.fixture
def keys(stack, auth):
    return Keys(stack)


@pytest.fixture
def gateway(auth, person, keys):
    """A client that may ask. Its account is somebody's, until machines have accounts."""
    with Api(auth.url, keys.sign(person(), scope=SCOPE)) as api:
        yield api


def ask(api: Api, token: str) -> dict:
    answer = api.post("/v1/auth/introspect", data={"token": token})
    assert answer.status_code == 200, answer.text
    assert answer.headers["cache-control"] == "no-store"
    return answer.json()


def verify(auth, token: str, **query) -> httpx.Response:
    return httpx.get(f"{auth.url}/v1/auth/verify", headers={"Authorization": f"Bearer {token}"}, params=query, **PLAIN)


def test_a_good_token(gateway, person):
    somebody = person()
    told = ask(gateway, somebody.token)
    header, claims = client.header(somebody.token), client.claims(somebody.token)
    assert header["typ"] == "at+jwt"
    assert told == {"active": True, "token_type": "Bearer"} | {key: claims[key] for key in told if key in claims}
    assert {"sub", "sid", "tenant", "type", "scope", "iss", "aud", "iat", "exp", "jti"} < told.keys()
    more = gateway.post("/v1/auth/introspect", data={"token_type_hint": "access_token", "resource": "x", "token": somebody.token})
    assert more.json() == told


def log_out(somebody, stack):
    assert somebody.auth.post("/v1/auth/logout").status_code == 204


def reuse(somebody, stack):
    url, tokens = somebody.auth.base_url, [somebody.tokens["refresh_token"]]
    for _ in range(2):
        answer = httpx.post(f"{url}/v1/auth/refresh", json={"refresh_token": tokens[-1]}, **PLAIN)
        tokens.append(answer.json()["refresh_token"])
    httpx.post(f"{url}/v1/auth/refresh", json={"refresh_token": tokens[0]}, **PLAIN)


def change(table: str, what: str, key: str):
    def work(somebody, stack):
        row = somebody.id if table == "users" else somebody.tokens["session_id"]
        with stack.postgres.connect("salus_auth") as database:
            database.execute(f"UPDATE {table} SET {what} WHERE {key} = %s", [row])
    return work


STATES = {
    "logged out": log_out,
    "family ended after reuse": reuse,
    "session ended elsewhere": change("sessions", "ended_at = now(), ended_reason = 1", "id"),
    "session over": change("sessions", "expires_at = now()", "id"),
    "session idle too long": change("sessions", "idle_expires_at = now()", "id"),
    "account disabled": change("users", "status = 2", "id"),
    "account deleted": change("users", "status = 3, deleted_at = now()", "id"),
    "account of another type": change("users", "user_type = 2", "id"),
    "account of another tenant": change("sessions", "user_id = (SELECT id FROM users WHERE id <> sessions.user_id LIMIT 1)", "id"),
}


@pytest.mark.parametrize("state", STATES)
def test_the_subject_is_not_what_it_was(auth, stack, gateway, person, state):
    """By the tables, so without waiting for a signal."""
    somebody, other = person(), person()
    assert ask(gateway, somebody.token)["active"] and verify(auth, somebody.token).status_code == 204
    STATES[state](somebody, stack)
    assert ask(gateway, somebody.token) == {"active": False}
    problem(verify(auth, somebody.token), 401, "token_revoked")
    assert ask(gateway, other.token)["active"]


def test_revoked_while_many_ask(auth, gateway, person):
    """No good word for a token that comes later than the reply to its revocation."""
    somebody = person()
    with client.Api(auth.url) as api:
        assert ask(gateway, somebody.token)["active"]
        assert somebody.auth.post("/v1/auth/logout").status_code == 204
        for _ in range(50):
            assert ask(gateway, somebody.token) == {"active": False}
            assert api.get("/v1/auth/verify", headers={"Authorization": f"Bearer {somebody.token}"}).status_code == 401


def test_what_is_no_good_token(auth, gateway, person, keys):
    somebody = person()
    good = somebody.token
    bad = {
        "refresh token": somebody.tokens["refresh_token"],
        "nonsense": "nonsense",
        "cut": good[:-1],
        "signature of another": good.rsplit(".", 1)[0] + "." + person().token.rsplit(".", 1)[1],
        "expired": keys.sign(somebody, age=700),
        "not yet": keys.sign(somebody, age=-300),
        "other issuer": keys.sign(somebody, issuer="salus.example"),
        "other audience": keys.sign(somebody, audience="salus-admin"),
        "session of another": keys.sign(somebody, sid=person().tokens["session_id"]),
        "no session": keys.sign(somebody, sid=somebody.id),
        "type of another": keys.sign(somebody, kind="admin"),
        "dots": "." * 3000,
    }
    for name, token in bad.items():
        assert ask(gateway, token) == {"active": False}, name
        assert verify(auth, token).status_code == 401, name
    assert ask(gateway, keys.sign(somebody))["active"]


def test_who_may_ask(auth, person, keys):
    somebody = person()
    for token, status in ((None, 401), (somebody.token, 403), (keys.sign(somebody, scope="token:introspector"), 403),
                          (keys.sign(somebody, scope=SCOPE, age=700), 401), (keys.sign(somebody, scope=SCOPE), 200)):
        answer = Api(auth.url, token).post("/v1/auth/introspect", data={"token": somebody.token})
        assert answer.status_code == status


def test_a_machine_asks_and_is_asked_about(private_stack):
    """By its own credentials; of a client that was disabled nothing good is said."""
    auth = private_stack.daemon("auth")
    admin = admins.first_admin(private_stack, auth.url)

    def machine(name):
        made = admin.auth.post("/v1/admin/clients", json={"name": name, "scopes": [SCOPE]}).json()
        return made, admins.token_of(auth.url, made).json()["access_token"]

    (_, token), (other, others_token) = machine("gateway"), machine("back office")
    with Api(auth.url, token) as api:
        told = ask(api, others_token)
        assert told["active"] and told["type"] == "client" and told["sub"] == other["client_id"] and told["scope"] == SCOPE
        with private_stack.postgres.connect("salus_auth") as database:
            database.execute("UPDATE clients SET enabled = false WHERE id = %s", [other["client_id"]])
        assert ask(api, others_token) == {"active": False}


FORMS = [
    ("nothing", b"", 400),
    ("another field", b"token_type_hint=access_token", 422),
    ("twice", b"token=a&token=b", 422),
    ("the name escaped", b"%74oken=a&token=b", 422),
    ("broken escape", b"token=%4", 422),
    ("NUL", b"token=a%00b", 422),
    ("not UTF-8", b"token=%ff", 422),
    ("no value", b"token", 200),
    ("empty", b"token=", 200),
    ("plus", b"token=a+b", 200),
    ("16 KiB of dots", b"token=" + b"." * 16000, 200),
    ("1 MB of dots", b"token=" + b"." * 1_000_000, 413),
]


@pytest.mark.parametrize(("body", "status"), [row[1:] for row in FORMS], ids=[row[0] for row in FORMS])
def test_forms(gateway, body, status):
    answer = gateway.post("/v1/auth/introspect", content=body, headers={"Content-Type": "application/x-www-form-urlencoded"})
    assert answer.status_code == status, answer.text
    if status == 200:
        assert answer.json() == {"active": False}
    else:
        problem(answer, status, None, "/token" if status == 422 else None)


def test_other_media(gateway, person):
    problem(gateway.post("/v1/auth/introspect", json={"token": person().token}), 415)


# ---- auth_request

def test_verify_names_the_person(auth, person):
    somebody = person()
    answer = verify(auth, somebody.token)
    claims = client.claims(somebody.token)
    assert answer.status_code == 204 and not answer.content and answer.headers["cache-control"] == "no-store"
    assert [answer.headers[f"x-salus-{name}"] for name in ("user", "session", "tenant", "user-type", "scope")] == [
        claims["sub"], claims["sid"], claims["tenant"], "patient", claims["scope"]]


def test_verify_of_a_scope(auth, person):
    somebody = person()
    assert verify(auth, somebody.token, scope="health:read").status_code == 204
    refused = verify(auth, somebody.token, scope="admin:accounts")
    problem(refused, 403, "forbidden")
    assert 'error="insufficient_scope", scope="admin:accounts"' in refused.headers["www-authenticate"]
    assert not any(name.startswith("x-salus") for name in refused.headers)
    for odd in ("", "x y", 'a:b"', "a:b\r\nX: y", "x" * 101):
        problem(verify(auth, somebody.token, scope=odd), 400)


def test_verify_without_a_token(auth):
    answer = httpx.get(f"{auth.url}/v1/auth/verify", **PLAIN)
    problem(answer, 401, "unauthorized")
    assert answer.headers["www-authenticate"] == "Bearer"


NGINX = """
worker_processes 1; daemon off; pid {folder}/nginx.pid; error_log {folder}/error.log warn;
events {{ worker_connections 64; }}
http {{
    access_log off;
    client_body_temp_path {folder}/body; proxy_temp_path {folder}/proxy; fastcgi_temp_path {folder}/f;
    uwsgi_temp_path {folder}/u; scgi_temp_path {folder}/s;
    server {{
        listen 127.0.0.1:{port};
        location /who {{
            auth_request /_verify;
            auth_request_set $salus_user $upstream_http_x_salus_user;
            add_header X-User $salus_user;
            proxy_pass {auth}/healthz;
        }}
        location = /_verify {{
            internal;
            proxy_pass {auth}/v1/auth/verify?scope=health:read;
            proxy_pass_request_body off;
            proxy_set_header Content-Length "";
        }}
    }}
}}
"""


class Nginx(Process):
    def __init__(self, folder, auth_url: str):
        super().__init__("nginx", folder)
        self.port = free_port()
        self.file = folder / "nginx.conf"
        self.file.write_text(NGINX.format(folder=folder, port=self.port, auth=auth_url))

    def command(self):
        return ["nginx", "-c", str(self.file)]

    def is_ready(self):
        try:
            return httpx.get(f"http://127.0.0.1:{self.port}/", **PLAIN).status_code > 0
        except httpx.HTTPError:
            return False


def test_nginx_asks(auth, person, tmp_path):
    """The configuration of docs/tokens.md, with a real nginx."""
    somebody, nginx = person(), Nginx(tmp_path, auth.url)
    nginx.start()
    try:
        def get(token):
            headers = {"Authorization": f"Bearer {token}"} if token else {}
            return httpx.get(f"http://127.0.0.1:{nginx.port}/who", headers=headers, **PLAIN)

        assert get(None).status_code == 401
        passed = get(somebody.token)
        assert passed.status_code == 200 and passed.headers["x-user"] == somebody.id
        assert somebody.auth.post("/v1/auth/logout").status_code == 204
        assert get(somebody.token).status_code == 401
    finally:
        nginx.stop()
