"""What the checks of C sources share: files, text without comments and strings, findings."""

import re
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).resolve().parents[2]
LAYERS = ["base", "sys", "codec", "store", "bus", "http", "service"]


class Finding(NamedTuple):
    path: str
    line: int
    text: str

    def __str__(self):
        return f"{self.path}:{self.line}: {self.text}"


Check = Callable[[str, str], Iterator[Finding]]
"""A check gets a path from the root of the project and the text of the file."""

_TOKEN = re.compile(r'//[^\n]*|/\*.*?\*/|"(?:\\.|[^"\\\n])*"|\'(?:\\.|[^\'\\\n])*\'', re.DOTALL)
_INCLUDE = re.compile(r'^[ \t]*#[ \t]*include[ \t]*(["<])([^">]+)[">]', re.MULTILINE)


def _blank(text: str) -> str:
    return re.sub(r"[^\n]", " ", text)


def code_only(text: str) -> str:
    """The same text with comments and the insides of strings as blanks; lines stay where they were."""
    def replace(match: re.Match) -> str:
        token = match.group()
        return _blank(token) if token[0] == "/" else token[0] + _blank(token[1:-1]) + token[-1]

    return _TOKEN.sub(replace, text)


def literals(text: str) -> Iterator[tuple[int, str]]:
    """Each string literal outside comments and #include lines, with its line."""
    without = _INCLUDE.sub(lambda match: _blank(match.group()), text)
    for match in _TOKEN.finditer(without):
        if match.group().startswith('"'):
            yield without.count("\n", 0, match.start()) + 1, match.group()[1:-1]


def includes(text: str) -> Iterator[tuple[int, bool, str]]:
    """Each #include: line, whether in quotes, name."""
    for match in _INCLUDE.finditer(text):
        yield text.count("\n", 0, match.start()) + 1, match.group(1) == '"', match.group(2)


def is_test(path: str) -> bool:
    name = path.rsplit("/", 1)[-1]
    return path.startswith("tests/") or name.endswith("_test.c") or name.startswith("test_")


def sources(root: Path = ROOT) -> list[Path]:
    return sorted(path for folder in ("libcommon", "services", "tests/fuzz", "tests/bench")
                  for path in (root / folder).rglob("*.[ch]"))


def main(check: Check) -> int:
    """Runs one check over the project, or over the files named on the command line."""
    paths = [Path(name).resolve() for name in sys.argv[1:]] or sources()
    findings = [finding for path in paths
                for finding in check(str(path.relative_to(ROOT)), path.read_text())]
    for finding in findings:
        print(finding)
    return 1 if findings else 0
