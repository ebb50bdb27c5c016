"""Every cell of docs/access.md is sent: each kind of caller, each route, with a thing of their own, of somebody else's in their
tenant, and of another tenant's. What the contract does not allow is refused, in one way for what is not there and what is not
theirs; what it allows is not."""

import json
import re
import uuid
from types import SimpleNamespace

import pytest
from support import admins
from support.client import Api
from support.paths import ROOT
from support.stack import Stack
from support.things import Things, mark, sample

TYPES = ("patient", "doctor", "admin", "institution")
CALLERS = ("anonymous", *TYPES, "client")
SERVICES = ("auth", "main-health", "memory", "scheduler", "chat")
OBJECTS = ("own", "other", "other_tenant")
DOCUMENTS = {service: json.loads((ROOT / f"build/gen/{service.replace('-', '_')}_openapi.json").read_text())
             for service in SERVICES}
# Bodies that the schema alone does not make.
MOOD = {"event_type": "mood", "event_subtype": "quick_checkin", "event_data": {"mood": "calm", "confidence": 7}}
BODIES = {
    "health_event_record": MOOD, "health_legacy_event_record": MOOD, "health_event_correct": {"event": MOOD, "reason": "a slip"},
    "reply_rate": {"user_rating": 5},
}
# There is no way to say it: the path names a thing of one's own tenant, and makes it where there is none.
NOT_NAMED = {("auth_admin_flag_write", "other_tenant")}
# What says that somebody may not: other codes of 401 and 403 are about what was sent.
REFUSALS = ("unauthorized", "token_expired", "token_revoked", "forbidden", "account_inactive", "not_found")
ALWAYS_FRESH = ("auth",)  # what one does to oneself there ends tokens


@pytest.fixture(scope="module")
def stack(workspace):
    """Of its own: other tests play services that run here."""
    started = Stack(workspace / "access")
    try:
        yield started.start()
    finally:
        started.stop()


@pytest.fixture(scope="module")
def world(stack):
    """Five daemons; the callers, `peer` in their tenant and `far` in another, each with somebody who administers it."""
    urls = {service: stack.daemon(service).url for service in SERVICES}
    here = admins.first_admin(stack, urls["auth"])
    tenant = admins.new_tenant(stack)
    there = admins.somebody(stack, urls["auth"], "admin", tenant)
    peer, far = (admins.somebody(stack, urls["auth"], "patient", of) for of in (None, tenant))
    peer.admin, far.admin = here, there
    me = {kind: admins.somebody(stack, urls["auth"], kind) for kind in TYPES}
    for person in me.values():
        person.admin = here
    scopes = DOCUMENTS["auth"]["components"]["schemas"]["ClientScope"]["enum"]
    machine = here.auth.post("/v1/admin/clients", json={"name": "every scope", "scopes": scopes}).json()
    token = admins.token_of(urls["auth"], machine).json()["access_token"]
    return SimpleNamespace(stack=stack, urls=urls, things=Things(stack, urls), me=me, peer=peer, far=far, client_token=token)


def routes(service: str):
    for path, item in DOCUMENTS[service]["paths"].items():
        for method, operation in item.items():
            yield SimpleNamespace(service=service, method=method.upper(), path=path, operation=operation,
                                  name=operation["operationId"], access=operation["x-access"],
                                  open=not operation["security"], names_a_thing="{" in path and "{date}" not in path
                                  and "{service_type}" not in path)


def request_of(route, path: str, token: str | None):
    """Arguments of a request that is right in all but who asks."""
    headers = {"Authorization": f"Bearer {token}"} if token else {}
    headers["X-Forwarded-For"] = "198.51.100.77"
    content = None
    body = route.operation.get("requestBody")
    if body:
        (media, what), = body["content"].items()
        headers["Content-Type"] = media
        value = BODIES.get(route.name) or (sample(what["schema"], DOCUMENTS[route.service]) if "schema" in what else None)
        content = json.dumps(value).encode() if media.endswith("json") else b"no archive"
        if media == "application/x-www-form-urlencoded":
            content = b"grant_type=client_credentials"
    if "/imports/uploads" in route.path:
        headers |= {"Tus-Resumable": "1.0.0"} | ({"Upload-Offset": "0"} if route.method == "PATCH" else {"Upload-Length": "10"})
    return {"method": route.method, "url": path, "headers": headers, "content": content}


def send(api: Api, arguments) -> tuple[int, str]:
    with api.stream(**arguments) as answer:  # a stream of events is not waited for
        if answer.headers.get("content-type", "").startswith("text/event-stream"):
            return answer.status_code, ""
        return answer.status_code, answer.read().decode("utf-8", "replace")


def token_for(world, caller: str, me) -> str | None:
    return {"anonymous": None, "client": world.client_token}.get(caller) if caller in ("anonymous", "client") else me.token


def cells(route):
    """(kind of thing, callers that reach it)"""
    if route.names_a_thing:
        return [(kind, route.access.get(kind, [])) for kind in OBJECTS]
    return [("open", [name for names in route.access.values() for name in (CALLERS if names == "all" else names)])]


