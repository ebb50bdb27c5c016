"""Feature flags: set by an admin for a tenant, known to every service within a second."""

import uuid

import pytest
from support import admins
from support.client import Api, problem
from support.waiting import eventually


@pytest.fixture(scope="module")
def admin(stack, auth):
    return admins.first_admin(stack, auth.url)


@pytest.fixture
def flag(admin):
    """A flag's path; it is gone after the test."""
    path = f"/v1/admin/flags/test.{uuid.uuid4().hex[:12]}"
    yield path
    admin.auth.delete(path)


def on(person) -> list[str]:
    answer = person.auth.get("/v1/me/flags")
    assert answer.status_code == 200, answer.text
    return answer.json()["on"]


def test_a_flag_is_on_for_whom_it_names_and_for_a_share(admin, flag, person):
    key, people = flag.rpartition("/")[2], [person() for _ in range(40)]
    made = admin.auth.put(flag, json={"enabled": True, "share": 0, "users": [people[0].id], "description": "a try"})
    assert made.status_code == 200 and made.headers["etag"] == '"1"', made.text
    assert made.json() | {"created_at": 0, "updated_at": 0} == {
        "key": key, "description": "a try", "enabled": True, "share": 0, "users": [people[0].id], "version": 1,
        "created_at": 0, "updated_at": 0}
    eventually(lambda: key in on(people[0]), within=1)
    assert [key in on(person) for person in people] == [True] + [False] * 39

    admin.auth.put(flag, json={"enabled": True, "share": 50})
    eventually(lambda: any(key in on(person) for person in people), within=1)
    half = {person.id for person in people if key in on(person)}
    assert 5 < len(half) < 35
    admin.auth.put(flag, json={"enabled": True, "share": 80})
    eventually(lambda: len([person for person in people if key in on(person)]) > len(half), within=1)
    assert half <= {person.id for person in people if key in on(person)}, "who was in stays in"

    admin.auth.put(flag, json={"enabled": False, "share": 100})
    eventually(lambda: key not in on(people[0]), within=1)
    assert not any(key in on(person) for person in people)


def test_versions_guard_against_each_other(admin, flag):
    body = {"enabled": True, "share": 10}
    problem(admin.auth.get(flag), 404)
    problem(admin.auth.delete(flag), 404)
    assert admin.auth.put(flag, json=body).json()["version"] == 1
    assert admin.auth.put(flag, json=body, headers={"If-Match": '"1"'}).json()["version"] == 2
    problem(admin.auth.put(flag, json=body, headers={"If-Match": '"1"'}), 412)
    assert admin.auth.get(flag).json()["version"] == 2
    assert admin.auth.delete(flag).status_code == 204
    problem(admin.auth.get(flag), 404)


@pytest.mark.parametrize(("body", "pointer"), [
    ({"enabled": True}, "/share"), ({"enabled": True, "share": 101}, "/share"), ({"enabled": True, "share": -1}, "/share"),
    ({"enabled": "yes", "share": 1}, "/enabled"), ({"enabled": True, "share": 1, "users": ["me"]}, "/users/0"),
    ({"enabled": True, "share": 1, "users": [str(uuid.UUID(int=7))] * 2}, "/users/1"), ({"enabled": True, "share": 1, "key": "a"}, "/key")])
def test_bad_rules_name_the_place(admin, flag, body, pointer):
    problem(admin.auth.put(flag, json=body), 422, "invalid", pointer)


def test_keys_are_plain(admin):
    for key in ("Chat", "a b", "%D7%97%D7%97"):
        problem(admin.auth.put(f"/v1/admin/flags/{key}", json={"enabled": True, "share": 1}), 422, "invalid", "/key")


def test_flags_are_a_tenants_own(admin, flag, stack, auth):
    tenant = admins.new_tenant(stack)
    other = admins.somebody(stack, auth.url, "admin", tenant)
    key = flag.rpartition("/")[2]
    admin.auth.put(flag, json={"enabled": True, "share": 100})
    eventually(lambda: key in on(admin), within=1)
    problem(other.auth.get(flag), 404)
    assert other.auth.get("/v1/admin/flags").json() == {"items": []} and on(other) == []
    other.auth.put(flag, json={"enabled": False, "share": 0})
    assert key in on(admin) and admin.auth.get(flag).json()["share"] == 100


def test_each_change_is_in_the_audit_log(admin, flag, stack):
    admin.auth.put(flag, json={"enabled": True, "share": 1})
    admin.auth.delete(flag)
    rows = stack.postgres.rows("salus_auth", "SELECT action, actor::text FROM audit_log WHERE target = %s ORDER BY position",
                               flag.rpartition("/")[2])
    assert rows == [("flag.set", admin.id), ("flag.delete", admin.id)]


def test_redis_that_lost_its_data_learns_flags_again(private_stack):
    auth = private_stack.daemon("auth")
    admin = admins.first_admin(private_stack, auth.url)
    admin.auth.put("/v1/admin/flags/test.kept", json={"enabled": True, "share": 100})
    eventually(lambda: on(admin) == ["test.kept"], within=1)
    with private_stack.bus.connect() as bus:
        bus.flushall()
        eventually(lambda: bus.exists(f"s1:flags:{admin.tokens['user']['tenant_id']}"), within=10, what="auth tells it again")
    private_stack.bus.kill()
    assert on(admin) == ["test.kept"], "the last known set stays in use"
    private_stack.bus.start()
    with Api(auth.url, admin.token) as api:
        eventually(lambda: api.put("/v1/admin/flags/test.kept", json={"enabled": False, "share": 0}).status_code == 200, within=10)
    eventually(lambda: on(admin) == [], within=10)
