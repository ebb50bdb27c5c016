"""Chat when what it needs is gone, and when its process dies: what is stored stays, and nothing is said to be what it is not."""

import signal

import httpx
import pytest
from support import client, streams
from support.callee import Callee
from support.client import problem
from support.waiting import eventually


@pytest.fixture
def alone(private_stack):
    """auth, main-health and chat with stores of their own; and somebody who talks."""
    stack = private_stack
    auth, health = stack.daemon("auth"), stack.daemon("main-health")
    chat = stack.daemon("chat", SALUS_CONTEXT_TIMEOUT="1s", SALUS_TOOL_TIMEOUT="10s")
    person = client.register(auth.url, health.url)
    person.chat = client.Api(chat.url, person.token)
    return stack, chat, person


def begin(person) -> str:
    answer = person.chat.post("/v1/conversations", json={})
    assert answer.status_code == 201, answer.text
    return answer.json()["id"]


def send(person, conversation: str, content: str, key: str | None = None):
    return person.chat.post(f"/v1/conversations/{conversation}/messages", json={"content": content},
                            headers={"Idempotency-Key": key} if key else {})


def messages(person, conversation: str) -> list[dict]:
    answer = person.chat.get(f"/v1/conversations/{conversation}/messages")
    assert answer.status_code == 200, answer.text
    return answer.json()["items"]


def silent_memory(stack) -> Callee:
    return Callee(stack.bus, "memory", {})


def test_the_store_is_stopped_and_comes_back(alone):
    stack, chat, person = alone
    if not stack.mongo.is_ours:
        pytest.skip("MONGO_URI names a server that tests may not stop")
    conversation = begin(person)
    assert send(person, conversation, "hello").status_code == 202
    eventually(lambda: messages(person, conversation)[1]["state"] == "complete")
    stack.mongo.kill()
    eventually(chat.is_unready, what="not ready without its store")
    problem(send(person, conversation, "lost?", "key"), 503)
    problem(person.chat.get("/v1/conversations"), 503)
    stack.mongo.start()
    eventually(chat.is_ready, within=30, what="ready again")
    answer = eventually(lambda: (lambda it: it.status_code == 202 and it)(send(person, conversation, "lost?", "key")),
                        within=30, what="the message is taken")
    assert answer.json()["message"]["seq"] == 2
    eventually(lambda: [it["content"] for it in messages(person, conversation) if it["role"] == "user"] == ["hello", "lost?"])
    assert [it["seq"] for it in messages(person, conversation)] == [0, 1, 2, 3]


def test_redis_is_stopped_and_events_follow(alone):
    """Messages are stored and answered; what is asked of others is said to be missing; events come later."""
    stack, chat, person = alone
    conversation = begin(person)
    heard = stack.events("chat")
    stack.bus.kill()
    eventually(lambda: "missing" in person.chat.get("/readyz").text, what="the bus is seen to be gone")
    sent = send(person, conversation, "I don't want to live anymore")
    assert sent.status_code == 202, sent.text
    eventually(lambda: messages(person, conversation)[1]["state"] == "complete", within=30, what="help is stored")
    assert messages(person, conversation)[1]["message_type"] == "crisis_help"
    mood = send(person, conversation, "I feel anxious")
    eventually(lambda: len(messages(person, conversation)) == 4 and messages(person, conversation)[3]["state"] == "complete",
               within=30, what="the reply is stored")
    assert mood.status_code == 202
    assert [tool["status"] for tool in messages(person, conversation)[3]["tools"]] == ["unavailable"]
    assert person.health.get("/v1/health-events").json()["items"] == []
    stack.bus.start()
    heard.wait_for("crisis.detected.v1", person.id, within=60)
    heard.wait_for("message.created.v1", person.id, count=4, within=60)


