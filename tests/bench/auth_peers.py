"""The servers that auth's rows are compared with: better-auth (npm) and glewlwyd (Debian), on the same PostgreSQL, each with
people who are signed in. What a peer is asked is told in the words of Rig.load()."""

import secrets
import subprocess
from collections.abc import Callable
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx

from bench.rig import BENCH, BUILD, Peer, Rig, running
from support.client import PASSWORD
from support.paths import postgres_bin

PEOPLE = 16
# glewlwyd and what it needs beside what ours needs as well: unpacked, not installed.
PACKAGES = ("glewlwyd", "glewlwyd-common", "libconfig9", "libhoel1.4", "libiddawc1.1", "libmariadb3", "libmicrohttpd12", "liboath0",
            "liborcania2.3", "librhonabwy1.1", "libulfius2.7", "libyder2.0")


@dataclass
class Asked:
    """Both take the seconds and ask for so long; a refresh whose effect is not in the peer's database fails."""

    profile: Callable[[float], dict]
    refresh: Callable[[float], dict]


def database(rig: Rig, name: str) -> str:
    with rig.stack.postgres.connect("postgres") as connection:
        connection.execute(f"CREATE DATABASE {name}")
    return rig.stack.postgres.url(name)


def tidy(rig: Rig, name: str):
    """The bench's server does not do it by itself."""
    with rig.stack.postgres.connect(name) as connection:
        connection.execute("VACUUM ANALYZE")


def written(rig: Rig, name: str, lines: list[str]) -> Path:
    path = rig.stack.folder / name
    path.write_text("".join(line + "\n" for line in lines))
    return path


@contextmanager
def better_auth(rig: Rig):
    folder = BUILD / "better-auth"
    folder.mkdir(parents=True, exist_ok=True)
    for name in ("package.json", "package-lock.json", "app.js"):
        (folder / name).write_bytes((BENCH / "peers/better-auth" / name).read_bytes())
    if not (folder / "node_modules").exists():
        subprocess.run(["npm", "ci", "--silent", "--no-audit", "--no-fund"], cwd=folder, check=True)
    peer = Peer("better-auth", rig, ["node", str(folder / "app.js")], NODE_ENV="production", SECRET=secrets.token_urlsafe(32),
                DATABASE_URL=database(rig, "better_auth"))
    with running(peer):
        url = f"http://127.0.0.1:{peer.port}/api/auth"
        people = [httpx.post(f"{url}/sign-up/email", timeout=30,
                             json={"email": f"p{n}@example.org", "password": PASSWORD, "name": f"Person {n}"})
                  for n in range(PEOPLE)]
        bearers = [it.raise_for_status().headers["set-auth-token"] for it in people]
        tokens = written(rig, "better-auth-tokens", bearers)

        def ask(query: str) -> Callable[[float], dict]:
            def load(seconds: float) -> dict:
                said = httpx.get(f"{url}/get-session{query}", headers={"Authorization": f"Bearer {bearers[0]}"}).json()
                assert said["user"]["email"] == "p0@example.org", said
                return rig.load(peer.port, PEOPLE, seconds, "GET", f"/api/auth/get-session{query}", tokens=tokens)

            return load

        def refresh(seconds: float) -> dict:
            tidy(rig, "better_auth")
            result = ask("")(seconds)
            late = rig.stack.postgres.rows("better_auth", """SELECT FROM session WHERE "updatedAt" < now() - interval '1 second'""")
            assert not late, f"{len(late)} sessions were not renewed"
            return result

        yield Asked(profile=ask("?disableRefresh=true"), refresh=refresh)


def unpacked() -> Path:
    folder = BUILD / "glewlwyd"
    if not (folder / "usr/bin/glewlwyd").exists():
        (folder / "packages").mkdir(parents=True, exist_ok=True)
        subprocess.run(["apt-get", "download", *PACKAGES], cwd=folder / "packages", check=True)
        for package in (folder / "packages").glob("*.deb"):
            subprocess.run(["dpkg", "-x", package, folder], check=True)
        (folder / "usr/lib/glewlwyd/user_middleware").mkdir(exist_ok=True)
    return folder


def glewlwyd_database(rig: Rig, folder: Path) -> str:
    """As its package makes it."""
    url = database(rig, "glewlwyd")
    scripts = folder / "usr/share/dbconfig-common/data/glewlwyd/install"
    subprocess.run([postgres_bin() / "psql", "-X", "-q", "-v", "ON_ERROR_STOP=1", "-c", "CREATE EXTENSION pgcrypto",
                    "-f", scripts / "pgsql", "-f", scripts / "postgre.default.sql", url], check=True, stdout=subprocess.DEVNULL)
    return url


