"""Chroma in its own process. The first line of standard input is a JSON list of vectors, which become a collection; each
further line is a list of questions, asked one at a time and answered with {"times": [s], "found": [[place]]}."""

import json
import sys
import time

import chromadb

BATCH = 2000


def main():
    client = chromadb.EphemeralClient(chromadb.Settings(anonymized_telemetry=False))
    collection = client.create_collection("memories", metadata={"hnsw:space": "cosine"})
    items = json.loads(sys.stdin.readline())
    for start in range(0, len(items), BATCH):
        part = items[start:start + BATCH]
        collection.add(ids=[str(start + i) for i in range(len(part))], embeddings=part)
    print(json.dumps(collection.count()), flush=True)
    for line in sys.stdin:
        times, found = [], []
        for question in json.loads(line):
            begin = time.perf_counter()
            answer = collection.query(query_embeddings=[question], n_results=10, include=["distances"])
            times.append(time.perf_counter() - begin)
            found.append([int(place) for place in answer["ids"][0]])
        print(json.dumps({"times": times, "found": found}), flush=True)


if __name__ == "__main__":
    main()
