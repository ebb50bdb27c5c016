"""How the demo speaks: chapters, what was seen, and an end as soon as something is not as it should be."""

import sys

_bold, _green, _red, _plain = ("\033[1m", "\033[32m", "\033[31m", "\033[0m") if sys.stdout.isatty() else ("",) * 4


def chapter(number: int, title: str):
    print(f"\n{_bold}{number}. {title}{_plain}", flush=True)


def saw(text: str):
    print(f"   {_green}✓{_plain} {text}", flush=True)


def note(text: str):
    print(f"     {text}", flush=True)


def says(who: str, text: str = ""):
    """A line of a conversation. Without its text: more follows by `adds`, until `ends`."""
    print(f"     {who:6}  ", end="", flush=True)
    if text:
        adds(text)
        ends()


def adds(text: str):
    print(text.replace("\n", "\n" + " " * 13), end="", flush=True)


def ends():
    print(flush=True)


def progress(text: str):
    """A line that the next one replaces, where somebody looks."""
    if sys.stdout.isatty():
        print(f"\r     {text}\033[K", end="", flush=True)


def progress_end():
    if sys.stdout.isatty():
        print("\r\033[K", end="", flush=True)


def expect(condition, claim: str, seen=""):
    """Says the claim when it holds; ends the demo when it does not."""
    if not condition:
        print(f"   {_red}✗ not so: {claim}{_plain}\n     seen: {seen}", file=sys.stderr, flush=True)
        sys.exit(1)
    saw(claim)


def expect_status(answer, status: int, claim: str):
    expect(answer.status == status, claim, f"{answer.status} {answer.body.decode(errors='replace')[:600]}")
