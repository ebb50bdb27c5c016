"""The companion: how soon a reply ends when somebody says stop."""

import json
import socketserver
import statistics
import threading
import time

import httpx

from bench.rig import Rig
from bench.table import Row
from support import client

SAMPLES = 100
TOKEN_S = 0.002
HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nConnection: close\r\n\r\n"
TOKEN = b'data: {"id":"c","object":"chat.completion.chunk","created":1,"model":"m","choices":[{"index":0,"delta":{"content":"word "}}]}\n\n'


class Endless(socketserver.ThreadingTCPServer):
    """A model that never comes to an end, and notes when its client has gone."""

    daemon_threads = allow_reuse_address = True

    def __init__(self):
        super().__init__(("127.0.0.1", 0), Talk)
        self.gone_at: list[float] = []
        self.gone = threading.Condition()
        threading.Thread(target=self.serve_forever, daemon=True).start()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}/v1"

    def wait_gone(self, count: int) -> float:
        with self.gone:
            assert self.gone.wait_for(lambda: len(self.gone_at) >= count, timeout=10), "the model still talks"
            return self.gone_at[-1]


class Talk(socketserver.BaseRequestHandler):
    def handle(self):
        head = b""
        while b"\r\n\r\n" not in head:
            head += self.request.recv(65536)
        self.request.sendall(HEAD)
        watcher = threading.Thread(target=self.watch)
        watcher.start()
        try:
            while watcher.is_alive():
                self.request.sendall(TOKEN)
                watcher.join(TOKEN_S)
        except OSError:
            pass
        watcher.join()

    def watch(self):
        """Blocks until the client closes, so that the moment is exact; the rest of a long request is read on the way."""
        try:
            while self.request.recv(65536):
                pass
        except OSError:
            pass
        now = time.perf_counter()
        with self.server.gone:
            self.server.gone_at.append(now)
            self.server.gone.notify_all()


class Reader(threading.Thread):
    """Follows a reply; when it has said something, and when its `done` came."""

    def __init__(self, person, chat: str, path: str):
        super().__init__(daemon=True)
        self.request = (chat + path, {"Authorization": f"Bearer {person.token}", "Accept": "text/event-stream"})
        self.talking = threading.Event()
        self.done_at = 0.0
        self.state = None
        self.start()

    def run(self):
        url, headers = self.request
        with httpx.stream("GET", url, headers=headers, timeout=30) as answer:
            event = ""
            for line in answer.iter_lines():
                if line.startswith("event: "):
                    event = line[7:]
                    if event == "delta":
                        self.talking.set()
                elif line.startswith("data: ") and event in ("done", "error"):
                    self.done_at = time.perf_counter()
                    self.state = json.loads(line[6:]).get("state")


def one(person, model: Endless, count: int, owner: str, stopper: httpx.Client, conversation: str) -> tuple[float, float]:
    """Milliseconds from the stop's request to the model's closed connection, and to `done` at the client."""
    api = client.Api(owner, person.token)
    sent = api.post(f"/v1/conversations/{conversation}/messages", json={"content": "tell me a story"})
    assert sent.status_code == 202, sent.text
    path = f"/v1/replies/{sent.json()['reply_id']}"
    reader = Reader(person, owner, path + "/stream")
    assert reader.talking.wait(10), "no text came"
    time.sleep(0.02)
    began = time.perf_counter()
    answer = stopper.post(path + "/stop")
    assert answer.status_code == 204, answer.text
    gone = model.wait_gone(count)
    reader.join(10)
    assert reader.state == "stopped", reader.state
    return (gone - began) * 1000, (reader.done_at - began) * 1000


def stop(rig: Rig):
    model, person = Endless(), client.register(rig.auth.url, rig.health.url)
    settings = {"SALUS_PLANNER": "openai", "SALUS_MODEL_URL": model.url, "SALUS_MODEL": "m", "SALUS_CONTEXT_TIMEOUT": "100ms"}
    owner = rig.stack.daemon("chat", **settings)
    other = rig.stack.daemon("chat", name="chat-other", **settings)
    conversation = client.Api(owner.url, person.token).post("/v1/conversations", json={}).json()["id"]
    rows, count = [], 0
    for where, replica in (("its replica", owner), ("another replica", other)):
        with httpx.Client(base_url=replica.url, headers={"Authorization": f"Bearer {person.token}"}, timeout=30) as stopper:
            text, done = [], []
            for _ in range(SAMPLES):
                count += 1
                gone_ms, done_ms = one(person, model, count, owner.url, stopper, conversation)
                text.append(gone_ms)
                done.append(done_ms)
        checked = f"{SAMPLES} replies stopped, each with its last event"
        rows += [Row(f"stop at {where}: to the end of the model's text, p50", "ms", ours=[statistics.median(text)], checked=checked),
                 Row(f"stop at {where}: to the end of the model's text, p99", "ms", goal=20, at_most=True, absolute=True,
                     ours=[statistics.quantiles(text, n=100)[98]], checked=checked),
                 Row(f"stop at {where}: to `done` at the client, p50", "ms", ours=[statistics.median(done)], checked=checked)]
    model.shutdown()
    inside = owner.metric("salus_chat_stop_seconds_sum") / owner.metric("salus_chat_stop_seconds_count") * 1000
    return [*rows, Row("stop, as the daemon measures it from the signal to the end of the text, mean", "ms", ours=[inside])]


ROWS = {"stop": stop}
