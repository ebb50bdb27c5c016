"""Tests wait for something to become true, never for a time to pass."""

import time
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")


def eventually(check: Callable[[], T], *, within: float = 10, what: str = "") -> T:
    """Calls `check` until it returns something true, and returns that. An AssertionError counts as not
    yet. Fails after `within` seconds, with what the last call said."""
    deadline = time.monotonic() + within
    pause = 0.002
    while True:
        try:
            found, last = check(), None
        except AssertionError as error:
            found, last = None, error
        if found:
            return found
        if time.monotonic() > deadline:
            name = what or getattr(check, "__name__", "condition")
            raise AssertionError(f"not within {within} s: {name}{f' ({last})' if last else ''}") from last
        time.sleep(pause)
        pause = min(pause * 1.5, 0.1)
