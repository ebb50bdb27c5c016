"""One server process of a test: started, asked to stop, killed, paused; its output in a file."""

import os
import signal
import socket
import subprocess
from pathlib import Path

from support.waiting import eventually


def free_port() -> int:
    """A port of 127.0.0.1 that nobody listens on, outside the range that outgoing connections use. Runners beside each other
    look at different ones, and other sessions of tests start some seventy further on."""
    low = int(Path("/proc/sys/net/ipv4/ip_local_port_range").read_text().split()[0])
    runner = int(os.environ.get("PYTEST_XDIST_WORKER", "gw0")[2:])
    for port in range(low - 1 - os.getpid() % 40 * 497 - runner % 7, 1024, -7):
        if port in _given:
            continue
        with socket.socket() as probe:
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
        _given.add(port)
        return port
    raise RuntimeError("no free port")


_given: set[int] = set()


class Process:
    """`command` is started by start(); subclasses say when it is ready."""

    stop_signal = signal.SIGTERM
    restore_signals = True  # Python ignores SIGXFSZ, for one

    def __init__(self, name: str, folder: Path, run_as: str | None = None):
        self.name = name
        self.log = folder / f"{name}.log"
        self.run_as = run_as
        self.popen: subprocess.Popen | None = None

    def command(self) -> list[str]:
        raise NotImplementedError

    def environment(self) -> dict[str, str]:
        return {"PATH": os.environ["PATH"], "LANG": "C.UTF-8", "TZ": "UTC"}

    def is_ready(self) -> bool:
        raise NotImplementedError

    def start(self, *, wait: bool = True):
        assert not self.is_running(), f"{self.name} runs already"
        user = {"user": self.run_as, "group": self.run_as, "extra_groups": []} if self.run_as else {}
        with self.log.open("ab") as log:
            self.popen = subprocess.Popen(
                self.command(), env=self.environment(), stdin=subprocess.DEVNULL, stdout=log, stderr=log,
                start_new_session=True, restore_signals=self.restore_signals, **user,
            )
        if wait:
            self.wait_ready()
        return self

    def wait_ready(self, within: float = 60):
        def ready():
            if not self.is_running():
                raise RuntimeError(f"{self.name} ended with {self.popen.returncode}:\n{self.log_tail()}")
            return self.is_ready()

        try:
            eventually(ready, within=within, what=f"{self.name} is ready")
        except AssertionError as error:
            raise AssertionError(f"{error}\n{self.log_tail()}") from None

    def is_running(self) -> bool:
        return self.popen is not None and self.popen.poll() is None

    @property
    def pid(self) -> int:
        assert self.popen is not None
        return self.popen.pid

    def signal(self, number: int):
        self.popen.send_signal(number)

    def stop(self, within: float = 30) -> int:
        """Asks it to end and returns its exit status."""
        if self.popen is None:
            return 0
        if self.is_running():
            self.signal(signal.SIGCONT)
            self.signal(self.stop_signal)
        try:
            return self.popen.wait(within)
        except subprocess.TimeoutExpired:
            self.kill()
            raise AssertionError(f"{self.name} did not stop within {within} s\n{self.log_tail()}") from None

    def kill(self):
        """kill -9, of it and its children."""
        if self.is_running():
            os.killpg(self.pid, signal.SIGKILL)
            self.popen.wait(30)

    def pause(self):
        self.signal(signal.SIGSTOP)

    def resume(self):
        self.signal(signal.SIGCONT)

    def log_text(self) -> str:
        return self.log.read_text(errors="replace") if self.log.exists() else ""

    def log_tail(self, lines: int = 30) -> str:
        return "\n".join(self.log_text().splitlines()[-lines:])
