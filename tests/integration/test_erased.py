"""user.erased: what main-health, chat, memory and scheduler keep of a person goes, of nobody else, however often it is said."""

import json
import uuid
from datetime import UTC, datetime

from support import client
from support.waiting import eventually


def erase(stack, person) -> None:
    """The fact alone, as auth writes it, so that who is erased may still ask what is left."""
    now = datetime.now(UTC).isoformat().replace("+00:00", "Z")
    data = json.dumps({"user_id": person.id, "erased_at": now}, separators=(",", ":"))
    line = "\t".join([str(uuid.uuid4()), "/salus/auth", "user.erased.v1", now, person.id, str(uuid.uuid4()), "", data])
    with stack.postgres.connect("salus_auth") as connection:
        connection.execute("INSERT INTO outbox (payload, event_count) VALUES (%s, 1)", (line,))
        connection.execute("SELECT pg_notify('salus_outbox', '')")


HEALTH = [("/v1/health-data", {"height": 171.5, "allergies": "nuts"}), ("/v1/health-preferences", {"age": 40, "hobbies": "chess"})]
EVENTS = [{"event_type": "vital", "event_subtype": "heart_rate", "occurred_at": "2026-11-20T08:15:12Z", "time_zone": "Europe/Berlin",
           "source": "watch", "event_data": {"value": 72 + n, "unit": "/min"}} for n in range(3)]


def canary(person) -> str:
    return f"canary-{person.id[-12:]}"


def say(api, conversation: str, content: str):
    answer = api.post(f"/v1/conversations/{conversation}/messages", json={"content": content})
    assert answer.status_code == 202, answer.text


def kept(person) -> dict:
    """What the services still show of a person."""
    conversations = person.chat.get("/v1/conversations", params={"limit": 200}).json()["items"]
    return {"conversations": len(conversations),
            "wishes": person.chat.get("/v1/user-context").json()["version"],
            "memories": len(person.memory.get("/v1/memories").json()["items"]),
            "recent": len(person.memory.get("/v1/memories/recent").json()["items"]),
            "schedules": len(person.scheduler.get("/v1/schedules").json()["items"]),
            "events": len(person.health.get("/v1/health-events").json()["items"]),
            "vitals": len(person.health.get("/v1/vitals/latest").json()["items"])}


def somebody(auth, health, chat, memory, scheduler):
    person = client.register(auth.url, health.url, memory_url=memory.url)
    person.chat, person.scheduler = client.Api(chat.url, person.token), client.Api(scheduler.url, person.token)
    schedule = {"name": "meds", "schedule_type": "reminder", "cron_expression": "0 8 * * *"}
    made = eventually(lambda: (lambda it: it.status_code == 201 and it)(person.scheduler.post("/v1/schedules", json=schedule)))
    assert made
    assert person.memory.post("/v1/memories", json={"content": "I am allergic to penicillin"}).status_code == 201
    assert person.chat.put("/v1/user-context", json={"preferences": {"goals": [canary(person)]}, "ai_profile": {}}).status_code == 200
    for path, body in HEALTH:
        answer = person.health.put(path, json=body)
        assert answer.status_code == 200, answer.text
    for event in EVENTS:
        assert person.health.post("/v1/health-events", json=event).status_code == 201
    for _ in range(60):  # more than a piece
        conversation = person.chat.post("/v1/conversations", json={"title": canary(person)}).json()["id"]
    say(person.chat, conversation, f"{canary(person)}: I feel anxious")
    eventually(lambda: person.chat.get(f"/v1/conversations/{conversation}/messages").json()["items"][1]["state"] == "complete")
    return person


def words_of(stack, person) -> list:
    """What the stores hold of a person beside ids."""
    found = [it["_id"] for collection in ("pages", "conversations", "user_contexts")
             for it in stack.mongo.documents("salus_chat", collection) if canary(person) in repr(it)]
    found += stack.postgres.rows("salus_memory", f"SELECT id FROM memory_items WHERE user_id = '{person.id}'")
    for table in ("schedules", "schedule_queue", "occurrences", "deliveries", "delivery_queue"):
        found += stack.postgres.rows("salus_scheduler", f"SELECT user_id FROM {table} WHERE user_id = '{person.id}'")
    for table in ("health_events", "user_health_data", "user_preferences", "user_zone_history", "imports", "import_findings"):
        found += stack.postgres.rows("salus_health", f"SELECT user_id FROM {table} WHERE user_id = '{person.id}'")
    found += stack.postgres.rows("salus_scheduler", f"SELECT email FROM user_contacts WHERE user_id = '{person.id}' AND email IS NOT NULL")
    return found


def test_what_is_kept_goes(stack, auth, health, chat, memory, scheduler):
    dana, eve = (somebody(auth, health, chat, memory, scheduler) for _ in range(2))
    before = kept(eve)
    assert before == {"conversations": 60, "wishes": 1, "memories": 1, "recent": 1, "schedules": 1, "events": 4, "vitals": 1} == kept(dana)
    assert len(words_of(stack, dana)) == 60 + 1 + 1 + 1 + 4 + 1 + 1 + 1 + 2 + 1, \
        "conversations, page, wishes, memory, events and a mood, health data, preferences, zone, schedule and queue, contact"
    nothing = dict.fromkeys(before, 0)
    for _ in range(2):  # said twice, it is done once
        erase(stack, dana)
        eventually(lambda: kept(dana) == nothing, within=30, what="nothing is kept of her")
        eventually(lambda: not words_of(stack, dana), within=10, what="nothing is left in the stores")
    assert kept(eve) == before


def test_who_deletes_the_account_leaves_nothing(stack, auth, health, chat, memory, scheduler):
    dana, eve = (somebody(auth, health, chat, memory, scheduler) for _ in range(2))
    before = kept(eve)
    assert words_of(stack, dana)
    assert dana.auth.request("DELETE", "/v1/me", json={"password": client.PASSWORD}).status_code == 204
    eventually(lambda: not words_of(stack, dana), within=30, what="nothing is left in the stores")
    assert {dana.health.get("/v1/health-events").status_code, dana.chat.get("/v1/conversations").status_code,
            dana.memory.get("/v1/memories").status_code, dana.scheduler.get("/v1/schedules").status_code} == {401}
    assert kept(eve) == before
