"""The little that the demo needs of HTTP, event streams and tus, with Python's standard library only."""

import base64
import http.client
import json
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path


class Answer:
    def __init__(self, status: int, headers: dict[str, str], body: bytes):
        self.status = status
        self.headers = headers
        self.body = body

    @property
    def json(self):
        return json.loads(self.body) if self.body else None


@dataclass
class Event:
    """One of a stream; `raw` are its bytes."""

    kind: str
    data: dict
    raw: bytes


class Api:
    """The gateway, for one person."""

    def __init__(self, port: int, token: str | None = None):
        self.port = port
        self.token = token

    def ask(self, method: str, path: str, body=None, headers: dict | None = None) -> Answer:
        """One request. A dict becomes JSON; bytes go as they are. Raises OSError when nobody answers."""
        sent = dict(headers or {})
        if self.token:
            sent.setdefault("Authorization", f"Bearer {self.token}")
        if isinstance(body, dict):
            body = json.dumps(body).encode()
            sent.setdefault("Content-Type", "application/json")
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=60)
        try:
            connection.request(method, path, body, sent)
            answer = connection.getresponse()
            return Answer(answer.status, {key.lower(): value for key, value in answer.getheaders()}, answer.read())
        finally:
            connection.close()

    def get(self, path: str, **headers) -> Answer:
        return self.ask("GET", path, headers=headers)

    def post(self, path: str, body: dict, **headers) -> Answer:
        return self.ask("POST", path, body, {key.replace("_", "-"): value for key, value in headers.items()})


    def follow(self, path: str, say: dict | None = None, headers: dict | None = None) -> Iterator[Event]:
        """The events of a stream as they come, of a GET or of what is posted; closing the iterator cuts the connection."""
        sent = {"Authorization": f"Bearer {self.token}", "Accept": "text/event-stream"} | (headers or {})
        if say is not None:
            sent["Content-Type"] = "application/json"
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=60)
        try:
            connection.request("GET" if say is None else "POST", path, None if say is None else json.dumps(say).encode(), sent)
            answer = connection.getresponse()
            if answer.status not in (200, 204):
                raise RuntimeError(f"no stream: {answer.status} {answer.read().decode(errors='replace')}")
            lines: list[bytes] = []
            while line := answer.readline():
                lines.append(line)
                if line == b"\n":
                    fields = dict(part.rstrip(b"\n").split(b": ", 1) for part in lines if b": " in part and not part.startswith(b":"))
                    if b"data" in fields:
                        yield Event(fields[b"event"].decode(), json.loads(fields[b"data"]), b"".join(lines))
                    lines = []
        finally:
            connection.close()


class Upload:
    """A resumable upload (tus 1.0): goes on after any interruption where the server says it is."""

    PIECE = 1 << 20

    def __init__(self, api: Api, creation_path: str, file: Path):
        self.api = api
        self.file = file
        self.size = file.stat().st_size
        name = base64.b64encode(file.name.encode()).decode()
        made = api.ask("POST", creation_path, headers={
            "Tus-Resumable": "1.0.0", "Upload-Length": str(self.size), "Upload-Metadata": f"filename {name}"})
        if made.status != 201:
            raise RuntimeError(f"the upload was refused: {made.status} {made.body.decode(errors='replace')}")
        self.path = made.headers["location"].split("://", 1)[-1]
        self.path = self.path[self.path.index("/"):]
        self.headers = made.headers

    def offset(self) -> int:
        """Where the server is; waits while it is away."""
        deadline = time.monotonic() + 60
        while True:
            try:
                answer = self.api.ask("HEAD", self.path, headers={"Tus-Resumable": "1.0.0"})
                if answer.status in (200, 204):
                    return int(answer.headers["upload-offset"])
                if answer.status not in (502, 503, 504):
                    raise RuntimeError(f"the upload is not there any more: {answer.status}")
            except OSError:
                pass
            if time.monotonic() > deadline:
                raise TimeoutError("the server did not come back")
            time.sleep(0.1)

    def send(self, start: int, end: int) -> Answer:
        with self.file.open("rb") as content:
            content.seek(start)
            piece = content.read(end - start)
        return self.api.ask("PATCH", self.path, piece, {
            "Tus-Resumable": "1.0.0", "Upload-Offset": str(start), "Content-Type": "application/offset+octet-stream"})

    def send_until(self, end: int | None = None, progress=lambda sent, size: None) -> Answer | None:
        """Sends from where the server is up to `end`; returns the last answer."""
        end = self.size if end is None else end
        answer = None
        at = self.offset()
        while at < end:
            answer = self.send(at, min(at + self.PIECE, end))
            if answer.status != 204:
                raise RuntimeError(f"a piece was refused: {answer.status} {answer.body.decode(errors='replace')}")
            at = int(answer.headers["upload-offset"])
            progress(at, self.size)
        return answer
