"""The rights that keys.yaml gives, tried on a real Redis."""
import shutil
import subprocess
import time

import pytest
import redis
from sample import ROOT


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    """A Redis on a socket, with the users of the whole project; every password is the user's name."""
    if not shutil.which("redis-server"):
        pytest.skip("redis-server is not installed")
    folder = tmp_path_factory.mktemp("redis")
    subprocess.run(["python3", str(ROOT / "proto/generate/generate.py"), "--proto", str(ROOT / "proto"), "--out", str(folder)],
                   check=True)
    lines = [line for line in (folder / "redis.acl").read_text(encoding="utf-8").splitlines() if not line.startswith("#")]
    (folder / "users.acl").write_text("\n".join(lines).replace("@salus-", "salus-").replace("@ ", " ") + "\n", encoding="utf-8")
    socket = folder / "s"
    process = subprocess.Popen(["redis-server", "--port", "0", "--unixsocket", str(socket), "--dir", str(folder), "--save", "",
                                "--aclfile", str(folder / "users.acl")], stdout=subprocess.DEVNULL)
    while not socket.exists():
        assert process.poll() is None, "Redis refuses the users"
        time.sleep(0.01)
    yield socket
    process.terminate()
    process.wait()


def connect(socket, user):
    return redis.Redis(unix_socket_path=str(socket), username=user, password=user, protocol=2)


ALLOWED = [
    ("salus-auth", "SET s1:auth:jwks x"),
    ("salus-auth", "XADD s1:events:auth 1-0 a b"),
    ("salus-auth", "XGROUP CREATE s1:events:main-health auth 0 MKSTREAM"),
    ("salus-main-health", "GET s1:auth:jwks"),
    ("salus-main-health", "XGROUP CREATE s1:events:auth main-health 0 MKSTREAM"),
    ("salus-main-health", "XREADGROUP GROUP main-health me STREAMS s1:events:auth >"),
    ("salus-main-health", "XACK s1:events:auth main-health 1-0"),
    ("salus-main-health", "SET s1:health:cache:x y PX 1000"),
    ("salus-main-health", "PUBLISH s1:signal:health.updated x"),
    ("salus-main-health", "CONFIG GET maxmemory-policy"),
    ("salus-main-health", "INFO memory"),
    ("salus-chat", "XADD s1:rpc:memory NOMKSTREAM MAXLEN ~ 10 * a b"),
    ("salus-chat", "SUBSCRIBE s1:reply:chat.x"),
    ("salus-memory", "XGROUP CREATE s1:rpc:memory rpc 0 MKSTREAM"),
    ("salus-memory", "XREADGROUP GROUP rpc me STREAMS s1:rpc:memory >"),
    ("salus-memory", "XDEL s1:rpc:memory 1-0"),
    ("salus-memory", "PUBLISH s1:reply:chat.x y"),
    ("salus-operator", "XRANGE s1:dead:auth - +"),
]
REFUSED = [
    ("salus-chat", "XRANGE s1:rpc:memory - +"),
    ("salus-chat", "XREAD STREAMS s1:rpc:memory 0"),
    ("salus-chat", "XDEL s1:rpc:memory 1-0"),
    ("salus-chat", "XTRIM s1:rpc:memory MAXLEN 0"),
    ("salus-chat", "XADD s1:rpc:auth * a b"),
    ("salus-chat", "PUBLISH s1:reply:memory.x y"),
    ("salus-chat", "SUBSCRIBE s1:reply:memory.x"),
    ("salus-memory", "XADD s1:rpc:scheduler * a b"),
    ("salus-memory", "SUBSCRIBE s1:reply:chat.x"),
    ("salus-memory", "PSUBSCRIBE s1:reply:*"),
    ("salus-memory", "PUBLISH s1:reply:auth.x y"),
    ("salus-auth", "PUBLISH s1:reply:chat.x y"),
    ("salus-auth", "FLUSHALL"),
    ("salus-auth", "KEYS *"),
    ("salus-auth", "CONFIG SET maxmemory 1"),
    ("salus-auth", "ACL LIST"),
    ("salus-auth", "GET s1:health:cache:x"),
    ("salus-auth", "GET elsewhere"),
    ("salus-auth", "PUBLISH elsewhere x"),
    ("salus-auth", "XADD s1:events:main-health * a b"),
    ("salus-auth", "XADD s1:dead:main-health * a b"),
    ("salus-main-health", "SET s1:auth:jwks x"),
    ("salus-main-health", "SET s1:auth:tokens:revoked:x y"),
    ("salus-main-health", "XADD s1:events:auth * a b"),
    ("salus-main-health", "XTRIM s1:events:auth MAXLEN 0"),
    ("salus-main-health", "DEL s1:events:auth"),
    ("salus-main-health", "XGROUP DESTROY s1:events:auth other"),
    ("salus-main-health", "XGROUP DELCONSUMER s1:events:auth other one"),
    ("salus-main-health", "XDEL s1:events:auth 1-0"),
    ("salus-operator", "FLUSHALL"),
]


@pytest.mark.parametrize(("user", "command"), ALLOWED)
def test_allowed(server, user, command):
    """A group that another test makes may not be there yet: that is an answer to one who may ask."""
    try:
        connect(server, user).execute_command(*command.split())
    except redis.exceptions.ResponseError as error:
        assert str(error).startswith("NOGROUP")


@pytest.mark.parametrize(("user", "command"), REFUSED)
def test_refused(server, user, command):
    with pytest.raises(redis.exceptions.NoPermissionError):
        connect(server, user).execute_command(*command.split())


def test_nobody_comes_in_without_a_name(server):
    with pytest.raises((redis.exceptions.AuthenticationError, redis.exceptions.NoPermissionError)):
        redis.Redis(unix_socket_path=str(server), protocol=2).execute_command("PING")
