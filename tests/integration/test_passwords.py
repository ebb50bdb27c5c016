"""Which passwords may be chosen, what is stored of them, and what other systems stored of theirs."""

import base64
import hashlib
from concurrent.futures import ThreadPoolExecutor

import pytest
from support.client import PASSWORD, Api, new_email, problem
from support.waiting import eventually

HEBREW = "סיסמה ארוכה מאוד"
SALT = bytes(range(16))


def registration(**changes) -> dict:
    return {"email": new_email(), "password": PASSWORD, "language": "en", "time_zone": "UTC"} | changes


def log_in(api: Api, email: str, password: str):
    return api.post("/v1/auth/login", json={"email": email, "password": password})


def base64_text(data: bytes) -> str:
    return base64.b64encode(data).decode().rstrip("=")


def pbkdf2(password: str, digest: str, iterations: int, length: int) -> str:
    key = hashlib.pbkdf2_hmac(digest, password.encode(), SALT, iterations, length)
    return f"$pbkdf2-{digest}$i={iterations}${base64_text(SALT)}${base64_text(key)}"


def scrypt(password: str, ln: int, r: int, p: int) -> str:
    key = hashlib.scrypt(password.encode(), salt=SALT, n=1 << ln, r=r, p=p, maxmem=1 << 28, dklen=32)
    return f"$scrypt$ln={ln},r={r},p={p}${base64_text(SALT)}${base64_text(key)}"


# Of bcrypt 5.0 and argon2-cffi 25.1.
IMPORTED = {
    "bcrypt 2a": (PASSWORD, "$2a$04$divL9LItgtU3F5sKE4JYVuXMvtmKudqj/xINocfkwXVavtqqGZ6dW"),
    "bcrypt 2b": (HEBREW, "$2b$04$.nFlxYkbFeC2zQzmeEoZKeNJzh4Fvpz1GV.FkuTbC8fOeEmQyhcxi"),
    "bcrypt 2y": (PASSWORD, "$2y$05$b1yu9VxvtI7IGCOQITrmoOqQMN1aCySKuYd5bD.eTD0XA/ov1lf9W"),
    "argon2id": (PASSWORD, "$argon2id$v=19$m=64,t=3,p=4$c29tZSBzYWx0IG9mIGl0IQ$"
                           "ATKUKVF1lIJXuZxv/BRk1vqZrPKaLwgIvAU2ekDfYFY"),
    "pbkdf2 sha1": (HEBREW, pbkdf2(HEBREW, "sha1", 1000, 20)),
    "pbkdf2 sha256 of Keycloak": (HEBREW, pbkdf2(HEBREW, "sha256", 27500, 64)),
    "pbkdf2 sha512": (PASSWORD, pbkdf2(PASSWORD, "sha512", 2100, 64)),
    "scrypt": (HEBREW, scrypt(HEBREW, 10, 8, 1)),
}


@pytest.fixture
def api(auth):
    with Api(auth.url) as open_api:
        yield open_api


@pytest.fixture
def stored(stack):
    """Reads or writes what is stored of somebody's password."""
    def access(email: str, new: str | None = None) -> str:
        with stack.postgres.connect("salus_auth") as database:
            if new is not None:
                database.execute("UPDATE users SET password_hash = %s WHERE email_key = %s", [new, email])
            return database.execute("SELECT password_hash FROM users WHERE email_key = %s", [email]).fetchone()[0]
    return access


# ---- which may be chosen

def test_common_passwords_are_refused(private_stack, tmp_path):
    first, second = tmp_path / "first", tmp_path / "second"
    first.write_text("#!comment: the commonest first\n123456\npassword1\n")
    second.write_text("קוראליםדנה\nletmein123\n")
    auth = private_stack.daemon("auth", SALUS_COMMON_PASSWORDS=f"{first},{second}", SALUS_COMMON_PASSWORDS_MAX="2")
    with Api(auth.url) as api:
        for password in ("password1", "PassWord1", "קוראליםדנה"):
            problem(api.post("/v1/auth/register", json=registration(password=password)), 422, "invalid", "/password")
        for password in ("password2", "letmein123"):
            assert api.post("/v1/auth/register", json=registration(password=password)).status_code == 201


def test_a_list_that_is_not_there_stops_the_start(private_stack, tmp_path):
    auth = private_stack.daemon("auth", start=False, SALUS_COMMON_PASSWORDS=str(tmp_path / "nowhere"))
    auth.migrate()
    assert auth.start(wait=False).popen.wait(30) == 1
    assert "the list of common passwords cannot be read" in auth.log_text()


