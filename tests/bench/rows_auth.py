"""auth: refreshes and profiles a second; sign-ins at the ceiling of the hash, and who notices."""

import json
import os
import subprocess
import time
from concurrent.futures import ThreadPoolExecutor

import httpx

from bench.auth_peers import PEERS
from bench.rig import BENCH, BUILD, Rig
from bench.rows_daemons import answers
from bench.table import Row
from support.client import PASSWORD
from support.daemon import Daemon
from support.waiting import eventually

ROUNDS = 5
SECONDS = 4
CHAINS = 16
STORM_SECONDS = 15


def refresh_once(rig: Rig) -> tuple[dict, list[str]]:
    """Each connection its own chain. Also returns the ids of the sessions."""
    with httpx.Client(base_url=rig.auth.url) as api:
        signed_in = [api.post("/v1/auth/login", json={"email": it.email, "password": PASSWORD}).json() for it in rig.people[:CHAINS]]
    chains = rig.stack.folder / "chains"
    chains.write_text("".join(it["refresh_token"] + "\n" for it in signed_in))
    result = rig.load(rig.auth.port, CHAINS, SECONDS, "POST", "/v1/auth/refresh", bodies=f"chain:{chains}", tokens="-")
    return result, [it["session_id"] for it in signed_in]


def refresh(rig: Rig):
    """Afterwards each session stands at the generation that its answers make."""
    rate = Row("refresh, 16 connections", "/s", goal=8000, absolute=True)
    late = Row("refresh, 16 connections, p99", "ms", goal=10, absolute=True, at_most=True)
    sessions, answered = [], 0
    for _ in range(ROUNDS):
        result, ids = refresh_once(rig)
        rate.ours.append(result["rate"])
        late.ours.append(result["p99_us"] / 1000)
        sessions += ids
        answered += result["requests"]
    made = rig.stack.postgres.rows("salus_auth", "SELECT sum(generation - 1) FROM sessions WHERE id = ANY(%s::uuid[])", sessions)[0][0]
    logged = rig.stack.postgres.rows("salus_auth", "SELECT count(*) FROM audit_log WHERE action = 'session.refresh' AND outcome = 'done'"
                                     " AND target = ANY(%s)", sessions)[0][0]
    rate.checked = f"{answered} generations and audit rows" if made == logged == answered else (
        f"VOID: {made} generations, {logged} audit rows of {answered} answers")
    return [rate, late]


def profile(rig: Rig):
    rate = Row("profile, 16 connections", "/s", goal=10000, absolute=True)
    late = Row("profile, 16 connections, p99", "ms", goal=5, absolute=True, at_most=True)
    for _ in range(ROUNDS):
        result = rig.load(rig.auth.port, 16, SECONDS, "GET", "/v1/me")
        rate.ours.append(result["rate"])
        late.ours.append(result["p99_us"] / 1000)
    return [rate, late]


def peers(rig: Rig):
    """In turns with the others: ours rotates, finds reuse and logs; see peers/ for what theirs do."""
    rows = []
    for name, peer in PEERS.items():
        refreshed = Row("refresh, 16 connections, against a peer", "/s", name, goal=10)
        read = Row("profile, 16 connections, against a peer", "/s", name, goal=10)
        with peer(rig) as asked:
            for _ in range(ROUNDS):
                refreshed.ours.append(refresh_once(rig)[0]["rate"])
                refreshed.references.append(asked.refresh(SECONDS)["rate"])
                read.ours.append(rig.load(rig.auth.port, 16, SECONDS, "GET", "/v1/me")["rate"])
                read.references.append(asked.profile(SECONDS)["rate"])
        rows += [refreshed, read]
    return rows


def hashes_a_second(cost: int) -> float:
    """The same library on all cores with nothing else to do: the ceiling."""
    BUILD.mkdir(parents=True, exist_ok=True)
    subprocess.run(["gcc", "-O2", "-D_GNU_SOURCE", BENCH / "bcrypt.c", "-o", BUILD / "bcrypt", "-lcrypt", "-lpthread"], check=True)
    done = subprocess.run([BUILD / "bcrypt", str(cost), str(os.cpu_count()), "4"], capture_output=True, text=True, check=True)
    return float(done.stdout)


