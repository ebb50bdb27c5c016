"""Durable writes: one event at a time against pgbench and against what else people would write; many at once against COPY."""

import json
import time

import httpx

from bench.rig import BODY, Rig, fastapi, fastify
from bench.table import Row

# pgbench at its best: one prepared statement, no token, no policy, no outbox. Ids grow, as version 7 does.
SINGLE_INSERT = r"""
\set n :n + 1
\set person random(1, 500)
INSERT INTO health_events (user_id, id, version, event_type, event_subtype, status, occurred_at, zone, local_date,
                           created_at, source, event_data, request_key, request_hash)
VALUES (('00000000-0000-7000-8000-' || lpad(:person::text, 12, '0'))::uuid,
        (lpad(to_hex(:n::int8), 8, '0') || '-0000-7000-' || lpad(to_hex(:round::int8), 4, '8') || '-' ||
         lpad(:client_id::text, 12, '0'))::uuid,
        1, 5, 1, 1, now(), 'Europe/Berlin', '2026-11-20', now(), 'watch', '{"value": 72.5, "unit": "/min"}',
        decode(lpad(to_hex(:n::int8), 16, '0') ||
               lpad(to_hex(:client_id::int8 * 65536 + :round::int8), 16, '0'), 'hex'),
        '\x00112233445566778899aabbccddeeff');
"""
ROUNDS = 5
SECONDS = 4


class Checked:
    """Adds up what was looked up in the database after each run."""

    def __init__(self):
        self.found = 0
        self.missing = 0

    def look_up(self, rig: Rig, ids):
        acknowledged, missing = rig.missing_ids(ids)
        self.found += acknowledged
        self.missing += missing

    def __str__(self):
        return f"VOID: {self.missing} of {self.found} missing" if self.missing else f"{self.found} ids found"


def post_once(rig: Rig, port: int, connections: int, checked: Checked) -> dict:
    ids = rig.stack.folder / "ids"
    result = rig.load(port, connections, SECONDS, "POST", "/v1/health-events", bodies=True, ids=ids)
    checked.look_up(rig, ids)
    return result


def best_pgbench_clients(rig: Rig) -> int:
    rates = {clients: rig.pgbench(SINGLE_INSERT, clients, 2, n=0, round=clients + 1000) for clients in (16, 32, 64)}
    return max(rates, key=rates.get)


def post_event(rig: Rig):
    """The whole path: token, decode, rules, idempotency, row-level security, outbox, commit, answer."""
    goals = {1: None, 64: 1.5, 256: 1.5}
    rows = {n: Row(f"POST one event, {n} connection{'s' * (n > 1)}", "/s", "pgbench single INSERT, best clients" if n > 1
                   else "pgbench single INSERT, 1 client", goal) for n, goal in goals.items()}
    checked = {n: Checked() for n in goals}
    rig.load(rig.health.port, 8, 1, "POST", "/v1/health-events", bodies=True)
    best = best_pgbench_clients(rig)
    for turn in range(ROUNDS):
        for connections, row in rows.items():
            rig.clear_events()
            row.references.append(rig.pgbench(SINGLE_INSERT, best if connections > 1 else 1, SECONDS, n=0, round=turn))
            rig.clear_events()
            row.ours.append(post_once(rig, rig.health.port, connections, checked[connections])["rate"])
    for connections, row in rows.items():
        row.checked = str(checked[connections])
    return list(rows.values())


def post_event_peers(rig: Rig):
    rows = []
    for name, start, goal in (("FastAPI + asyncpg", fastapi, 10), ("Fastify + pg", fastify, None)):
        row, checked = Row("POST one event, 64 connections", "/s", name, goal), Checked()
        with start(rig) as peer:
            rig.load(peer.port, 8, 1, "POST", "/v1/health-events", bodies=True)
            for _ in range(3):
                rig.clear_events()
                row.references.append(post_once(rig, peer.port, 64, checked)["rate"])
                rig.clear_events()
                row.ours.append(post_once(rig, rig.health.port, 64, checked)["rate"])
        row.checked = str(checked)
        rows.append(row)
    return rows


BATCH = 200_000


def batch(rig: Rig):
    """NDJSON in, an answer for each line out, against COPY of as many rows into the same table."""
    row, checked = Row("NDJSON batch", "events/s", "COPY, same table and indexes", 0.6), Checked()
    lines = (json.dumps(BODY) + "\n").encode() * 1000
    ids = rig.stack.folder / "ids"
    for turn in range(3):
        rig.clear_events()
        row.references.append(copy_rows(rig))
        rig.clear_events()
        person = rig.people[turn]
        begin = time.monotonic()
        with ids.open("w") as file, httpx.stream(
                "POST", f"{rig.health.url}/v1/health-events/batch", content=(lines for _ in range(BATCH // 1000)), timeout=120,
                headers={"Authorization": f"Bearer {person.token}", "Content-Type": "application/x-ndjson"}) as answer:
            assert answer.status_code == 200, answer.read()
            answers = answer.read()
        row.ours.append(BATCH / (time.monotonic() - begin))
        with ids.open("w") as file:
            count = 0
            for line in answers.splitlines():
                file.write(json.loads(line)["id"] + "\n")
                count += 1
        assert count == BATCH, f"{count} answers to {BATCH} lines"
        checked.look_up(rig, ids)
    row.checked = str(checked)
    return [row]


def copy_rows(rig: Rig) -> float:
    with rig.stack.postgres.connect("salus_health") as connection:
        connection.execute("DROP TABLE IF EXISTS bench_source")
        connection.execute(
            "CREATE UNLOGGED TABLE bench_source AS SELECT '00000000-0000-7000-8000-000000000001'::uuid AS user_id,"
            " (lpad(to_hex(n), 8, '0') || '-0000-7000-8000-000000000000')::uuid AS id, 1::int2 AS version, 5::int2 AS event_type,"
            " 1::int2 AS event_subtype, 1::int2 AS status, now() AS occurred_at, 'Europe/Berlin' AS zone,"
            " '2026-11-20'::date AS local_date, now() AS created_at, 'watch' AS source,"
            " '{\"value\": 72.5, \"unit\": \"/min\"}'::jsonb AS event_data FROM generate_series(1, %s) AS n" % BATCH)
        columns = "user_id, id, version, event_type, event_subtype, status, occurred_at, zone, local_date, created_at, source, event_data"
        path = rig.stack.folder / "copy.bin"
        with path.open("wb") as file, connection.cursor().copy(f"COPY bench_source ({columns}) TO STDOUT (FORMAT binary)") as copy:
            for block in copy:
                file.write(block)
        data = path.read_bytes()
        begin = time.monotonic()
        with connection.cursor().copy(f"COPY health_events ({columns}) FROM STDIN (FORMAT binary)") as copy:
            copy.write(data)
        return BATCH / (time.monotonic() - begin)


ROWS = {"post_event": post_event, "post_event_peers": post_event_peers, "batch": batch}
