"""Memory through the running daemon: remembering, recalling, changing, forgetting."""

import concurrent.futures
import datetime
import json
import uuid

import pytest
from support.client import problem
from support.waiting import eventually

PENICILLIN = "I am allergic to penicillin"


def remember(person, content=PENICILLIN, *, status=201, headers=None, **more):
    answer = person.memory.post("/v1/memories", json={"content": content, **more}, headers=headers or {})
    assert answer.status_code == status, answer.text
    return answer.json()


def recall(person, query, **more):
    answer = person.memory.post("/v1/memories/recall", json={"query": query, **more})
    assert answer.status_code == 200, answer.text
    return answer.json()["items"]


def contents(items):
    return [item["memory"]["content"] for item in items]


def listed(person, **query):
    answer = person.memory.get("/v1/memories", params=query)
    assert answer.status_code == 200, answer.text
    return answer.json()["items"]


# ---- remembering

def test_a_memory_is_stored_read_and_recalled(rememberer):
    person = rememberer()
    source = {"conversation_id": str(uuid.uuid4()), "message_id": str(uuid.uuid4()), "start": 0, "end": 27}
    stored = remember(person, source=source, tags=["health"], memory_type="health", significance_level="critical")
    assert stored["user_id"] == person.id and stored["version"] == 1 and stored["source"] == source
    assert stored["user_consent"] == {"recall": True, "external_model": False, "analytics": False}
    assert stored["composite_score"] == pytest.approx(0.65)
    answer = person.memory.get(f"/v1/memories/{stored['id']}")
    assert answer.json() == stored
    assert person.memory.get(f"/v1/memories/{stored['id']}", headers={"If-None-Match": answer.headers["etag"]}).status_code == 304
    [found] = recall(person, "what am I allergic to?")
    assert found["memory"]["id"] == stored["id"] and found["memory"]["source"] == source
    assert found["score"] > 0.5 and found["lexical"] > 0.5


@pytest.mark.parametrize("said, asked", [
    (PENICILLIN, "what am I allergic to?"),
    (PENICILLIN, "Do I have any ALLERGIES?"),
    (PENICILLIN, "למה אני אלרגי?"),
    (PENICILLIN, "penicilin"),
    ("אני אלרגי לפניצילין", "למה אני אלרגי?"),
    ("אני אלרגית לפניצילין", "what am I allergic to?"),
    ("אֲנִי אָלֶרְגִּי לְפֶנִיצִילִין", "לפניצילין אני אלרגי?"),
    ("\u202bאני אלרגי\u202c לפניצילין\u200f", "האם אני אלרגי"),
    ("יש לי כאבים בברכיים אחרי ריצה", "כאב ברך"),
    ("My blood pressure was 130/85", "לחץ דם"),
    ("I am a café owner", "who owns the cafe?"),
    ("Ich habe Rückenschmerzen", "ruckenschmerzen"),
    ("I 💤 badly", "💤"),
])
def test_what_was_said_is_found(rememberer, said, asked):
    person = rememberer()
    remember(person, "My sister lives in Haifa")
    stored = remember(person, said)
    assert stored["content"] == said
    assert said in contents(recall(person, asked))


@pytest.mark.parametrize("asked", ["xyzzy plugh", "who won the football game", "?!", "כמה עולה כרטיס לרכבת", "the of and", "💥"])
def test_nonsense_finds_nothing(rememberer, asked):
    person = rememberer()
    for content in (PENICILLIN, "My dog is called Rex", "I run 5 km on Tuesdays"):
        remember(person, content)
    assert recall(person, asked) == []


def test_the_same_text_is_one_memory(rememberer, stack):
    person = rememberer()
    first = remember(person)
    for again in (PENICILLIN, "i am  allergic to Penicillin.", "I am allergic to penicillin!"):
        assert remember(person, again, status=200)["id"] == first["id"]
    assert len(listed(person)) == 1
    assert stack.postgres.rows("salus_memory", "SELECT items FROM memory_persons WHERE user_id = %s", person.id) == [(1,)]
    assert remember(rememberer())["id"] != first["id"]


