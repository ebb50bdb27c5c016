"""A ledger of facts: what auth acknowledged, what it wrote down, and what main-health made of it."""

import http.client
import itertools
import json
import threading
import time
from collections import Counter

from support import client
from support.waiting import eventually

THREADS = 8
PEOPLE = 64


class Ledger:
    """Changes profiles (PATCH /v1/me, one user.updated each) from several threads and compares, at the end, each
    acknowledged change with its effect: its event in auth's outbox, that event once in main-health's inbox, and the
    version of the person there."""

    def __init__(self, stack, auth):
        self.stack = stack
        self.auth = auth
        self.people = [client.register(auth.url, name="fact") for _ in range(PEOPLE)]
        self.acknowledged: list[tuple[str, int]] = []
        self.refused = Counter()
        self.wanted = 0
        self.threads: list[threading.Thread] = []
        self.numbers = itertools.count()
        self.lock = threading.Lock()
        self.stopping = False

    # ---- facts

    def start(self, facts: int):
        """Begins to make facts, `facts` acknowledged ones in all."""
        self.wanted += facts
        self.stopping = False
        self.threads = [threading.Thread(target=self._make, args=(self.people[i::THREADS],), daemon=True)
                        for i in range(THREADS)]
        for thread in self.threads:
            thread.start()
        return self

    def wait_for(self, facts: int, within: float = 600):
        eventually(lambda: len(self.acknowledged) >= facts, within=within,
                   what=f"{facts} acknowledged facts of {self.wanted}; refused {dict(self.refused)}")

    def finish(self, within: float = 900):
        deadline = time.monotonic() + within
        for thread in self.threads:
            thread.join(max(0, deadline - time.monotonic()))
        self.stopping = True
        assert not any(thread.is_alive() for thread in self.threads), \
            f"{len(self.acknowledged)} of {self.wanted} facts after {within} s; refused {dict(self.refused)}"
        return self

    def make(self, facts: int):
        return self.start(facts).finish()

    def _make(self, people):
        connection = None
        for person in itertools.cycle(people):
            with self.lock:
                if len(self.acknowledged) >= self.wanted or self.stopping:
                    return
            try:
                connection = connection or http.client.HTTPConnection("127.0.0.1", self.auth.port, timeout=15)
                self._change(connection, person)
            except (OSError, http.client.HTTPException) as error:
                connection = None
                self.refused[type(error).__name__] += 1
                time.sleep(0.05)

    def _change(self, connection, person):
        body = json.dumps({"display_name": f"name {next(self.numbers)}"})
        connection.request("PATCH", "/v1/me", body, {
            "Authorization": f"Bearer {person.token}", "Content-Type": "application/merge-patch+json"})
        answer = connection.getresponse()
        text = answer.read()
        if answer.status != 200:
            self.refused[answer.status] += 1
            if answer.status in (400, 401, 403, 404, 415, 422):
                raise AssertionError(f"{answer.status}: {text!r}")
            time.sleep(0.02)
            return
        with self.lock:
            self.acknowledged.append((person.id, int(answer.headers["ETag"].strip('W/"'))))

    # ---- effects

    def written(self) -> dict[str, tuple[str, int]]:
        """The events of auth's outbox: id to person and version."""
        rows = self.stack.postgres.rows("salus_auth", """
            SELECT split_part(line, E'\\t', 1), data ->> 'user_id', (data ->> 'version')::bigint
            FROM outbox, string_to_table(payload, E'\\n') line, LATERAL (SELECT split_part(line, E'\\t', 8)::jsonb) d (data)""")
        events = {event: (person, version) for event, person, version in rows}
        assert len(events) == len(rows), "an event id was given twice"
        return events

    def received(self) -> list[str]:
        return [str(row[0]) for row in self.stack.postgres.rows("salus_health", "SELECT event_id FROM inbox")]

    def wait_until_complete(self, within: float = 120):
        """All that was written has come, and is done with."""
        def complete():
            count = self.stack.postgres.rows("salus_auth", "SELECT coalesce(sum(event_count), 0) FROM outbox")[0][0]
            came = self.stack.postgres.rows("salus_health", "SELECT count(*) FROM inbox")[0][0]
            assert came >= count, f"{came} of {count} facts had their effect"
            return True

        eventually(complete, within=within, what="every fact had its effect")

    def check(self, within: float = 120):
        """Nothing lost, nothing twice."""
        self.wait_until_complete(within)
        written, received = self.written(), self.received()
        lost = set(self.acknowledged) - set(written.values())
        assert not lost, f"{len(lost)} acknowledged facts are not in the outbox, as {sorted(lost)[:3]}"
        assert len(received) == len(set(received))
        assert set(received) == set(written), "the inbox has not exactly the events that were written"
        newest = {}
        for person, version in written.values():
            newest[person] = max(version, newest.get(person, 0))
        known = {str(person): version for person, version in self.stack.postgres.rows(
            "salus_health", "SELECT user_id, version FROM user_refs")}
        assert known == newest, "somebody's version is not the newest that auth told"
        self._check_positions(len(written))

    def _check_positions(self, count: int):
        def all_done():
            given = self.stack.postgres.rows(
                "salus_auth", "SELECT coalesce(sum(events), 0)::bigint FROM outbox_range WHERE NOT is_void")[0][0]
            head = self.stack.postgres.rows(
                "salus_auth", "SELECT coalesce(max(first_position + events - 1), 0) FROM outbox_range")[0][0]
            done = self.stack.postgres.rows("salus_health", "SELECT position FROM inbox_stream WHERE stream = 'auth'")
            assert given == count, f"{given} positions were given to {count} events"
            assert done and done[0][0] == head, f"done up to {done}, head is {head}"
            return True

        eventually(all_done, within=30, what="all positions are done with")
