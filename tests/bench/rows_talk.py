"""The companion: how soon the first word comes, and whether a long conversation takes longer to go on."""

import json
import socket
import socketserver
import statistics
import subprocess
import threading
import time
from contextlib import closing

import pymongo
from bench.rig import Rig
from bench.table import Row
from support import client
from support.paths import ROOT
from support.waiting import eventually

SAMPLES = 200
WARM = 500
ROUNDS = 3
APPENDS = 60
LONG = {"stand-in": 10_000}   # it keeps all in memory and scans where MongoDB has an index
A_LONG = 100_000
A_PAGE = 64
WORDS = b"".join(b'data: {"id":"c","object":"chat.completion.chunk","created":1,"model":"m","choices":'
                 b'[{"index":0,"delta":{"content":"word "},"finish_reason":null}]}\n\n' for _ in range(3))
END = (b'data: {"id":"c","object":"chat.completion.chunk","created":1,"model":"m","choices":'
       b'[{"index":0,"delta":{},"finish_reason":"stop"}]}\n\ndata: [DONE]\n\n')


class Model(socketserver.ThreadingTCPServer):
    """Says three words as soon as it was asked, on connections that stay."""

    daemon_threads = allow_reuse_address = True

    def __init__(self):
        super().__init__(("127.0.0.1", 0), Saying)
        threading.Thread(target=self.serve_forever, daemon=True).start()


