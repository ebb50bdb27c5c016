"""One thing used by many at once, over two daemons of auth, of which the second is killed in some of the rounds."""

import http.client
import json
import random
import socket
import time

PARALLEL = 64


class Answer:
    """`use`: which of the shots it answers."""

    def __init__(self, use: int, status: int, text: bytes):
        self.use, self.status, self.text = use, status, text

    def __repr__(self):
        return f"{self.use}: {self.status} {self.text[:300]}"

    def json(self) -> dict:
        return json.loads(self.text)


class Shot:
    """A POST of which the server has all but the last byte until fire()."""

    def __init__(self, daemon, path: str, body: dict | None = None, **headers: str):
        text = json.dumps(body) if body else ""
        head = [f"POST {path} HTTP/1.1", "Host: salus", f"Content-Length: {len(text)}"]
        head += ["Content-Type: application/json"] * bool(body) + [f"{name}: {value}" for name, value in headers.items()]
        self.bytes = ("\r\n".join(head) + "\r\n\r\n" + text).encode()
        self.socket = socket.create_connection(("127.0.0.1", daemon.port), timeout=30)
        self.socket.sendall(self.bytes[:-1])

    def fire(self):
        try:
            self.socket.sendall(self.bytes[-1:])
        except OSError:
            pass  # its daemon is gone, which answer() says

    def answer(self, use: int) -> Answer | None:
        """None when the connection broke."""
        try:
            got = http.client.HTTPResponse(self.socket, method="POST")
            got.begin()
            return Answer(use, got.status, got.read())
        except (http.client.HTTPException, OSError):
            return None
        finally:
            self.socket.close()


def fire(shots: list[Shot], moment: int = -1, meanwhile=lambda: None) -> list[Answer]:
    """All at once, within a millisecond or so; `meanwhile` happens when so many are under way. What was answered."""
    for number, shot in enumerate(shots):
        if number == moment:
            meanwhile()
        shot.fire()
    return [answer for use, shot in enumerate(shots) if (answer := shot.answer(use))]


class Race:
    """Two daemons. In one of ten rounds the second is killed during run(); `url` is that of the first."""

    def __init__(self, stack, **settings):
        self.first, self.second = (stack.daemon("auth", name=name, **settings) for name in ("auth-race", "auth-race-killed"))
        self.url = self.first.url
        self.chance = random.Random(4)
        self.killing = False

    def __enter__(self):
        return self

    def __exit__(self, *what):
        self.first.stop()
        self.second.stop()

    def rounds(self, count: int):
        for number in range(count):
            self.killing = number % 10 == 1
            yield number
            if not self.second.is_running():
                self.second.start()

    def _kill(self):
        time.sleep(self.chance.uniform(0, 0.01))
        self.second.kill()

    def run(self, path: str, body) -> list[Answer]:
        """body(n) is the nth use. What was answered: a daemon that died says nothing."""
        shots = [Shot((self.first, self.second)[use % 2], path, body(use)) for use in range(PARALLEL)]
        moment = self.chance.randrange(PARALLEL // 2, PARALLEL) if self.killing else -1
        answers = fire(shots, moment, self._kill)
        assert len(answers) >= (PARALLEL // 2 if self.killing else PARALLEL), "a daemon that nobody killed broke a connection"
        return answers

    def one_wins(self, path: str, body, won: int, lost: int, effects) -> Answer | None:
        """Of all uses one has its effect, and effects() counts those. The answer may have died with its daemon, which may also
        have died before there was an effect: then one more use has it. Returns the winner's answer, if it was heard."""
        answers = self.run(path, body)
        assert {answer.status for answer in answers} <= {won, lost, 503}, answers
        winners = [answer for answer in answers if answer.status == won]
        heard, done = len(winners), effects()
        assert heard <= done <= 1 and (self.killing or heard == 1), (
            f"{heard} heard that they won, {done} did", answers)
        again = fire([Shot(self.first, path, body(0))])[0]
        assert again.status == (lost if done else won), again.text
        assert effects() == 1
        return winners[0] if winners else None
