"""Chapters 6, 7, 8 and 10: what the companion answers and does, in English and Hebrew; and through a cut connection."""

import threading
import uuid
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from client import Api
from house import SECOND, bus_events, second_instance, until, until_all_have_heard
from people import Person, register
from tell import adds, chapter, ends, expect, expect_status, note, says

# What is said; the tools that run; what the answer says of the person's own; and what is new afterwards at who owns it.
ENGLISH = (
    ("how was my week?", ["week_summary"], "7 h on average over 2 nights", []),
    ("I slept badly and feel anxious", ["record_sleep", "record_mood"], "a bad night and feeling anxious", [
        ("symptom", {"symptoms": ["poor sleep"]}), ("mood", {"mood": "anxious", "valence": -0.6})]),
    ("did 3 sets of 10 squats with 60 kg", ["log_exercise"], "squats, 3 × 10, 60 kg", [
        ("vital", {"exercise": {"exercise_name": "squats", "sets": 3, "repetitions": 10, "weight_kg": 60}})]),
    ("remember that I am allergic to penicillin", ["remember"], "penicillin", [("memory", "I am allergic to penicillin")]),
    ("remind me every weekday at 8 to take my meds", ["create_reminder"], "Monday to Friday", [
        ("schedule", ("take my meds", "0 8 * * 1-5", "America/New_York"))]),
    ("how was my week?", ["week_summary"], "anxious", []),
)
HEBREW = (
    ("איך היה השבוע שלי?", ["week_summary"], "8 שע' בממוצע (לילות: 2)", []),
    ("ישנתי גרוע ואני מרגישה חרדה", ["record_sleep", "record_mood"], "לילה לא טוב, הרגשה: חרדה", [
        ("symptom", {"symptoms": ["שינה רעה"]}), ("mood", {"mood": "חרדה", "valence": -0.6})]),
    ("עשיתי 3 סטים של 10 סקוואט עם 60 קילו", ["log_exercise"], "סקוואט, 3 × 10, 60 ק\"ג", [
        ("vital", {"exercise": {"exercise_name": "squat", "exercise_name_he": "סקוואט", "sets": 3, "repetitions": 10, "weight_kg": 60}})]),
    ("תזכור שאני אלרגית לפניצילין", ["remember"], "פניצילין", [("memory", "אני אלרגית לפניצילין")]),
    ("תזכיר לי כל יום חול ב-8 לקחת את התרופות", ["create_reminder"], "ראשון עד חמישי", [
        ("schedule", ("לקחת את התרופות", "0 8 * * 0-4", "Asia/Jerusalem"))]),
    ("איך היה השבוע שלי?", ["week_summary"], "חרדה", []),
)


# ---- talking
class Reply:
    def __init__(self, events: list):
        self.kinds = [event.kind for event in events]
        self.text = "".join(event.data["text"] for event in events if event.kind == "delta")
        self.tools = [(event.data["name"], event.data["status"]) for event in events if event.kind == "tool"]
        self.help = next((event.data for event in events if event.kind == "help"), None)
        self.sources = events[-1].data.get("sources", [])
        self.id = events[0].data["reply_id"]


class Talk:
    """A conversation with the companion."""

    def __init__(self, person: Person, api: Api | None = None):
        self.person = person
        self.api = api or person.api
        answer = self.api.post("/v1/conversations", {})
        if answer.status != 201:
            expect_status(answer, 201, f"{person.name} begins a conversation")
        self.id = answer.json["id"]
        self.path = f"/v1/conversations/{self.id}/messages"

    def say(self, words: str, key: str | None = None) -> Reply:
        """Says it and shows the answer while it comes."""
        says(self.person.name, words)
        says("Salus")
        events = []
        for event in self.api.follow(self.path, {"content": words}, {"Idempotency-Key": key or str(uuid.uuid4())}):
            events.append(event)
            if event.kind == "delta":
                adds(event.data["text"])
        ends()
        if not events or events[-1].kind != "done":
            expect(False, "the answer is whole", events[-3:])
        return Reply(events)

    def messages(self) -> list[dict]:
        answer = self.api.get(f"{self.path}?limit=100")
        if answer.status != 200:
            expect_status(answer, 200, "the conversation can be read")
        return answer.json["items"]


