"""Accounts of other systems: brought in by salus-auth --import-users, and signed in to with their old passwords."""

import base64
import hashlib
import json
import signal
import subprocess
import uuid

import pytest
from support import exports
from support.client import PASSWORD, Api, new_email, problem
from support.waiting import eventually

BCRYPT = "$2a$04$divL9LItgtU3F5sKE4JYVuXMvtmKudqj/xINocfkwXVavtqqGZ6dW"  # of bcrypt 5.0
ARGON2 = ("VfF8n/tzWpejWwcoTIjHkJYdeaZrpzBATCDdg8g/loQ=", "c29tZSBzYWx0IG9mIGl0IQ==")  # of argon2-cffi 25.1: 64 KiB, 2, 1
SALT = bytes(range(16))


def pbkdf2(digest: str, rounds: int, length: int, name: str | None = None) -> tuple[dict, dict]:
    key = hashlib.pbkdf2_hmac(digest, PASSWORD.encode(), SALT, rounds, length)
    return ({"value": base64.b64encode(key).decode(), "salt": base64.b64encode(SALT).decode(), "additionalParameters": {}},
            {"hashIterations": rounds, "algorithm": name or f"pbkdf2-{digest}", "additionalParameters": {}})


def argon2() -> tuple[dict, dict]:
    parameters = {"hashLength": ["32"], "memory": ["64"], "type": ["id"], "version": ["1.3"], "parallelism": ["1"]}
    return ({"value": ARGON2[0], "salt": ARGON2[1], "additionalParameters": {}},
            {"hashIterations": 2, "algorithm": "argon2", "additionalParameters": parameters})


def import_users(auth, path, **settings) -> tuple[int, list[list[str]], str]:
    """Exit status, the reported records, and the last line."""
    before, auth.settings = auth.settings, auth.settings | settings
    done = auth.run("--import-users", str(path), check=False)
    auth.settings = before
    lines = done.stdout.splitlines()
    assert "Sanitizer" not in done.stderr and "runtime error" not in done.stderr, done.stderr
    return done.returncode, [line.split("\t") for line in lines[:-1]], lines[-1] if lines else done.stderr


def log_in(api: Api, email: str, password: str = PASSWORD):
    return api.post("/v1/auth/login", json={"email": email, "password": password})


@pytest.fixture
def api(auth):
    with Api(auth.url) as open_api:
        yield open_api


@pytest.fixture
def stored(stack):
    def read(email: str) -> dict | None:
        columns = ("id, password_hash, status, display_name, full_name, language, time_zone, created_at, email_verified_at,"
                   " phone_number, phone_confirmed_at")
        rows = stack.postgres.rows("salus_auth", f"SELECT {columns} FROM users WHERE email_key = %s", email)
        return dict(zip(columns.split(", "), rows[0], strict=True)) if rows else None
    return read


@pytest.mark.parametrize("write", [exports.write_lines, exports.write_array, exports.write_csv])
def test_rows_of_supabase(auth, api, stack, stored, tmp_path, write):
    events = stack.events("auth")
    email, banned, bare = new_email(), new_email(), new_email()
    meta = {"name": 'Dana "D" לוי', "full_name": "Dana Levi", "locale": "he_IL", "timezone": "Asia/Jerusalem"}
    rows = [exports.row(email, BCRYPT, raw_user_meta_data=meta, phone="972501234567", phone_confirmed_at="2024-03-01T10:00:00Z"),
             exports.row(banned, BCRYPT, banned_until="2999-01-01T00:00:00Z"),
            exports.row(bare, None, raw_user_meta_data={}, email_confirmed_at=None)]
    assert import_users(auth, write(tmp_path / "users", rows)) == (0, [], "done: 3 taken, 0 here before, 0 duplicates, 0 refused")

    person = stored(email)
    assert str(person["id"]) == rows[0]["id"] and person["display_name"] == meta["name"] and person["full_name"] == "Dana Levi"
    assert person["language"] == "he-IL" and person["time_zone"] == "Asia/Jerusalem"
    assert person["created_at"].isoformat() == "2024-03-01T10:00:00+00:00"
    assert person["email_verified_at"].isoformat() == "2024-03-01T10:20:30.123456+00:00"
    assert person["phone_number"] == "+972501234567" and person["phone_confirmed_at"] == person["created_at"]
    assert stored(bare)["email_verified_at"] is None and stored(bare)["phone_confirmed_at"] is None
    assert stack.postgres.rows("salus_auth", "SELECT action, outcome, method, actor, target FROM audit_log WHERE user_id = %s",
                               rows[0]["id"]) == [("account.import", "done", "command", None, rows[0]["id"])]
    fact = events.wait_for("user.created.v1", rows[0]["id"])[0]["data"]
    assert fact["language"] == "he-IL" and fact["version"] == 1 and fact["contact"]

    problem(log_in(api, email, "wrong password"), 401, "invalid_credentials")
    assert stored(email)["password_hash"] == BCRYPT
    tokens = log_in(api, email)
    assert tokens.status_code == 200 and tokens.json()["user"]["display_name"] == meta["name"]
    assert stored(email)["password_hash"].startswith("$s1$")
    assert log_in(api, email).status_code == 200
    problem(log_in(api, banned), 401, "invalid_credentials")
    for password in ("!", "x", PASSWORD):
        problem(log_in(api, bare, password), 401, "invalid_credentials")


