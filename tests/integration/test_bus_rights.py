"""What a daemon may do on the bus: its own stream to write, those of others to read and acknowledge."""

import pytest
import redis


@pytest.fixture
def as_health(stack):
    user = "salus-main-health"
    return redis.Redis(host="127.0.0.1", port=stack.bus.port, username=user, password=stack.bus.passwords[user])


@pytest.mark.parametrize("words", [
    ("XADD", "s1:events:auth", "*", "a", "b"),
    ("XTRIM", "s1:events:auth", "MAXLEN", "0"),
    ("DEL", "s1:events:auth"),
    ("XADD", "s1:dead:auth", "*", "a", "b"),
    ("FLUSHALL",),
    ("CONFIG", "SET", "maxmemory-policy", "allkeys-lru"),
])
def test_refused(as_health, words):
    with pytest.raises(redis.exceptions.NoPermissionError):
        as_health.execute_command(*words)


def test_a_dead_letter_of_anothers_stream(as_health, stack):
    """As the consumer does it: the stream is no key of the script, which only acknowledges there."""
    stream, group, dead = "s1:events:memory", "main-health", "s1:dead:main-health"
    entry = stack.bus.connect().xadd(stream, {"a": "b"})
    as_health.xgroup_create(stream, group, id="0")
    assert as_health.xreadgroup(group, "me", {stream: ">"}, count=1)
    script = """if redis.call('XACK', ARGV[1], ARGV[2], ARGV[3]) == 0 then return 0 end
                redis.call('XADD', KEYS[1], '*', unpack(ARGV, 4)) return 1"""
    assert as_health.eval(script, 1, dead, stream, group, entry, "dead_reason", "test") == 1
    assert as_health.eval(script, 1, dead, stream, group, entry, "dead_reason", "test") == 0