def possessions(person: Person) -> dict:
    """By id, what the owning services have of somebody that the companion may have made."""
    events = person.api.get("/v1/health-events?limit=200").json["items"]
    memories = person.api.get("/v1/memories").json["items"]
    schedules = person.api.get("/v1/schedules").json["items"]
    return ({it["id"]: (it["event_type"], it["event_data"]) for it in events}
            | {it["id"]: ("memory", it["content"]) for it in memories}
            | {it["id"]: ("schedule", (it["name"], it["cron_expression"], it["timezone"])) for it in schedules})


# ---- 6
def chapter_talk() -> tuple[Talk, Talk]:
    chapter(6, "The companion")
    maya = register("Maya", "en", "America/New_York")
    yael = register("Yael", "he", "Asia/Jerusalem")
    until_all_have_heard(maya, yael)
    for person, hours in ((maya, (7.5, 6.5)), (yael, (8, 8))):
        for days, slept in enumerate(hours, 1):
            answer = person.api.post("/v1/health-events", {
                "event_type": "vital", "event_subtype": "sleep", "event_data": {"total_duration": slept * 60},
                "occurred_at": (datetime.now(UTC) - timedelta(days=days)).isoformat()})
            if answer.status != 201:
                expect_status(answer, 201, f"{person.name}'s watch records a night")
    note("their watches have recorded two nights of each")
    return converse(maya, ENGLISH), converse(yael, HEBREW)


def converse(person: Person, lines: tuple) -> Talk:
    talk, pieces = Talk(person), 0
    for words, tools, answer, new in lines:
        before, key = possessions(person), str(uuid.uuid4())
        reply = talk.say(words, key)
        expect(reply.tools == [(tool, "done") for tool in tools] and answer in reply.text,
               f"{', '.join(tools)}; “{answer}”", (reply.tools, reply.text))
        pieces += reply.kinds.count("delta")
        again = talk.api.post(talk.path, {"content": words}, Idempotency_Key=key)
        after = possessions(person)
        made = [after[it] for it in after.keys() - before.keys()]
        once = sorted(made, key=repr) == sorted(new, key=repr) and before.items() <= after.items()
        expect(once and again.json.get("reply_id") == reply.id,
               "sent twice, as phones do; " + ("done once: " + "; ".join(map(told, made)) if made else "nothing is new"),
               (again.body, made))
    expect(pieces > 2 * len(lines), f"the {len(lines)} answers came word by word, in {pieces} pieces", pieces)
    return talk


def told(possession: tuple) -> str:
    """"mood (anxious, -0.6)": the values alone, in plain words."""
    def values(of):
        for value in of.values() if isinstance(of, dict) else of if isinstance(of, list | tuple) else ():
            yield from values(value)
        if not isinstance(of, dict | list | tuple):
            yield str(of)

    return f"{possession[0]} ({', '.join(values(possession[1]))})"


# ---- 7
def chapter_memory(maya: Talk, yael: Talk):
    chapter(7, "What it remembers")
    for before, asks, forgets, fact, told in (
            (maya, "what am I allergic to?", "forget that", "penicillin", ENGLISH[3][0]),
            (yael, "למה אני אלרגית?", "תשכח את זה", "פניצילין", HEBREW[3][0])):
        talk = Talk(before.person)
        reply = talk.say(asks)
        expect(fact in reply.text and len(reply.sources) == 1,
               f"in a new conversation it knows of {fact}, and names its source", reply.text)
        memory = f"/v1/memories/{reply.sources[0]}"
        source = talk.api.get(memory).json["source"]
        said = [it["content"] for it in before.messages() if it["id"] == source["message_id"]]
        expect(source["conversation_id"] == before.id and said == [told], f"the source is the message “{told}”", (source, said))
        reply = talk.say(forgets)
        expect(reply.tools == [("forget", "done")] and talk.api.get(memory).status == 404, "the memory is gone: 404", reply.tools)
        reply = talk.say(asks)
        expect(reply.tools == [("recall", "done")] and fact not in reply.text and not reply.sources,
               "it does not know any more", reply.text)


