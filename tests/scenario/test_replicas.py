"""Two daemons of each service behind the gateway: the same demo, and one of each is killed in it."""

import pytest

from support.copy import Copy, ends_well


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_the_demo_ends_well_with_two_of_each(workspace):
    copy = Copy(workspace / "two", replicas=2)
    try:
        ends_well(told := copy.run("demo").stdout, chapters=11)
    finally:
        copy.run("down", "--purge", check=False)
    assert "of the 2 daemons of each service one is killed" in told
