"""The ledger: what five services acknowledged, what they wrote down, what went over the bus, and what came of it."""

import json
from collections import Counter

from support import client
from support.house import FIVE
from support.load import MIX, Due, HealthEvents, Load, Memory, Message, Profile, Reminder
from support.waiting import eventually

DATABASES = {"auth": "salus_auth", "main-health": "salus_health", "memory": "salus_memory", "scheduler": "salus_scheduler"}
GROUPS = ("main-health", "memory", "scheduler", "chat")  # all of them read auth's stream
CHAT = "salus_chat"

# The events of the outbox behind a position, with theirs.
WRITTEN = r"""
    SELECT r.first_position - event_count + sum(event_count) OVER (PARTITION BY r.first_position ORDER BY xid, id), payload
    FROM outbox_range r JOIN outbox o ON (o.xid, o.id) >= (r.first_xid, r.first_id) AND (o.xid, o.id) <= (r.last_xid, r.last_id)
    WHERE NOT r.is_void AND r.first_position > %s"""
HEAD = """
    SELECT coalesce(max(first_position + events - 1), 0),
           (SELECT count(*) FROM outbox WHERE (xid, id) > coalesce(
               (SELECT ROW(last_xid, last_id) FROM outbox_range ORDER BY first_position DESC LIMIT 1), ROW('0'::xid8, 0::bigint)))
    FROM outbox_range"""


class Event:
    def __init__(self, event: str, kind: str, data: dict):
        self.id, self.kind, self.data = event, kind, data


