"""Things of people that routes name in their path, and bodies that routes take; for the matrix of who may what."""

import functools
import itertools
import uuid
from datetime import UTC, datetime, timedelta

from support import imports
from support.admins import somebody
from support.client import PASSWORD, Api, new_email
from support.waiting import eventually

_numbers = itertools.count(1)


def made(answer, key: str = "id") -> str:
    assert answer.status_code in (200, 201, 202), answer.text
    return answer.json()[key]


class Things:
    """things.path(owner, route): the path of that route with a fresh thing of `owner` in it. `urls`: service -> address."""

    def __init__(self, stack, urls: dict[str, str]):
        self.stack = stack
        self.urls = urls
        self.occurrences: dict[str, list[str]] = {}

    def api(self, owner, service: str) -> Api:
        return Api(self.urls[service], owner.token)

    def path(self, owner, route: str) -> str:
        for stem, make in MAKERS.items():
            if route.startswith(stem):
                for name, value in make(self, owner).items():
                    route = route.replace("{" + name + "}", value)
                assert "{" not in route, f"{route}: a thing to put there is missing"
                return route
        assert "{" not in route, f"nobody knows how to make what {route} names: add it to tests/support/things.py"
        return route

    # ---- makers: a fresh thing of the owner, as parameters of a path

    def conversation(self, owner):
        with self.api(owner, "chat") as api:
            return {"conversation_id": made(api.post("/v1/conversations", json={"title": mark(owner)}))}

    def reply(self, owner):
        with self.api(owner, "chat") as api:
            conversation = made(api.post("/v1/conversations", json={}))
            reply = made(api.post(f"/v1/conversations/{conversation}/messages", json={"content": "hello"}), "reply_id")
            api.get(f"/v1/replies/{reply}/stream").read()
            return {"reply_id": reply}

    def health_event(self, owner):
        with self.api(owner, "main-health") as api:
            return {"id": made(api.post("/v1/health-events", json={"event_type": "mood", "event_subtype": "quick_checkin",
                                                                   "event_data": {"mood": "calm", "confidence": 7}}))}

    def upload(self, owner):
        with self.api(owner, "main-health") as api:
            return {"id": imports.begin(api, 10).rpartition("/")[2]}

    def imported(self, owner):
        with self.api(owner, "main-health") as api:
            return {"id": imports.upload(api, b"no archive")}

    def memory(self, owner):
        with self.api(owner, "memory") as api:
            return {"id": made(api.post("/v1/memories", json={"content": f"{mark(owner)} number {next(_numbers)}"}))}

    def schedule(self, owner):
        with self.api(owner, "scheduler") as api:
            return {"id": made(api.post("/v1/schedules", json={"name": mark(owner), "cron_expression": "0 8 * * *"}))}

    def occurrence(self, owner):
        return {"id": self.occurrences[owner.id].pop()}

    def fire(self, owners: dict):
        """Lets reminders of each owner come due, as many as are said; occurrence() gives them out."""
        soon = f"@at {datetime.now(UTC) + timedelta(seconds=3):%Y-%m-%dT%H:%M:%SZ}"
        for owner, count in owners.items():
            with self.api(owner, "scheduler") as api:
                for _ in range(count):
                    made(api.post("/v1/schedules", json={"name": mark(owner), "cron_expression": soon}))
        for owner, count in owners.items():
            with self.api(owner, "scheduler") as api:
                def ids(api=api, count=count):
                    listed = api.get("/v1/occurrences", params={"limit": 100}).json()["items"]
                    return [item["id"] for item in listed] if len(listed) >= count else None
                self.occurrences[owner.id] = eventually(ids, within=20, what="reminders came due")

    def service_profile(self, owner):
        with self.api(owner, "auth") as api:
            made(api.put("/v1/me/services/chat", json={"service_preferences": {"mark": mark(owner)}}))
        return {"service_type": "chat"}

    def account(self, owner):
        """The owner itself, when it is an admin; else somebody new of its tenant, because nothing much is left of who is acted on."""
        if owner.tokens["user"]["user_type"] == "admin":
            return {"id": owner.id}
        return {"id": somebody(self.stack, self.urls["auth"], tenant=owner.tokens["user"]["tenant_id"]).id}

    def flag(self, owner):
        key = f"test.{uuid.uuid4().hex[:12]}"
        with Api(self.urls["auth"], owner.admin.token) as api:
            made(api.put(f"/v1/admin/flags/{key}", json={"enabled": True, "share": 0}), "key")
        return {"key": key}

    def machine(self, owner):
        with Api(self.urls["auth"], owner.admin.token) as api:
            answer = api.post("/v1/admin/clients", json={"name": f"machine {uuid.uuid4()}", "scopes": ["admin:flags"]})
        made(answer, "client_id")
        return {"id": answer.json()["client_id"], "secret_id": answer.json()["secret_id"]}

    def session(self, owner):
        with Api(self.urls["auth"]) as api:
            return {"id": made(api.post("/v1/auth/login", json={"email": owner.email, "password": PASSWORD}), "session_id")}

    def day(self, owner):
        return {"date": "2026-01-01"}


MAKERS = {
    "/v1/conversations/{": Things.conversation, "/v1/replies/{": Things.reply, "/v1/health-events/{": Things.health_event,
    "/v1/imports/uploads/{": Things.upload, "/v1/imports/{": Things.imported, "/v1/memories/{": Things.memory,
    "/v1/schedules/{": Things.schedule, "/v1/occurrences/{": Things.occurrence, "/v1/me/services/{": Things.service_profile,
    "/v1/admin/users/{": Things.account, "/v1/admin/flags/{": Things.flag, "/v1/admin/clients/{": Things.machine,
    "/v1/days/{": Things.day, "/v1/me/sessions/{": Things.session,
}


def mark(owner) -> str:
    """A text that is found again where it must not be."""
    return f"canary{owner.id.replace('-', '')}"


# ---- bodies

def sample(schema: dict, document: dict):
    """The smallest value that a schema of an OpenAPI document takes."""
    if "$ref" in schema:
        return sample(functools.reduce(dict.get, schema["$ref"].removeprefix("#/").split("/"), document), document)
    for key in ("const", "default"):
        if key in schema:
            return schema[key]
    if "enum" in schema:
        return schema["enum"][0]
    if "oneOf" in schema:
        return sample(schema["oneOf"][0], document)
    kind = schema.get("type", "object")
    kind = kind[0] if isinstance(kind, list) else kind
    if kind == "object":
        return {name: sample(schema["properties"][name], document) for name in schema.get("required", [])}
    if kind == "array":
        return [sample(schema["items"], document) for _ in range(schema.get("minItems", 0))]
    if kind == "string":
        return _text(schema)
    if kind == "boolean":
        return True
    return max(schema.get("minimum", 0), schema.get("exclusiveMinimum", -1) + 1)


def _text(schema: dict) -> str:
    formats = {"uuid": str(uuid.UUID(int=7)), "date-time": "2026-01-01T00:00:00Z", "date": "2026-01-01", "email": new_email(),
               "x-time-zone": "UTC", "x-language": "en", "x-clock-time": "08:00", "uri": "https://example.org/a"}
    return formats.get(schema.get("format")) or "x" * max(1, schema.get("minLength", 1))
