"""Topics for apps that listen to Redis (docs/bus-binding.md): that something happened and to whom."""

import json

from support import client
from support.waiting import eventually


def test_a_fact_is_said_on_its_topic(private_stack):
    auth = private_stack.daemon("auth")
    health = private_stack.daemon("main-health", SALUS_MIRROR_TOPICS="true")
    topics = private_stack.bus.connect().pubsub(ignore_subscribe_messages=True)
    topics.psubscribe("s1:topic:*")
    topics.get_message(timeout=5)
    stream = private_stack.events("main-health")
    person = client.register(auth.url, health.url)
    answer = person.health.post("/v1/health-events", json={
        "event_type": "mood", "event_subtype": "quick_checkin", "event_data": {"mood": "calm"}})
    assert answer.status_code == 201, answer.text
    (fact,) = stream.wait_for("health.updated.v1", person.id)
    message = eventually(lambda: topics.get_message(timeout=1))
    assert message["channel"] == "s1:topic:health.updated"
    said = json.loads(message["data"])
    assert said == {"id": fact["id"], "type": fact["type"], "source": fact["source"], "time": fact["time"], "subject": person.id}
    # auth, which was not asked to, says nothing.
    assert topics.get_message(timeout=0.1) is None