def logins(rig: Rig, count: int) -> str:
    """A file of sign-ins, each of somebody else."""
    path = rig.stack.folder / f"logins-{count}"
    path.write_text("".join(json.dumps({"email": it.email, "password": PASSWORD}) + "\n" for it in rig.people[:count]))
    return str(path)


def sign_ins(rig: Rig, auth: Daemon, seconds: float) -> dict:
    """Of 16 connections without a pause."""
    return rig.load(auth.port, CHAINS, seconds, "POST", "/v1/auth/login", bodies=logins(rig, CHAINS), tokens="-")


def storm(rig: Rig, auth: Daemon, seconds: float) -> tuple[dict, dict, dict]:
    """Meanwhile 200 refreshes and 50 profiles a second."""
    chain = rig.stack.folder / "chain"
    with httpx.Client(base_url=auth.url, timeout=60) as api:
        signed_in = api.post("/v1/auth/login", json={"email": rig.people[CHAINS].email, "password": PASSWORD})
    chain.write_text(signed_in.json()["refresh_token"] + "\n")
    with ThreadPoolExecutor(3) as pool:
        running = [pool.submit(sign_ins, rig, auth, seconds),
                   pool.submit(rig.load, auth.port, 1, f"{seconds}@200", "POST", "/v1/auth/refresh", bodies=f"chain:{chain}",
                               tokens="-"),
                   pool.submit(rig.load, auth.port, 1, f"{seconds}@50", "GET", "/v1/me")]
        return tuple(one.result() for one in running)


def login(rig: Rig):
    rows = []
    for cost in (12, 10):
        auth = rig.stack.daemon("auth", name=f"auth-cost-{cost}", SALUS_BCRYPT_COST=str(cost), SALUS_ACCESS_TOKEN_LIFE="1h")
        rate = Row(f"sign-ins at cost {cost}, 16 connections", "/s", "bcrypt alone on all cores")
        beside = Row("the same beside 200 refreshes and 50 profiles/s", "/s", "bcrypt alone on all cores", goal=0.95)
        refreshed = Row(f"refresh meanwhile, p99, cost {cost}", "ms", goal=10, absolute=True, at_most=True)
        read = Row(f"profile meanwhile, p99, cost {cost}", "ms", goal=10, absolute=True, at_most=True)
        with httpx.Client(base_url=auth.url, timeout=60) as api:  # their passwords are stored anew, at this cost
            for person in rig.people[:CHAINS + 1]:
                api.post("/v1/auth/login", json={"email": person.email, "password": PASSWORD})
        for _ in range(3):
            rate.references.append(hashes_a_second(cost))
            rate.ours.append(sign_ins(rig, auth, STORM_SECONDS)["rate"])
            signed_in, refreshes, profiles = storm(rig, auth, STORM_SECONDS)
            beside.references.append(rate.references[-1])
            beside.ours.append(signed_in["rate"])
            refreshed.ours.append(refreshes["p99_us"] / 1000)
            read.ours.append(profiles["p99_us"] / 1000)
        rig.stack.daemons.remove(auth)
        auth.stop()
        rows += [rate, beside, refreshed, read]
    return rows


def overload(rig: Rig):
    """Sixty-four sign-ins at once where two may wait: who is turned away hears it at once."""
    auth = rig.stack.daemon("auth", name="auth-short-queue", SALUS_HASH_QUEUE="2")
    row = Row("503 when too many sign in, p99", "ms", goal=5, absolute=True, at_most=True)
    for _ in range(3):
        result = rig.load(auth.port, 64, "5@20", "POST", "/v1/auth/login", bodies=logins(rig, 64), tokens="-", refused=503)
        row.ours.append(result["refused_p99_us"] / 1000)
        row.checked = f"{result['requests']} let in, {result['refused']} turned away"
    rig.stack.daemons.remove(auth)
    auth.stop()
    return [row]