class Ledger(Load):
    """The load of one test on a house, and its accounts. finish().check() at the end."""

    def __init__(self, house):
        super().__init__(house, house.people)
        self.documents = house.mongo.connect()[CHAT]
        self.marks = {service: eventually(lambda: (self.head(service),))[0] for service in FIVE}
        house.begin_conversations()

    def make(self, facts: int, mix=MIX):
        return self.start(facts, mix).finish()

    # ---- what was written

    def head(self, service: str) -> int:
        """The last position that was given; AssertionError while events wait for theirs."""
        if service == "chat":
            waiting = sum(self.documents[name].count_documents({"pending": True}) for name in ("conversations", "pages"))
            newest = self.documents["events"].find_one(sort=[("_id", -1)])
            head = newest["_id"] if newest else 0
        else:
            head, waiting = self.house.postgres.rows(DATABASES[service], HEAD)[0]
        assert not waiting, f"{waiting} events of {service} wait for the relay"
        return head

    def given(self, service: str) -> int:
        """The last position that was given in a table."""
        return self.house.postgres.rows(DATABASES[service], HEAD)[0][0]

    def written(self, service: str) -> dict[int, Event]:
        """The events since this ledger began, by position."""
        if service == "chat":
            documents = self.documents["events"].find({"_id": {"$gt": self.marks["chat"]}, "void": False})
            return {one["_id"]: Event(one["eventId"], one["event"]["type"], json.loads(one["event"]["data"])) for one in documents}
        events = {}
        for first, payload in self.house.postgres.rows(DATABASES[service], WRITTEN, self.marks[service]):
            for place, line in enumerate(payload.split("\n")):
                event, _, kind, _, _, _, _, data = line.split("\t", 7)
                events[int(first) + place] = Event(event, kind, json.loads(data))
        return events

    # ---- the accounts

    def wait_until_complete(self, within: float = 60):
        """All that was written has been published, has come, and is done with."""
        def complete():
            heads = {service: self.head(service) for service in FIVE}
            for service, head in heads.items():
                come = self.house.reader.complete[service]
                assert come == head, f"the reader has {come} of {head} positions of {service}"
            for group in GROUPS:
                done = self.done(group)
                assert done == heads["auth"], f"{group} has done {done} of {heads['auth']} positions of auth"
            assert self.done("memory", "memory") == heads["memory"], "memory has not read all of its own stream"
            return heads

        return eventually(complete, within=within, what="every fact has had its effect")

    def done(self, group: str, stream: str = "auth") -> int:
        if group == "chat":
            found = self.documents["inbox_streams"].find_one({"_id": stream})
            return found["position"] if found else 0
        rows = self.house.postgres.rows(DATABASES[group], "SELECT position FROM inbox_stream WHERE stream = %s", stream)
        return rows[0][0] if rows else 0

    def inbox(self, group: str) -> int:
        """How many events have had their effect there."""
        if group == "chat":
            return self.documents["inbox"].count_documents({})
        return self.house.postgres.rows(DATABASES[group], "SELECT count(*) FROM inbox")[0][0]

    def check(self, within: float = 60):
        """Nothing lost, nothing twice, nothing in another order."""
        self._wait_for_replies(within)
        self._wait_for_due(within)
        self._wait_for_mail(within)
        self.wait_until_complete(within)
        assert not self.house.reader.faults, self.house.reader.faults
        events = {service: self.written(service) for service in FIVE}
        for service in FIVE:
            self._check_published(service, events[service])
        self._check_profiles(events["auth"].values())
        self._check_health(events["main-health"].values())
        self._check_memories(events["memory"].values())
        self._check_schedules(events["scheduler"].values())
        self._check_messages(events["chat"].values())
        self._check_mail()
        for daemon in self.house.daemons:
            assert not daemon.sanitizer_reports(), daemon.sanitizer_reports()
        return self

    def _check_published(self, service: str, events: dict[int, Event]):
        """Each written event was published once, at its position, and nothing else was."""
        seen = self.house.reader.positions[service]
        published = {position: event for position, event in seen.items() if position > self.marks[service] and event is not None}
        wanted = {position: event.id for position, event in events.items()}
        assert published == wanted, f"{service}: {len(published)} published, {len(wanted)} written"
        assert len(set(wanted.values())) == len(wanted), f"{service} gave an event two positions"

    def _check_profiles(self, events):
        """auth: each acknowledged change was written; each event is in the inboxes of four services, and took effect there."""
        told = [(event.data["user_id"], event.data["version"]) for event in events]
        _same("changes of profiles", told, set(told))
        lost = set(self.acknowledged[Profile]) - set(told)
        assert not lost, f"{len(lost)} acknowledged changes are not in the outbox, as {sorted(lost)[:3]}"
        if not told:
            return
        newest = dict(sorted(told, key=lambda one: one[1]))
        ids = {event.id for event in events}
        for group in ("main-health", "memory", "scheduler"):
            database, known = DATABASES[group], "SELECT event_id::text FROM inbox WHERE event_id = ANY(%s::uuid[])"
            _same(f"inbox of {group}", [row[0] for row in self.house.postgres.rows(database, known, list(ids))], ids)
            rows = self.house.postgres.rows(database, "SELECT user_id::text, version FROM user_refs")
            _includes(f"people as {group} knows them", dict(rows), newest)
        first, last = (f"/salus/auth#{event}" for event in (min(ids), max(ids)))
        entries = self.documents["inbox"].find({"_id": {"$gte": first, "$lte": last}})
        _same("inbox of chat", [one["_id"].partition("#")[2] for one in entries], ids)
        known = {one["_id"]: one["version"] for one in self.documents["user_refs"].find()}
        _includes("people as chat knows them", known, newest)

    def _check_health(self, events):
        """main-health: each acknowledged line is one fact, told once; and so is what chat wrote down."""
        sources = [job.source for job in self.jobs if isinstance(job, HealthEvents)]
        acknowledged = self.acknowledged[HealthEvents]
        rows = self.house.postgres.rows("salus_health", "SELECT id::text FROM health_events WHERE source = ANY(%s)", sources)
        _same("facts of health", [row[0] for row in rows], set(acknowledged))
        told = Counter(event for one in events if one.kind == "health.updated.v1" for event in one.data["event_ids"])
        twice = [event for event, count in told.items() if count > 1]
        assert not twice and set(acknowledged) <= set(told), f"{len(twice)} told twice, {len(set(acknowledged) - set(told))} never"
        self.noted = set(told) - set(acknowledged)

    def _check_memories(self, events):
        asked = [f"I like number {job.key}" for job in self.jobs if isinstance(job, Memory)]
        rows = self.house.postgres.rows("salus_memory", "SELECT id::text FROM memory_items WHERE content = ANY(%s)", asked)
        _same("memories", [row[0] for row in rows], set(self.acknowledged[Memory]))
        told = [event.data["memory_id"] for event in events if event.kind == "memory.created.v1"]
        _same("memory.created", told, set(self.acknowledged[Memory]))

    def _check_schedules(self, events):
        acknowledged = self.acknowledged[Due]
        rows = self.house.postgres.rows("salus_scheduler", """
            SELECT schedule_id::text FROM occurrences WHERE state = 1 AND schedule_id = ANY(%s::uuid[])""", acknowledged)
        _same("occurrences", [row[0] for row in rows], set(acknowledged))
        _same("schedule.due", [event.data["schedule_id"] for event in events if event.kind == "schedule.due.v1"], set(acknowledged))

    def _check_mail(self):
        """Each reminder is one message: sent again only under the id by which a mail program knows it."""
        asked = {f"Reminder: {job.key}" for job in self.jobs if isinstance(job, Reminder)}
        if not asked:
            return
        sent = {(message["Subject"], message["Message-ID"]) for message in self.house.sink.messages()}
        _same("reminders", [subject for subject, _ in sent if subject in asked], asked)

    def _check_messages(self, events):
        """chat: each message is there once and has one reply; what a reply says that it noted was noted, once."""
        messages = {one["id"]: one for page in self.documents["pages"].find({"conversationId": {"$in": self._conversations()}})
                    for one in page["messages"]}
        said = [one for one in messages.values() if one["role"] == "user"]
        keys = [one["key"] for one in said]
        _same("messages", keys, {job.key for job in self.jobs if isinstance(job, Message)})
        _same("replies", [(one["id"], one["replyId"]) for one in said], set(self.acknowledged[Message]))
        _same("message.created", [one.data["message_id"] for one in events if one.kind == "message.created.v1"], set(messages))
        done = sum(any(tool["status"] == "done" for tool in one.get("tools", [])) for one in messages.values())
        assert done <= len(self.noted) <= len(said), f"{done} replies say so, {len(self.noted)} facts were noted of {len(said)} messages"

    # ---- what goes on by itself

    def _wait_for_mail(self, within: float):
        eventually(lambda: not self.house.postgres.rows("salus_scheduler", "SELECT FROM delivery_queue"), within=within,
                   what="all messages have gone out")

    def _conversations(self) -> list[str]:
        return [person.conversation for person in self.people]

    def _wait_for_replies(self, within: float):
        """A reply whose producer has died ends when somebody looks at it: its person does."""
        people = {person.conversation: person for person in self.people}

        def ended():
            pages = list(self.documents["pages"].find({"messages.state": "streaming"}))
            for page in pages:
                place = next(one["seq"] for one in page["messages"] if one.get("state") == "streaming")
                with client.Api(self.house.replicas["chat"][0].url, people[page["conversationId"]].token) as api:
                    answer = api.get(f"/v1/conversations/{page['conversationId']}/messages?from_seq={place}")
            assert not pages, answer.text
            return True
        eventually(ended, within=within, what="all replies have ended")

    def _wait_for_due(self, within: float):
        keys = [job.key for job in self.jobs if isinstance(job, Due)]
        def came():
            rows = self.house.postgres.rows("salus_scheduler", """
                SELECT count(*) FROM occurrences o JOIN schedules s ON s.id = o.schedule_id WHERE s.name = ANY(%s)""", keys)
            return rows[0][0] >= len(keys)
        eventually(came, within=within, what="all schedules came due")


def _same(what: str, found: list, wanted: set):
    """Each of what is wanted once, and nothing else."""
    twice = [one for one, count in Counter(found).items() if count > 1]
    lost, more = wanted - set(found), set(found) - wanted
    assert not twice and not lost and not more, (
        f"{what}: {len(lost)} lost, {len(twice)} twice, {len(more)} too many, of {len(wanted)}; as {[*lost, *twice, *more][:3]}")


def _includes(what: str, found: dict, wanted: dict):
    wrong = {key: (found.get(key), value) for key, value in wanted.items() if found.get(key) != value}
    assert not wrong, f"{what}: {len(wrong)} of {len(wanted)} are not as they should be, as {list(wrong.items())[:3]}"
