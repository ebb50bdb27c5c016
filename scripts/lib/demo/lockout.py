"""Somebody guesses a password: the account is locked, but not for its owner on a device that is known."""

from client import Api
from people import PASSWORD, PORT, register
from tell import expect


def lockout():
    noa = register("Noa")

    def log_in(password: str, **device: str) -> int:
        return Api(PORT).post("/v1/auth/login", {"email": noa.email, "password": password} | device).status

    expect([log_in(f"guess {n}") for n in range(10)] == [401] * 10, "a stranger guesses her password ten times")
    expect(log_in("the eleventh guess") == log_in(PASSWORD) == 429, "after that no password is looked at, not even the right one")
    expect(log_in(PASSWORD, device_token=noa.device) == 200, "on the device where she was before, Noa signs in as always")
