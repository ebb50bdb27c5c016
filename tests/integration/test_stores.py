"""The harness itself: the stores are real, apart, and behave like those that scripts/up starts."""

import subprocess

import psycopg
import pytest
from support.paths import BIN
from support.stores import DOCUMENTS, SERVICES
from support.waiting import eventually


def test_each_role_sees_its_own_database_only(stack):
    with stack.postgres.connect("salus_auth", "salus_auth") as connection:
        assert connection.execute("SELECT current_user").fetchone() == ("salus_auth",)
    with pytest.raises(psycopg.OperationalError):
        stack.postgres.connect("salus_health", "salus_auth")


def test_the_bus_keeps_and_the_cache_forgets(stack):
    assert stack.bus.connect().config_get("maxmemory-policy") == {"maxmemory-policy": "noeviction"}
    assert stack.bus.connect().config_get("appendonly") == {"appendonly": "yes"}
    assert stack.cache.connect().config_get("maxmemory-policy") == {"maxmemory-policy": "allkeys-lru"}


def test_a_killed_bus_comes_back_with_its_data(private_stack):
    bus = private_stack.bus
    bus.connect().set("s1:test", "kept")
    bus.kill()
    assert not bus.is_ready()
    bus.start()
    assert bus.connect().get("s1:test") == "kept"


def test_an_emptied_bus_has_nothing(private_stack):
    bus = private_stack.bus
    bus.connect().set("s1:test", "gone")
    bus.stop()
    bus.empty()
    bus.start()
    assert bus.connect().get("s1:test") is None


def test_waiting_says_what_for():
    with pytest.raises(AssertionError, match="the moon"):
        eventually(lambda: False, within=0.01, what="the moon")


def test_a_stream_reader_sees_what_comes_after_it(stack):
    bus = stack.bus.connect()
    bus.xadd("s1:events:test", {"ce_type": "old.v1", "data": "{}"})
    stream = stack.events("test")
    bus.xadd("s1:events:test", {"ce_type": "new.v1", "ce_subject": "x", "data": '{"n": 1}'})
    assert [event["data"] for event in stream.wait_for("new.v1", "x")] == [{"n": 1}]
    assert stream.of("old.v1") == []


@pytest.mark.parametrize("service", (*SERVICES, *DOCUMENTS))
def test_only_who_keeps_documents_loads_mongodbs_driver(service):
    """It takes memory in every process, and writes to standard error where shared memory is small."""
    libraries = subprocess.run(["ldd", BIN / f"salus-{service}"], capture_output=True, text=True, check=True).stdout
    assert ("libmongoc" in libraries) == (service in DOCUMENTS)