def test_without_a_list_it_says_so(auth):
    assert "no list of common passwords" in auth.log_text()


@pytest.mark.parametrize("password", ["{email}", "{EMAIL}", "{local}", "Dana Leví Cohen", " DANA leví cohen"])
def test_own_address_and_name_are_refused(api, password):
    email = new_email()
    password = password.format(email=email, EMAIL=email.upper(), local=email.split("@")[0])
    answer = api.post("/v1/auth/register", json=registration(email=email, password=password, display_name="Dana Leví Cohen"))
    problem(answer, 422, "invalid", "/password")


# ---- what is stored

def test_peppers_rotate(private_stack):
    auth = private_stack.daemon("auth")
    body, other = registration(), registration()
    with Api(auth.url) as api:
        for each in (body, other):
            assert api.post("/v1/auth/register", json=each).status_code == 201
    auth.stop()

    def pepper_of(email):
        return private_stack.postgres.rows("salus_auth", "SELECT password_hash FROM users WHERE email_key = %s", email)[0][0][:12]

    before = pepper_of(body["email"])
    new = {"SALUS_PASSWORD_PEPPER": "p" * 40}
    rotated = private_stack.daemon("auth", name="auth-rotated", **new, SALUS_PASSWORD_PEPPERS_BEFORE=private_stack.pepper)
    with Api(rotated.url) as api:
        problem(log_in(api, body["email"], "another password"), 401)
        assert pepper_of(body["email"]) == before
        for _ in range(2):
            assert log_in(api, body["email"], PASSWORD).status_code == 200
            assert pepper_of(body["email"]) != before
    rotated.stop()
    forgetful = private_stack.daemon("auth", name="auth-forgetful", **new)
    with Api(forgetful.url) as api:
        assert log_in(api, body["email"], PASSWORD).status_code == 200
        # Like a wrong password: what is not here must not tell who has an account.
        problem(log_in(api, other["email"], PASSWORD), 401, "invalid_credentials")
    assert "a password was made with a pepper that is not here" in forgetful.log_text()


def test_a_pepper_before_must_be_long(private_stack):
    auth = private_stack.daemon("auth", start=False, SALUS_PASSWORD_PEPPERS_BEFORE="a" * 40 + ",short")
    auth.migrate()
    assert auth.start(wait=False).popen.wait(30) == 1


# ---- what other systems stored

@pytest.mark.parametrize("scheme", IMPORTED)
def test_an_imported_hash_is_good_once(api, stored, scheme):
    password, imported = IMPORTED[scheme]
    body = registration()
    assert api.post("/v1/auth/register", json=body).status_code == 201
    stored(body["email"], imported)
    for wrong in ("", password[:-1], password + " ", "x" + password, imported):
        assert log_in(api, body["email"], wrong).status_code in (401, 422), wrong
        assert stored(body["email"]) == imported
    assert log_in(api, body["email"], password).status_code == 200
    ours = stored(body["email"])
    assert ours.startswith("$s1$")
    assert log_in(api, body["email"], password).status_code == 200
    assert stored(body["email"]) == ours
    problem(log_in(api, body["email"], password + " "), 401)


HOSTILE = ["", "!", "$", "$s1$", "$2b$04$", "$2a$31$divL9LItgtU3F5sKE4JYVuXMvtmKudqj/xINocfkwXVavtqqGZ6dW",
           "$argon2id$v=19$m=4194304,t=1,p=1$c29tZSBzYWx0IG9mIGl0IQ$VfF8n/tzWpejWwcoTIjHkJYdeaZrpzBATCDdg8g/loQ",
           "$argon2id$v=19$m=64,t=1,p=1$c29tZSBzYWx0IG9mIGl0IQ$", "$pbkdf2-sha256$i=1$AAAA$", "$pbkdf2-sha256$i=1$$AAAA",
           "$pbkdf2-sha512$i=2000000000$AAAA$" + "A" * 86, "$scrypt$ln=30,r=8,p=1$AAAA$" + "A" * 43, "plain text", PASSWORD]


@pytest.mark.parametrize("text", HOSTILE)
def test_nobody_comes_in_by_what_is_no_hash(api, auth, stored, text):
    """Like a wrong password, and at once."""
    body = registration()
    assert api.post("/v1/auth/register", json=body).status_code == 201
    stored(body["email"], text)
    before = auth.resident_bytes()
    for password in (PASSWORD, "x", text or "y"):
        problem(log_in(api, body["email"], password), 401, "invalid_credentials")
    assert auth.resident_bytes() - before < 100 << 20


