#!/usr/bin/env python3
"""A mail server that delivers nothing: each message becomes two files, NUMBER-ADDRESS.eml as it came and .txt
to be read.

    mail_sink.py PORT FOLDER

It is strict: lines end with CR LF, commands come in their order, a line has at most 998 characters, and
what is not SMTP (RFC 5321) is refused. Only 127.0.0.1 can reach it. Tests make a Sink of their own and give
it faults.
"""

import asyncio
import email
import email.policy
import os
import re
import sys
import threading
from pathlib import Path

MAX_MESSAGE = 1 << 20
MAX_LINE = 998
PATH = re.compile(r"<([^<>\s\x00-\x1f\x7f]*)>((?: [A-Z0-9]+(?:=[!-~]+)?)*)", re.IGNORECASE)


class Hang(Exception):
    """The peer is left without an answer."""


class Session:
    def __init__(self, sink, reader, writer):
        self.sink = sink
        self.reader = reader
        self.writer = writer
        self.greeted = False
        self.reset()

    def reset(self):
        self.sender = None
        self.to = []

    async def say(self, text: str):
        self.writer.write(text.encode() + b"\r\n")
        await self.writer.drain()

    async def line(self) -> bytes:
        line = await self.reader.readuntil(b"\n")
        if not line.endswith(b"\r\n") or b"\r" in line[:-2] or b"\x00" in line:
            raise ValueError("a line must end with CR LF")
        if len(line) > MAX_LINE + 2:
            raise ValueError("a line is too long")
        return line[:-2]

    async def fault(self, stage: str) -> bool:
        """Does what a test wants to go wrong here; True when that was the answer."""
        wish = self.sink.fault(stage, self.to[-1] if self.to else None)
        if wish is None:
            return False
        if wish == "hang":
            raise Hang
        if wish == "drop":
            raise ConnectionResetError
        await self.say(wish)
        return True

    async def run(self):
        if await self.fault("connect"):
            return
        await self.say("220 sink.salus.test ESMTP")
        while True:
            words = (await self.line()).decode().split(" ", 1)
            verb = words[0].upper()
            if verb == "QUIT":
                await self.say("221 bye")
                return
            handler = getattr(self, f"on_{verb.lower()}", None) if verb.isalpha() else None
            await (handler(words[1] if len(words) > 1 else "") if handler else self.say("500 what?"))

    async def on_ehlo(self, name: str):
        self.greeted = bool(name)
        self.reset()
        await self.say("250-sink.salus.test\r\n250-8BITMIME\r\n250-SMTPUTF8\r\n250 SIZE 1048576" if name else "501 who?")

    async def on_noop(self, _):
        await self.say("250 ok")

    async def on_rset(self, _):
        self.reset()
        await self.say("250 ok")

    async def on_mail(self, rest: str):
        found = PATH.fullmatch(rest[5:]) if rest.upper().startswith("FROM:") else None
        if not self.greeted or self.sender is not None:
            await self.say("503 not now")
        elif not found:
            await self.say("501 that is no address")
        elif not await self.fault("mail"):
            self.sender = found[1]
            await self.say("250 ok")

    async def on_rcpt(self, rest: str):
        found = PATH.fullmatch(rest[3:]) if rest.upper().startswith("TO:") else None
        if self.sender is None:
            await self.say("503 not now")
        elif not found or "@" not in found[1]:
            await self.say("501 that is no address")
        else:
            self.to.append(found[1])
            if await self.fault("rcpt"):
                self.to.pop()
            else:
                await self.say("250 ok")

    async def on_data(self, _):
        if not self.to:
            await self.say("503 not now")
            return
        if await self.fault("data"):
            return
        await self.say("354 go on")
        lines, size = [], 0
        while (line := await self.line()) != b".":
            lines.append(line[1:] if line.startswith(b".") else line)
            size += len(line) + 2
            if size > MAX_MESSAGE:
                raise ValueError("the message is too large")
        if not await self.fault("received"):
            self.sink.keep(self.sender, self.to, b"\r\n".join(lines) + b"\r\n")
            if not await self.fault("kept"):
                await self.say("250 kept")
        self.reset()


