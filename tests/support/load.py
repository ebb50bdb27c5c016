"""Requests to all five services from several threads, as many as a test needs: each is repeated until it is
acknowledged, under the same idempotency key, as clients do."""

import itertools
import json
import queue
import socket
import threading
import time
from collections import Counter
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

from support.waiting import eventually

THREADS = 8
WINDOW = 8   # requests of a connection that wait for their answers
TIMEOUT_S = 15
HEAD = ("{method} {path} HTTP/1.1\r\nHost: salus\r\nAuthorization: Bearer {token}\r\n{extra}Content-Type: {kind}\r\n"
        "Content-Length: {size}\r\n\r\n")
JSON, LINES, PATCH = "application/json", "application/x-ndjson", "application/merge-patch+json"
_numbers = itertools.count()


@dataclass
class Answer:
    status: int
    headers: dict[bytes, bytes]
    body: bytes

    def json(self):
        return json.loads(self.body)


class Connection:
    """Pipelined requests on one socket."""

    def __init__(self, port: int):
        self.socket = socket.create_connection(("127.0.0.1", port), timeout=TIMEOUT_S)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.file = self.socket.makefile("rb")

    def send(self, requests: list[bytes]):
        self.socket.sendall(b"".join(requests))

    def _line(self) -> bytes:
        line = self.file.readline()
        if not line.endswith(b"\r\n"):
            raise ConnectionError("closed")
        return line[:-2]

    def _exactly(self, size: int) -> bytes:
        data = self.file.read(size)
        if len(data) < size:
            raise ConnectionError("closed")
        return data

    def answer(self) -> Answer:
        status, headers, body = int(self._line()[9:12]), {}, b""
        while line := self._line():
            name, _, value = line.partition(b":")
            headers[name.lower()] = value.strip()
        if b"chunked" in headers.get(b"transfer-encoding", b""):
            while size := int(self._line(), 16):
                body += self._exactly(size + 2)[:-2]
            self._line()
        else:
            body = self._exactly(int(headers.get(b"content-length", 0)))
        return Answer(status, headers, body)

    def close(self):
        self.file.close()
        self.socket.close()


def request(person, method: str, path: str, body: bytes, kind: str = JSON, key: str | None = None) -> bytes:
    extra = f"Idempotency-Key: {key}\r\n" if key else ""
    head = HEAD.format(method=method, path=path, token=person.token, extra=extra, kind=kind, size=len(body))
    return head.encode() + body


# ---- kinds of facts

@dataclass
class Profile:
    """A changed name: `user.updated`, which four services read."""

    person: object
    service = "auth"
    facts = 1
    key: str = field(default_factory=lambda: f"name {next(_numbers)}")

    def request(self) -> bytes:
        return request(self.person, "PATCH", "/v1/me", json.dumps({"display_name": self.key}).encode(), PATCH)

    def taken(self, answer: Answer) -> list:
        return [(self.person.id, int(answer.headers[b"etag"].strip(b'W/"')))]


@dataclass
class HealthEvents:
    """Lines of facts: `health.updated` for each statement that they become."""

    person: object
    service = "main-health"
    facts = 25
    numbers: list = field(default_factory=lambda: [next(_numbers) for _ in range(25)])

    @property
    def source(self) -> str:
        return f"ledger {self.numbers[0]}"

    def request(self) -> bytes:
        lines = [json.dumps({"event_type": "vital", "event_subtype": "heart_rate", "source": self.source, "key": f"ledger-{number}",
                             "event_data": {"value": 60 + number % 60, "unit": "/min"}}) for number in self.numbers]
        return request(self.person, "POST", "/v1/health-events/batch", "\n".join(lines).encode(), LINES)

    def taken(self, answer: Answer) -> list | None:
        lines = [json.loads(line) for line in answer.body.splitlines()]
        if len(lines) < len(self.numbers) or any(line["status"] >= 500 for line in lines):
            return None
        assert all(line["status"] in (200, 201) for line in lines), lines
        return [line["id"] for line in lines]


@dataclass
class Memory:
    """Something remembered: `memory.created`."""

    person: object
    service = "memory"
    facts = 1
    key: str = field(default_factory=lambda: f"memory-{next(_numbers)}")

    def request(self) -> bytes:
        return request(self.person, "POST", "/v1/memories", json.dumps({"content": f"I like number {self.key}"}).encode(), key=self.key)

    def taken(self, answer: Answer) -> list:
        return [answer.json()["id"]]


@dataclass
class Message:
    """Said to the companion, which writes it down in main-health by a call: `message.created` for it and for its reply."""

    person: object
    service = "chat"
    facts = 1
    key: str = field(default_factory=lambda: f"message-{next(_numbers)}")

    def request(self) -> bytes:
        path = f"/v1/conversations/{self.person.conversation}/messages"
        return request(self.person, "POST", path, b'{"content": "I slept badly"}', key=self.key)

    def taken(self, answer: Answer) -> list:
        sent = answer.json()
        return [(sent["message"]["id"], sent["reply_id"])]