def glewlwyd_settings(rig: Rig, folder: Path) -> dict[str, str]:
    modules = {"USER": "user", "USER_MIDDLEWARE": "user_middleware", "CLIENT": "client", "AUTH_SCHEME": "scheme", "PLUGIN": "plugin"}
    settings = {"DATABASE_TYPE": "postgre", "DATABASE_POSTGRE_CONNINFO": glewlwyd_database(rig, folder), "BIND_ADDRESS": "127.0.0.1",
                "API_PREFIX": "api", "EXTERNAL_URL": "http://127.0.0.1", "LOGIN_URL": "login.html", "LOG_MODE": "console",
                "LOG_LEVEL": "ERROR", "HASH_ALGORITHM": "SHA512", "ADMIN_SCOPE": "g_admin", "PROFILE_SCOPE": "g_profile",
                "SESSION_KEY": "session", "SESSION_EXPIRATION": "2419200"}
    settings |= {f"{kind}_MODULE_PATH": str(folder / "usr/lib/glewlwyd" / name) for kind, name in modules.items()}
    return {f"GLWD_{key}": value for key, value in settings.items()}


def es256_key() -> dict[str, str]:
    def openssl(*words: str, given: str = "") -> str:
        return subprocess.run(["openssl", *words], input=given, capture_output=True, text=True, check=True).stdout

    private = openssl("ecparam", "-genkey", "-name", "prime256v1", "-noout")
    return {"key": private, "cert": openssl("ec", "-pubout", given=private)}


@contextmanager
def glewlwyd(rig: Rig):
    """OpenID Connect with ES256 tokens as ours, each refresh token good for one use; people sign in by password."""
    folder = unpacked()
    peer = Peer("glewlwyd", rig, [str(folder / "usr/bin/glewlwyd"), "-e", "-p", "PORT"],
                LD_LIBRARY_PATH=str(folder / "usr/lib/x86_64-linux-gnu"), **glewlwyd_settings(rig, folder))
    with running(peer), httpx.Client(base_url=f"http://127.0.0.1:{peer.port}/api", timeout=30) as admin:
        admin.post("/auth/", json={"username": "admin", "password": "password"}).raise_for_status()
        ways = {f"auth-type-{way}-enabled": way in ("password", "refresh", "code")
                for way in ("password", "refresh", "code", "token", "implicit", "client", "device")}
        admin.post("/mod/plugin/", json={
            "module": "oidc", "name": "oidc", "display_name": "oidc", "enabled": True,
            "parameters": es256_key() | ways | {
                "iss": "http://127.0.0.1", "jwt-type": "ecdsa", "jwt-key-size": "256", "allow-non-oidc": True, "code-duration": 600,
                "refresh-token-duration": 1209600, "refresh-token-one-use": "always", "access-token-duration": 3600,
                "name-claim": "mandatory", "email-claim": "mandatory"}}).raise_for_status()
        for n in range(PEOPLE):
            admin.post("/user/", json={"username": f"p{n}", "name": f"Person {n}", "email": f"p{n}@example.org", "password": PASSWORD,
                                       "enabled": True, "scope": ["g_profile", "openid"]}).raise_for_status()

        def sign_in(n: int) -> dict:
            form = {"grant_type": "password", "scope": "openid g_profile", "username": f"p{n}", "password": PASSWORD}
            return httpx.post(f"{admin.base_url}oidc/token", data=form, timeout=30).raise_for_status().json()

        def profile(seconds: float) -> dict:
            tokens = written(rig, "glewlwyd-tokens", [sign_in(n)["access_token"] for n in range(PEOPLE)])
            return rig.load(peer.port, PEOPLE, seconds, "GET", "/api/oidc/userinfo", tokens=tokens)

        def used() -> int:
            return rig.stack.postgres.rows("glewlwyd", "SELECT count(*) FROM gpo_refresh_token WHERE gpor_enabled = 0")[0][0]

        def refresh(seconds: float) -> dict:
            tidy(rig, "glewlwyd")
            before = used()
            forms = [f"grant_type=refresh_token&refresh_token={sign_in(n)['refresh_token']}" for n in range(PEOPLE)]
            result = rig.load(peer.port, PEOPLE, seconds, "POST", "/api/oidc/token",
                              bodies=f"form:{written(rig, 'glewlwyd-forms', forms)}", tokens="-")
            assert used() - before == result["requests"], f"{used() - before} tokens were used in {result['requests']} refreshes"
            return result

        yield Asked(profile=profile, refresh=refresh)


PEERS = {"better-auth": better_auth, "glewlwyd": glewlwyd}
