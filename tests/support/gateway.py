"""The gateway with the files of deploy/gateway, in front of given ports."""

import os
import shutil
import signal
import subprocess
from pathlib import Path

import httpx

from support.client import PLAIN
from support.paths import ROOT
from support.process import Process, free_port

WRITE = """. scripts/lib/common.sh; . scripts/lib/gateway.sh; write_gateway "$@" """


class Gateway(Process):
    stop_signal = signal.SIGQUIT

    def __init__(self, folder: Path, auth: int, health: int, memory: int, scheduler: int = 1, chat: int = 1):
        super().__init__("gateway", folder)
        self.folder = folder / "gateway"
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self.behind = (auth, health, memory, scheduler, chat)

    def command(self):
        program = shutil.which("nginx") or "/usr/sbin/nginx"
        return [program, "-e", "stderr", "-p", str(self.folder), "-c", "conf/nginx.conf",
                "-g", f"daemon off; {self._user()}"]

    def _user(self) -> str:
        return "user root;" if os.geteuid() == 0 else ""

    def start(self, *, wait: bool = True):
        subprocess.run(["bash", "-c", WRITE, "write", self.folder, *map(str, (self.port, *self.behind))],
                       cwd=ROOT, check=True)
        return super().start(wait=wait)

    def is_ready(self):
        try:
            return httpx.get(self.url, timeout=2, **PLAIN).status_code == 200
        except httpx.HTTPError:
            return False