def test_at_once_from_many_sides_it_is_one_memory(rememberer):
    person = rememberer()
    with concurrent.futures.ThreadPoolExecutor(16) as pool:
        answers = list(pool.map(lambda _: person.memory.post("/v1/memories", json={"content": PENICILLIN}), range(64)))
    assert sorted(answer.status_code for answer in answers) == [200] * 63 + [201]
    assert len({answer.json()["id"] for answer in answers}) == 1


def test_a_key_stores_once(rememberer):
    person = rememberer()
    key = {"Idempotency-Key": str(uuid.uuid4())}
    first = remember(person, headers=key)
    again = person.memory.post("/v1/memories", json={"content": PENICILLIN}, headers=key)
    assert again.status_code == 200 and again.headers["idempotency-replayed"] == "true" and again.json() == first
    problem(person.memory.post("/v1/memories", json={"content": "else"}, headers=key), 422, "idempotency_conflict")
    assert len(listed(person)) == 1


def test_restatements_are_shown_once(rememberer):
    person = rememberer()
    ids = {remember(person, text)["id"] for text in (PENICILLIN, "I'm allergic to penicillin", "penicillin allergy")}
    remember(person, "I am not allergic to penicillin")
    found = recall(person, "penicillin")
    assert len(found) == 2
    assert {found[0]["memory"]["id"], *found[0]["restated_by"]} == ids or \
           {found[1]["memory"]["id"], *found[1]["restated_by"]} == ids


# ---- facts of which one holds

def test_the_newest_name_holds(rememberer):
    person = rememberer()
    first, second = remember(person, "My name is Dana"), remember(person, "My name is Noa")
    assert first["slot"] == second["slot"] == "name"
    assert contents(recall(person, "what is my name?")) == ["My name is Noa"]
    old = person.memory.get(f"/v1/memories/{first['id']}").json()
    assert old["valid_until"] == second["valid_from"] and old["superseded_by"] == second["id"] and old["version"] == 2
    assert contents(recall(person, "what is my name?", as_of=first["valid_from"])) == ["My name is Dana"]
    third = remember(person, "My name is Dana")
    assert third["id"] not in (first["id"], second["id"])
    assert contents(recall(person, "what is my name?")) == ["My name is Dana"]


def test_an_older_fact_that_comes_late_does_not_win(rememberer):
    person = rememberer()
    now = remember(person, "I weigh 80 kg")
    late = remember(person, "I weigh 75 kg", valid_from="2024-01-01T00:00:00Z")
    assert late["valid_until"] == now["valid_from"] and late["superseded_by"] == now["id"]
    assert contents(recall(person, "what do I weigh?")) == ["I weigh 80 kg"]
    assert contents(recall(person, "what do I weigh?", as_of="2024-06-01T00:00:00Z")) == ["I weigh 75 kg"]
    assert recall(person, "what do I weigh?", as_of="2023-06-01T00:00:00Z") == []


def test_two_allergies_both_hold(rememberer):
    person = rememberer()
    remember(person)
    remember(person, "I am allergic to nuts")
    assert len(recall(person, "what am I allergic to?")) == 2


def test_many_at_once_leave_one_that_holds(rememberer, stack):
    person = rememberer()
    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda n: remember(person, f"My name is Name{n}"), range(40)))
    assert len(contents(recall(person, "what is my name?", limit=50))) == 1
    [(holding, gaps)] = stack.postgres.rows(
        "salus_memory", "SELECT count(*) FILTER (WHERE valid_until IS NULL), count(*) FILTER (WHERE valid_until <> next)"
        " FROM (SELECT valid_until, lead(valid_from) OVER (ORDER BY valid_from) AS next FROM memory_items"
        " WHERE user_id = %s) AS m", person.id)
    assert holding == 1 and gaps == 0


# ---- change and consent

