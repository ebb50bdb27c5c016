"""Reports functions and files past the size where style says: look again. Past the size where it says: give a
reason, the check fails unless the first 15 lines of the file say `size:` and why (tables, flat switches). Tests are
mostly tables and only reported."""

import re
import sys
from collections.abc import Iterator
from pathlib import Path

from source import ROOT, Finding, is_test, main, sources

LOOK_AGAIN = {"function": 60, ".c": 600, ".h": 150}
GIVE_REASON = {"function": 100, ".c": 1000, ".h": 300}
_NAME = re.compile(r"(\w+)\(")


def functions(text: str) -> Iterator[tuple[str, int, int]]:
    """Name, first line and length of each function: from a brace in column 0 to the next closing one."""
    lines = text.splitlines()
    start = None
    for number, line in enumerate(lines, 1):
        if line == "{":
            start = number
        elif line.startswith("}") and start is not None:
            head = " ".join(lines[max(0, start - 6):start - 1])
            names = _NAME.findall(head.rpartition(";")[2].rpartition("}")[2])
            yield (names[0] if names else "?"), start, number - start - 1
            start = None


def measure(path: str, text: str, limits: dict[str, int]) -> Iterator[Finding]:
    suffix = Path(path).suffix
    length = text.count("\n")
    if length > limits[suffix]:
        yield Finding(path, 1, f"{length} lines, more than {limits[suffix]}")
    for name, line, body in functions(text):
        if body > limits["function"]:
            yield Finding(path, line, f"{name}() has {body} lines, more than {limits['function']}")


def check(path: str, text: str) -> Iterator[Finding]:
    if not is_test(path) and "size:" not in "\n".join(text.splitlines()[:15]):
        yield from measure(path, text, GIVE_REASON)


if __name__ == "__main__":
    for source in sources():
        for finding in measure(str(source.relative_to(ROOT)), source.read_text(), LOOK_AGAIN):
            print(f"look again: {finding}")
    sys.exit(main(check))
