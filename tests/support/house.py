"""All five services, two daemons of each, on one set of stores."""

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from support import client
from support.bus_reader import BusReader
from support.daemon import Daemon
from support.mail import SinkThread
from support.stack import Stack
from support.waiting import eventually

FIVE = ("auth", "main-health", "memory", "scheduler", "chat")
PEOPLE = 64
LEASE = 1.5
# What the dead had in hand is taken over soon, and nobody's token ends within a run.
SETTINGS = {"SALUS_EVENT_LEASE": "1500ms", "SALUS_RPC_LEASE": "1s"}
OWN = {"auth": {"SALUS_ACCESS_TOKEN_LIFE": "1h"}, "chat": {"SALUS_REPLY_TIMEOUT": "10s"}}


class House:
    """`replicas` has the daemons by service, `people` those who use all of them, `reader` what is on the five streams,
    `sink` the mail that went out."""

    def __init__(self, folder: Path, replicas: int = 2):
        self.stack = Stack(folder)
        self.stack.start()
        self.stack.mongo.start()
        self.postgres, self.bus, self.mongo = self.stack.postgres, self.stack.bus, self.stack.mongo
        self.mail = SinkThread(folder / "mail").__enter__()
        self.sink = self.mail.sink
        self.replicas = {service: [self.daemon(service, f"{service}-{n}") for n in range(replicas)] for service in FIVE}
        with ThreadPoolExecutor(len(FIVE)) as pool:
            list(pool.map(lambda daemons: daemons[0].migrate(), self.replicas.values()))
            self.start()
            self.people = list(pool.map(lambda _: client.register(self.replicas["auth"][0].url, name="fact"), range(PEOPLE)))
        self.reader = BusReader(self.bus, FIVE)

    def _begin_conversation(self, person):
        chat = client.Api(self.replicas["chat"][0].url, person.token)
        made = eventually(lambda: (answer := chat.post("/v1/conversations", json={})).status_code == 201 and answer, within=20,
                          what="chat knows the person")
        person.conversation = made.json()["id"]

    def daemon(self, service: str, name: str, **settings: str) -> Daemon:
        """One more, not started, with the settings that all have here."""
        own = OWN.get(service, {}) | ({"SALUS_SMTP_URL": f"smtp://127.0.0.1:{self.mail.port}"} if service == "scheduler" else {})
        return self.stack.daemon(service, name=name, start=False, **SETTINGS, **own, **settings)

    def begin_conversations(self):
        """A new one for each person: person.conversation."""
        with ThreadPoolExecutor(8) as pool:
            list(pool.map(self._begin_conversation, self.people))

    @property
    def daemons(self) -> list[Daemon]:
        return [daemon for daemons in self.replicas.values() for daemon in daemons]

    def start(self, *services: str):
        """Starts what does not run of these services, of all without a name."""
        started = [daemon for service in services or FIVE for daemon in self.replicas[service] if not daemon.is_running()]
        for daemon in started:
            daemon.start(wait=False)
        for daemon in started:
            daemon.wait_ready()

    def stop(self, *services: str):
        """SIGTERM to all daemons of these services at once; each ends in time and in order."""
        stopped = [daemon for service in services or FIVE for daemon in self.replicas[service] if daemon.is_running()]
        with ThreadPoolExecutor(len(stopped) or 1) as pool:
            for daemon, status in zip(stopped, pool.map(lambda daemon: daemon.stop(within=12), stopped), strict=True):
                assert status == 0, f"{daemon.name} ended with {status}\n{daemon.log_tail()}"

    def metric(self, service: str, name: str, **labels: str) -> float:
        return sum(daemon.metric(name, **labels) for daemon in self.replicas[service] if daemon.is_running())

    def wait_ready(self, within: float = 30):
        eventually(lambda: all(daemon.is_ready() for daemon in self.daemons), within=within, what="all are ready")

    def end(self):
        self.reader.end()
        self.stack.stop()
        assert "deadlock detected" not in self.postgres.log_text(), "replicas waited for each other in a circle"
        self.mail.__exit__(None, None, None)
