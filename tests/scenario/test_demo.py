"""The demo is a test: it ends well only when every outcome is what it says."""

import pytest

from support.copy import Copy


@pytest.mark.slow
@pytest.mark.timeout(600)
@pytest.mark.parametrize("replicas", [1, 2])
def test_the_demo_ends_well(workspace, replicas):
    """With one daemon of each service the accounts as well, which asks for nothing more to be started."""
    copy = Copy(workspace / "demo", replicas)
    try:
        told = [(copy.run("demo").stdout, 11)]
        if replicas == 1:
            told.append((copy.run("demo", "auth").stdout, 7))
    finally:
        copy.run("down", "--purge", check=False)
    for text, chapters in told:
        assert [f"\n{number}. " in text for number in range(1, chapters + 2)] == [True] * chapters + [False]
        assert "✗" not in text and "All of it happened as told" in text