@dataclass
class Due:
    """A schedule that comes due in a moment: `schedule.due`."""

    person: object
    service = "scheduler"
    facts = 1
    delay_s: float = 6
    body: dict = field(default_factory=lambda: {"reminder_method": "none"})
    key: str = ""
    at: datetime | None = None

    def request(self) -> bytes:
        if not self.at:
            self.key = f"schedule-{next(_numbers)}"
            self.at = (datetime.now(UTC) + timedelta(seconds=self.delay_s)).replace(microsecond=0)
        body = {"name": self.key, "cron_expression": f"@at {self.at:%Y-%m-%dT%H:%M:%SZ}", "overlap_policy": "allow"} | self.body
        return request(self.person, "POST", "/v1/schedules", json.dumps(body).encode(), key=self.key)

    def taken(self, answer: Answer) -> list | None:
        if answer.status == 422 and answer.json()["code"] == "never_fires":
            self.at = None  # its time passed while it was refused: another one
            return None
        return [answer.json()["id"]]


@dataclass
class Reminder(Due):
    """A schedule that sends a message: `reminder.delivered` too."""

    body: dict = field(default_factory=dict)


MIX = [(Profile, 12), (HealthEvents, 70), (Memory, 10), (Message, 2), (Due, 6)]  # facts of a hundred


class Load:
    """`acknowledged` has the facts by kind, in the order in which they were; `jobs` what was asked for."""

    def __init__(self, house, people):
        self.house = house
        self.people = people
        self.acknowledged: dict[type, list] = {kind: [] for kind, _ in MIX}
        self.jobs: list = []
        self.refused = Counter()
        self.count = 0
        self.errors: list[BaseException] = []
        self._queue: queue.SimpleQueue = queue.SimpleQueue()
        self._left = 0
        self._lock = threading.Lock()
        self._threads: list[threading.Thread] = []

    def start(self, facts: int, mix=MIX):
        """Begins to ask for so many facts more, of all kinds at a time."""
        people, whole = itertools.cycle(self.people), sum(share for _, share in mix)
        windows = []  # a window is of one kind; those of all kinds are mixed evenly
        for kind, share in mix:
            jobs = [kind(next(people)) for _ in range(max(1, facts * share // whole // kind.facts))]
            size = max(1, WINDOW // kind.facts)
            windows += [(at / len(jobs), kind.__name__, jobs[at:at + size]) for at in range(0, len(jobs), size)]
            self.jobs += jobs
            with self._lock:
                self._left += len(jobs)
        for _, _, jobs in sorted(windows, key=lambda window: window[:2]):
            self._queue.put(jobs)
        self._threads = [thread for thread in self._threads if thread.is_alive()]
        for i in range(THREADS - len(self._threads)):
            thread = threading.Thread(target=self._run, args=(i,), daemon=True)
            self._threads.append(thread)
            thread.start()
        return self

    def top_up(self, facts: int, mix=MIX):
        """Asks for more when less than that is left."""
        if sum(job.facts for job in self.jobs) - self.count < facts:
            self.start(facts, mix)

    def wait_for(self, facts: int, within: float = 120):
        def there():
            assert not self.errors, self.errors[0]
            return self.count >= facts
        eventually(there, within=within, what=f"{facts} acknowledged facts, of which {self.count}; refused {dict(self.refused)}")

    def finish(self, within: float = 120):
        def done():
            if self.errors:
                raise RuntimeError("a request was refused") from self.errors[0]
            return self._left == 0
        eventually(done, within=within, what="all is acknowledged")
        for thread in self._threads:
            thread.join()
        return self

    def _run(self, number: int):
        connections: dict[str, Connection] = {}
        turn = itertools.count(number)
        while self._left and not self.errors:
            try:
                jobs = self._queue.get(timeout=0.05)
            except queue.Empty:
                continue
            try:
                rest = self._ask(connections, jobs, turn)
            except BaseException as error:  # told by whoever waits
                self.errors.append(error)
                return
            if rest:
                self._queue.put(rest)
                time.sleep(0.05)
        for connection in connections.values():
            connection.close()

    def _ask(self, connections, jobs, turn) -> list:
        """Returns those that are to be asked again."""
        service, rest = jobs[0].service, []
        daemons = self.house.replicas[service]
        left = list(jobs)
        try:
            if service not in connections:
                connections[service] = Connection(daemons[next(turn) % len(daemons)].port)
            connections[service].send([job.request() for job in jobs])
            for job in jobs:
                answer = connections[service].answer()
                left.remove(job)
                if not self._note(job, answer):
                    rest.append(job)
                if answer.headers.get(b"connection", b"").lower() == b"close":
                    raise ConnectionError("closed")
        except (OSError, ConnectionError, ValueError) as error:
            self.refused[type(error).__name__] += 1
            if connection := connections.pop(service, None):
                connection.close()
        return rest + left

    def _note(self, job, answer: Answer) -> bool:
        if answer.status >= 500 or answer.status in (409, 429):
            self.refused[answer.status] += 1
            return False
        facts = job.taken(answer) if answer.status < 400 or isinstance(job, Due) and answer.status == 422 else None
        if facts is None:
            assert answer.status < 400 or isinstance(job, Due) and answer.status == 422, f"{answer.status}: {answer.body!r}"
            self.refused["again"] += 1
            return False
        with self._lock:
            self.acknowledged[next(kind for kind in self.acknowledged if isinstance(job, kind))] += facts
            self.count += len(facts)
            self._left -= 1
        return True
