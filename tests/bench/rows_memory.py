"""Recall over HTTP, with token, words and vectors and the check against the database, from a client that costs next to
nothing (load.c), against Chroma's query of the same vectors. Chroma is called in its own process, without HTTP, token, words
or database: that is its advantage here."""

import itertools
import json
import os
import random
import statistics
import subprocess
from contextlib import contextmanager

from bench.rig import BENCH, BUILD, Rig
from bench.table import Row
from support import client

QUESTIONS = 200
SUBJECTS = ("sister brother mother doctor boss neighbour trainer dentist cousin teacher nurse friend").split()
THINGS = ("garden guitar bicycle pressure medicine migraine swimming yoga breakfast insulin holiday knee shoulder marathon "
          "headache vitamin blanket recipe choir chess").split()
DEEDS = "likes fears avoids planned cancelled praised changed repaired measured finished started explained".split()
TIMES = "yesterday|in spring|after work|on Monday|at night|before lunch|last year|every week".split("|")


def sentences(count: int) -> list[str]:
    """Short texts as people would say them: words of a language are many, so half of them come from a large vocabulary."""
    generator = random.Random(7)
    made = {}
    for number in itertools.count():
        words = [f"{generator.choice('bdfgklmnprst')}{generator.choice('aeiou')}{generator.choice('bdglmnrst')}"
                 f"{generator.choice('aeiou')}{generator.choice('klmnrst')}" for _ in range(3)]
        made[f"My {generator.choice(SUBJECTS)} {generator.choice(DEEDS)} the {generator.choice(THINGS)} of {words[0]} "
             f"{words[1]} with {words[2]} {generator.choice(TIMES)} {number}"] = None
        if len(made) == count:
            return list(made)


def questions(texts: list[str]) -> list[str]:
    """Some words of a text that is there."""
    generator = random.Random(11)
    chosen = generator.sample(texts, QUESTIONS)
    return [" ".join(generator.sample(text.split()[1:-1], 4)) for text in chosen]


def store(rig: Rig, person: client.Person, texts: list[str]):
    """Into the table: through the route the limit of a person would take minutes."""
    with rig.stack.postgres.connect("salus_memory") as connection:
        connection.execute(
            "INSERT INTO memory_items (user_id, id, generation, version, content, language, memory_type, storage_type,"
            " significance_level, relevance_score, stability_score, explicitness_score, user_consent, tags, valid_from,"
            " is_active, is_archived, created_at, updated_at, content_digest)"
            " SELECT %s, gen_random_uuid(), 1, 1, content, 'und', 1, 2, 1, 0.5, 0.5, 1, 1, '[]', now(), true, false, now(),"
            " now(), decode(md5(content), 'hex') FROM unnest(%s::text[]) AS content", (person.id, texts))
        connection.execute("INSERT INTO memory_persons VALUES (%s, 1, %s)", (person.id, len(texts)))
        connection.execute("VACUUM ANALYZE memory_items")


def vectors(texts: list[str]) -> list[list[float]]:
    """The embedded embedder's own, from a program that prints them."""
    program = BUILD / "memory_recall"
    done = subprocess.run([program, "--vectors"], input="\n".join(texts) + "\n", capture_output=True, text=True, check=True)
    return [[float(value) for value in line.split()] for line in done.stdout.splitlines()]


@contextmanager
def chroma(items: list[list[float]]):
    """A function that asks a Chroma which has these vectors."""
    venv = BUILD / "chroma"
    if not (venv / "bin/python").exists():
        subprocess.run([os.environ.get("PYTHON", "python3"), "-m", "venv", venv], check=True)
        subprocess.run([venv / "bin/pip", "install", "-q", "-r", BENCH / "peers/chroma/requirements.txt"], check=True)
    with subprocess.Popen([venv / "bin/python", BENCH / "peers/chroma/ask.py"], text=True, stdin=subprocess.PIPE,
                          stdout=subprocess.PIPE) as process:
        def say(line) -> dict:
            process.stdin.write(json.dumps(line) + "\n")
            process.stdin.flush()
            return json.loads(process.stdout.readline())

        assert say(items) == len(items)
        yield say
        process.stdin.close()


def nearest(items: list[list[float]], question: list[float]) -> list[int]:
    """The ten nearest by looking at all: what is right."""
    dimensions = [d for d, value in enumerate(question) if value]
    scores = [(-sum(item[d] * question[d] for d in dimensions), place) for place, item in enumerate(items)]
    return [place for _, place in sorted(scores)[:10]]


def recall(rig: Rig):
    rig.build_recall_program()
    return [row for count in (1000, 20_000) for row in recall_of(rig, count)]


def recall_of(rig: Rig, count: int):
    person = client.register(rig.auth.url, memory_url=rig.memory.url)
    texts = sentences(count)
    asked = questions(texts)
    rig.memory.is_ready()
    store(rig, person, texts)
    row = Row(f"recall over HTTP among {count:,} of one person, p50", "ms", "Chroma, vectors only, called in process", 1,
              at_most=True, absolute=True)
    tail = Row(f"recall over HTTP among {count:,} of one person, p99", "ms")
    items, asked_vectors = vectors(texts), vectors(asked)
    with chroma(items) as peer:
        ask(rig, person, asked, 0.1)  # makes the index
        for _ in range(3):
            times = ask(rig, person, asked, 0.25)
            row.ours.append(times["p50_us"] / 1000)
            tail.ours.append(times["p99_us"] / 1000)
            answer = peer(asked_vectors)
            row.references.append(statistics.median(answer["times"]) * 1000)
    right = [nearest(items, question) for question in asked_vectors[:10]]
    share = sum(len(set(a) & set(b)) for a, b in zip(right, answer["found"], strict=False)) / sum(map(len, right))
    row.checked = f"texts are found by their words; Chroma has {share:.1%} of the nearest"
    if not all_found(rig, person, texts):
        row.checked = "VOID: a text was not found by its own words"
    return [row, tail]


def ask(rig: Rig, person: client.Person, questions: list[str], seconds: float) -> dict:
    """One question after the other; short, because a person may ask 6,000 a minute."""
    tokens, bodies = rig.stack.folder / "asker", rig.stack.folder / "questions"
    tokens.write_text(person.token + "\n")
    bodies.write_text("".join(json.dumps({"query": question}) + "\n" for question in questions))
    return rig.load(rig.memory.port, 1, seconds, "POST", "/v1/memories/recall", tokens=tokens, bodies=bodies)


def all_found(rig: Rig, person: client.Person, texts: list[str]) -> bool:
    with client.Api(rig.memory.url, person.token) as api:
        for text in texts[:: max(len(texts) // 100, 1)]:
            answer = api.post("/v1/memories/recall", json={"query": text, "limit": 1}).json()
            if [item["memory"]["content"] for item in answer["items"]] != [text]:
                return False
    return True


ROWS = {"recall": recall}
