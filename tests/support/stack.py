"""Stores and daemons that belong together, in one folder, on private ports."""

import secrets
from contextlib import contextmanager
from pathlib import Path

from support.bus import Stream
from support.daemon import Daemon
from support.stores import DOCUMENTS, SERVICES, Mongo, Postgres, Redis


class Stack:
    """Stores, of which three are started at once, and the daemons that a test asks for. stop() ends all and fails when
    a sanitizer had something to say."""

    def __init__(self, folder: Path):
        folder.mkdir(parents=True, exist_ok=True)
        folder.chmod(0o755)
        self.folder = folder
        self.postgres = Postgres(folder)
        self.bus = Redis("redis-bus", folder)
        self.cache = Redis("redis-cache", folder)
        self.mongo = Mongo(folder)  # started with the first service that needs it
        self.daemons: list[Daemon] = []
        self.cursor_key = secrets.token_urlsafe(32)
        self.seal_keys = "k1:" + secrets.token_urlsafe(32)
        self.pepper = secrets.token_urlsafe(32)
        self.contact_keys = "c1:" + secrets.token_urlsafe(32)
        self.admin_email, self.admin_password = "admin@salus.example", secrets.token_urlsafe(16)

    def start(self):
        for store in (self.postgres, self.bus, self.cache):
            store.start()
        return self

    def settings(self, service: str) -> dict[str, str]:
        common = {
            "REDIS_URL": self.bus.url(f"salus-{service}"),
            "REDIS_CACHE_URL": self.cache.url(f"salus-{service}"),
            "SALUS_TOKEN_ISSUER": "salus",
            "SALUS_TOKEN_AUDIENCE": "salus",
            "SALUS_TRUSTED_PROXIES": "127.0.0.1",
            "SALUS_CURSOR_KEY": self.cursor_key,
        }
        own = {
            # Many people come from one address here, and nobody's password is worth a slow hash. Tests of mail say so themselves.
            "auth": {"SALUS_SEAL_KEYS": self.seal_keys, "SALUS_PASSWORD_PEPPER": self.pepper, "SALUS_BCRYPT_COST": "4",
                     "SALUS_CONTACT_KEYS": self.contact_keys, "ADMIN_EMAIL": self.admin_email,
                     "ADMIN_PASSWORD": self.admin_password, "SALUS_REGISTER_LIMIT": "1000000", "SALUS_LOGIN_NETWORK_LIMIT": "1000000",
                     "SALUS_EMAIL_VERIFICATION": "off"},
            "main-health": {"SALUS_SCRATCH": str(self.folder / "scratch")},
            "memory": {},
            # Nothing listens there: a test that sends mail names its own sink.
            "scheduler": {"SALUS_SEAL_KEYS": self.seal_keys, "SALUS_CONTACT_KEYS": self.contact_keys,
                          "SALUS_SMTP_URL": "smtp://127.0.0.1:9", "SALUS_SMTP_TLS": "none",
                          "SALUS_MAIL_FROM": "salus@salus.test", "SALUS_EMAIL_SPACING": "0s"},
        }
        return common | self.store_settings(service) | own.get(service, {})

    def store_settings(self, service: str) -> dict[str, str]:
        if service in DOCUMENTS:
            return {"MONGO_URI": self.mongo.url(DOCUMENTS[service])}
        database = SERVICES[service]
        return {"DATABASE_URL": self.postgres.url(database, database),
                "MIGRATE_DATABASE_URL": self.postgres.url(database, f"{database}_owner")}

    def daemon(self, service: str, *, name: str | None = None, start: bool = True, **settings: str | None) -> Daemon:
        """A daemon with its schema migrated. A second instance of a service needs a name of its own."""
        (self.folder / "scratch").mkdir(exist_ok=True)
        if service in DOCUMENTS and not self.mongo.is_running():
            self.mongo.start()
        daemon = Daemon(service, self.folder, self.settings(service) | settings, name=name)
        self.daemons.append(daemon)
        if start:
            daemon.migrate()
            daemon.start()
        return daemon

    @contextmanager
    def away(self, *services: str):
        """Without the daemons of these services that others have started: a test plays them, or wants nobody there."""
        stopped = [daemon for daemon in self.daemons if daemon.service in services and daemon.is_running()]
        for daemon in stopped:
            assert daemon.stop() == 0, daemon.log_tail()
        try:
            yield
        finally:
            for daemon in stopped:
                daemon.start()

    def events(self, service: str) -> Stream:
        """The stream of what a service publishes, from now on."""
        return Stream(self.bus, f"s1:events:{service}")

    def stop(self):
        complaints = []
        for daemon in reversed(self.daemons):
            status = daemon.stop() if daemon.is_running() else 0
            reports = daemon.sanitizer_reports()
            if status != 0 or reports:
                complaints.append(f"{daemon.name} ended with {status}\n{reports or daemon.log_tail()}")
        for store in (self.cache, self.bus, self.mongo, self.postgres):
            if store.is_running():
                store.resume()
                store.kill()
        assert not complaints, "\n".join(complaints)
