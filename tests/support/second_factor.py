"""An authenticator app, and people who have one."""

import base64
import hashlib
import hmac
import struct
import time

from support import client
from support.client import PASSWORD

LOGIN, CODE = "/v1/auth/login", "/v1/auth/login/second-factor"
STEP = 30


def totp(secret: str, step: int) -> str:
    """RFC 6238 from the standard library, as an authenticator app does it."""
    key = base64.b32decode(secret + "=" * (-len(secret) % 8))
    mac = hmac.new(key, struct.pack(">Q", step), hashlib.sha1).digest()
    value = struct.unpack(">I", mac[mac[19] & 15:][:4])[0] & 0x7FFFFFFF
    return f"{value % 1_000_000:06}"


class App:
    """An authenticator app with one account. Each code is of a step of its own, the newest that the server takes."""

    def __init__(self, secret: str):
        self.secret = secret
        self.last = 0

    def code(self) -> str:
        """The next one that was not shown before; waits when the server would not take it yet."""
        step = max(self.last + 1, int(time.time()) // STEP - 1)
        while step > int(time.time()) // STEP + 1:
            time.sleep(0.5)
        self.last = step
        return totp(self.secret, step)

    def wrong_code(self) -> str:
        near = {totp(self.secret, int(time.time()) // STEP + offset) for offset in range(-3, 4)}
        return next(code for code in (f"{number:06}" for number in range(10)) if code not in near)


class Guarded:
    """Somebody with a second factor."""

    def __init__(self, auth):
        self.person = client.register(auth.url)
        self.api = self.person.auth
        answer = self.api.post("/v1/me/second-factor", json={"password": PASSWORD})
        assert answer.status_code == 200, answer.text
        self.enrolment = answer.json()
        self.app = App(self.enrolment["secret"])
        answer = self.api.post("/v1/me/second-factor/confirm", json={"code": self.app.code()})
        assert answer.status_code == 200, answer.text
        self.recovery = answer.json()["recovery_codes"]

    def ticket(self, **more) -> str:
        answer = self.api.post(LOGIN, json={"email": self.person.email, "password": PASSWORD, **more})
        assert answer.status_code == 202, answer.text
        return answer.json()["ticket"]

    def finish(self, ticket: str, code: str):
        return self.api.post(CODE, json={"ticket": ticket, "code": code})