def refused(world, api, route) -> list[str]:
    """Cells that must be refused and were not."""
    wrong, shared = [], {}
    for kind, allowed in cells(route):
        for caller in CALLERS:
            if caller in allowed or allowed == "all" or (route.name, kind) in NOT_NAMED:
                continue
            reaches_route = any(caller in names or names == "all" for names in route.access.values())
            if kind == "own" and reaches_route and not may_own(route, caller):
                continue
            me = world.me.get(caller)
            owner = {"own": me or world.peer, "other": world.peer, "other_tenant": world.far, "open": me or world.peer}[kind]
            if kind == "own" and not may_own(route, caller):
                owner = world.peer
            if owner.id not in shared:
                shared[owner.id] = world.things.path(owner, route.path)
            status, text = send(api, request_of(route, shared[owner.id], token_for(world, caller, me)))
            expected = {404, 409} if reaches_route and kind == "own" else {404} if reaches_route else \
                {401} if caller == "anonymous" else {403}
            if status not in expected or mark(world.far) in text or (caller not in allowed and mark(world.peer) in text):
                wrong.append(f"{caller} {route.method} {route.path} of {kind}: {status} instead of {expected} {text[:200]}")
    return wrong


def may_own(route, caller: str) -> bool:
    """Whether this caller can have such a thing at all. Flags and machines are a tenant's."""
    if route.path.startswith("/v1/admin/"):
        return caller in TYPES and route.path.startswith("/v1/admin/users/")
    return caller in (TYPES if route.service == "auth" else ("patient", "doctor"))


def is_refused(route, status: int, text: str) -> bool:
    if status in (405, 500) or (status == 422 and route.names_a_thing):
        return True
    code = json.loads(text).get("code") if text.startswith("{") else None
    return status in (401, 403, 404) and (code is None or code in REFUSALS)


def allowed(world, api, route) -> list[str]:
    """Cells that must not be refused and were."""
    wrong = []
    for kind, names in cells(route):
        for caller in CALLERS if names == "all" else names:
            me = world.me.get(caller)
            if me and route.service in ALWAYS_FRESH and route.method != "GET" and kind in ("open", "own") and not route.open:
                me = admins.somebody(world.stack, world.urls["auth"], caller, name="fresh")
                me.admin = world.peer.admin
            owner = {"own": me, "other": world.peer, "other_tenant": world.far, "open": me or world.peer}[kind]
            path = world.things.path(owner, route.path)
            status, text = send(api, request_of(route, path, token_for(world, caller, me)))
            if is_refused(route, status, text) and not (route.open and status == 401):
                wrong.append(f"{caller} {route.method} {route.path} of {kind}: {status} {text[:200]}")
            if mark(world.far) in text or (kind != "other" and mark(world.peer) in text):
                wrong.append(f"{caller} {route.method} {route.path} of {kind}: shows what is somebody else's")
    return wrong


@pytest.mark.parametrize("service", SERVICES)
def test_every_cell(world, service):
    if service == "scheduler":
        readers = sum(route.path.startswith("/v1/occurrences/{") for route in routes(service))
        world.things.fire({world.me["patient"]: readers, world.me["doctor"]: readers, world.peer: readers, world.far: readers})
    wrong = []
    with Api(world.urls[service]) as api:
        for route in routes(service):
            wrong += refused(world, api, route)
        for route in sorted(routes(service), key=lambda route: route.method == "DELETE"):
            wrong += allowed(world, api, route)
    assert not wrong, f"{len(wrong)} cells:\n" + "\n".join(wrong)


def test_an_account_without_a_password_of_its_own_may_do_nothing_else(world):
    person = admins.somebody(world.stack, world.urls["auth"], "admin", name="newcomer")
    with world.stack.postgres.connect("salus_auth") as database:
        database.execute("UPDATE users SET password_must_change = true WHERE id = %s", [person.id])
    tokens = admins.log_in(world.urls["auth"], person.email)
    assert tokens["scope"] == "password:change" and tokens["user"]["password_must_change"] is True
    wrong = []
    for service in SERVICES:
        with Api(world.urls[service]) as api:
            for route in routes(service):
                scope = route.operation["security"] and route.operation["security"][0]["bearer"][0]
                path = re.sub(r"\{[^}]*\}", str(uuid.UUID(int=7)), route.path)
                if scope and scope != "password:change" and send(api, request_of(route, path, tokens["access_token"]))[0] != 403:
                    wrong.append(f"{route.method} {route.path}")
    assert not wrong


def test_the_page_has_a_cell_for_each_caller_and_route():
    page = (ROOT / "docs/access.md").read_text()
    for service in SERVICES:
        for route in routes(service):
            row = next(line for line in page.splitlines() if line.startswith(f"| {route.method} {route.path} |"))
            assert row.count("|") == 3 + len(CALLERS), row