def test_a_change_is_found_at_once(rememberer):
    person = rememberer()
    stored = remember(person)
    path = f"/v1/memories/{stored['id']}"
    assert recall(person, "penicillin")
    answer = person.memory.patch(path, json={"content": "I am allergic to latex"},
                                 headers={"If-Match": '"1"', "Content-Type": "application/merge-patch+json"})
    assert answer.status_code == 200 and answer.json()["version"] == 2, answer.text
    assert recall(person, "penicillin") == []
    assert contents(recall(person, "latex")) == ["I am allergic to latex"]
    headers = {"Content-Type": "application/merge-patch+json"}
    problem(person.memory.patch(path, json={"tags": ["x"]}, headers=headers | {"If-Match": '"1"'}), 412)
    assert person.memory.patch(path, json={"tags": ["x"]}, headers=headers).json()["version"] == 3
    assert person.memory.patch(path, json={"tags": ["x"]}, headers=headers).json()["version"] == 3
    remember(person)
    problem(person.memory.patch(path, json={"content": PENICILLIN}, headers=headers), 409, "memory_known")


def patch(person, memory, **members):
    answer = person.memory.patch(f"/v1/memories/{memory['id']}", json=members,
                                 headers={"Content-Type": "application/merge-patch+json"})
    assert answer.status_code == 200, answer.text
    return answer.json()


def test_consent_holds_from_the_answer_on(rememberer):
    person = rememberer()
    stored = remember(person, anonymized_version="Somebody is allergic to penicillin", pii_detected={"name": 1})
    assert recall(person, "penicillin", purpose="conversation")
    assert recall(person, "penicillin", purpose="external_model") == []
    patch(person, stored, user_consent={"external_model": True})
    [found] = recall(person, "penicillin", purpose="external_model")
    assert found["memory"]["content"] == "Somebody is allergic to penicillin"
    assert "pii_detected" not in found["memory"] and PENICILLIN not in json.dumps(found)
    patch(person, stored, user_consent={"recall": False})
    assert recall(person, "penicillin", purpose="conversation") == []
    assert recall(person, "penicillin", purpose="external_model") == []
    assert recall(person, "penicillin")  # the person themselves


def test_archived_and_inactive(rememberer):
    person = rememberer()
    stored = remember(person)
    patch(person, stored, is_archived=True)
    assert recall(person, "penicillin") == []
    assert recall(person, "penicillin", include_archived=True)
    assert listed(person, current=True) == [] and len(listed(person)) == 1
    patch(person, stored, is_archived=False, is_active=False)
    assert recall(person, "penicillin", include_archived=True) == []
    patch(person, stored, is_active=True)
    assert recall(person, "penicillin")


def test_other_text_has_no_copies(rememberer):
    person = rememberer()
    stored = remember(person, processed_content="p", anonymized_version="a")
    changed = patch(person, stored, content="I am allergic to latex")
    assert "processed_content" not in changed and "anonymized_version" not in changed
    assert patch(person, stored, processed_content="q")["processed_content"] == "q"
    assert "processed_content" not in patch(person, stored, processed_content=None)


def test_when_it_was_recalled_is_noted(rememberer):
    person = rememberer()
    stored = remember(person)
    assert "last_accessed_at" not in stored
    recall(person, "penicillin")
    eventually(lambda: "last_accessed_at" in person.memory.get(f"/v1/memories/{stored['id']}").json(), within=20)
    assert person.memory.get(f"/v1/memories/{stored['id']}").json()["version"] == 1


# ---- lists

def test_pages_stay_right(rememberer):
    person = rememberer()
    ids = [remember(person, f"thing number {n}", memory_type="goal" if n % 2 else "event")["id"] for n in range(25)]
    seen, cursor = [], None
    while True:
        query = {"limit": 10} | ({"cursor": cursor} if cursor else {})
        page = person.memory.get("/v1/memories", params=query).json()
        seen += [item["id"] for item in page["items"]]
        cursor = page.get("next_cursor")
        if not cursor:
            break
        remember(person, f"meanwhile {len(seen)}")
    assert seen == ids[::-1]
    assert [item["id"] for item in listed(person, memory_type="goal")] == [i for n, i in enumerate(ids) if n % 2][::-1]
    problem(rememberer().memory.get("/v1/memories", params={"cursor": "AAAA"}), 400, "bad_request", "/query/cursor")


