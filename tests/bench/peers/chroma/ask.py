"""Chroma in the same process: puts the vectors of a file into a collection and asks for the nearest, one question at a time.
Reads JSON lines {"items": [[…]], "questions": [[…]]} on standard input; answers each with {"times": [s], "found": [[place]]}."""

import json
import sys
import time

import chromadb

BATCH = 2000


def main():
    client = chromadb.EphemeralClient(chromadb.Settings(anonymized_telemetry=False))
    for number, line in enumerate(sys.stdin):
        given = json.loads(line)
        collection = client.create_collection(f"round{number}", metadata={"hnsw:space": "cosine"})
        items = given["items"]
        for start in range(0, len(items), BATCH):
            part = items[start:start + BATCH]
            collection.add(ids=[str(start + i) for i in range(len(part))], embeddings=part)
        times, found = [], []
        for question in given["questions"]:
            begin = time.perf_counter()
            answer = collection.query(query_embeddings=[question], n_results=10, include=["distances"])
            times.append(time.perf_counter() - begin)
            found.append([int(place) for place in answer["ids"][0]])
        print(json.dumps({"times": times, "found": found}), flush=True)


if __name__ == "__main__":
    main()