def audit(rig: Rig):
    """What the audit row of a refresh costs: in turns with a log whose table takes no rows."""
    row = Row("refresh with its audit row, 16 connections", "/s", "without", goal=0.95)
    with rig.stack.postgres.connect("salus_auth") as database:
        database.execute("CREATE FUNCTION pass_over() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NULL; END'")

        def rows_of(ids: list[str]) -> int:
            return database.execute("SELECT count(*) FROM audit_log WHERE action = 'session.refresh' AND target = ANY(%s)",
                                    [ids]).fetchone()[0]

        for _ in range(ROUNDS):
            result, ids = refresh_once(rig)
            row.ours.append(result["rate"])
            assert rows_of(ids) == result["requests"]
            database.execute("CREATE TRIGGER pass_over BEFORE INSERT ON audit_log FOR EACH ROW EXECUTE FUNCTION pass_over()")
            result, ids = refresh_once(rig)
            row.references.append(result["rate"])
            database.execute("DROP TRIGGER pass_over ON audit_log")
            assert rows_of(ids) == 0
    return [row]


def without_redis(rig: Rig):
    """Attempts cannot be counted, so nobody is let in; they hear it at once, and so when Redis is back."""
    row = Row("login while Redis is gone: 503, p99", "ms", goal=50, absolute=True, at_most=True)
    port, bodies = rig.auth.port, logins(rig, CHAINS)
    for _ in range(3):
        rig.stack.bus.kill()
        result = rig.load(port, CHAINS, "3@20", "POST", "/v1/auth/login", bodies=bodies, tokens="-", refused=503)
        row.ours.append(result["refused_p99_us"] / 1000)
        row.checked = f"{result['refused']} turned away, {result['requests']} let in"
        rig.stack.bus.start()
        eventually(lambda: httpx.post(f"{rig.auth.url}/v1/auth/login", json={
            "email": rig.people[0].email, "password": PASSWORD}).status_code == 200, within=20)
    return [row]


def start_with_lists(rig: Rig):
    """As scripts/up starts it: with Debian's lists of common passwords."""
    lists = "/usr/share/john/password.lst,/usr/share/dict/cracklib-small"
    row = Row("start until ready, with lists of common passwords", "ms", goal=100, absolute=True, at_most=True)
    daemon = rig.stack.daemon("auth", name="auth-lists", SALUS_COMMON_PASSWORDS=lists)
    for _ in range(5):
        daemon.stop()
        begin = time.monotonic()
        daemon.start(wait=False)
        while not answers(daemon):
            assert time.monotonic() - begin < 20
        row.ours.append((time.monotonic() - begin) * 1000)
    rig.stack.daemons.remove(daemon)
    daemon.stop()
    return [row]


def limits(rig: Rig):
    """What a network may do is counted in Redis, which does one thing at a time: it must not matter how much was counted."""
    row = Row("an open route after 50,000 requests of its network, 16 connections", "/s", "after none", goal=0.8)
    auth = rig.stack.daemon("auth", name="auth-limits", SALUS_MAILED_CODE_LIMIT="1000000")
    body = rig.stack.folder / "code"
    body.write_text(json.dumps({"token": "A" * 43}) + "\n")
    bus, counted = rig.stack.bus.connect(), "s1:rate_limit:127.0.0.1:auth_verify_email"

    def rate(seconds: float) -> float:
        result = rig.load(auth.port, CHAINS, seconds, "POST", "/v1/auth/verify-email", bodies=body, tokens="-", refused=400)
        return result["refused"] / result["seconds"]

    for _ in range(ROUNDS):
        bus.delete(counted)
        row.references.append(rate(1))
        while bus.llen(counted) < 50_000:
            rate(1)
        row.ours.append(rate(1))
    row.checked = f"{bus.llen(counted):,} counted"
    auth.stop()
    rig.stack.daemons.remove(auth)
    return [row]


ROWS = {"auth_refresh": refresh, "auth_profile": profile, "auth_peers": peers, "auth_login": login, "auth_overload": overload,
        "auth_audit": audit, "auth_without_redis": without_redis, "auth_start": start_with_lists,
        "auth_limits": limits}