CREDENTIALS = {"pbkdf2": pbkdf2("sha1", 20000, 64, "pbkdf2"), "pbkdf2-sha256": pbkdf2("sha256", 27500, 64),
               "pbkdf2-sha512": pbkdf2("sha512", 2100, 64), "argon2": argon2(),
               "bcrypt": ({"value": BCRYPT, "salt": ""}, {"hashIterations": 4, "algorithm": "bcrypt"})}


def test_a_realm_of_keycloak(auth, api, stored, tmp_path):
    emails = {name: new_email() for name in CREDENTIALS}
    disabled, bare = new_email(), new_email()
    users = [exports.realm_user(emails[name], CREDENTIALS[name], attributes={"locale": ["he"]}) for name in CREDENTIALS]
    users += [exports.realm_user(disabled, CREDENTIALS["pbkdf2"], enabled=False), exports.realm_user(bare),
              exports.realm_user(None), exports.realm_user(new_email(), serviceAccountClientId="x")]
    status, refused, end = import_users(auth, exports.write_realm(tmp_path / "realm.json", users))
    assert status == 0 and end == "done: 7 taken, 0 here before, 0 duplicates, 2 refused"
    assert [line[0::2] for line in refused] == [["refused", "8"], ["refused", "9"]]
    assert all(int(line[1]) > 1 and "@" not in line[3] for line in refused)
    for name, email in emails.items():
        problem(log_in(api, email, PASSWORD + "!"), 401, "invalid_credentials")
        assert log_in(api, email).status_code == 200, name
        assert stored(email)["password_hash"].startswith("$s1$") and stored(email)["language"] == "he"
        assert log_in(api, email).status_code == 200, name
    problem(log_in(api, disabled), 401)
    problem(log_in(api, bare), 401)


def told(stack) -> list[str]:
    """Of whom user.created tells, by the outbox: the stream is trimmed."""
    return sorted(row[0] for row in stack.postgres.rows(
        "salus_auth", "SELECT split_part(line, E'\\t', 5) FROM outbox, regexp_split_to_table(payload, E'\\n') line"
        " WHERE split_part(line, E'\\t', 3) = 'user.created.v1'"))


def test_again_adds_nothing(auth, stack, tmp_path, person):
    somebody = person()
    rows = [exports.row(new_email(), BCRYPT) for _ in range(5)]
    rows += [rows[0], exports.row(rows[1]["email"].upper(), BCRYPT), exports.row(somebody.email, BCRYPT),
             rows[2] | {"email": new_email()}]
    path = exports.write_lines(tmp_path / "users", rows)
    status, reported, end = import_users(auth, path)
    assert status == 0 and end == "done: 5 taken, 1 here before, 3 duplicates, 0 refused"
    assert [line[:3] for line in reported] == [["duplicate", n, n] for n in ("7", "8", "9")]
    assert import_users(auth, path)[2] == "done: 0 taken, 6 here before, 3 duplicates, 0 refused"
    assert [told(stack).count(row["id"]) for row in rows[:5]] == [1] * 5
    assert somebody.auth.get("/v1/me").status_code == 200


def bad(password_hash: str, **more) -> str:
    return json.dumps(exports.row("d@example.org", password_hash, **more))


BAD = [
    ("not JSON", "{"), ("a list", "[]"), ("not UTF-8", b'{"email": "\xff@example.org"}'),
    ("no address", json.dumps(exports.row(None))), ("no address but text", json.dumps(exports.row("dana"))),
    ("deleted", bad(BCRYPT, deleted_at="2024-01-01")), ("clear text", bad(PASSWORD)), ("our own form", bad("$s1$01234567" + BCRYPT)),
    ("dear bcrypt", bad(BCRYPT.replace("$04$", "$31$"))),
    ("dear argon2", bad("$argon2id$v=19$m=4194304,t=1,p=1$c29tZSBzYWx0IG9mIGl0IQ$" + "A" * 43)),
    ("empty argon2", bad("$argon2id$v=19$m=64,t=1,p=1$c29tZSBzYWx0IG9mIGl0IQ$")), ("depth", '{"email": ' + "[" * 10000 + "]" * 10000 + "}"),
    ("firebase", bad("$fbscrypt$v=1,n=14,r=8,p=1,ss=Bw==,sk=abc=$c2Fs$aGFzaA==")),
]