def test_the_short_term_list(rememberer, stack):
    person, other = rememberer(), rememberer()

    def recent():
        return [item["content"] for item in person.memory.get("/v1/memories/recent").json()["items"]]

    assert recent() == []
    for n in range(25):
        remember(person, f"thing {n}")
    wanted = [f"thing {n}" for n in range(24, 4, -1)]
    assert recent() == wanted
    bus, key = stack.bus.connect(), f"s1:user:{person.id}:memories"
    assert len(bus.lrange(key, 0, -1)) == 21 and 0 < bus.pttl(key) <= 24 * 3600 * 1000
    remember(person, "one more")
    assert recent() == (["one more"] + wanted)[:20]
    bus.delete(key)
    assert recent()[0] == "one more"
    bus.lpop(key)
    assert recent()[0] == "one more"
    other_item = remember(other)
    assert person.memory.delete(f"/v1/memories/{other_item['id']}").status_code == 404
    newest = listed(person)[0]
    assert person.memory.delete(f"/v1/memories/{newest['id']}").status_code == 204
    assert not any("one more" in entry for entry in bus.lrange(key, 0, -1))
    assert recent()[0] == "thing 24"


def test_short_term_memories_go_by_themselves(private_stack):
    from support.client import register

    auth, memory = private_stack.daemon("auth"), private_stack.daemon("memory", SALUS_MEMORY_SHORT_TERM_LIFE="1s")
    person = register(auth.url, memory_url=memory.url)
    remember(person, "I am at the airport", storage_type="short_term")
    stored = remember(person)
    assert recall(person, "airport")
    person.memory.get("/v1/memories/recent")
    eventually(lambda: not recall(person, "airport"), within=10)
    assert recall(person, "airport", include_archived=True)[0]["memory"]["is_archived"]
    assert [item["id"] for item in person.memory.get("/v1/memories/recent").json()["items"]] == [stored["id"]]


# ---- forgetting

def test_forgotten_is_gone(rememberer, stack):
    person = rememberer()
    events = stack.events("memory")
    stored, kept = remember(person), remember(person, "My dog is called Rex")
    assert recall(person, "allergic")
    assert person.memory.delete(f"/v1/memories/{stored['id']}").status_code == 204
    assert recall(person, "allergic") == []
    problem(person.memory.get(f"/v1/memories/{stored['id']}"), 404, "not_found")
    problem(person.memory.delete(f"/v1/memories/{stored['id']}"), 404, "not_found")
    assert [item["id"] for item in listed(person)] == [kept["id"]]
    assert stack.postgres.rows("salus_memory", "SELECT count(*) FROM memory_items WHERE user_id = %s AND content ~ 'penicillin'",
                               person.id) == [(0,)]
    created = events.wait_for("memory.created.v1", person.id, count=2)
    assert [event["data"]["memory_id"] for event in created] == [stored["id"], kept["id"]]
    [told] = events.wait_for("memory.forgotten.v1", person.id)
    assert told["data"]["memory_ids"] == [stored["id"]] and told["data"]["count"] == 1
    assert "penicillin" not in json.dumps(events.seen) and "Rex" not in json.dumps(events.seen)
    assert remember(person)["id"] != stored["id"]


def test_forget_by_question(rememberer):
    person = rememberer()
    for text in (PENICILLIN, "penicillin allergy", "My dog is called Rex"):
        remember(person, text)
    nothing = person.memory.post("/v1/memories/forget", json={"query": "the weather in Paris"})
    assert nothing.json() == {"count": 0, "ids": []}
    gone = person.memory.post("/v1/memories/forget", json={"query": "what am I allergic to"})
    assert gone.status_code == 200 and gone.json()["count"] == 2, gone.text
    assert [item["content"] for item in listed(person)] == ["My dog is called Rex"]


def test_forget_everything_of_one(rememberer, stack):
    person, other = rememberer(), rememberer()
    for n in range(30):
        remember(person, f"matter {n}")
        remember(other, f"matter {n}")
    assert recall(person, "matter")
    assert person.memory.delete("/v1/memories").json() == {"count": 30}
    assert recall(person, "matter") == [] and listed(person) == []
    assert person.memory.get("/v1/memories/recent").json() == {"items": []}
    assert len(recall(other, "matter", limit=50)) == 30
    assert person.memory.delete("/v1/memories").json() == {"count": 0}
    remember(person, "matter 7")
    assert len(recall(person, "matter")) == 1
    assert stack.postgres.rows("salus_memory", "SELECT items FROM memory_persons WHERE user_id = %s", person.id) == [(1,)]


