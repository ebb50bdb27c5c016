"""What no client of ours would send: the daemon answers or closes, and is as well as before."""

import random
import socket
import threading
import time

import httpx
import pytest
from support.client import PLAIN
from support.waiting import eventually

HEAD = "Host: x\r\n"
JSON = HEAD + "Content-Type: application/json\r\n"


def talk(port: int, data: bytes, pieces: int = 0) -> bytes:
    """Sends, then reads until the server closes; what it had not wanted any more is no error."""
    answer = b""
    with socket.create_connection(("127.0.0.1", port), 10) as line:
        try:
            for start in range(0, len(data), pieces or len(data)):
                line.sendall(data[start:start + (pieces or len(data))])
            while piece := line.recv(65536):
                answer += piece
        except (ConnectionResetError, BrokenPipeError):
            pass
    return answer


@pytest.mark.parametrize("request_text, status", [
    ("GET /healthz HTTP/1.1\nHost: x\n\n", 400),
    ("GET /healthz HTTP/1.1\r\nHost: x\r\nA: b\r\n c\r\n\r\n", 400),
    ("GET /healthz HTTP/1.1\r\nHost : x\r\n\r\n", 400),
    ("GET /healthz HTTP/1.1\r\n\r\n", 400),
    ("GET /healthz HTTP/1.1\r\nHost: x\r\nHost: y\r\n\r\n", 400),
    (f"POST /v1/health-events HTTP/1.1\r\n{JSON}Content-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 400),
    (f"POST /v1/health-events HTTP/1.1\r\n{JSON}Content-Length: 4\r\nContent-Length: 5\r\n\r\nabcde", 400),
    (f"POST /v1/health-events HTTP/1.1\r\n{JSON}Transfer-Encoding: chunked\r\n\r\n3\rXabc\r\n0\r\n\r\n", 400),
    (f"POST /v1/health-events HTTP/1.1\r\n{JSON}Transfer-Encoding: xchunked\r\n\r\n", 501),
    (f"GET /v1/../healthz HTTP/1.1\r\n{HEAD}Connection: close\r\n\r\n", 400),
    (f"GET /v1/%2e%2e/healthz HTTP/1.1\r\n{HEAD}Connection: close\r\n\r\n", 400),
    (f"GET //healthz HTTP/1.1\r\n{HEAD}Connection: close\r\n\r\n", 404),
    (f"GET /healthz/ HTTP/1.1\r\n{HEAD}Connection: close\r\n\r\n", 404),
    (f"GET /healthz%2f HTTP/1.1\r\n{HEAD}Connection: close\r\n\r\n", 400),
    (f"GET /healthz HTTP/1.1\r\n{HEAD}A: {'a' * 20000}\r\n\r\n", 431),
    ("\x16\x03\x01\x02\x00\x01\x00\x01\xfc", 400),
])
@pytest.mark.parametrize("pieces", [0, 3], ids=["at-once", "in-pieces"])
def test_malformed_requests(health, request_text, status, pieces):
    answer = talk(health.port, request_text.encode("latin-1"), pieces if len(request_text) < 1000 else 0)
    assert answer.startswith(f"HTTP/1.1 {status} ".encode()), answer
    assert b"application/problem+json" in answer
    assert answer.count(b"HTTP/1.1 ") == 1, "one request, one reply"


GOOD = [
    f"GET /healthz HTTP/1.1\r\n{HEAD}\r\n",
    f"GET /v1/health-events?limit=3 HTTP/1.1\r\n{HEAD}\r\n",
    f"HEAD /healthz HTTP/1.0\r\n{HEAD}\r\n",
    f"OPTIONS * HTTP/1.1\r\n{HEAD}\r\n",
    f"POST /v1/health-events HTTP/1.1\r\n{JSON}Content-Length: 10\r\n\r\n{{\"size\":5}}",
    f"POST /v1/health-events HTTP/1.1\r\n{JSON}Transfer-Encoding: chunked\r\n\r\n5\r\n{{\"a\":\r\n2\r\n1}}\r\n0\r\n\r\n",
    f"POST /v1/health-events/batch HTTP/1.1\r\n{HEAD}Content-Type: application/x-ndjson\r\nExpect: 100-continue\r\n"
    f"Content-Length: 100000\r\n\r\n{'{}' * 50000}",
]
INSERTS = [b"\r\n", b"\n", b"\0", b" ", b":", b"%2f", b"Content-Length: 5\r\n", b"Transfer-Encoding: chunked\r\n"]


def damage(chance: random.Random, data: bytes) -> bytes:
    damaged = bytearray(data)
    for _ in range(chance.randint(1, 4)):
        at = chance.randrange(min(len(damaged), 300))
        if chance.random() < 0.5:
            damaged[at] = chance.randrange(256)
        else:
            damaged[at:at] = chance.choice(INSERTS)
    return bytes(damaged)


def one_conversation(chance: random.Random, port: int):
    data = b"".join(damage(chance, text.encode()) if chance.random() < 0.5 else text.encode()
                    for text in chance.choices(GOOD, k=chance.randint(1, 5)))
    with socket.create_connection(("127.0.0.1", port), 10) as line:
        line.settimeout(0.2)
        line.sendall(data[:chance.randint(1, len(data))])
        if chance.random() < 0.5:
            line.shutdown(socket.SHUT_WR)
        if chance.random() < 0.3:  # goes away at once, with a reset
            line.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
            return
        while line.recv(65536):
            pass


def keep_talking(seed: int, port: int, until: float):
    chance = random.Random(seed)
    while time.monotonic() < until:
        try:
            one_conversation(chance, port)
        except OSError:
            pass


def test_damaged_conversations(health):
    """Requests with a few bytes changed, cut off anywhere, pipelined, by clients that do not wait."""
    connections = health.metric("salus_http_connections")
    until = time.monotonic() + 6
    threads = [threading.Thread(target=keep_talking, args=(seed, health.port, until)) for seed in range(12)]
    for thread in threads:
        thread.start()
    slowest = 0.0
    while time.monotonic() < until:
        started = time.monotonic()
        assert httpx.get(f"{health.url}/healthz", timeout=5, **PLAIN).status_code == 200
        slowest = max(slowest, time.monotonic() - started)
    for thread in threads:
        thread.join()
    assert slowest < 2
    eventually(lambda: health.metric("salus_http_connections") <= connections + 1, within=20, what="connections end")
