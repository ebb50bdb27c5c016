"""What the rows of the bench stand on: stores that wait for their disk, daemons, people, load."""

import json
import os
import subprocess
import tempfile
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from functools import cached_property
from pathlib import Path

from support import client
from support.daemon import Daemon
from support.paths import ROOT, postgres_bin
from support.process import Process, free_port
from support.stack import Stack
from support.stores import Postgres

BENCH = Path(__file__).resolve().parent
BUILD = ROOT / "build/bench"
PEOPLE = 500
BODY = {"event_type": "vital", "event_subtype": "heart_rate", "occurred_at": "2026-11-20T08:15:12Z",
        "time_zone": "Europe/Berlin", "source": "watch", "event_data": {"value": 72.5, "unit": "/min"}}


class DurablePostgres(Postgres):
    """As an operator would run it on such a machine: nothing is acknowledged before it is on the disk."""

    settings = {"fsync": "on", "shared_buffers": "2GB", "max_wal_size": "8GB", "checkpoint_timeout": "30min",
                "autovacuum": "off", "max_connections": "200"}


class Rig:
    def __init__(self):
        self.home = tempfile.TemporaryDirectory(prefix="salus-bench.", dir="/var/tmp")
        Path(self.home.name).chmod(0o755)
        self.stack = Stack(Path(self.home.name) / "stack")
        self.stack.postgres = DurablePostgres(self.stack.folder)
        self.stack.start()

    @cached_property
    def auth(self) -> Daemon:
        return self.stack.daemon("auth", SALUS_ACCESS_TOKEN_LIFE="1h")

    @cached_property
    def health(self) -> Daemon:
        return self.beside_auth("main-health")

    @cached_property
    def memory(self) -> Daemon:
        return self.beside_auth("memory")

    def beside_auth(self, service: str, **settings: str) -> Daemon:
        """Nobody is ready without auth's keys."""
        assert self.auth.is_ready()
        return self.stack.daemon(service, **settings)

    def build_recall_program(self):
        """tests/bench/memory_recall.c with the release objects: BUILD/memory_recall."""
        BUILD.mkdir(parents=True, exist_ok=True)
        objects = ROOT / "build/release-gcc"
        subprocess.run(
            ["gcc", "-O2", "-D_GNU_SOURCE", "-std=gnu17", f"-I{ROOT}/libcommon", f"-I{ROOT}/build/gen",
             f"-I{ROOT}/services/memory", BENCH / "memory_recall.c", "-o", BUILD / "memory_recall",
             *(objects / f"services/memory/{name}.o" for name in (
                 "analysis", "embedding", "embedding_hash", "hebrew", "lexical_index", "lexicon", "recall_index",
                 "stop_words", "term_table", "vector_store", "vector_store_embedded")),
             *(objects / f"libsalus-{layer}.a" for layer in ("codec", "sys", "base")),
             "-l:libstemmer.a", "-ljansson", "-lsodium", "-lcrypto", "-lutf8proc", "-lidn2", "-levent_core", "-levent_pthreads",
             "-lpthread", "-lm"], check=True)

    @cached_property
    def people(self) -> list[client.Person]:
        with ThreadPoolExecutor(8) as pool:
            return list(pool.map(lambda _: client.register(self.auth.url, self.health.url), range(PEOPLE)))

    @cached_property
    def tokens(self) -> Path:
        path = self.stack.folder / "tokens"
        path.write_text("".join(person.token + "\n" for person in self.people))
        return path

    @cached_property
    def bodies(self) -> Path:
        path = self.stack.folder / "bodies"
        path.write_text(json.dumps(BODY) + "\n")
        return path

    @cached_property
    def load_program(self) -> Path:
        BUILD.mkdir(parents=True, exist_ok=True)
        program = BUILD / "load"
        subprocess.run(["gcc", "-O2", "-D_GNU_SOURCE", BENCH / "load.c", "-o", program], check=True)
        return program

    def load(self, port: int, connections: int, seconds: float | str, method: str, path: str, *, bodies: bool | str | Path = False,
             ids: Path | None = None, tokens: Path | str | None = None, refused: int | None = None) -> dict:
        """What load.c is told; `bodies` True: one event after the other."""
        command = [self.load_program, "127.0.0.1", str(port), str(connections), str(seconds), method, path,
                   tokens or self.tokens, self.bodies if bodies is True else bodies or "-", ids or "-"]
        done = subprocess.run(command + [str(refused)] * (refused is not None), capture_output=True, text=True)
        if done.returncode:
            raise AssertionError(f"load on {path}: {done.stderr}{done.stdout}")
        result = json.loads(done.stdout)
        return result | {"rate": result["requests"] / result["seconds"]}

    def missing_ids(self, ids: Path) -> tuple[int, int]:
        """How many ids were acknowledged, and how many of them are not in the event log."""
        with self.stack.postgres.connect("salus_health") as connection:
            connection.execute("CREATE TEMP TABLE acknowledged (id uuid)")
            with connection.cursor().copy("COPY acknowledged FROM STDIN") as copy:
                copy.write(ids.read_bytes())
            connection.execute("ANALYZE acknowledged")
            connection.execute("SET enable_nestloop = off")  # neither table has an index on the id alone
            return connection.execute(
                "SELECT count(*), count(*) FILTER (WHERE e.id IS NULL)"
                " FROM acknowledged LEFT JOIN health_events e USING (id)").fetchone()

    def pgbench(self, script: str, clients: int, seconds: float, *, database: str = "salus_health", **variables) -> float:
        path = self.stack.folder / "pgbench.sql"
        path.write_text(script)
        given = [word for key, value in variables.items() for word in ("-D", f"{key}={value}")]
        done = subprocess.run(
            [postgres_bin() / "pgbench", "-n", "-M", "prepared", "-f", path, "-c", str(clients), "-j", "1",
             "-T", str(seconds), *given, self.stack.postgres.url(database)],
            capture_output=True, text=True)
        for line in done.stdout.splitlines():
            if line.startswith("tps ="):
                return float(line.split()[2])
        raise AssertionError(f"pgbench: {done.stdout}{done.stderr}")

    def clear_events(self):
        assert self.health.is_ready()
        with self.stack.postgres.connect("salus_health") as connection:
            connection.execute("TRUNCATE health_events")
            connection.execute("CHECKPOINT")

    def stop(self):
        self.stack.stop()
        self.home.cleanup()