def test_each_bad_record_is_named_and_costs_nobody_else(auth, stack, stored, tmp_path):
    good = [new_email(), new_email()]
    lines = [json.dumps(exports.row(good[0])), *(text for _, text in BAD), "", json.dumps(exports.row(good[1]))]
    path = tmp_path / "users"
    path.write_bytes(b"\n".join(line if isinstance(line, bytes) else line.encode() for line in lines))
    status, reported, end = import_users(auth, path)
    assert status == 0 and end == f"done: 2 taken, 0 here before, 0 duplicates, {len(BAD)} refused"
    assert [(line[0], int(line[1])) for line in reported] == [("refused", n) for n in range(2, 2 + len(BAD))]
    assert all(line[3] for line in reported)
    assert all(stored(email) for email in good) and not stored("d@example.org")


@pytest.mark.parametrize(("content", "status"), [
    (b"", 2), (b"PK\x03\x04", 2), (b"id,name\n1,2\n", 2), (b"[{\"email\": \"dana@", 1), (b"email\n\"open", 1), (b"\x00" * 1000, 2),
    (b"{" * 100_000, 0), (b"[" * 100_000, 1), (b"[]", 0), (b'{"users": []}', 0)])
def test_files_that_are_none(auth, tmp_path, content, status):
    path = tmp_path / "file"
    path.write_bytes(content)
    assert import_users(auth, path)[0] == status


def test_what_cannot_begin_says_why(auth, tmp_path):
    assert import_users(auth, tmp_path / "nowhere")[0] == 2
    path = exports.write_lines(tmp_path / "users", [exports.row(new_email())])
    assert import_users(auth, path, SALUS_IMPORT_TIME_ZONE="Mars/Olympus")[0] == 2
    assert auth.run("--import-users", check=False).returncode == 2


def test_killed_in_the_middle_and_run_again(private_stack, tmp_path):
    """Nothing is lost and nothing twice: neither accounts nor the events that tell of them."""
    auth = private_stack.daemon("auth")
    rows = [exports.row(f"person{n}@example.org", BCRYPT) for n in range(20_000)]
    path = exports.write_lines(tmp_path / "users", rows)

    def count() -> int:
        return private_stack.postgres.rows("salus_auth", "SELECT count(*) FROM users WHERE starts_with(email_key, 'person')")[0][0]

    for least in (2000, 9000):
        running = subprocess.Popen([auth.program(), "--import-users", path], env=auth.environment(), stdout=subprocess.DEVNULL)
        eventually(lambda least=least: count() >= least, within=60, what="some are in")
        running.send_signal(signal.SIGKILL)
        running.wait()
    there = count()
    assert there < 20_000
    assert import_users(auth, path)[2] == f"done: {20_000 - there} taken, {there} here before, 0 duplicates, 0 refused"
    ids = {row["id"] for row in rows}
    there = private_stack.postgres.rows("salus_auth", "SELECT id FROM users WHERE starts_with(email_key, 'person')")
    assert {str(row[0]) for row in there} == ids
    assert [subject for subject in told(private_stack) if subject in ids] == sorted(ids)


def test_time_does_not_tell_whose_hash_is_still_imported(private_stack, tmp_path):
    """While hashes of other schemes are left, every check takes at least so long; then no longer."""
    auth = private_stack.daemon("auth", SALUS_IMPORTED_CHECK_TIME="700ms")
    imported, bcrypt = new_email(), new_email()
    path = exports.write_realm(tmp_path / "realm", [exports.realm_user(imported, CREDENTIALS["pbkdf2-sha256"]),
                                                     exports.realm_user(bcrypt, CREDENTIALS["bcrypt"])])
    assert import_users(auth, path)[0] == 0
    with Api(auth.url) as api:
        def least_of(email, password) -> float:
            return min(log_in(api, email, password).elapsed.total_seconds() for _ in range(2))

        for email in (imported, bcrypt, new_email()):
            assert least_of(email, "wrong password") >= 0.7
        assert log_in(api, imported).status_code == 200
        assert least_of(imported, "wrong password") < 0.7


def test_ids_that_are_missing_follow_from_the_address(auth, stored, tmp_path):
    email = new_email()
    path = exports.write_lines(tmp_path / "users", [{"email": email}])
    for end in ("1 taken, 0 here before", "0 taken, 1 here before"):
        assert import_users(auth, path)[2].startswith(f"done: {end}")
    assert uuid.UUID(str(stored(email)["id"])).version == 5
