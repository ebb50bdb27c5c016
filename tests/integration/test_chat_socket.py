"""Replies over a WebSocket, read by a client library that is not ours: the same events as over SSE, several replies at a time."""

import asyncio
import itertools
import json
import socket
import uuid

import pytest
import websockets
from support import client, streams
from support.callee import Callee
from support.companions import RECALL
from support.gateway import Gateway
from support.waiting import eventually

pytestmark = pytest.mark.usefixtures("others_away")

ADDRESS = "/v1/replies/socket"


@pytest.fixture(scope="module")
def chat(stack, health):
    return stack.daemon("chat", name="chat-socket", SALUS_CONTEXT_TIMEOUT="500ms", SALUS_TOOL_TIMEOUT="20s", SALUS_STREAM_HEARTBEAT="1s",
                        SALUS_MAX_REPLIES_PERSON="32")


@pytest.fixture(scope="module")
def silent(stack, chat):
    """A memory that does not answer: a reply that asks it goes on until it is stopped."""
    callee = Callee(stack.bus, "memory", {})
    yield callee
    callee.close()


@pytest.fixture
def talker(patient, chat):
    def make():
        person = patient()
        person.chat = client.Api(chat.url, person.token)
        return person
    return make


def begin(person) -> str:
    return person.chat.post("/v1/conversations", json={}).json()["id"]


def send(person, content: str, conversation: str | None = None) -> str:
    """The reply's id."""
    answer = person.chat.post(f"/v1/conversations/{conversation or begin(person)}/messages", json={"content": content})
    assert answer.status_code == 202, answer.text
    return answer.json()["reply_id"]


class Socket:
    def __init__(self, connection):
        self.connection = connection

    async def say(self, action: str, reply: str, **more):
        await self.connection.send(json.dumps({"action": action, "reply_id": reply} | more))

    async def frame(self) -> dict:
        return json.loads(await self.connection.recv())

    async def until_end(self) -> list[dict]:
        frames = []
        while not frames or frames[-1]["event"] not in ("done", "error", "unsubscribed"):
            frames.append(await self.frame())
        return frames


def over(base: str, token: str | None, story, **options):
    """Runs a story with a socket."""
    headers = {"Authorization": f"Bearer {token}"} if token else {}

    async def run():
        async with websockets.connect(base.replace("http", "ws") + ADDRESS, additional_headers=headers, **options) as connection:
            return await story(Socket(connection))
    return asyncio.run(asyncio.wait_for(run(), 60))


def as_sse(person, reply: str) -> list[tuple]:
    return [(event.id, event.type, event.data) for event in streams.read(person.chat, f"/v1/replies/{reply}/stream")]


def shown(frames: list[dict]) -> list[tuple]:
    return [(frame.get("id"), frame["event"], frame["data"]) for frame in frames]


def test_the_same_events_as_over_sse(talker, chat):
    person = talker()
    replies = [send(person, content) for content in ("hello", "I slept badly and feel anxious", "what is the capital of France")]
    whole = {reply: as_sse(person, reply) for reply in replies}

    async def story(it):
        for reply in replies:
            await it.say("subscribe", reply)
        frames = [frame for _ in replies for frame in await it.until_end()]
        assert {frame["stream"] for frame in frames} == set(replies)
        for reply in replies:
            assert shown([frame for frame in frames if frame["stream"] == reply]) == whole[reply]
        await (await it.connection.ping())
    over(chat.url, person.token, story)


def test_resumed_behind_every_event_on_another_replica(talker, chat, stack):
    person = talker()
    reply = send(person, "did 3 sets of 10 squats with 60 kg")
    whole = as_sse(person, reply)
    other = stack.daemon("chat", name="chat-socket-other")

    async def story(it):
        for seen in range(len(whole)):
            await it.say("subscribe", reply, last_event_id=seen)
            assert shown(await it.until_end()) == whole[seen:]
        await it.say("subscribe", reply, last_event_id=len(whole))
        (end,) = await it.until_end()
        assert (end["event"], end["stream"], end["data"]) == ("unsubscribed", reply, {"reason": "seen"})
    over(other.url, person.token, story)
    assert other.stop() == 0


def test_followed_left_and_stopped_while_it_is_made(talker, chat, silent):
    person = talker()
    reply = send(person, "what am I allergic to?")
    eventually(lambda: person.id in [data["user_id"] for data in silent.asked(RECALL)], what="the reply waits")

    async def story(it):
        await it.say("subscribe", reply)
        assert (await it.frame())["event"] == "started"
        await it.say("unsubscribe", reply)
        left = await it.frame()
        assert (left["event"], left["data"]) == ("unsubscribed", {"reason": "asked"})
        await it.say("subscribe", reply, last_event_id=1)
        await it.say("subscribe", reply, last_event_id=1)
        stopped = await asyncio.to_thread(person.chat.post, f"/v1/replies/{reply}/stop")
        assert stopped.status_code == 204
        (done,) = await it.until_end()
        assert (done["event"], done["data"]["state"]) == ("done", "stopped")
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(it.frame(), 0.3)
    over(chat.url, person.token, story)


