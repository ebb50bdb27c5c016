"""Event streams as a client reads them."""

import json
from dataclasses import dataclass, field


@dataclass
class Event:
    id: int
    type: str
    data: dict
    raw: str = field(compare=False, default="")


def parse(text: str) -> list[Event]:
    """The whole events of a text; what was cut off at its end is left out."""
    events = []
    for block in text.split("\n\n")[:-1]:
        fields = dict(line.split(": ", 1) for line in block.split("\n") if line and not line.startswith(":") and ": " in line)
        if "data" in fields:
            events.append(Event(int(fields.get("id", 0)), fields["event"], json.loads(fields["data"]), block))
    return events


def read(api, path: str, *, last: int | None = None, most: int | None = None) -> list[Event]:
    """Follows a stream to its end, or until `most` events were seen and the connection is cut."""
    headers = {"Accept": "text/event-stream"} | ({"Last-Event-ID": str(last)} if last is not None else {})
    text = ""
    with api.stream("GET", path, headers=headers) as answer:
        assert answer.status_code == 200, answer.read()
        for piece in answer.iter_text():
            text += piece
            if most is not None and len(parse(text)) >= most:
                return parse(text)[:most]
    return parse(text)


def text_of(events: list[Event]) -> str:
    return "".join(event.data["text"] for event in events if event.type == "delta")
