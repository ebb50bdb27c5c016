"""The demo is a test: it ends well only when every outcome is what it says."""

import pytest

from support.copy import Copy


@pytest.mark.slow
@pytest.mark.timeout(600)
@pytest.mark.parametrize("replicas", [1, 2])
def test_the_demo_ends_well(workspace, replicas):
    copy = Copy(workspace / "demo", replicas)
    try:
        told = copy.run("demo").stdout
    finally:
        copy.run("down", "--purge", check=False)
    for chapter in range(1, 12):
        assert f"\n{chapter}. " in told
    assert "✗" not in told and "All of it happened as told" in told
