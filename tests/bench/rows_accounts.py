"""Accounts that come from other systems: how fast a file of them is brought in."""

import json
import subprocess
import time
import uuid
from pathlib import Path

from bench.rig import Rig
from bench.table import Row

ACCOUNTS = 200_000
HASH = "$2a$10$divL9LItgtU3F5sKE4JYVuXMvtmKudqj/xINocfkwXVavtqqGZ6dW"


def write_accounts(path: Path):
    """As supabase exports auth.users, a JSON object a line."""
    with path.open("w") as file:
        for n in range(ACCOUNTS):
            file.write(json.dumps({
                "instance_id": "00000000-0000-0000-0000-000000000000", "id": str(uuid.uuid4()), "aud": "authenticated",
                "role": "authenticated", "email": f"person.{n}@example.org", "encrypted_password": HASH,
                "email_confirmed_at": "2024-03-01T10:20:30.123456+00:00", "last_sign_in_at": "2026-01-01T00:00:00+00:00",
                "raw_app_meta_data": {"provider": "email", "providers": ["email"]},
                "raw_user_meta_data": {"name": f"Person {n}", "locale": "en", "email_verified": True},
                "created_at": "2024-03-01T10:00:00+00:00", "updated_at": "2024-03-01T10:00:00+00:00",
                "banned_until": None, "deleted_at": None, "is_sso_user": False, "is_anonymous": False}) + "\n")


def run_import(rig: Rig, path: Path) -> tuple[float, str]:
    started = time.monotonic()
    done = subprocess.run([rig.auth.program(), "--import-users", path], env=rig.auth.environment(), capture_output=True,
                          text=True, check=True)
    return time.monotonic() - started, done.stdout.splitlines()[-1]


def import_users(rig: Rig):
    """Each with its audit row and its event in the outbox, which the running daemon publishes meanwhile; then the same file again."""
    path = Path(rig.home.name) / "accounts"
    write_accounts(path)
    assert rig.auth.is_ready()
    first = Row(f"import of {ACCOUNTS:,} accounts", "rows/s", goal=20_000, absolute=True)
    again = Row("the same file again", "rows/s")
    for row, expected in ((first, f"done: {ACCOUNTS} taken, 0 here before, 0 duplicates, 0 refused"),
                          (again, f"done: 0 taken, {ACCOUNTS} here before, 0 duplicates, 0 refused")):
        seconds, end = run_import(rig, path)
        row.ours.append(ACCOUNTS / seconds)
        row.checked = verdict(rig, end, expected)
    path.unlink()
    return [first, again]


def verdict(rig: Rig, end: str, expected: str) -> str:
    accounts, = rig.stack.postgres.rows("salus_auth", "SELECT count(*) FROM users WHERE starts_with(email_key, 'person.')")
    events, = rig.stack.postgres.rows(
        "salus_auth", "SELECT count(DISTINCT u.id) FROM outbox, regexp_split_to_table(payload, E'\\n') line"
        " JOIN users u ON u.id::text = split_part(line, E'\\t', 5) AND starts_with(u.email_key, 'person.')"
        " WHERE split_part(line, E'\\t', 3) = 'user.created.v1'")
    logged, = rig.stack.postgres.rows("salus_auth", "SELECT count(DISTINCT user_id) FROM audit_log WHERE action = 'account.import'")
    found = f"{accounts[0]} accounts, {events[0]} events, {logged[0]} rows of the audit log"
    if end != expected or {accounts[0], events[0], logged[0]} != {ACCOUNTS}:
        return f"VOID: {end}; {found}"
    return found


ROWS = {"import_users": import_users}
