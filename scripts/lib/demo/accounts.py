"""The chapters of `scripts/demo auth`: an account that somebody is after, and what an operator does.

Ruth confirms her address, sets up a second factor, has a refresh token stolen, forgets her password; an operator brings people in,
reads the log, checks it, and changes the signing key while everybody goes on.
"""

import base64
import hashlib
import hmac
import json
import os
import re
import secrets
import struct
import subprocess
import tempfile
import threading
import time
import uuid

from client import Api
from house import DATA, ROOT, daemon_command, mails_of, read, second_instance, until
from lockout import lockout
from people import PASSWORD, PORT, Person, register
from tell import chapter, expect, expect_status, note, saw

AGAIN = "a lighthouse keeper counts the waves"
STEP = 30
QUICK_KEYS = {"SALUS_ACCESS_TOKEN_LIFE": "4s", "SALUS_KEY_GRACE": "6s", "SALUS_KEY_ANNOUNCE": "2s", "SALUS_KEY_CACHE": "0s"}


def mailed_code(person_email: str, count: int) -> str:
    """The code in the newest of so many mails."""
    mails = until(lambda: mails_of(person_email) if len(mails_of(person_email)) >= count else None, "the mail comes", silently=True)
    return re.search(r"^([\w-]{43})\r?$", read(mails[-1]).get_content(), re.MULTILINE)[1]


def is_refused(token: str) -> bool:
    return Api(PORT, token).get("/v1/health-events").status == 401


# ---- a person
def chapter_address() -> Person:
    chapter(1, "An address")
    ruth = register("Ruth")
    code = mailed_code(ruth.email, 1)
    expect_status(Api(PORT).post("/v1/auth/verify-email", {"token": code}), 204, "she confirms her address with the code of a mail")
    expect_status(Api(PORT).post("/v1/auth/verify-email", {"token": code}), 400, "the code works once")
    return ruth


