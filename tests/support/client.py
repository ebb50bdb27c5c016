"""People who use the API, and what they look at in its answers."""

import base64
import itertools
import json
import os
from concurrent.futures import ThreadPoolExecutor

import httpx

PASSWORD = "correct horse battery staple"
_numbers = itertools.count(1)
# Nothing here speaks TLS, and for each client httpx would read all the certificates of the machine: 40 ms.
PLAIN = {"verify": False}


class Api(httpx.Client):
    """An HTTP client of one address: api.get("/v1/me"). With a token it is signed in."""

    def __init__(self, url: str, token: str | None = None, **options):
        headers = {"Authorization": f"Bearer {token}"} if token else {}
        super().__init__(base_url=url, headers=headers, timeout=30, **PLAIN, **options)


class Person:
    """Somebody who registered. `auth`, `health` and `memory` are signed-in clients of the services."""

    def __init__(self, tokens: dict, email: str, auth_url: str, health_url: str | None, memory_url: str | None = None):
        self.email = email
        self.password = PASSWORD
        self.tokens = tokens
        self.token = tokens["access_token"]
        self.id = tokens["user"]["id"]
        self.auth = Api(auth_url, self.token)
        self.health = Api(health_url, self.token) if health_url else None
        self.memory = Api(memory_url, self.token) if memory_url else None


def new_email(name: str = "person") -> str:
    return f"{name}.{os.getpid()}.{next(_numbers)}@example.org"


def register(auth_url: str, health_url: str | None = None, *, memory_url: str | None = None, name: str = "person",
             language: str = "en", time_zone: str = "UTC", **more) -> Person:
    """Registers a new person; each call another one."""
    email = new_email(name)
    body = {"email": email, "password": PASSWORD, "language": language, "time_zone": time_zone, **more}
    with Api(auth_url) as api:
        answer = api.post("/v1/auth/register", json=body)
    assert answer.status_code == 201, answer.text
    return Person(answer.json(), email, auth_url, health_url, memory_url)


def registration(**changes) -> dict:
    body = {"email": new_email(), "password": PASSWORD, "language": "en", "time_zone": "UTC"}
    return {key: value for key, value in (body | changes).items() if value is not ...}


def log_in(api: Api, email: str, password: str = PASSWORD, address: str | None = None) -> httpx.Response:
    """Each test comes from networks of its own, so that failures of one are not counted for another."""
    headers = {"X-Forwarded-For": address} if address else {}
    return api.post("/v1/auth/login", json={"email": email, "password": password}, headers=headers)


def in_parallel(count: int, work) -> list:
    with ThreadPoolExecutor(count) as pool:
        return list(pool.map(work, range(count)))


def problem(answer: httpx.Response, status: int, code: str | None = None, pointer: str | None = None) -> dict:
    """Asserts that an answer is this problem (RFC 9457), and returns it."""
    assert answer.status_code == status, f"{answer.status_code} instead of {status}: {answer.text}"
    assert answer.headers["content-type"] == "application/problem+json", answer.headers
    body = answer.json()
    assert body["status"] == status, body
    assert {"type", "title", "code"} <= body.keys(), body
    if code is not None:
        assert body["code"] == code, body
    if pointer is not None:
        assert pointer in [fault["pointer"] for fault in body.get("errors", [])], body
    return body


def header(token: str) -> dict:
    """Of a token, unverified."""
    return json.loads(base64.urlsafe_b64decode(token.split(".")[0] + "=="))


def claims(token: str) -> dict:
    """Of a token, unverified."""
    return json.loads(base64.urlsafe_b64decode(token.split(".")[1] + "=="))


def encode_part(value: dict) -> str:
    """As a token carries it."""
    return base64.urlsafe_b64encode(json.dumps(value).encode()).decode().rstrip("=")