# ---- 8
@contextmanager
def model_that_counts():
    """A server of a model that is overloaded, and how often it was asked."""
    asked = []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self):
            asked.append(self.path)
            self.send_error(503)

        def log_message(self, *_):
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_port}/v1", asked
    finally:
        server.shutdown()
        server.server_close()


def chapter_crisis(maya: Person, yael: Person):
    chapter(8, "Help before anything else")
    for person, words, country, line in (
            (maya, "I don't want to live anymore", "US", "988"), (yael, "אני לא רוצה לחיות יותר", "IL", "1201")):
        talk = Talk(person)
        reply = talk.say(words)
        expect_help(reply, country, line)
        message, answer = talk.messages()
        expect(answer["message_type"] == "crisis_help" and "model_used" not in answer, "no planner had a part in it", answer)
        until(lambda: bus_events("chat", "crisis.detected.v1", person.id), "crisis.detected is on the bus", silently=True)
        (fact,) = bus_events("chat", "crisis.detected.v1", person.id)
        expect(fact["level"] == message["crisis_level"] and words not in repr(fact),
               f"crisis.detected is on the bus, level {fact['level']}, without what was said", fact)
    no_model(maya)


def expect_help(reply: Reply, country: str, line: str):
    expect(reply.kinds[:2] == ["started", "help"] and reply.help["country"] == country and line in reply.text and not reply.tools,
           f"help comes first: {line}, for {country}", (reply.kinds, reply.help, reply.text))


def no_model(person: Person):
    """With a model set up, which says no: an everyday message asks it, and a cry for help does not."""
    with model_that_counts() as (url, asked), second_instance("chat", SALUS_PLANNER="openai", SALUS_MODEL_URL=url, SALUS_MODEL="any",
                                                              SALUS_MODEL_ATTEMPTS="1"):
        talk = Talk(person, Api(SECOND, person.api.token))
        talk.say("how was my week?")
        expect(asked and talk.messages()[-1]["model_used"] == "rules",
               "a model that is set up is asked; this one is overloaded, so the built-in companion answers and says that it does",
               talk.messages()[-1])
        before = len(asked)
        expect_help(talk.say("I don't want to live anymore"), "US", "988")
        expect(len(asked) == before, "and for that the model was not asked at all", asked)


# ---- 10
def chapter_cut(person: Person):
    chapter(10, "A connection that is cut")
    before = possessions(person)
    talk = Talk(person)
    says(person.name, "did 20 push ups and 15 squats with 50 kg")
    whole = list(person.api.follow(talk.path, {"content": "did 20 push ups and 15 squats with 50 kg"}))
    reply = Reply(whole)
    says("Salus", reply.text)
    path = f"/v1/replies/{reply.id}/stream"
    resumed = [cut_and_resumed(person.api, person.api, path, cut) for cut in range(1, len(whole))]
    expect(set(resumed) == {b"".join(event.raw for event in whole)},
           f"cut behind each of its {len(whole) - 1} events and taken up with Last-Event-ID: byte for byte what an uncut client got",
           resumed)
    with second_instance("chat"):
        other = Api(SECOND, person.api.token)
        expect({cut_and_resumed(person.api, other, path, cut) for cut in range(1, len(whole))} == set(resumed),
               "the same when another instance is asked for the rest")
    made = [it for key, it in possessions(person).items() if key not in before]
    expect(len(made) == 2 and {kind for kind, _ in made} == {"vital"}, "the tool ran once for each exercise", made)


def cut_and_resumed(first: Api, second: Api, path: str, cut: int) -> bytes:
    stream = first.follow(path)
    seen = [next(stream) for _ in range(cut)]
    stream.close()
    last = seen[-1].raw.split(b"\n", 1)[0].removeprefix(b"id: ").decode()
    return b"".join(event.raw for event in seen + list(second.follow(path, headers={"Last-Event-ID": last})))
