"""The server of documents that was chosen: what a killed one has acknowledged is there afterwards."""

import threading

import pymongo
import pytest

WRITERS = 4


def test_acknowledged_documents_survive_kill_9(private_stack):
    """Several writers, a kill in the middle of their work, three times; the stand-in's file stays small."""
    mongo = private_stack.mongo
    if not mongo.is_ours:
        pytest.skip("MONGO_URI names a server that is not ours to kill")
    acknowledged = []
    for life in range(3):
        mongo.start()
        enough = threading.Event()
        writers = [threading.Thread(target=_write, args=(mongo, life, number, acknowledged, enough))
                   for number in range(WRITERS)]
        for writer in writers:
            writer.start()
        assert enough.wait(30)
        mongo.kill()
        for writer in writers:
            writer.join(30)
        assert len(acknowledged) >= (life + 1) * 300
    mongo.start()
    found = {document["_id"]: document["sum"] for document in mongo.documents("ledger", "facts")}
    assert set(acknowledged) <= set(found)
    # One that was not acknowledged may be there, or not: at most one a writer and life.
    assert len(found) <= len(acknowledged) + 3 * WRITERS
    counters = mongo.documents("ledger", "counters")
    assert sum(counter["count"] for counter in counters) >= len(acknowledged)
    assert sum(counter["count"] for counter in counters) <= len(acknowledged) + 3 * WRITERS


def _write(mongo, life, number, acknowledged, enough):
    """Inserts and counts until the server is gone."""
    with mongo.connect() as client:
        facts, counters = client.ledger.facts, client.ledger.counters
        for sequence in range(1_000_000):
            fact = f"{life}/{number}/{sequence}"
            try:
                facts.insert_one({"_id": fact, "sum": sequence})
                counters.update_one({"_id": str(number)}, {"$inc": {"count": 1}}, upsert=True)
            except pymongo.errors.PyMongoError:
                return
            acknowledged.append(fact)
            if len(acknowledged) >= (life + 1) * 300:
                enough.set()