def test_what_cannot_be_followed(talker, chat, silent):
    person, other = talker(), talker()
    reply, foreign = send(person, "hello"), send(other, "hello")

    async def story(it):
        for unknown in (foreign, str(uuid.uuid4())):
            await it.say("subscribe", unknown)
            (end,) = await it.until_end()
            assert (end["event"], end["stream"], end["data"]["code"]) == ("error", unknown, "not_found")
        for broken, pointer in ((b'{"action": "subscribe"}', "/reply_id"), (b'{"action": "shout", "reply_id": "x"}', "/action"),
                                (json.dumps({"action": "subscribe", "reply_id": reply, "last_event_id": -1}).encode(), "/last_event_id")):
            await it.connection.send(broken.decode())
            fault = await it.frame()
            assert fault["event"] == "invalid" and pointer in [error["pointer"] for error in fault["data"]["errors"]]
        await it.connection.send("not JSON")
        assert (await it.frame())["data"]["code"] == "bad_request"
        await it.say("unsubscribe", reply)
        await it.say("subscribe", reply)
        assert (await it.until_end())[-1]["event"] == "done", "the socket goes on"
        open_replies = [send(person, "what am I allergic to?") for _ in range(17)]
        for each in open_replies:
            await it.say("subscribe", each)
        started, refused = [], []
        while len(started) + len(refused) < 17:
            frame = await it.frame()
            (started if frame["event"] == "started" else refused).append(frame)
        assert len(started) == 16 and [frame["data"]["code"] for frame in refused] == ["overloaded"]
        for each in open_replies:
            assert (await asyncio.to_thread(person.chat.post, f"/v1/replies/{each}/stop")).status_code == 204
    over(chat.url, person.token, story)


def test_who_may_open_a_socket(talker, chat):
    person = talker()

    async def hello(it):
        await (await it.connection.ping())
        return it.connection.subprotocol

    def status(token=None, **options) -> int:
        with pytest.raises(websockets.InvalidStatus) as refused:
            over(chat.url, token, hello, **options)
        return refused.value.response.status_code
    assert status() == 401
    assert status("no.token.atall") == 401
    assert status(person.token, origin="https://evil.example") == 403
    assert over(chat.url, None, hello, subprotocols=["salus.v1", f"bearer.{person.token}"]) == "salus.v1"
    plain = person.chat.get(ADDRESS)
    assert plain.status_code == 426 and plain.headers["upgrade"] == "websocket"


def test_a_reply_that_was_interrupted_ends_once_and_is_settled(patient, stack, health, silent):
    """Its process is killed: the other replica's socket hears one error, and the message says so, too."""
    dying = stack.daemon("chat", name="chat-socket-dying", SALUS_CONTEXT_TIMEOUT="500ms", SALUS_TOOL_TIMEOUT="20s")
    other = stack.daemon("chat", name="chat-socket-heir")
    person = patient()
    person.chat = client.Api(dying.url, person.token)
    conversation = begin(person)
    reply = send(person, "what am I allergic to?", conversation)
    eventually(lambda: person.id in [data["user_id"] for data in silent.asked(RECALL)], what="the reply waits")

    async def story(it):
        await it.say("subscribe", reply)
        assert (await it.frame())["event"] == "started"
        dying.kill()
        frames = await it.until_end()
        assert (frames[-1]["event"], frames[-1]["data"]["code"]) == ("error", "interrupted")
    over(other.url, person.token, story)
    person.chat = client.Api(other.url, person.token)
    eventually(lambda: person.chat.get(f"/v1/conversations/{conversation}/messages").json()["items"][1]["state"] == "interrupted")
    assert other.stop() == 0


def test_a_token_that_expires_and_a_server_that_ends(private_stack):
    stack = private_stack
    auth, health = stack.daemon("auth", SALUS_ACCESS_TOKEN_LIFE="3s"), stack.daemon("main-health")
    chat = stack.daemon("chat")

    async def until_closed(it):
        with pytest.raises(websockets.ConnectionClosed) as closed:
            await it.frame()
        return closed.value.rcvd.code
    assert over(chat.url, client.register(auth.url, health.url).token, until_closed) == 4401

    async def end(it):
        ending = asyncio.create_task(asyncio.to_thread(chat.stop))
        code = await until_closed(it)
        assert await ending == 0
        return code
    assert over(chat.url, client.register(auth.url, health.url).token, end) == 1001


def test_a_client_that_does_not_read_is_waited_for_then_cut(patient, stack, health):
    """Its subscriptions are of stored replies, asked for again and again without reading any: the server holds back, then cuts it."""
    chat = stack.daemon("chat", name="chat-socket-patience", SALUS_STREAM_PENDING="16KiB", SALUS_STREAM_PATIENCE="1s")
    person = patient()
    person.chat = client.Api(chat.url, person.token)
    replies = [send(person, "help") for _ in range(8)]
    assert {as_sse(person, reply)[-1][1] for reply in replies} == {"done"}
    before = chat.metric("salus_http_stream_cuts_total")

    narrow = socket.socket()
    for buffer in (socket.SO_RCVBUF, socket.SO_SNDBUF):
        narrow.setsockopt(socket.SOL_SOCKET, buffer, 4096)  # what waits, waits at the server
    narrow.connect(("127.0.0.1", chat.port))

    async def story(deaf):
        deaf.connection.transport.pause_reading()
        with pytest.raises(websockets.ConnectionClosed):
            for reply in itertools.cycle(replies):
                await asyncio.wait_for(deaf.say("subscribe", reply), 20)
        assert chat.metric("salus_http_stream_cuts_total") > before
    over(chat.url, person.token, story, sock=narrow, ping_interval=None, close_timeout=1, max_queue=1)
    assert chat.stop() == 0


def test_through_the_gateway(talker, chat, workspace):
    person = talker()
    reply = send(person, "hello")
    whole = as_sse(person, reply)
    folder = workspace / "gateway-socket"
    folder.mkdir()
    gateway = Gateway(folder, 1, 1, 1, 1, chat.port).start()

    async def story(it):
        await it.say("subscribe", reply)
        assert shown(await it.until_end()) == whole
    try:
        over(gateway.url, person.token, story)
    finally:
        gateway.stop()
