"""Accounts as other systems export them."""

import csv
import io
import json
import uuid
from pathlib import Path


def row(email: str | None, password_hash: str | None = None, **more) -> dict:
    """A row of supabase's auth.users."""
    return {
        "instance_id": "00000000-0000-0000-0000-000000000000", "id": str(uuid.uuid4()), "aud": "authenticated",
        "role": "authenticated", "email": email, "encrypted_password": password_hash,
        "email_confirmed_at": "2024-03-01T10:20:30.123456+00:00", "last_sign_in_at": "2026-01-01T00:00:00+00:00",
        "raw_app_meta_data": {"provider": "email", "providers": ["email"]}, "raw_user_meta_data": {"name": "Dana"},
        "created_at": "2024-03-01T10:00:00+00:00", "updated_at": "2024-03-01T10:00:00+00:00", "phone": None, "phone_confirmed_at": None,
        "banned_until": None, "deleted_at": None, "is_sso_user": False, "is_anonymous": False,
    } | more


def realm_user(email: str | None, credential: tuple[dict, dict] | None = None, **more) -> dict:
    """A user of a realm export of Keycloak; `credential` is its secretData and credentialData."""
    credentials = [{"id": str(uuid.uuid4()), "type": "password", "createdDate": 1709287200000,
                    "secretData": json.dumps(credential[0]), "credentialData": json.dumps(credential[1])}] if credential else []
    return {"id": str(uuid.uuid4()), "username": (email or "nobody").split("@")[0], "email": email, "emailVerified": True,
            "firstName": "Dana", "lastName": "Levi", "enabled": True, "createdTimestamp": 1709287200000, "totp": False,
            "credentials": credentials, "disableableCredentialTypes": [], "requiredActions": [],
            "realmRoles": ["default-roles-app"], "notBefore": 0, "groups": []} | more


def write_lines(path: Path, rows: list[dict]) -> Path:
    path.write_text("".join(json.dumps(each, ensure_ascii=False) + "\n" for each in rows))
    return path


def write_array(path: Path, rows: list[dict]) -> Path:
    path.write_text(json.dumps(rows, indent=1))
    return path


def write_csv(path: Path, rows: list[dict]) -> Path:
    out = io.StringIO()
    writer = csv.DictWriter(out, list(rows[0]))
    writer.writeheader()
    for each in rows:
        writer.writerow({key: json.dumps(value) if isinstance(value, dict) else value for key, value in each.items()})
    path.write_text(out.getvalue(), newline="")
    return path


def write_realm(path: Path, users: list[dict]) -> Path:
    path.write_text(json.dumps({"id": "app", "realm": "app", "enabled": True, "users": users, "clients": [{"clientId": "x"}]}, indent=2))
    return path
