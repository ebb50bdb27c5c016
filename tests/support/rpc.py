"""Calls between services as docs/rpc.md describes them, from the caller's side: the tests play chat."""

import json
import secrets
import time
import uuid


class Reply:
    def __init__(self, message: str):
        head, _, body = message.partition("\n")
        self.id, self.code = head.split(" ")
        self.data = json.loads(body)

    def __repr__(self):
        return f"<{self.code} {self.data}>"


class Caller:
    """One instance of a calling service, with a reply channel of its own."""

    def __init__(self, server, service: str = "chat"):
        self.connection = server.connect()
        self.source = f"/salus/{service}"
        self.channel = f"s1:reply:{service}.{secrets.token_hex(8)}"
        self._replies = self.connection.pubsub(ignore_subscribe_messages=True)
        self._replies.subscribe(self.channel)
        self._replies.get_message(timeout=5)  # the confirmation
        self._heard: dict[str, list[Reply]] = {}

    def send(self, method: str, data, *, key: str | None = None, timeout_ms: int = 5000, service: str = "main-health",
             **fields) -> str:
        """Adds a request; its id. `fields` replace those of the envelope; None leaves one out."""
        request = {"ce_specversion": "1.0", "ce_id": secrets.token_hex(16), "ce_source": self.source, "ce_type": method,
                   "ce_datacontenttype": "application/json", "reply": self.channel, "timeout_ms": timeout_ms,
                   "idempotency_key": key, "data": json.dumps(data) if isinstance(data, dict) else data} | fields
        self.connection.xadd(f"s1:rpc:{service}", {name: value for name, value in request.items() if value is not None})
        return request["ce_id"] or ""

    def replies(self, call: str, within: float = 5) -> list[Reply]:
        """All replies to a call so far, once there is one; none after `within` seconds."""
        deadline = time.monotonic() + within
        while not self._heard.get(call) and time.monotonic() < deadline:
            self._hear(0.05)
        self._hear(0)
        return self._heard.get(call, [])

    def _hear(self, timeout: float):
        message = self._replies.get_message(timeout=timeout)
        while message:
            if message["type"] == "message":
                reply = Reply(message["data"])
                self._heard.setdefault(reply.id, []).append(reply)
            message = self._replies.get_message(timeout=0)

    def call(self, method: str, data, *, within: float = 10, **more) -> Reply:
        """A request and its reply."""
        sent = self.send(method, data, **more)
        found = self.replies(sent, within)
        assert found, f"no reply to {method} within {within} s"
        return found[0]

    def ok(self, method: str, data, **more) -> dict:
        reply = self.call(method, data, **more)
        assert reply.code == "ok", reply
        return reply.data

    def close(self):
        self._replies.close()
        self.connection.close()


def new_key() -> str:
    return str(uuid.uuid4())
