"""A reader of one event stream that is nobody's consumer."""

import json

import redis

from support.waiting import eventually


class Stream:
    def __init__(self, server, key: str):
        self.server = server
        self.key = key
        self.seen: list[dict] = []
        newest = self._connection().xrevrange(key, count=1)
        self.position = newest[0][0] if newest else "0-0"

    def _connection(self) -> redis.Redis:
        return self.server.connect()

    def read(self) -> list[dict]:
        """All events since this reader was made; each is its attributes without "ce_", with data decoded."""
        for entry_id, fields in self._connection().xrange(self.key, min=f"({self.position}"):
            event = {name.removeprefix("ce_"): value for name, value in fields.items() if name != "data"}
            event["data"] = json.loads(fields["data"]) if fields.get("data") else None
            event["entry_id"] = entry_id
            self.seen.append(event)
            self.position = entry_id
        return self.seen

    def of(self, kind: str, subject: str | None = None) -> list[dict]:
        """Those seen of one type ("user.created.v1"), of one subject."""
        return [event for event in self.read()
                if event["type"] == kind and (subject is None or event.get("subject") == subject)]

    def wait_for(self, kind: str, subject: str | None = None, *, count: int = 1, within: float = 10) -> list[dict]:
        """The first `count` events of a type, once they are there."""
        def enough():
            found = self.of(kind, subject)
            return found if len(found) >= count else None

        return eventually(enough, within=within, what=f"{count} × {kind} of {subject or 'anybody'} in {self.key}")
