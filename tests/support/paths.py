"""Where things are."""

import fcntl
import functools
import os
import subprocess
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
BUILD = os.environ.get("SALUS_BUILD", "release")
COMPILER = os.environ.get("SALUS_CC", "gcc")
BIN = ROOT / "build" / f"{BUILD}-{COMPILER}" / "bin"
GEN = ROOT / "build" / "gen"
REALDATA = Path(os.environ.get("SALUS_REALDATA", ROOT.parent / "shared" / "realdata"))


def postgres_bin() -> Path:
    """The folder of the newest PostgreSQL server of this machine."""
    folders = sorted(Path("/usr/lib/postgresql").glob("*/bin"), key=lambda folder: int(folder.parent.name))
    if not folders:
        raise RuntimeError("no PostgreSQL server in /usr/lib/postgresql: apt-get install postgresql-15")
    return folders[-1]


@functools.cache
def program(name: str) -> Path:
    """A program of tests/support, built; one runner at a time."""
    path = Path("build", f"{BUILD}-{COMPILER}", "tests/support", name)
    with open(ROOT / "build/.tests-support", "w", encoding="utf-8") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        subprocess.run(["make", "-s", f"BUILD={BUILD}", f"CC={COMPILER}", path], cwd=ROOT, check=True)
    return ROOT / path
