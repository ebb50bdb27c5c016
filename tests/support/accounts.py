"""Accounts in every state that a stranger might want to tell from another, and the requests by which they would try."""

import uuid

from support.client import PASSWORD, Api, new_email, register, registration

# What an address may be. `locked` has used up its attempts, whether or not it is somebody's.
KNOWN = ("active", "inactive", "deleted", "unconfirmed")
STATES = (*KNOWN, "waiting", "unknown")


def address_of(state: str, stack, plain_url: str, confirming_url: str) -> str:
    """A fresh address in this state. `plain_url`: an auth that asks for no confirmation; both know the same people."""
    if state == "unknown":
        return new_email("unknown")
    if state == "waiting":  # registered, not confirmed
        body = registration(email=new_email("waiting"))
        with Api(confirming_url) as api:
            assert api.post("/v1/auth/register", json=body).status_code == 202
        return body["email"]
    email = register(plain_url, name=state).email
    change = {"active": "email_verified_at = now()", "inactive": "status = 2, email_verified_at = now()",
              "deleted": "status = 3, deleted_at = now(), email_verified_at = now()", "unconfirmed": "email_verified_at = NULL"}[state]
    with stack.postgres.connect("salus_auth") as database:
        database.execute(f"UPDATE users SET {change} WHERE email_key = %s", [email])
    return email


def login(password: str = PASSWORD):
    return "/v1/auth/login", lambda email: {"email": email, "password": password}


def wrong_password():
    return "wrong password of mine"


REQUESTS = {
    "login": login(wrong_password()),
    "login, empty password": login(""),
    "login, password of 73 bytes": login("x" * 73),
    "login, password of 257 bytes": login("x" * 257),
    "login, unknown device": ("/v1/auth/login", lambda email: {"email": email, "password": wrong_password(), "device_token": "A" * 75}),
    "register": ("/v1/auth/register", lambda email: registration(email=email)),
    "register, empty password": ("/v1/auth/register", lambda email: registration(email=email, password="")),
    "register, password of 73 bytes": ("/v1/auth/register", lambda email: registration(email=email, password="x" * 73)),
    "forgot": ("/v1/auth/password/forgot", lambda email: {"email": email}),
    "resend": ("/v1/auth/verify-email/resend", lambda email: {"email": email}),
}
# A right password that is of no use tells nothing either.
USELESS = {"inactive", "deleted", "unconfirmed", "waiting"}


def shown(answer) -> tuple:
    """All of an answer but what names this one request."""
    headers = {name: value for name, value in answer.headers.items() if name not in ("date", "x-request-id", "traceparent")}
    body = answer.text
    for own in (answer.headers.get("x-request-id"), answer.json().get("request_id")):
        body = body.replace(own, str(uuid.UUID(int=0))) if own else body
    return answer.status_code, headers, body
