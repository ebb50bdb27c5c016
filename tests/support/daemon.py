"""One of our daemons, with settings of its own, and a look at what sanitizers said."""

import os
import re
import subprocess
from pathlib import Path

import httpx

from support.client import PLAIN
from support.paths import BIN
from support.process import Process, free_port

SANITIZER_REPORT = re.compile(r"ERROR: (Address|Leak|Thread)Sanitizer|WARNING: ThreadSanitizer|runtime error:")


class Daemon(Process):
    """`settings` are environment variables; a value of None leaves the variable out."""

    def __init__(self, service: str, folder: Path, settings: dict[str, str | None], *, name: str | None = None):
        super().__init__(name or service, folder)
        self.service = service
        self.port = free_port()
        self.settings = {"SALUS_LISTEN": f"127.0.0.1:{self.port}", **settings}

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def program(self) -> Path:
        path = BIN / f"salus-{self.service}"
        assert path.exists(), f"{path} was not built: make BUILD={BIN.parent.name.split('-')[0]}"
        return path

    def command(self):
        return [str(self.program())]

    def environment(self):
        given = {key: value for key, value in self.settings.items() if value is not None}
        sanitizers = {
            "ASAN_OPTIONS": "detect_stack_use_after_return=0:abort_on_error=0:exitcode=99",
            "UBSAN_OPTIONS": "print_stacktrace=1:halt_on_error=1",
        }
        return super().environment() | sanitizers | given

    def is_ready(self):
        try:
            return httpx.get(f"{self.url}/readyz", timeout=2, **PLAIN).status_code == 200
        except httpx.HTTPError:
            return False

    def is_unready(self) -> bool:
        """Up, and says that it cannot serve."""
        try:
            return httpx.get(f"{self.url}/readyz", timeout=2, **PLAIN).status_code == 503
        except httpx.HTTPError:
            return False

    def run(self, *arguments: str, check: bool = True, timeout: float = 60) -> subprocess.CompletedProcess:
        """One of its commands: --migrate, --status, --rollback N, --print-config …"""
        done = subprocess.run([self.program(), *arguments], env=self.environment(), capture_output=True, text=True,
                              timeout=timeout)
        if check:
            assert done.returncode == 0, f"{self.service} {' '.join(arguments)}: {done.stdout}{done.stderr}"
        return done

    def migrate(self):
        self.run("--migrate")

    def metric(self, name: str, **labels: str) -> float:
        """The sum of a metric's series that carry these labels; 0 when there is none."""
        wanted = [f'{key}="{value}"' for key, value in labels.items()]
        total = 0.0
        for line in httpx.get(f"{self.url}/metrics", timeout=5, **PLAIN).text.splitlines():
            series, _, value = line.rpartition(" ")
            if series.partition("{")[0] == name and all(label in series for label in wanted):
                total += float(value)
        return total

    def resident_bytes(self) -> int:
        pages = int(Path(f"/proc/{self.pid}/statm").read_text().split()[1])
        return pages * os.sysconf("SC_PAGE_SIZE")

    def sanitizer_reports(self) -> str:
        """What a sanitizer wrote into the log, or nothing."""
        text = self.log_text()
        found = SANITIZER_REPORT.search(text)
        return text[found.start():found.start() + 6000] if found else ""