# ---- others, and what is not right

def test_others_see_nothing(rememberer):
    owner, other = rememberer(), rememberer()
    stored = remember(owner)
    path = f"/v1/memories/{stored['id']}"
    problem(other.memory.get(path), 404, "not_found")
    problem(other.memory.delete(path), 404, "not_found")
    problem(other.memory.patch(path, json={"tags": []}, headers={"Content-Type": "application/merge-patch+json"}), 404)
    assert recall(other, "penicillin") == [] and listed(other) == []
    assert owner.memory.get(path).json() == stored


def test_the_database_itself_keeps_people_apart(rememberer, stack):
    owner = rememberer()
    remember(owner)
    with stack.postgres.connect("salus_memory", "salus_memory") as connection:
        for table in ("memory_items", "memory_persons", "memory_forgotten"):
            assert connection.execute(f"SELECT count(*) FROM {table}").fetchone() == (0,)
        with connection.transaction():
            connection.execute("SELECT set_config('app.users', %s, true)", ["{" + owner.id + "}"])
            assert connection.execute("SELECT count(*) FROM memory_items").fetchone() == (1,)


@pytest.mark.parametrize("body, pointer", [
    ({}, "/content"),
    ({"content": ""}, "/content"),
    ({"content": " \n\t "}, "/content"),
    ({"content": "\u202e\u200f"}, "/content"),
    ({"content": "a\u0007b"}, "/content"),
    ({"content": "א" * 16385}, "/content"),
    ({"content": "a" * 32769}, "/content"),
    ({"content": "x", "anonymized_version": "a\u0001"}, "/anonymized_version"),
    ({"content": "x", "memory_type": "secret"}, "/memory_type"),
    ({"content": "x", "relevance_score": 1.5}, "/relevance_score"),
    ({"content": "x", "language": "not a language"}, "/language"),
    ({"content": "x", "tags": ["a", "a"]}, "/tags/1"),
    ({"content": "x", "tags": ["a\nb"]}, "/tags/0"),
    ({"content": "x", "user_consent": {"recall": "yes"}}, "/user_consent/recall"),
    ({"content": "x", "valid_from": "2999-01-01T00:00:00Z"}, "/valid_from"),
    ({"content": "x", "extra": 1}, "/extra"),
    ({"content": "x", "source": {"conversation_id": "1"}}, "/source/conversation_id"),
    ({"content": "x", "source": {"conversation_id": str(uuid.UUID(int=1)), "message_id": str(uuid.UUID(int=2)),
                                 "start": 5, "end": 4}}, "/source/end"),
    ({"content": "x", "source": {"conversation_id": str(uuid.UUID(int=1)), "message_id": str(uuid.UUID(int=2)),
                                 "start": 5}}, "/source"),
])
def test_bad_memories_are_refused_at_the_place(rememberer, body, pointer):
    person = rememberer()
    problem(person.memory.post("/v1/memories", json=body), 422, "invalid", pointer)
    assert listed(person) == []


@pytest.mark.parametrize("raw", [b"", b"{", b'{"content":"\xff\xfe"}', b'{"content":"\xed\xa0\x80"}', b'{"content":"\\ud800"}',
                                 b'{"content":"a\\u0000b"}', b'{"query":"a\\u0000b"}'])
def test_broken_text_is_refused(rememberer, raw):
    for path in ("/v1/memories", "/v1/memories/recall"):
        answer = rememberer().memory.post(path, content=raw, headers={"Content-Type": "application/json"})
        assert answer.status_code in (400, 422), answer.text
        assert answer.headers["content-type"] == "application/problem+json"


@pytest.mark.parametrize("content", ["a" * 32768, "א" * 16384, "a b " * 8192, "\u202eevil\u202c", "ב" * 200 + " " + "x" * 5000,
                                     "🙂" * 8192, "\n".join(["line"] * 1000), "'; DROP TABLE memory_items; --"])
def test_odd_text_is_kept_as_it_is(rememberer, content):
    person = rememberer()
    stored = remember(person, content)
    assert stored["content"] == content
    assert person.memory.get(f"/v1/memories/{stored['id']}").json()["content"] == content
    recall(person, content[:4096] if len(content.encode()) <= 4096 else content[:100])


