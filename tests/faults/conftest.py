"""One house with all five services for all faults of this folder that leave it whole. A test that fails leaves it in an
unknown state: the next one gets another house."""

import itertools

import pytest
from support.house import House
from support.ledger import Ledger


class Houses:
    def __init__(self, workspace):
        self.workspace = workspace
        self.names = (f"house-{n}" for n in itertools.count(1))
        self.current: House | None = None
        self.is_whole = False

    def get(self) -> House:
        if self.current and not self.is_whole:
            self.end()
        if not self.current:
            self.current = House(self.workspace / next(self.names))
        self.is_whole = False
        return self.current

    def end(self):
        if house := self.current:
            self.current = None
            house.end()


@pytest.fixture(scope="session")
def houses(workspace):
    made = Houses(workspace)
    yield made
    made.end()


@pytest.fixture
def house(houses, request):
    yield houses.get()
    report = getattr(request.node, "call_report", None)
    houses.is_whole = bool(report and report.passed)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item, call):
    report = yield
    if report.when == "call":
        item.call_report = report
    return report


@pytest.fixture
def ledger(house):
    return Ledger(house)
