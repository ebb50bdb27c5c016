"""A whole copy of Salus as scripts/up makes it, on ports and in a folder of its own."""

import os
import socket
import subprocess
from pathlib import Path

from support.paths import BUILD, ROOT

OFFSETS = (0, 1, 2, 3, 4, 5, 11, 12, 13, 14, 15, 90, 901, 902, 903, 904, 925)


def free_port_base() -> int:
    """A base whose ports nobody listens on."""
    for base in range(21000 + os.getpid() % 400 * 20, 31000, 20):
        sockets = []
        try:
            for offset in OFFSETS:
                sockets.append(socket.create_server(("127.0.0.1", base + offset)))
            return base
        except OSError:
            continue
        finally:
            for opened in sockets:
                opened.close()
    raise RuntimeError("no free ports")


class Copy:
    def __init__(self, data: Path, replicas: int = 1):
        self.data = data
        self.replicas = replicas
        self.port = free_port_base()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def run(self, script: str, *arguments: str, check: bool = True, timeout: float = 600) -> subprocess.CompletedProcess:
        settings = os.environ | {"SALUS_PORT_BASE": str(self.port), "SALUS_DATA": str(self.data), "SALUS_BUILD": BUILD,
                                 "SALUS_REPLICAS": str(self.replicas)}
        done = subprocess.run([ROOT / "scripts" / script, *arguments], env=settings, timeout=timeout,
                              stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        if check:
            assert done.returncode == 0, done.stdout[-8000:]
        return done

    def pid(self, name: str) -> int:
        return int((self.data / "run" / f"{name}.pid").read_text().split()[0])


def ends_well(told: str, *, chapters: int):
    """What a demo says when every outcome is as told."""
    assert [f"\n{number}. " in told for number in range(1, chapters + 2)] == [True] * chapters + [False]
    assert "✗" not in told and "All of it happened as told" in told