class Sink:
    """Keeps what comes in `folder`. `fault(stage, to)` may say what goes wrong at connect, mail, rcpt, data, received
    (nothing is kept) or kept (it is): an SMTP answer, "hang" or "drop"; None: nothing."""

    def __init__(self, folder: Path, fault=lambda stage, to: None):
        self.folder = folder
        self.fault = fault
        self.complaints: list[str] = []
        folder.mkdir(parents=True, exist_ok=True)
        self.count = max((int(path.name[:6]) for path in folder.glob("[0-9]*.eml")), default=0)

    def keep(self, sender: str, to: list[str], message: bytes):
        self.count += 1
        path = self.folder / f"{self.count:06}-{self.name_of(to[0])}.eml"
        envelope = f"X-Envelope-From: {sender}\r\nX-Envelope-To: {', '.join(to)}\r\n".encode()
        path.with_suffix(".new").write_bytes(envelope + message)
        self.explain(path.with_suffix(".txt"), message)
        os.replace(path.with_suffix(".new"), path)

    @staticmethod
    def name_of(address: str) -> str:
        return re.sub("[^A-Za-z0-9@._+-]", "_", address)

    @staticmethod
    def explain(path: Path, message: bytes):
        """The same for people's eyes: what a mail program would show."""
        read = email.message_from_bytes(message, policy=email.policy.default)
        head = "".join(f"{name}: {read[name]}\n" for name in ("From", "To", "Date", "Subject") if read[name])
        try:
            body = read.get_body(("plain",)).get_content()
        except (AttributeError, KeyError, LookupError, UnicodeError):
            body = "(not a plain text)\n"
        path.write_text(f"{head}\n{body}", encoding="utf-8", errors="replace")

    def messages(self, to: str | None = None) -> list:
        """What is there, oldest first, as email.message.EmailMessage."""
        paths = self.folder.glob(f"*-{self.name_of(to)}.eml" if to else "*.eml")
        found = [email.message_from_bytes(path.read_bytes(), policy=email.policy.default) for path in sorted(paths)]
        return [message for message in found if to is None or message["X-Envelope-To"] == to]

    async def _serve(self, reader, writer):
        try:
            await Session(self, reader, writer).run()
        except (ValueError, UnicodeDecodeError) as error:
            self.complaints.append(str(error))
            writer.write(f"500 {error}\r\n".encode(errors="replace"))
        except Hang:
            await reader.read()
        except (ConnectionError, asyncio.IncompleteReadError, asyncio.LimitOverrunError):
            pass
        finally:
            writer.close()

    async def serve(self, port: int, ready=lambda port: None):
        server = await asyncio.start_server(self._serve, "127.0.0.1", port)
        ready(server.sockets[0].getsockname()[1])
        async with server:
            await server.serve_forever()


class SinkThread:
    """A Sink that runs beside a test: `with SinkThread(folder) as mail: … mail.port`."""

    def __init__(self, folder: Path, port: int = 0):
        self.sink = Sink(folder)
        self.port = port
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._run, daemon=True)

    def _run(self):
        asyncio.set_event_loop(self._loop)
        try:
            self._loop.run_until_complete(self.sink.serve(self.port, self._started))
        except asyncio.CancelledError:
            pass

    def _started(self, port: int):
        self.port = port
        self._ready.set()

    def __enter__(self):
        self._ready = threading.Event()
        self._thread.start()
        if not self._ready.wait(10):
            raise RuntimeError("the mail sink does not start")
        return self

    def __exit__(self, *_):
        def stop():
            for task in asyncio.all_tasks(self._loop):
                task.cancel()

        self._loop.call_soon_threadsafe(stop)
        self._thread.join(10)


if __name__ == "__main__":
    print(f"messages go to {sys.argv[2]}", flush=True)
    asyncio.run(Sink(Path(sys.argv[2])).serve(int(sys.argv[1])))
