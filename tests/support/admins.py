"""Admins, machines and people of other tenants, for tests that need more than a person who registered."""

import uuid

import httpx

from support import client
from support.client import PASSWORD, Api, Person


def log_in(auth_url: str, email: str, password: str = PASSWORD) -> dict:
    with Api(auth_url) as api:
        answer = api.post("/v1/auth/login", json={"email": email, "password": password})
    assert answer.status_code == 200, answer.text
    return answer.json()


def first_admin(stack, auth_url: str) -> Person:
    """The admin of the settings, as if it had chosen its password."""
    with stack.postgres.connect("salus_auth") as database:
        database.execute("UPDATE users SET password_must_change = false WHERE email = %s", [stack.admin_email])
    return Person(log_in(auth_url, stack.admin_email, stack.admin_password), stack.admin_email, auth_url, None)


def somebody(stack, auth_url: str, user_type: str = "patient", tenant: str | None = None, **about) -> Person:
    """Somebody of any type, and of any tenant: moved there behind the service's back, as only an operator could."""
    made = client.register(auth_url, **about)
    number = ("patient", "doctor", "admin", "institution").index(user_type) + 1
    with stack.postgres.connect("salus_auth") as database:
        database.execute("UPDATE users SET user_type = %s, tenant_id = coalesce(%s, tenant_id) WHERE id = %s",
                         [number, tenant, made.id])
    return Person(log_in(auth_url, made.email), made.email, auth_url, None)


def new_tenant(stack) -> str:
    tenant = str(uuid.uuid4())
    with stack.postgres.connect("salus_auth") as database:
        database.execute("INSERT INTO tenants (id, name) VALUES (%s, %s)", [tenant, f"tenant {tenant}"])
    return tenant


def token_of(auth_url: str, machine: dict, **form: str) -> httpx.Response:
    """`machine` is what its creation answered."""
    with Api(auth_url) as api:
        return api.post("/v1/auth/token", data={"grant_type": "client_credentials", **form},
                        auth=(machine["client_id"], machine["client_secret"]))
