"""docs/asvs.md, from items.tsv: the items of OWASP ASVS 5.0 that concern auth, and what proves each of them.

A proof is a test, written file::function, or a page where something has to be written down; or "n/a:" and why an item does not apply.
"""

import argparse
import re
import subprocess
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
ITEMS = Path(__file__).with_name("items.tsv")
CHAPTERS = {"6": ("Authentication", 47), "7": ("Session management", 19), "9": ("Self-contained tokens", 7),
            "16": ("Security logging and error handling", 17)}
MOST_NOT_APPLICABLE = 15
HEAD = """# ASVS 5.0: authentication, sessions, tokens, logging

Made from `tests/asvs/items.tsv` by `make docs`. One line an item of the chapters V6, V7, V9 and V16 of OWASP's Application Security
Verification Standard 5.0, in our words and its numbers: the tests that prove it, or why it does not apply. Lint refuses a test that is not
there; `scripts/test` runs them all.
"""


@dataclass
class Item:
    number: str
    short: str
    proofs: list[str]
    reason: str | None

    @property
    def chapter(self) -> str:
        return self.number.split(".")[0]


def read() -> list[Item]:
    items = []
    for line in ITEMS.read_text(encoding="utf-8").splitlines()[1:]:
        number, short, proof = line.split("\t")
        reason = proof.removeprefix("n/a: ") if proof.startswith("n/a: ") else None
        items.append(Item(number, short, [] if reason else proof.split(), reason))
    return items


def files() -> dict[str, Path]:
    """Every test file and page by its name."""
    listed = subprocess.run(["git", "ls-files", "-co", "--exclude-standard", "*_test.c", "tests/*.py", "docs/*.md"], cwd=ROOT,
                            check=True, capture_output=True, text=True).stdout.split()
    return {path if path.startswith("docs/") else Path(path).name: ROOT / path for path in listed}


def missing(proof: str, known: dict[str, Path]) -> str | None:
    """What is wrong with a proof, or nothing."""
    name, _, function = proof.partition("::")
    if name not in known or not known[name].exists():
        return f"{proof}: there is no {name}"
    if name.startswith("docs/"):
        return None
    form = rf"^static void {function}\(void \*\*" if name.endswith(".c") else rf"^def {function}\("
    return None if re.search(form, known[name].read_text(encoding="utf-8"), re.M) else f"{proof}: {name} has no such test"


def link(proof: str, known: dict[str, Path]) -> str:
    name, _, function = proof.partition("::")
    if not function:
        return f"[{Path(name).stem}]({Path(name).name})"
    return f"[`{function}`](../{known[name].relative_to(ROOT)})"


def page(items: list[Item]) -> str:
    known, lines = files(), [HEAD]
    for chapter, (title, _) in CHAPTERS.items():
        lines += [f"\n## V{chapter} {title}\n", "| item | in short | proof |", "| --- | --- | --- |"]
        lines += [f"| {item.number} | {item.short} | " +
                  (f"does not apply: {item.reason}" if item.reason else ", ".join(link(proof, known) for proof in item.proofs)) + " |"
                  for item in items if item.chapter == chapter]
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--docs", type=Path, default=ROOT / "docs")
    (parser.parse_args().docs / "asvs.md").write_text(page(read()), encoding="utf-8")
