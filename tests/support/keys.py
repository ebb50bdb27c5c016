"""Signing keys as the table has them, and tokens of one's own making."""

import os
import subprocess
import time

from support.paths import program

STATES = ["", "announced", "active", "retired", "withdrawn", "ended"]
TYPES = {"patient": 1, "doctor": 2, "admin": 3, "institution": 4}


class Keys:
    def __init__(self, stack):
        self.stack = stack

    def rows(self) -> list[tuple[str, str]]:
        """(kid, state), oldest first."""
        found = self.stack.postgres.rows("salus_auth", "SELECT id, state FROM signing_keys ORDER BY created_at, id")
        return [(kid, STATES[state]) for kid, state in found]

    def active(self) -> str | None:
        return next((kid for kid, state in self.rows() if state == "active"), None)

    def sealed(self, kid: str) -> str | None:
        return self.stack.postgres.rows("salus_auth", "SELECT sealed FROM signing_keys WHERE id = %s", kid)[0][0]

    def sign(self, person, *, scope: str | None = None, sid: str | None = None, kind: str | None = None, age: int = 1,
             life: int = 600, issuer: str = "salus", audience: str = "salus") -> str:
        """A token of this person with the active key, in all but what is named as auth would give it."""
        user, kid = person.tokens["user"], self.active()
        issued = int(time.time()) - age
        command = [program("sign_token"), kid, self.sealed(kid), user["id"], sid or person.tokens["session_id"], user["tenant_id"],
                   str(TYPES[kind or user["user_type"]]), person.tokens["scope"] if scope is None else scope,
                   str(issued), str(issued + life), issuer, audience]
        done = subprocess.run(command, env=os.environ | {"SALUS_SEAL_KEYS": self.stack.seal_keys}, capture_output=True,
                              text=True, check=True)
        return done.stdout.strip()
