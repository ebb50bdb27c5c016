"""A service that answers calls (docs/rpc.md), played by a test: memory or scheduler where their daemons are not at hand."""

import json
import threading

import redis


class Callee:
    """Answers the calls of one service. `answers` maps a method to a function of (data, key) that returns the reply's
    data, or None to stay silent. `calls` is what was asked, in order."""

    def __init__(self, server, service: str, answers: dict):
        self.server = server
        self.stream = f"s1:rpc:{service}"
        self.answers = answers
        self.calls: list[tuple[str, dict, str | None]] = []
        self._done: dict[str, dict] = {}
        self._ending = threading.Event()
        try:  # a stream that is not there has no service behind it
            server.connect().xgroup_create(self.stream, "rpc", mkstream=True)
        except redis.exceptions.ResponseError:
            pass
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def _run(self):
        connection = self.server.connect()
        last = "0"
        while not self._ending.is_set():
            try:
                for _, entries in connection.xread({self.stream: last}, block=50, count=10) or []:
                    for last, fields in entries:
                        self._serve(connection, fields)
                        connection.xdel(self.stream, last)
            except redis.exceptions.ConnectionError:
                if self._ending.wait(0.05):
                    return
                connection = self.server.connect()

    def _serve(self, connection, fields):
        method, key, data = fields["ce_type"], fields.get("idempotency_key"), json.loads(fields["data"])
        self.calls.append((method, data, key))
        answer = self._done.get(key) if key else None
        if answer is None and method in self.answers:
            answer = self.answers[method](data, key)
        if answer is None:
            return
        if key:
            self._done[key] = answer
        connection.publish(fields["reply"], f"{fields['ce_id']} ok\n{json.dumps(answer)}")

    def asked(self, method: str) -> list[dict]:
        return [data for name, data, _ in self.calls if name == method]

    def close(self):
        self._ending.set()
        self._thread.join()
        self.server.connect().delete(self.stream)
