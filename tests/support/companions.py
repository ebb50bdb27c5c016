"""Memory and scheduler as far as chat sees them, played by a test."""

import datetime
import uuid

from support.callee import Callee

RECALL, REMEMBER, FORGET = "memory.recall.v1", "memory.remember.v1", "memory.forget.v1"
CREATE, LIST, CONFIRM = "schedule.create.v1", "schedule.list.v1", "reminder.confirm.v1"


def now() -> str:
    return datetime.datetime.now(datetime.UTC).isoformat().replace("+00:00", "Z")


class Memory(Callee):
    """Memory as a list, found by shared words."""

    def __init__(self, server):
        self.items: list[dict] = []
        super().__init__(server, "memory", {REMEMBER: self.remember, RECALL: self.recall, FORGET: self.forget})

    def remember(self, data, key):
        item = {"id": str(uuid.uuid4()), "user_id": data["user_id"], "version": 1, "content": data["memory"]["content"],
                "language": "en", "memory_type": "personal_fact", "storage_type": "long_term", "significance_level": "moderate",
                "relevance_score": 0.5, "stability_score": 0.5, "explicitness_score": 1, "composite_score": 0.6,
                "user_consent": {"recall": True, "external_model": False, "analytics": False}, "tags": [], "valid_from": now(),
                "created_at": now(), "updated_at": now(), "is_active": True, "is_archived": False}
        self.items.append(item)
        return {"memory": item, "known": False}

    def recall(self, data, key):
        asked = {word.strip("?.,").lower() for word in data["question"]["query"].split()}
        found = [item for item in self.items if item["user_id"] == data["user_id"]
                 and asked & {word.lower() for word in item["content"].split()}]
        return {"items": [{"memory": item, "score": 0.9, "lexical": 0.9, "similarity": 0.5, "restated_by": []}
                          for item in found]}

    def forget(self, data, key):
        gone = [item for item in self.items if item["id"] == data.get("id")]
        self.items = [item for item in self.items if item not in gone]
        return {"items": [{"id": item["id"], "text": item["content"]} for item in gone]}


class Scheduler(Callee):
    def __init__(self, server):
        self.items: list[dict] = []
        super().__init__(server, "scheduler", {CREATE: self.create, LIST: lambda data, key: {"items": self.of(data)},
                                               CONFIRM: self.confirm})
        self.confirmed: list[dict] = []

    def of(self, data):
        return [item for item in self.items if item["user_id"] == data["user_id"]]

    def create(self, data, key):
        item = {"id": str(uuid.uuid4()), "user_id": data["user_id"], "schedule_type": "reminder", "kind": data["kind"],
                "expression": data["expression"], "follow_user": True, "title": data["title"], "language": data["language"],
                "reminder_method": "email", "is_active": True, "created_at": now(), "updated_at": now()}
        self.items.append(item)
        return {"schedule": item}

    def confirm(self, data, key):
        (item,) = [item for item in self.of(data) if item["id"] == data["schedule_id"]]
        self.confirmed.append(item)
        return {"occurrence_id": str(uuid.uuid4()), "schedule_id": item["id"], "title": item["title"], "nominal_at": now(),
                "state": "acked", "known": False}
