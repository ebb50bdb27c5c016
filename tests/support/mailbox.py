"""What people find in their mailbox, and the code that they copy from it."""

import re

from support.waiting import eventually

CODE = re.compile(r"^([A-Za-z0-9_-]{43})\r?$", re.MULTILINE)


class Mailbox:
    """The mail of one address in a sink (support.mail)."""

    def __init__(self, sink, address: str):
        self.sink = sink
        self.address = address

    def subjects(self) -> list[str]:
        return [str(message["Subject"]) for message in self.sink.messages(self.address)]

    def wait_for(self, count: int = 1, within: float = 20) -> list:
        """The messages, once there are so many."""
        return eventually(lambda: found if len(found := self.sink.messages(self.address)) >= count else None, within=within,
                          what=f"{count} messages for {self.address}")

    def newest(self, count: int = 1) -> str:
        """The text of the newest of at least so many messages."""
        return self.wait_for(count)[-1].get_content()

    def code(self, count: int = 1) -> str:
        return CODE.search(self.newest(count))[1]