def test_the_embedding_is_a_unit_vector(rememberer):
    person = rememberer()
    stored = remember(person)
    assert "embedding" not in stored
    vector = person.memory.get(f"/v1/memories/{stored['id']}", params={"include_embedding": True}).json()["embedding"]
    assert len(vector) == 768 and sum(x * x for x in vector) == pytest.approx(1)


def test_a_person_may_be_full(private_stack):
    from support.client import register

    auth, memory = private_stack.daemon("auth"), private_stack.daemon("memory", SALUS_MEMORY_MAX_ITEMS="3")
    person = register(auth.url, memory_url=memory.url)
    stored = [remember(person, f"thing {n}") for n in range(3)]
    problem(person.memory.post("/v1/memories", json={"content": "thing 4"}), 409, "memory_full")
    assert remember(person, "thing 1", status=200)["id"] == stored[1]["id"]
    person.memory.delete(f"/v1/memories/{stored[0]['id']}")
    remember(person, "thing 4")


@pytest.mark.parametrize("setting, value", [("EMBEDDING", "openai"), ("VECTOR_DB_TYPE", "pinecone"), ("VECTOR_DB_TYPE", "chroma")])
def test_what_is_not_there_is_refused_at_the_start(stack, setting, value):
    daemon = stack.daemon("memory", name=f"memory-{value}", start=False, **{setting: value})
    done = daemon.start(wait=False).popen.wait(30)
    assert done != 0 and setting in daemon.log_text() and value in daemon.log_text()
    stack.daemons.remove(daemon)


# ---- workers and replicas

@pytest.fixture(scope="module")
def replicas(stack, auth, memory):
    """Two replicas with two workers each."""
    from support.client import Api, register

    second = stack.daemon("memory", name="memory-second", SALUS_WORKERS="2")

    def person():
        made = register(auth.url, memory_url=memory.url)
        made.replicas = [Api(daemon.url, made.token) for daemon in (memory, second) for _ in range(3)]
        return made

    yield person
    second.stop()
    stack.daemons.remove(second)


def ask(api, query):
    answer = api.post("/v1/memories/recall", json={"query": query, "limit": 50})
    assert answer.status_code == 200, answer.text
    return {item["memory"]["content"] for item in answer.json()["items"]}


def test_what_was_acknowledged_is_found_everywhere(replicas):
    person = replicas()
    for n in range(30):
        writer = person.replicas[n % 6]
        stored = writer.post("/v1/memories", json={"content": f"subject{n} is on my mind"}).json()
        for reader in person.replicas:
            assert f"subject{n} is on my mind" in ask(reader, f"subject{n}")
        if n % 3 == 0:
            assert person.replicas[(n + 1) % 6].delete(f"/v1/memories/{stored['id']}").status_code == 204
            for reader in person.replicas:
                assert ask(reader, f"subject{n}") == set()
    assert person.replicas[0].delete("/v1/memories").status_code == 200
    for reader in person.replicas:
        assert ask(reader, "mind") == set()


def test_an_index_that_is_far_behind_is_made_anew(replicas):
    """More changes than an index catches up with come in between."""
    person = replicas()
    first, second = person.replicas[0], person.replicas[-1]
    first.post("/v1/memories", json={"content": "the early bird"})
    assert ask(second, "bird") == {"the early bird"}
    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(lambda n: first.post("/v1/memories", json={"content": f"worm {n}"}), range(1100)))
    assert {answer.status_code for answer in answers} == {201}
    assert "worm 1099" in ask(second, "worm 1099")
    assert first.delete(f"/v1/memories/{answers[1099].json()['id']}").status_code == 204
    assert "worm 1099" not in ask(second, "worm 1099")


def test_writers_and_readers_at_once(replicas):
    person = replicas()

    def write(k):
        api = person.replicas[k % 6]
        for n in range(25):
            text = f"writer{k} says {n}"
            stored = api.post("/v1/memories", json={"content": text})
            assert stored.status_code == 201, stored.text
            assert text in ask(person.replicas[(k + n) % 6], f"writer{k} says {n}")
            if n % 2:
                assert api.delete(f"/v1/memories/{stored.json()['id']}").status_code == 204
                assert text not in ask(person.replicas[(k + n + 1) % 6], f"writer{k} says {n}")

    with concurrent.futures.ThreadPoolExecutor(6) as pool:
        list(pool.map(write, range(6)))


