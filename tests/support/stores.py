"""PostgreSQL, MongoDB and Redis as scripts/up sets them up, on private ports, without waiting for disks."""

import hashlib
import os
import secrets
import shutil
import signal
import subprocess
import urllib.parse
from pathlib import Path

import psycopg
import pymongo
import redis

from support.paths import GEN, ROOT, postgres_bin
from support.process import Process, free_port

SERVICES = {"auth": "salus_auth", "main-health": "salus_health", "memory": "salus_memory",
            "scheduler": "salus_scheduler"}
# Services that keep documents: name, database.
DOCUMENTS = {"chat": "salus_chat"}

# initdb takes longer than anything else here: it runs once, and each cluster is a copy.
_template: Path | None = None


def _run_as() -> str | None:
    return "postgres" if os.geteuid() == 0 else None


class Postgres(Process):
    stop_signal = signal.SIGINT
    settings = {"fsync": "off", "max_connections": "200", "idle_in_transaction_session_timeout": "20s"}

    def __init__(self, folder: Path):
        super().__init__("postgres", folder, run_as=_run_as())
        self.data = folder / "postgres"
        self.port = free_port()
        self.passwords = {name: secrets.token_urlsafe(16) for database in SERVICES.values()
                          for name in (database, f"{database}_owner")}

    def command(self):
        return [str(postgres_bin() / "postgres"), "-D", str(self.data), "-p", str(self.port),
                "-c", "listen_addresses=127.0.0.1", "-c", "unix_socket_directories=", "-c", "timezone=UTC",
                *(word for key, value in self.settings.items() for word in ("-c", f"{key}={value}"))]

    def start(self, *, wait: bool = True):
        if not self.data.exists():
            _copy_cluster(self.data)
        super().start(wait=wait)
        if wait:
            self.create_databases()
        return self

    def is_ready(self):
        try:
            self.connect("postgres").close()
            return True
        except psycopg.OperationalError:
            return False

    def create_databases(self):
        for database in SERVICES.values():
            subprocess.run(
                [postgres_bin() / "psql", "-X", "-q", "-v", "ON_ERROR_STOP=1", "-v", f"store={database}",
                 "-f", ROOT / "scripts/lib/databases.sql", self.url("postgres")],
                check=True, stdout=subprocess.DEVNULL,
                env={**os.environ, "OWNER_PASSWORD": self.passwords[f"{database}_owner"],
                     "APP_PASSWORD": self.passwords[database]},
            )

    def url(self, database: str, role: str = "postgres") -> str:
        password = self.passwords.get(role, "postgres")
        return f"postgresql://{role}:{password}@127.0.0.1:{self.port}/{database}"

    def connect(self, database: str, role: str = "postgres") -> psycopg.Connection:
        """As superuser unless another role is asked for; each statement commits."""
        return psycopg.connect(self.url(database, role), autocommit=True, connect_timeout=5)

    def rows(self, database: str, sql: str, *parameters) -> list[tuple]:
        """All rows of one query, seen by the superuser (past row-level security)."""
        with self.connect(database) as connection:
            return connection.execute(sql, parameters).fetchall()

    def dump(self, database: str) -> str:
        """All that a backup of it would hold."""
        return subprocess.run([postgres_bin() / "pg_dump", self.url(database)], check=True, capture_output=True, text=True).stdout


def _copy_cluster(target: Path):
    global _template
    if _template is None:
        _template = target.parent.parent / "postgres-template"
        password = target.parent / "initdb-password"
        password.write_text("postgres\n")
        password.chmod(0o644)
        _template.mkdir()
        _give_away(_template)
        subprocess.run(
            [postgres_bin() / "initdb", "-D", _template, "-U", "postgres", "-A", "scram-sha-256", "--no-sync",
             f"--pwfile={password}", "-E", "UTF8", "--locale=C.UTF-8"],
            check=True, stdout=subprocess.DEVNULL, user=_run_as(),
        )
    shutil.copytree(_template, target)
    _give_away(target)


def _give_away(folder: Path):
    if _run_as():
        for path in [folder, *folder.rglob("*")]:
            shutil.chown(path, "postgres", "postgres")
    folder.chmod(0o700)


