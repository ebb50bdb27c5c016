"""What people keep of themselves beyond what a sign-in needs."""

import json

import pytest
from support import admins
from support.client import problem

MERGE = {"Content-Type": "application/merge-patch+json"}


def patch(person, **changes):
    return person.auth.patch("/v1/me", content=json.dumps(changes), headers=MERGE)


def test_a_username_is_ones_own_within_the_tenant(person, stack, auth):
    dana, eve = person(), person()
    name = f"dana.{dana.id[-12:]}"
    assert patch(dana, username=name).json()["username"] == name
    problem(patch(eve, username=name), 409, "username_taken")
    assert "username" not in eve.auth.get("/v1/me").json()
    far = admins.somebody(stack, auth.url, tenant=admins.new_tenant(stack))
    assert patch(far, username=name).json()["username"] == name
    assert "username" not in patch(dana, username=None).json()
    assert patch(eve, username=name).status_code == 200


@pytest.mark.parametrize(("changes", "pointer"), [
    ({"username": "Dana"}, "/username"), ({"username": "da"}, "/username"), ({"username": "dana levi"}, "/username"),
    ({"phone_number": "0501234567"}, "/phone_number"), ({"phone_number": "+1"}, "/phone_number"),
    ({"privacy_settings": {"a": "x" * 4096}}, "/privacy_settings"), ({"privacy_settings": []}, "/privacy_settings"),
    ({"password_must_change": False}, "/password_must_change"), ({"tenant_id": "x"}, "/tenant_id")])
def test_bad_changes_name_the_place(person, changes, pointer):
    problem(patch(person(), **changes), 422, "invalid", pointer)


def test_privacy_settings_are_merged(person):
    dana = person()
    assert dana.auth.get("/v1/me").json()["privacy_settings"] == {}
    patch(dana, privacy_settings={"show_online": False, "share": {"doctor": True}})
    assert patch(dana, privacy_settings={"show_online": None, "share": {"family": False}}).json()["privacy_settings"] == {
        "share": {"doctor": True, "family": False}}
    together = patch(dana, preferences={"units": "metric"}, privacy_settings=None, phone_number="+972501234567").json()
    assert (together["preferences"], together["privacy_settings"], together["phone_number"]) == ({"units": "metric"}, {}, "+972501234567")


def test_service_profiles(person):
    dana, eve = person(), person()
    path = "/v1/me/services/voice"
    problem(dana.auth.get(path), 404)
    body = {"service_preferences": {"voice": "noa"}, "usage_stats": {"minutes": 7}, "last_used_at": "2026-11-01T08:00:00Z"}
    first = dana.auth.put(path, json=body).json()
    assert first | body == first and first["service_metadata"] == {} and first["user_id"] == dana.id
    second = dana.auth.put(path, json={"service_metadata": {"app": 2}}).json()
    assert second["id"] == first["id"] and second["created_at"] == first["created_at"]
    assert second["service_preferences"] == {} and "last_used_at" not in second
    dana.auth.put("/v1/me/services/chat", json={})
    assert [row["service_type"] for row in dana.auth.get("/v1/me/services").json()["items"]] == ["chat", "voice"]
    assert eve.auth.get("/v1/me/services").json() == {"items": []}
    assert dana.auth.delete(path).status_code == 204 and dana.auth.delete(path).status_code == 204
    problem(dana.auth.get(path), 404)
    problem(dana.auth.put("/v1/me/services/cooking", json={}), 400)
    problem(dana.auth.put(path, json={"usage_stats": {"a": "x" * 9000}}), 422, "invalid", "/usage_stats")