def test_what_was_acknowledged_survives_kill_9(private_stack):
    from support.client import Api, register

    auth, memory = private_stack.daemon("auth"), private_stack.daemon("memory", SALUS_WORKERS="2")
    person = register(auth.url, memory_url=memory.url)
    acknowledged, forgotten = {}, {}

    def write(k):
        with Api(memory.url, person.token) as api:
            for n in range(100_000):
                text = f"writer{k} remembers number{n}"
                try:
                    answer = api.post("/v1/memories", json={"content": text})
                    if answer.status_code != 201:
                        return
                    if n % 5:
                        acknowledged[text] = answer.json()["id"]
                    elif api.delete(f"/v1/memories/{answer.json()['id']}").status_code == 204:
                        forgotten[text] = answer.json()["id"]
                except Exception:
                    return

    for _ in range(3):
        goal = len(acknowledged) + 150
        with concurrent.futures.ThreadPoolExecutor(4) as pool:
            running = [pool.submit(write, uuid.uuid4().hex[:8]) for _ in range(4)]
            eventually(lambda: len(acknowledged) > goal, within=60)
            memory.kill()
            concurrent.futures.wait(running)
        memory.start()
    with Api(memory.url, person.token) as api:
        for text in acknowledged:
            assert text in ask(api, text), text
        for text in forgotten:
            assert text not in ask(api, text), text


def test_without_redis_memory_works(private_stack):
    from support.client import register

    auth, memory = private_stack.daemon("auth"), private_stack.daemon("memory")
    person = register(auth.url, memory_url=memory.url)

    def recent():
        return [item["content"] for item in person.memory.get("/v1/memories/recent").json()["items"]]

    def listed_in_redis():
        return json.dumps(private_stack.bus.connect().lrange(f"s1:user:{person.id}:memories", 0, -1))

    remember(person, "the first")
    assert recent() == ["the first"]
    stored = remember(person)
    assert PENICILLIN in listed_in_redis()
    private_stack.bus.stop()
    assert recall(person, "penicillin")
    assert recent() == [PENICILLIN, "the first"]
    assert person.memory.delete(f"/v1/memories/{stored['id']}").status_code == 204
    assert recall(person, "penicillin") == [] and recent() == ["the first"]
    remember(person, "the third")
    private_stack.bus.start()
    eventually(lambda: PENICILLIN not in listed_in_redis(), within=30, what="the event has dropped the list")
    assert recent() == ["the third", "the first"]


def test_without_its_store_memory_says_so(private_stack):
    from support.client import register

    auth, memory = private_stack.daemon("auth"), private_stack.daemon("memory")
    person = register(auth.url, memory_url=memory.url)
    remember(person)
    assert recall(person, "penicillin")
    private_stack.postgres.kill()
    for answer in (person.memory.post("/v1/memories", json={"content": "x"}),
                   person.memory.post("/v1/memories/recall", json={"query": "penicillin"}),
                   person.memory.get("/v1/memories/recent")):
        assert answer.status_code == 503, answer.text
    private_stack.postgres.start()
    eventually(memory.is_ready, within=30)
    assert recall(person, "penicillin")


def test_indexes_are_dropped_when_memory_is_short(private_stack):
    from support.client import register

    auth, memory = private_stack.daemon("auth"), private_stack.daemon("memory", SALUS_MEMORY_INDEX="1MiB")
    people = [register(auth.url, memory_url=memory.url) for _ in range(40)]
    for n, person in enumerate(people):
        remember(person, f"secret{n}")
        assert recall(person, f"secret{n}")
    assert memory.metric("salus_memory_index_dropped_total") > 0
    assert memory.metric("salus_memory_index_bytes") <= 1 << 20
    for n, person in enumerate(people):
        assert contents(recall(person, f"secret{n}")) == [f"secret{n}"]


def test_times_are_utc(rememberer):
    stored = remember(rememberer(), valid_from="2026-01-01T02:00:00+02:00")
    assert stored["valid_from"] == "2026-01-01T00:00:00Z"
    assert datetime.datetime.fromisoformat(stored["created_at"]).tzinfo is not None