def test_the_process_dies_in_the_middle_of_a_reply(alone):
    stack, chat, person = alone
    memory = silent_memory(stack)
    conversation = begin(person)
    other = stack.daemon("chat", name="chat-other", SALUS_CONTEXT_TIMEOUT="1s")
    sent = send(person, conversation, "what am I allergic to?").json()
    eventually(lambda: len(memory.asked("memory.recall.v1")) == 2, what="the tool waits")
    chat.kill()
    api = person.chat = client.Api(other.url, person.token)
    eventually(lambda: not stack.bus.connect().exists(f"s1:log:chat:{sent['reply_id']}:lease"), what="its lease is over")
    assert api.post(f"/v1/replies/{sent['reply_id']}/stop").status_code == 204, "it has ended: what it said is not touched"
    events = streams.read(api, f"/v1/replies/{sent['reply_id']}/stream")
    assert events[0].type == "started" and events[-1].type == "error" and events[-1].data["code"] == "interrupted"
    eventually(lambda: messages(person, conversation)[1]["state"] == "interrupted", what="the page says so")
    assert messages(person, conversation)[1]["content"] == streams.text_of(events)
    again = streams.read(api, f"/v1/replies/{sent['reply_id']}/stream")
    assert [event.raw for event in again] == [event.raw for event in events]
    assert send(person, conversation, "hello").json()["message"]["seq"] == 2
    memory.close()


def test_a_reply_that_never_began_is_made_by_another(alone):
    """Stored, and the process died before the reply began: the other replica makes it without being asked, once."""
    stack, chat, person = alone
    conversation = begin(person)
    dying = stack.daemon("chat", name="chat-dying", TEST_FAULT="die-before-reply")
    doomed = client.Api(dying.url, person.token)
    with pytest.raises(httpx.TransportError):
        doomed.post(f"/v1/conversations/{conversation}/messages", json={"content": "my mood is 4 of 10"},
                    headers={"Idempotency-Key": "once"})
    eventually(lambda: not dying.is_running(), what="it has died")
    eventually(lambda: messages(person, conversation)[1]["state"] == "complete", within=20, what="the other replica makes the reply")
    again = send(person, conversation, "my mood is 4 of 10", "once")
    assert again.status_code == 202 and again.headers["Idempotency-Replayed"] == "true"
    said = messages(person, conversation)
    assert len(said) == 2 and said[1]["id"] == again.json()["reply_id"]
    events = streams.read(person.chat, f"/v1/replies/{said[1]['id']}/stream")
    assert [event.type for event in events][::len(events) - 1] == ["started", "done"]
    assert streams.text_of(events) == said[1]["content"] != ""
    assert len(person.health.get("/v1/health-events").json()["items"]) == len(said[1].get("tools", []))


def test_the_same_replica_makes_it_when_it_is_back(alone):
    """Alone and dead before the reply began: after the restart it is made, whoever asks and however many replicas want it."""
    stack, chat, person = alone
    conversation = begin(person)
    chat.kill()
    dying = stack.daemon("chat", name="chat-dying", TEST_FAULT="die-before-reply")
    with pytest.raises(httpx.TransportError):
        client.Api(dying.url, person.token).post(f"/v1/conversations/{conversation}/messages", json={"content": "my mood is 4 of 10"})
    eventually(lambda: not dying.is_running(), what="it has died")
    replicas = [stack.daemon("chat", name=f"chat-{n}") for n in range(3)]
    person.chat = client.Api(replicas[0].url, person.token)
    for replica in replicas:
        client.Api(replica.url, person.token).get(f"/v1/conversations/{conversation}/messages")
    eventually(lambda: messages(person, conversation)[1]["state"] == "complete", within=20, what="the reply is made")
    reply = messages(person, conversation)[1]
    seen = [[event.raw for event in streams.read(client.Api(replica.url, person.token), f"/v1/replies/{reply['id']}/stream")]
            for replica in replicas]
    assert seen[0] == seen[1] == seen[2]
    assert sum(replica.metric("salus_chat_replies_revived_total") for replica in replicas) == 1


