"""Links between documents lead somewhere: files and folders of this project, named relative to the page."""

import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

from source import ROOT, Finding

_LINK = re.compile(r"\]\(([^)#\s]+)(?:#[^)]*)?\)")


def check(path: str, text: str) -> Iterator[Finding]:
    for number, line in enumerate(text.splitlines(), 1):
        for target in _LINK.findall(line):
            if not re.match(r"[a-z]+:", target) and not (ROOT / path).parent.joinpath(target).exists():
                yield Finding(path, number, f"leads nowhere: {target}")


if __name__ == "__main__":
    pages = subprocess.run(["git", "ls-files", "-co", "--exclude-standard", "*.md"], cwd=ROOT, capture_output=True, text=True, check=True)
    findings = [finding for page in pages.stdout.split() if Path(ROOT / page).exists()
                for finding in check(page, (ROOT / page).read_text())]
    print(*findings, sep="\n")
    sys.exit(1 if findings else 0)