# ---- calls of other services

@pytest.fixture
def chat(stack, memory):
    from support.rpc import Caller

    caller = Caller(stack.bus)
    yield caller
    caller.close()


def call(chat, person, method, *, key=None, **members):
    return chat.call(f"memory.{method}.v1", {"user_id": person.id, **members}, key=key, service="memory")


def known(chat, person):
    """Waits until memory knows the person: each of its workers, which believe for a second that somebody is not there."""
    eventually(lambda: all(call(chat, person, "list").code == "ok" for _ in range(10)), what="the person is known")
    return person


def test_a_call_remembers_recalls_and_forgets(chat, rememberer):
    person, key = known(chat, rememberer()), str(uuid.uuid4())
    memory = {"content": PENICILLIN, "source": {"conversation_id": str(uuid.uuid4()), "message_id": str(uuid.uuid4())}}
    first = call(chat, person, "remember", key=key, memory=memory)
    assert first.code == "ok" and not first.data["known"]
    assert call(chat, person, "remember", key=key, memory=memory).data == first.data
    assert call(chat, person, "remember", key=key, memory={"content": "else"}).code == "idempotency_conflict"
    assert call(chat, person, "remember", key=str(uuid.uuid4()), memory=memory).data["known"]
    [found] = call(chat, person, "recall", question={"query": "what am I allergic to?"}).data["items"]
    assert found["memory"] == listed(person)[0] | {"last_accessed_at": found["memory"].get("last_accessed_at")} or \
        found["memory"]["source"] == memory["source"]
    assert [item["content"] for item in call(chat, person, "list").data["items"]] == [PENICILLIN]
    forgotten = str(uuid.uuid4())
    gone = call(chat, person, "forget", key=forgotten, query="what am I allergic to?")
    assert gone.data["items"] == [{"id": first.data["memory"]["id"], "text": PENICILLIN}]
    assert call(chat, person, "recall", question={"query": "what am I allergic to?"}).data["items"] == []
    assert call(chat, person, "list").data["items"] == []


def test_a_repeated_forget_forgets_nothing_else(chat, rememberer):
    person, key = known(chat, rememberer()), str(uuid.uuid4())
    remember(person)
    remember(person, "I am allergic to nuts")
    first = call(chat, person, "forget", key=key, query="allergic")
    assert len(first.data["items"]) == 1
    again = call(chat, person, "forget", key=key, query="allergic")
    assert [item["id"] for item in again.data["items"]] == [item["id"] for item in first.data["items"]]
    assert len(listed(person)) == 1
    assert call(chat, person, "forget", key=key, query="something else").code == "idempotency_conflict"
    assert len(call(chat, person, "forget", key=str(uuid.uuid4()), id=listed(person)[0]["id"]).data["items"]) == 1


def test_a_conversation_sees_only_what_has_consent(chat, rememberer):
    person = known(chat, rememberer())
    stored = remember(person)
    patch(person, stored, user_consent={"recall": False})
    assert call(chat, person, "recall", question={"query": "penicillin"}).data["items"] == []
    assert call(chat, person, "list").data["items"] == []


def test_bad_calls_are_refused(chat, rememberer):
    person = known(chat, rememberer())
    refused = call(chat, person, "remember", key="k1", memory={"content": "a\u0007"})
    assert refused.code == "invalid" and refused.data["errors"][0]["pointer"] == "/memory/content"
    assert call(chat, person, "remember", key="k2", memory={"content": "a" * 32769}).code == "invalid"
    assert call(chat, person, "forget", key="k3").code == "invalid"
    assert call(chat, person, "forget", key="k4", id=str(uuid.uuid4()), query="x").code == "invalid"
    assert call(chat, person, "forget", key="k5", id=str(uuid.uuid4())).data == {"items": []}
    nobody = chat.call("memory.recall.v1", {"user_id": str(uuid.uuid4()), "question": {"query": "x"}}, service="memory")
    assert nobody.code == "not_found"
    other = rememberer()
    stored = remember(other)
    assert call(chat, person, "forget", key="k6", id=stored["id"]).data == {"items": []}
    assert listed(other) == [stored]