class Mongo(Process):
    """The server that scripts/up would choose; with MONGO_URI in the environment that one, which no test starts,
    stops or kills: such tests ask for is_ours first."""

    def __init__(self, folder: Path):
        super().__init__("mongo", folder)
        self.data = folder / "mongo"
        self.given = os.environ.get("MONGO_URI")
        self.is_ours = not self.given
        self.suffix = "" if self.is_ours else "_" + secrets.token_hex(4)
        self.port = free_port()

    def command(self):
        return [str(ROOT / "scripts/lib/mongo-server"), "127.0.0.1", str(self.port), str(self.data)]

    def start(self, *, wait: bool = True):
        if self.given:
            return self
        self.data.mkdir(exist_ok=True)
        return super().start(wait=wait)

    def is_ready(self):
        try:
            self.connect().admin.command("ping")
            return True
        except pymongo.errors.PyMongoError:
            return False

    def empty(self):
        """Loses all data, as a disk that broke. Only while stopped."""
        assert self.is_ours and not self.is_running()
        shutil.rmtree(self.data)

    def url(self, database: str) -> str:
        if not self.given:
            return f"mongodb://127.0.0.1:{self.port}/{database}"
        parts = urllib.parse.urlsplit(self.given)
        return parts._replace(path=f"/{database}{self.suffix}").geturl()

    def connect(self) -> pymongo.MongoClient:
        return pymongo.MongoClient(self.url("admin") if self.is_ours else self.given, serverSelectionTimeoutMS=2000)

    def documents(self, database: str, collection: str, condition: dict | None = None) -> list[dict]:
        with self.connect() as client:
            return list(client[database + self.suffix][collection].find(condition or {}))


class Redis(Process):
    """The bus (append-only, noeviction) or the cache (LRU), with the users that the build generates."""

    restore_signals = False  # a file that may not grow is an error to it, and no signal

    def __init__(self, name: str, folder: Path):
        super().__init__(name, folder)
        self.data = folder / name
        self.port = free_port()
        self.passwords = {f"salus-{who}": secrets.token_urlsafe(16) for who in (*SERVICES, *DOCUMENTS, "operator")}

    def command(self):
        settings = {"port": str(self.port), "bind": "127.0.0.1", "dir": str(self.data), "save": "",
                    "aclfile": str(self.data / "users.acl")}
        if self.name == "redis-bus":
            settings |= {"appendonly": "yes", "appendfsync": "everysec", "maxmemory-policy": "noeviction"}
        else:
            settings |= {"appendonly": "no", "maxmemory-policy": "allkeys-lru", "maxmemory": "64mb"}
        return ["redis-server", *(word for key, value in settings.items() for word in (f"--{key}", value))]

    def start(self, *, wait: bool = True):
        self.data.mkdir(exist_ok=True)
        text = "".join(line for line in (GEN / "redis.acl").read_text().splitlines(keepends=True)
                       if line.split()[1] in ("default", *self.passwords))
        for user, password in self.passwords.items():
            text = text.replace(f">@{user}@", "#" + hashlib.sha256(password.encode()).hexdigest())
        # The tests themselves may do anything: they play the broken server and the clumsy operator.
        (self.data / "users.acl").write_text(text + "user tests on >tests ~* &* +@all\n")
        return super().start(wait=wait)

    def empty(self):
        """Loses all data, as a disk that broke. Only while stopped."""
        assert not self.is_running()
        shutil.rmtree(self.data)

    def is_ready(self):
        try:
            return self.connect().ping()
        except redis.exceptions.RedisError:
            return False

    def aof_size(self) -> int:
        """Bytes of the file that grows."""
        return max(file.stat().st_size for file in (self.data / "appendonlydir").glob("*.incr.aof"))

    def url(self, user: str) -> str:
        return f"redis://{user}:{self.passwords[user]}@127.0.0.1:{self.port}/0"

    def connect(self) -> redis.Redis:
        return redis.Redis(host="127.0.0.1", port=self.port, username="tests", password="tests", decode_responses=True)

