"""Chapter 11: Redis, memory and the store of chat are stopped, one after the other; what goes on, and that all of it heals."""

import os
import time
import uuid

from client import Answer, Api
from companion import Talk, expect_help
from house import REPLICAS, SERVICES, bus_events, daemon, is_ready, stopped, until
from people import PASSWORD, PORT, Person, register
from tell import chapter, expect, note, saw


def chapter_outages(person: Person):
    chapter(11, "When things break")
    talk = Talk(person)
    talk.say("remember that my doctor is Rut Levi")
    if REPLICAS > 1:
        without_replicas(person)
    without_redis(person)
    without_memory(person)
    if "MONGO_URI" in os.environ:
        note("(MONGO_URI names a server of yours, which the demo does not stop)")
    else:
        without_documents(person)


# ---- one daemon of each service
def without_replicas(person: Person):
    daemon("kill", *(f"{service}-2" for service in SERVICES))
    saw(f"of the {REPLICAS} daemons of each service one is killed")
    for _ in range(REPLICAS):
        answers = [person.api.get(path) for path in ("/v1/me", "/v1/health-events", "/v1/memories", "/v1/schedules", "/v1/conversations")]
        expect([answer.status for answer in answers] == [200] * len(answers), "all services answer", [it.body for it in answers])
        record_mood(person, "unhurried")
        expect(Talk(person).say("who is my doctor?").tools == [("recall", "done")], "the companion looks things up")
    daemon("start", *SERVICES)
    saw("they are started again")


def refused(answer: Answer, claim: str):
    expect(answer.status == 503 and "retry-after" in answer.headers and answer.json["code"], f"{claim}: 503 with Retry-After",
           f"{answer.status} {answer.headers} {answer.body}")


def record_mood(person: Person, mood: str) -> str:
    answer = person.api.post("/v1/health-events", {"event_type": "mood", "event_subtype": "quick_checkin", "event_data": {"mood": mood}})
    listed = person.api.get("/v1/health-events?event_type=mood&limit=1")
    day = person.api.get(f"/v1/days/{answer.json['local_date']}/summary") if answer.status == 201 else answer
    expect(answer.status == 201 and listed.json["items"][0]["id"] == answer.json["id"] and day.json["mood"]["latest"] == mood,
           "a mood is recorded, listed, and in the day's summary", (answer.body, listed.body, day.body))
    return answer.json["id"]


def login(person: Person) -> Answer:
    return Api(PORT).post("/v1/auth/login", {"email": person.email, "password": PASSWORD})


# ---- Redis
def without_redis(person: Person):
    talk = Talk(person)
    with stopped("redis-bus", "redis-cache"):
        saw("both Redis are stopped")
        mood = record_mood(person, "calm")
        memory = person.api.post("/v1/memories", {"content": "my locker is number 12"})
        schedule = person.api.post("/v1/schedules", {"name": "stretch", "cron_expression": "0 12 * * *", "reminder_method": "none"})
        expect((memory.status, schedule.status) == (201, 201), "a memory and a schedule are stored", (memory.body, schedule.body))
        refused(login(person), "nobody can sign in, since wrong passwords could not be counted")
        reply = talk.say("did 30 push ups")
        expect(reply.tools == [("log_exercise", "unavailable")], "the companion answers, and says that it could not note it", reply.tools)
        expect_help(talk.say("I don't want to live anymore"), "US", "988")
    saw("both are started again; nothing else is touched")
    for service, kind, what, said in (
            ("main-health", "health.updated.v1", mood, "the mood's fact, which had waited, is on the bus"),
            ("memory", "memory.created.v1", memory.json["id"], "so is the memory's"),
            ("chat", "crisis.detected.v1", talk.id, "and the crisis")):
        until(lambda: what in repr(bus_events(service, kind, person.id)), said)
    until(lambda: login(person).status == 200, "people can sign in")
    heals(talk, "did 30 push ups", "log_exercise")
    person.api.ask("DELETE", f"/v1/schedules/{schedule.json['id']}")


def heals(talk: Talk, words: str, tool: str):
    """The tool works again, by itself; until then it says that it does not."""
    def works():
        reply = talk.say(words)
        if reply.tools != [(tool, "done")] and reply.tools != [(tool, "unavailable")]:
            expect(False, "a tool works, or says that it does not", reply.tools)
        return reply if reply.tools == [(tool, "done")] else None

    return until(works, "the companion does it again")


# ---- memory
def without_memory(person: Person):
    talk = Talk(person)
    with stopped("memory"):
        saw("memory is stopped")
        refused(person.api.get("/v1/memories"), "the gateway says so")
        reply = talk.say("who is my doctor?")
        expect(reply.tools == [("recall", "unavailable")] and not reply.sources
               and not any(word in reply.text for word in ("Rut", "remember", "nothing")),
               "the companion says that it cannot look, and nothing false", reply.text)
        reply = talk.say("I feel better")
        expect(reply.tools == [("record_mood", "done")], "what does not need memory goes on", reply.tools)
        omer = register("Omer")
    saw("memory is started again")
    reply = heals(talk, "who is my doctor?", "recall")
    expect("Rut Levi" in reply.text and len(reply.sources) == 1, "it remembers", reply.text)
    until(lambda: omer.api.post("/v1/memories", {"content": "I run on Sundays"}).status == 201,
          "and has heard of Omer, who came while it was away")


# ---- the documents of chat
def without_documents(person: Person):
    talk, key = Talk(person), str(uuid.uuid4())
    with stopped("mongo"):
        saw("the store of chat is stopped")
        until(lambda: not is_ready("chat"), "chat says that it is not ready")
        started = time.monotonic()
        answer = send(talk, key)
        refused(answer, f"a message is refused after {time.monotonic() - started:.2f} s, so nobody takes it for stored")
        record_mood(person, "patient")
    saw("the store is started again")
    until(lambda: is_ready("chat"), "chat is ready by itself")
    until(lambda: send(talk, key).status == 202, "the phone sends it again, with the same key, and it is taken")
    until(lambda: [it["role"] for it in talk.messages()] == ["user", "assistant"] and talk.messages()[1]["state"] == "complete",
          "it is in the conversation once, with its answer")


def send(talk: Talk, key: str) -> Answer:
    return talk.api.post(talk.path, {"content": "how was my week?"}, Idempotency_Key=key)