class App:
    """An authenticator app: RFC 6238."""

    def __init__(self, secret: str):
        self.key = base64.b32decode(secret)
        self.last = 0

    def code(self) -> str:
        step = max(self.last + 1, int(time.time()) // STEP - 1)
        while step > int(time.time()) // STEP + 1:
            time.sleep(0.5)
        self.last = step
        mac = hmac.new(self.key, struct.pack(">Q", step), hashlib.sha1).digest()
        return f"{(struct.unpack('>I', mac[mac[19] & 15:][:4])[0] & 0x7FFFFFFF) % 1_000_000:06}"


def chapter_second_factor(ruth: Person) -> tuple[App, list[str]]:
    chapter(2, "A second factor")
    answer = ruth.api.post("/v1/me/second-factor", {"password": PASSWORD})
    expect_status(answer, 200, "with her password again, she gets a secret for her authenticator app")
    app = App(answer.json["secret"])
    answer = ruth.api.post("/v1/me/second-factor/confirm", {"code": app.code()})
    expect_status(answer, 200, f"a code of the app confirms it; she writes down {len(answer.json['recovery_codes'])} recovery codes")
    codes = answer.json["recovery_codes"]
    tokens = sign_in(ruth, PASSWORD, code := app.code(), "her password alone gets a ticket; with a code she is signed in")
    ruth.api.token = tokens["access_token"]
    answer = second_step(ruth, PASSWORD, code)
    expect(answer.status == 401, "the same code a second time is refused", answer.body)
    answer = second_step(ruth, PASSWORD, codes[0])
    expect(answer.status == 200, "without the app, a recovery code lets her in, once", answer.body)
    expect(second_step(ruth, PASSWORD, codes[0]).status == 401, "and not twice")
    return app, codes[1:]


def second_step(person: Person, password: str, code: str):
    """Password and code; the answer to the code."""
    answer = Api(PORT).post("/v1/auth/login", {"email": person.email, "password": password, "device_token": person.device})
    if answer.status != 202:
        expect(False, "the password leads to a ticket", answer.body)
    return Api(PORT).post("/v1/auth/login/second-factor", {"ticket": answer.json["ticket"], "code": code})


def sign_in(person: Person, password: str, code: str, claim: str) -> dict:
    answer = second_step(person, password, code)
    expect_status(answer, 200, claim)
    return answer.json


def chapter_theft(ruth: Person, codes: list[str]):
    chapter(3, "A stolen token")
    tokens = sign_in(ruth, PASSWORD, codes.pop(), "Ruth is signed in; malware copies her refresh token")
    stolen = tokens["refresh_token"]

    def refresh(token: str):
        return Api(PORT).post("/v1/auth/refresh", {"refresh_token": token})

    first = refresh(stolen).json
    expect(refresh(stolen).json["refresh_token"] == first["refresh_token"], "her two tabs refresh at once: both get the same next token")
    second = refresh(first["refresh_token"])
    expect_status(second, 200, "she goes on")
    thief = refresh(stolen)
    expect(thief.status == 401 and thief.json["code"] == "token_reused", "the thief comes with the copy: 401 token_reused", thief.body)
    owner = refresh(second.json["refresh_token"])
    expect(owner.status == 401, "that session is over, for her too: nobody knows who is who", owner.body)
    until(lambda: is_refused(second.json["access_token"]), "its access tokens are refused by other services", 5)
    mail = until(lambda: mails_of(ruth.email)[1:], "and a mail tells her", silently=True)[0]
    saw(f"a mail tells her: “{read(mail)['Subject']}”")


def chapter_forgotten(ruth: Person, app: App):
    chapter(4, "A forgotten password")
    mails = len(mails_of(ruth.email))
    known = Api(PORT).post("/v1/auth/password/forgot", {"email": ruth.email})
    unknown = Api(PORT).post("/v1/auth/password/forgot", {"email": f"nobody.{uuid.uuid4().hex[:8]}@example.org"})
    expect((known.status, known.body) == (unknown.status, unknown.body) and known.status == 202,
           "she asks for a reset; for an address without an account the reply is the same", (known.body, unknown.body))
    code = mailed_code(ruth.email, mails + 1)
    refused = Api(PORT).post("/v1/auth/password/reset", {"token": code, "new_password": "password1"})
    expect(refused.status == 422, "“password1” is refused: it is on the list of common ones", refused.body)
    expect_status(Api(PORT).post("/v1/auth/password/reset", {"token": code, "new_password": AGAIN}), 204, "she chooses another")
    until(lambda: ruth.api.get("/v1/me").status == 401, "all sessions have ended", 5)
    tokens = sign_in(ruth, AGAIN, app.code(), "the second factor is asked for as before; she is in")
    ruth.api.token = tokens["access_token"]
    sessions = ruth.api.get("/v1/me/sessions").json["items"]
    expect([it["current"] for it in sessions] == [True], "her list of sessions shows this one", sessions)
    rows = ruth.api.get("/v1/me/audit?limit=50").json["items"]
    kinds = {(row["action"], row["outcome"]) for row in rows}
    expect({("session.refresh", "refused"), ("password.reset", "done")} <= kinds,
           f"and the log of her account has all of it, {len(rows)} rows: the theft, the reset, each code", kinds)


# ---- an operator
def operator() -> Api:
    chapter(6, "An operator")
    email = os.environ.get("ADMIN_EMAIL", "admin@example.org")
    chosen = DATA / "run" / "demo-admin"  # the first run chooses; a later one goes on
    first = (DATA / "secrets/auth/admin_password").read_text().strip()
    if chosen.exists():
        answer = Api(PORT).post("/v1/auth/login", {"email": email, "password": chosen.read_text()})
        expect_status(answer, 200, "the operator signs in")
        return Api(PORT, answer.json["access_token"])
    answer = Api(PORT).post("/v1/auth/login", {"email": email, "password": first})
    expect_status(answer, 200, "the operator signs in with the password that scripts/up made")
    api = Api(PORT, answer.json["access_token"])
    expect(api.get("/v1/admin/users").status == 403, "and may do nothing but choose another")
    password = secrets.token_urlsafe(24)
    answer = api.post("/v1/me/password", {"current_password": first, "new_password": password})
    expect_status(answer, 200, "which is done")
    chosen.touch(0o600)
    chosen.write_text(password)
    return Api(PORT, answer.json["access_token"])


def chapter_operator():
    admin = operator()
    email, old = f"miriam.{uuid.uuid4().hex[:10]}@example.org", "the tide table says nine"
    bring_in(email, old)
    answer = Api(PORT).post("/v1/auth/login", {"email": email, "password": old})
    expect_status(answer, 200, "Miriam, who came from Keycloak, signs in with the password she had there")
    miriam = answer.json
    found = admin.get(f"/v1/admin/users?email={email}").json["items"]
    expect([it["id"] for it in found] == [miriam["user"]["id"]], "the operator finds her", found)
    answer = admin.post(f"/v1/admin/users/{miriam['user']['id']}/suspend", {"reason": "asked for by her clinic"})
    expect_status(answer, 200, "and suspends her account")
    until(lambda: is_refused(miriam["access_token"]), "within a second every service refuses her tokens", 5)
    rows = admin.get(f"/v1/admin/audit?user_id={miriam['user']['id']}").json["items"]
    expect(any(row["action"] == "account.suspend" and row["reason"] == "asked for by her clinic" for row in rows),
           "the audit log says who did it, and why", rows)
    until(lambda: verify().returncode == 0, "scripts/audit-verify finds the log whole")
    note(verify().stdout.strip())


def bring_in(email: str, password: str):
    salt = secrets.token_bytes(16)
    value = hashlib.pbkdf2_hmac("sha256", password.encode(), salt, 27_500, 64)
    user = {"id": str(uuid.uuid4()), "username": email, "email": email, "emailVerified": True, "enabled": True,
            "firstName": "Miriam", "createdTimestamp": 1_700_000_000_000, "credentials": [{
                "type": "password",
                "secretData": json.dumps({"value": base64.b64encode(value).decode(), "salt": base64.b64encode(salt).decode()}),
                "credentialData": json.dumps({"hashIterations": 27_500, "algorithm": "pbkdf2-sha256"})}]}
    with tempfile.NamedTemporaryFile("w", suffix=".json") as file:
        json.dump({"realm": "clinic", "enabled": True, "users": [user]}, file)
        file.flush()
        done = subprocess.run([ROOT / "scripts/import-users", file.name], capture_output=True, text=True)
    expect(done.returncode == 0, "scripts/import-users takes the export of a Keycloak realm", done.stdout + done.stderr)
    note(done.stdout.strip().splitlines()[-1])


def verify() -> subprocess.CompletedProcess:
    return subprocess.run([ROOT / "scripts/audit-verify"], capture_output=True, text=True)


class Load(threading.Thread):
    """Somebody who refreshes and reads all the time."""

    def __init__(self, refresh: str):
        super().__init__()
        self.refresh = refresh
        self.stop, self.failures, self.done, self.kids = threading.Event(), [], 0, set()

    def run(self):
        while not self.stop.is_set():
            answer = Api(PORT).post("/v1/auth/refresh", {"refresh_token": self.refresh})
            if answer.status == 200:
                self.refresh = answer.json["refresh_token"]
                token = answer.json["access_token"]
                self.kids.add(json.loads(base64.urlsafe_b64decode(token.split(".")[0] + "=="))["kid"])
                answer = Api(PORT, token).get("/v1/health-events?limit=1")
            self.done += 1
            time.sleep(0.02)  # below the gateway's limit for one address
            if answer.status != 200:
                self.failures.append((answer.status, answer.body))
                return


def chapter_keys():
    chapter(7, "Another signing key, while everybody goes on")
    people = [register(name) for name in ("Ada", "Ben")]
    loads = [Load(Api(PORT).post("/v1/auth/login", {"email": person.email, "password": PASSWORD}).json["refresh_token"])
             for person in people]
    with second_instance("auth", **QUICK_KEYS):
        for load in loads:
            load.start()
        try:
            until(lambda: all(load.kids or load.failures for load in loads), "two people work all the time")
            before = set().union(*(load.kids for load in loads))
            told = daemon_command("auth", "--rotate-keys", **QUICK_KEYS)
            expect(told.returncode == 0, "salus-auth --rotate-keys announces another key", told.stdout + told.stderr)
            until(lambda: all(load.kids - before or load.failures for load in loads), "after services have had it, it signs")
        finally:
            for load in loads:
                load.stop.set()
            for load in loads:
                load.join()
    failures = [failure for load in loads for failure in load.failures]
    expect(not failures, f"of {sum(load.done for load in loads)} requests none failed", failures)
    keys = [key["kid"] for key in Api(PORT).get("/.well-known/jwks.json").json["keys"]]
    saw(f"gateways find {len(keys)} keys in the set, until the last token of the old one has ended")


def main():
    if "SALUS_SMTP_URL" in os.environ:
        raise SystemExit("SALUS_SMTP_URL names a mail server of yours; this demo reads the mails of its own sink")
    note(f"Salus on http://127.0.0.1:{PORT}; every line below is a real request through the gateway.")
    ruth = chapter_address()
    app, codes = chapter_second_factor(ruth)
    chapter_theft(ruth, codes)
    chapter_forgotten(ruth, app)
    chapter(5, "A locked door")
    lockout()
    chapter_operator()
    chapter_keys()
    print("\nAll of it happened as told.")


main()