class Peer(Process):
    """Somebody else's server for the same job, with its dependencies in build/bench."""

    def __init__(self, name: str, rig: Rig, command: list[str], **environment: str):
        super().__init__(name, rig.stack.folder)
        self.port = free_port()
        self._command = [word.replace("PORT", str(self.port)) for word in command]
        self._environment = environment | {"PORT": str(self.port)}

    def command(self):
        return self._command

    def environment(self):
        return super().environment() | self._environment

    def is_ready(self):
        import socket

        with socket.socket() as probe:
            return probe.connect_ex(("127.0.0.1", self.port)) == 0


def jwk(rig: Rig) -> str:
    return json.dumps(client.Api(rig.auth.url).get("/.well-known/jwks.json").json()["keys"][0])


@contextmanager
def fastapi(rig: Rig):
    venv = BUILD / "fastapi"
    requirements = BENCH / "peers/fastapi/requirements.txt"
    if not (venv / "bin/uvicorn").exists():
        subprocess.run([os.environ.get("PYTHON", "python3"), "-m", "venv", venv], check=True)
        subprocess.run([venv / "bin/pip", "install", "-q", "orjson", "-r", requirements], check=True)
    peer = Peer("fastapi", rig,
                [str(venv / "bin/uvicorn"), "--app-dir", str(BENCH / "peers/fastapi"), "--port", "PORT", "--no-access-log",
                 "--log-level", "warning", "app:app"],
                DATABASE_URL=rig.stack.postgres.url("salus_health", "salus_health"), JWK=jwk(rig))
    with running(peer):
        yield peer


@contextmanager
def fastify(rig: Rig):
    folder = BUILD / "fastify"
    if not (folder / "node_modules").exists():
        folder.mkdir(parents=True, exist_ok=True)
        for name in ("package.json", "package-lock.json"):
            (folder / name).write_bytes((BENCH / "peers/fastify" / name).read_bytes())
        subprocess.run(["npm", "ci", "--silent", "--no-audit", "--no-fund"], cwd=folder, check=True)
    (folder / "app.js").write_bytes((BENCH / "peers/fastify/app.js").read_bytes())
    peer = Peer("fastify", rig, ["node", str(folder / "app.js")], NODE_ENV="production",
                DATABASE_URL=rig.stack.postgres.url("salus_health", "salus_health"), JWK=jwk(rig))
    with running(peer):
        yield peer


@contextmanager
def running(process: Process):
    process.start()
    try:
        yield process
    finally:
        process.kill()
