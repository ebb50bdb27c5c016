"""Alarms name metrics that the code has."""

import re
import sys
from collections.abc import Iterator

from source import ROOT, Finding, is_test, sources

_METRIC = re.compile(r"\bsalus_[a-z_]+")
_SUFFIX = re.compile(r"_(bucket|sum|count)$")


def known() -> set[str]:
    return {name for path in sources() if not is_test(str(path.relative_to(ROOT)))
            for name in re.findall(r'"(salus_[a-z_]+)"', path.read_text())}


def check(path: str, text: str) -> Iterator[Finding]:
    metrics = known()
    for number, line in enumerate(text.splitlines(), 1):
        for name in _METRIC.findall(line):
            if name not in metrics and _SUFFIX.sub("", name) not in metrics:
                yield Finding(path, number, f"no such metric: {name}")


if __name__ == "__main__":
    rules = sorted((ROOT / "deploy/observability").glob("*.rules.yml"))
    findings = [finding for page in rules for finding in check(str(page.relative_to(ROOT)), page.read_text())]
    print(*findings, sep="\n", end="\n" if findings else "")
    sys.exit(1 if findings else 0)