# ---- change

NEW_PASSWORD = "another horse, another staple"


def change(api: Api, current: str = PASSWORD, new: str = NEW_PASSWORD):
    return api.post("/v1/me/password", json={"current_password": current, "new_password": new})


def refresh(api: Api, token: str):
    return api.post("/v1/auth/refresh", json={"refresh_token": token})


def test_a_change_ends_all_sessions_and_begins_one_here(auth, api, person, stack):
    somebody = person(device_name="Dana's phone")
    other = log_in(api, somebody.email, PASSWORD).json()
    answer = change(somebody.auth)
    assert answer.status_code == 200 and answer.headers["cache-control"] == "no-store"
    tokens = answer.json()
    assert tokens["user"]["id"] == somebody.id
    with Api(auth.url, tokens["access_token"]) as here:
        assert here.get("/v1/me").status_code == 200
    assert refresh(api, tokens["refresh_token"]).status_code == 200
    # What was signed before is void everywhere: nobody is taken for a thief for having it.
    problem(refresh(api, other["refresh_token"]), 401, "token_expired")
    problem(refresh(api, somebody.tokens["refresh_token"]), 401, "token_expired")
    for old in (somebody.token, other["access_token"]):
        with Api(auth.url, old) as before:
            eventually(lambda before=before: before.get("/v1/me").status_code == 401, within=2, what="the old token is refused")
    problem(log_in(api, somebody.email, PASSWORD), 401, "invalid_credentials")
    assert log_in(api, somebody.email, NEW_PASSWORD).status_code == 200
    rows = stack.postgres.rows("salus_auth", "SELECT device_name FROM sessions WHERE id = %s", tokens["session_id"])
    assert rows == [("Dana's phone",)]
    rows = stack.postgres.rows(
        "salus_auth", "SELECT outcome, ip, user_agent <> '' FROM audit_log WHERE action = 'password.change' AND actor = %s", somebody.id)
    assert rows == [("done", "127.0.0.1", True)]


def test_a_change_needs_the_present_password(api, person, stored):
    somebody = person()
    before = stored(somebody.email)
    problem(change(somebody.auth, "wrong password"), 401, "invalid_credentials")
    assert stored(somebody.email) == before
    assert somebody.auth.get("/v1/me").status_code == 200
    with Api(str(api.base_url)) as stranger:
        problem(change(stranger), 401, "unauthorized")


def test_wrong_present_passwords_are_counted(person):
    somebody = person()
    statuses = [change(somebody.auth, f"guess {n}").status_code for n in range(12)]
    assert statuses == [401] * 10 + [429] * 2
    problem(change(somebody.auth), 429, "rate_limited")


@pytest.mark.parametrize(("new", "pointer"), [
    ("short", "/new_password"), ("x" * 257, "/new_password"), (None, "/new_password"), ("{email}", "/new_password"),
    ("{local}", "/new_password"), ("Dana the Great", "/new_password")])
def test_bad_new_passwords_name_the_field(person, new, pointer):
    somebody = person(display_name="Dana the Great")
    new = new and new.format(email=somebody.email, local=somebody.email.split("@")[0])
    problem(change(somebody.auth, new=new), 422, "invalid", pointer)


def test_of_changes_at_once_one_wins(api, person):
    somebody = person()
    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(lambda n: change(somebody.auth, new=f"new password {n}"), range(8)))
    done = [n for n, answer in enumerate(answers) if answer.status_code == 200]
    assert len(done) == 1, [answer.status_code for answer in answers]
    assert {answer.status_code for answer in answers} <= {200, 401, 409, 503}
    assert log_in(api, somebody.email, f"new password {done[0]}").status_code == 200
    assert refresh(api, answers[done[0]].json()["refresh_token"]).status_code == 200


def test_a_pepper_of_before_keeps_refresh_tokens(private_stack):
    auth = private_stack.daemon("auth")
    with Api(auth.url) as api:
        tokens = api.post("/v1/auth/register", json=registration()).json()
    auth.stop()
    rotated = private_stack.daemon("auth", name="auth-rotated", SALUS_PASSWORD_PEPPER="p" * 40,
                                   SALUS_PASSWORD_PEPPERS_BEFORE=f"{'q' * 40},{private_stack.pepper}")
    with Api(rotated.url) as api:
        assert refresh(api, tokens["refresh_token"]).status_code == 200