def test_a_reply_whose_process_died_ends_though_nobody_follows_it(alone):
    stack, chat, person = alone
    memory = silent_memory(stack)
    conversation = begin(person)
    other = stack.daemon("chat", name="chat-other", SALUS_REPLY_TIMEOUT="3s")
    send(person, conversation, "what am I allergic to?")
    eventually(lambda: len(memory.asked("memory.recall.v1")) == 2, what="the tool waits")
    chat.kill()
    person.chat = client.Api(other.url, person.token)
    eventually(lambda: messages(person, conversation)[1]["state"] == "interrupted", within=20, what="the page says so")
    memory.close()


def test_a_reply_that_never_began_is_stopped(alone):
    """Its process died before it, and it is too late to make it: stop ends it, at any replica, and it stays ended."""
    stack, chat, person = alone
    conversation = begin(person)
    chat.kill()
    dying = stack.daemon("chat", name="chat-dying", TEST_FAULT="die-before-reply")
    message = {"json": {"content": "hello"}, "headers": {"Idempotency-Key": "once"}}
    with pytest.raises(httpx.TransportError):
        client.Api(dying.url, person.token).post(f"/v1/conversations/{conversation}/messages", **message)
    eventually(lambda: not dying.is_running(), what="it has died")
    other = stack.daemon("chat", name="chat-other", SALUS_REVIVE_WITHIN="1ms")
    person.chat = client.Api(other.url, person.token)
    reply = send(person, conversation, "hello", "once").json()["reply_id"]
    assert messages(person, conversation)[1]["state"] == "streaming"
    eventually(lambda: person.chat.post(f"/v1/replies/{reply}/stop").status_code == 204, what="it is stopped")
    assert messages(person, conversation)[1]["state"] == "stopped"
    (end,) = streams.read(person.chat, f"/v1/replies/{reply}/stream")
    assert end.type == "done" and end.data["state"] == "stopped"


def test_what_was_taken_is_answered_again_though_its_person_must_wait(alone):
    stack, _, person = alone
    memory = silent_memory(stack)
    chat = stack.daemon("chat", name="chat-one", SALUS_MAX_REPLIES_PERSON="1")
    person.chat = client.Api(chat.url, person.token)
    conversation = begin(person)
    first = send(person, conversation, "what am I allergic to?", "once")
    again = send(person, conversation, "what am I allergic to?", "once")
    assert again.status_code == 202 and again.json() == first.json()
    refused = [send(person, conversation, "hello", key) for key in (None, "other")]
    assert [(answer.status_code, answer.headers["Retry-After"]) for answer in refused] == [(429, "1")] * 2
    assert send(person, conversation, "I don't want to live anymore").status_code == 202
    memory.close()


def test_a_deploy_lets_replies_finish(alone):
    stack, chat, person = alone
    memory = silent_memory(stack)
    conversation = begin(person)
    send(person, conversation, "what am I allergic to?")
    eventually(lambda: memory.asked("memory.recall.v1"), what="the reply is being made")
    other = stack.daemon("chat", name="chat-other")
    chat.signal(signal.SIGTERM)
    eventually(lambda: not chat.is_running(), within=20, what="it ends")
    person.chat = client.Api(other.url, person.token)
    assert messages(person, conversation)[1]["state"] in ("complete", "interrupted")
    memory.close()


def test_two_replicas_and_one_key(alone):
    """The same message to both at once is one message."""
    import threading
    stack, chat, person = alone
    other = stack.daemon("chat", name="chat-other")
    apis = [client.Api(chat.url, person.token), client.Api(other.url, person.token)]
    conversation = begin(person)
    found = []

    def one(api, number):
        answer = api.post(f"/v1/conversations/{conversation}/messages", json={"content": f"hello {number}"},
                          headers={"Idempotency-Key": f"key-{number}"})
        found.append((number, answer.status_code, answer.json().get("reply_id")))

    for number in range(20):
        pair = [threading.Thread(target=one, args=(api, number)) for api in apis]
        for thread in pair:
            thread.start()
        for thread in pair:
            thread.join()
    assert {status for _, status, _ in found} == {202}, found
    assert len({reply for _, _, reply in found}) == 20
    assert len(person.chat.get(f"/v1/conversations/{conversation}/messages", params={"limit": 200}).json()["items"]) == 40
