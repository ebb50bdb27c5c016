"""The demo is a test: it ends well only when every outcome is what it says."""

import pytest

from support.copy import Copy, ends_well


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_the_demo_ends_well(workspace):
    copy = Copy(workspace / "demo")
    try:
        ends_well(copy.run("demo").stdout, chapters=11)
        ends_well(copy.run("demo", "auth").stdout, chapters=7)
    finally:
        copy.run("down", "--purge", check=False)