class Saying(socketserver.StreamRequestHandler):
    disable_nagle_algorithm = True

    def handle(self):
        while self.rfile.readline():
            length = 0
            while (line := self.rfile.readline()) not in (b"\r\n", b""):
                if line.lower().startswith(b"content-length:"):
                    length = int(line.split(b":")[1])
            self.rfile.read(length)
            body = b"".join(f"{len(piece):x}\r\n".encode() + piece + b"\r\n" for piece in (WORDS, END)) + b"0\r\n\r\n"
            self.wfile.write(b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n" + body)


class Line:
    """A connection that stays open: posts, and says when a mark came."""

    def __init__(self, port: int):
        self.socket = socket.create_connection(("127.0.0.1", port), timeout=30)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def close(self):
        self.socket.close()

    def post(self, path: str, body: dict, mark: bytes, end: bytes, **headers: str) -> float:
        """Milliseconds from the request to `mark`; reads on to `end`."""
        content = json.dumps(body).encode()
        lines = "".join(f"{name.replace('_', '-')}: {value}\r\n" for name, value in headers.items())
        began = time.perf_counter()
        self.socket.sendall(f"POST {path} HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n{lines}"
                            f"Content-Length: {len(content)}\r\n\r\n".encode() + content)
        came, data = 0.0, b""
        while not data.endswith(end):
            piece = self.socket.recv(65536)
            assert piece, f"{path}: cut after {data[-500:]!r}"
            data += piece
            if not came and mark in data:
                came = time.perf_counter()
        assert came and b" 200 " in data[:20], data.decode()
        return (came - began) * 1000


class Talker:
    """A conversation on a line of its own; words are asked for with the message."""

    def __init__(self, person: client.Person, daemon):
        self.person, self.line = person, Line(daemon.port)
        self.path = f"/v1/conversations/{client.Api(daemon.url, person.token).post('/v1/conversations', json={}).json()['id']}/messages"

    def first_word(self, content: str) -> float:
        return self.line.post(self.path, {"content": content}, b"event: delta", b"\r\n0\r\n\r\n", Accept="text/event-stream",
                              Authorization=f"Bearer {self.person.token}")


def five(rig: Rig, **chat: str):
    """All that the companion asks is there, and one person whom everybody knows and who told it something."""
    person = client.register(rig.auth.url, rig.health.url)
    daemon = rig.stack.daemon("chat", name=f"chat-{chat.get('SALUS_PLANNER', 'rules')}", **chat)
    memories = client.Api(rig.memory.url, person.token)
    eventually(lambda: memories.post("/v1/memories", json={"content": "I am allergic to penicillin"}).status_code == 201, within=20)
    return person, daemon


def warm(rig: Rig, daemon, question: str):
    """Servers that have run for a while: others have talked before. A person may say 600 messages a minute."""
    other = Talker(client.register(rig.auth.url, rig.health.url), daemon)
    with closing(other.line):
        for _ in range(WARM):
            other.first_word(question)


def newest(api: client.Api, path: str) -> dict:
    count = api.get(path.removesuffix("/messages")).json()["message_count"]
    return api.get(path, params={"from_seq": count - 1}).json()["items"][-1]


def bare_write(rig: Rig) -> float:
    """Milliseconds of one durable write alone: a document of a page's size, at the same server, by a driver that waits for it."""
    with rig.stack.mongo.connect() as connection:
        pages = connection.bench.get_collection("pages", write_concern=pymongo.WriteConcern(w="majority", j=True))
        pages.insert_one({"_id": "page", "messages": [{"seq": i, "content": "word " * 20} for i in range(A_PAGE)]})
        took = []
        for i in range(SAMPLES):
            began = time.perf_counter()
            pages.find_one_and_update({"_id": "page"}, {"$set": {"messages.0.seq": i}})
            took.append((time.perf_counter() - began) * 1000)
        connection.drop_database("bench")
    return statistics.median(took)


def first_token(rig: Rig) -> list[Row]:
    scheduler = rig.beside_auth("scheduler")
    rows = []
    person, daemon = five(rig)
    talker = Talker(person, daemon)
    with closing(talker.line):
        eventually(lambda: talker.first_word("what am I allergic to?") < 50, within=20)
        warm(rig, daemon, "what am I allergic to?")
        took = [talker.first_word("what am I allergic to?") for _ in range(SAMPLES)]
    reply = newest(client.Api(daemon.url, person.token), talker.path)
    checked = "recalled" if "penicillin" in reply["content"] else f"VOID: {reply['content']}"
    daemon.stop()
    written = bare_write(rig)
    rows += [Row("first token by rules, with recall, p50", "ms", goal=3, at_most=True, absolute=True, ours=[statistics.median(took)],
                 checked=checked),
             Row("first token by rules: as many bare durable writes", "times", "one bare write of a page, ms",
                 ours=[statistics.median(took)], references=[written]),
             Row("first token by rules, with recall, p99", "ms", ours=[statistics.quantiles(took, n=100)[98]], checked=checked)]

    with Model() as model:
        port = model.server_address[1]
        person, daemon = five(rig, SALUS_PLANNER="openai", SALUS_MODEL_URL=f"http://127.0.0.1:{port}/v1", SALUS_MODEL="m")
        talker, direct = Talker(person, daemon), Line(port)
        body = {"model": "m", "stream": True, "messages": [{"role": "user", "content": "tell me a story"}]}
        ours, alone = [], []
        with closing(talker.line), closing(direct):
            warm(rig, daemon, "tell me a story")
            talker.first_word("tell me a story")
            for _ in range(ROUNDS):
                ours.append(statistics.median(talker.first_word("tell me a story") for _ in range(SAMPLES // ROUNDS)))
                alone.append(statistics.median(direct.post("/v1/chat/completions", body, b'"content":"word', b"\r\n0\r\n\r\n")
                                               for _ in range(SAMPLES // ROUNDS)))
        daemon.stop()
        model.shutdown()
    scheduler.stop()
    added = [a - b for a, b in zip(ours, alone, strict=True)]
    return [*rows,
            Row("first token of a model through chat, p50", "ms", "the same model directly", ours=ours, references=alone),
            Row("first token of a model: what chat adds, p50", "ms", goal=1, at_most=True, absolute=True, ours=added)]


def long_is() -> int:
    choice = subprocess.run([ROOT / "scripts/lib/mongo-server", "--choice"], capture_output=True, text=True, check=True)
    return LONG.get(choice.stdout.strip(), A_LONG)


def lengthen(rig: Rig, path: str, messages: int):
    """Full pages before the conversation's last one, as if it had been talked for years."""
    conversation = path.split("/")[3]
    with rig.stack.mongo.connect() as connection:
        database = connection[rig.stack.settings("chat")["MONGO_URI"].rsplit("/", 1)[1].split("?")[0]]
        page = database["pages"].find_one({"_id": f"{conversation}/0"})
        assert page["count"] == A_PAGE, page["count"]
        page.pop("outbox", None)
        pages = messages // A_PAGE
        database["pages"].insert_many(
            page | {"_id": f"{conversation}/{number}",
                    "messages": [message | {"seq": number * A_PAGE + i} for i, message in enumerate(page["messages"])]}
            for number in range(1, pages))
        database["conversations"].update_one({"_id": conversation}, {"$set": {"messageCount": pages * A_PAGE}})


def append(rig: Rig) -> list[Row]:
    messages = long_is()
    person, daemon = five(rig, SALUS_CONTEXT_TIMEOUT="100ms")
    short, long = Talker(person, daemon), Talker(client.register(rig.auth.url, rig.health.url), daemon)
    times = {short: [], long: []}
    with closing(short.line), closing(long.line):
        for _ in range(A_PAGE // 2):
            long.first_word("hello")
        lengthen(rig, long.path, messages)
        for talker in times:
            for _ in range(5):
                talker.first_word("hello")
        for _ in range(APPENDS):
            for talker, took in times.items():
                took.append(accepted(talker))
    api = client.Api(daemon.url, long.person.token)
    count = newest(api, long.path)["seq"] + 1
    expected = messages // A_PAGE * A_PAGE + 2 * (5 + APPENDS)
    daemon.stop()
    return [Row(f"a message to a conversation of {messages:,}, p50", "ms", "to one of 10", goal=1.2, at_most=True,
                ours=[statistics.median(times[long])], references=[statistics.median(times[short])],
                checked=f"{count:,} messages" if count == expected else f"VOID: {count}, not {expected}")]


def accepted(talker: Talker) -> float:
    """The message is stored when its reply has started."""
    return talker.line.post(talker.path, {"content": "hello"}, b"event: started", b"\r\n0\r\n\r\n", Accept="text/event-stream",
                            Authorization=f"Bearer {talker.person.token}")


ROWS = {"first_token": first_token, "append": append}
