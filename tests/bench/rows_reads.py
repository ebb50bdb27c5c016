"""Reads: a page of the timeline against the same query in pgbench; a cached reply against nginx's static file."""

import subprocess

from bench.rig import Peer, Rig, running
from bench.table import Row

ROUNDS = 5
SECONDS = 3
EVENTS = 2000  # of each of the people whose timeline is read


def fill(rig: Rig):
    """Some thousand events a person, of three types."""
    ids = ",".join(f"'{person.id}'" for person in rig.people[:50])
    with rig.stack.postgres.connect("salus_health") as connection:
        connection.execute("TRUNCATE health_events")
        connection.execute(
            "INSERT INTO health_events (user_id, id, version, event_type, event_subtype, status, occurred_at, zone, local_date,"
            " created_at, source, event_data) SELECT u::uuid, gen_random_uuid(), 1, CASE n %% 3 WHEN 0 THEN 1 WHEN 1 THEN 3 ELSE 5 END,"
            " 1, 1, now() - n * interval '7 minutes', 'UTC', (now() - n * interval '7 minutes')::date, now(), 'watch',"
            " CASE n %% 3 WHEN 0 THEN '{\"mood\": \"calm\"}' WHEN 1 THEN '{\"symptoms\": [\"fatigue\"]}' ELSE"
            f" '{{\"value\": 72.5, \"unit\": \"/min\"}}' END::jsonb FROM unnest(ARRAY[{ids}]) AS u, generate_series(1, %s) AS n"
            % EVENTS)
        connection.execute("VACUUM ANALYZE health_events")


def timeline(rig: Rig):
    fill(rig)
    tokens = rig.stack.folder / "fifty-tokens"
    tokens.write_text("".join(person.token + "\n" for person in rig.people[:50]))
    row = Row("timeline of 30 by type, 16 connections", "/s", "pgbench, the same query", 0.5)
    query = ("SELECT * FROM health_events e WHERE user_id = (ARRAY[" + ",".join(f"'{p.id}'" for p in rig.people[:50]) +
             "]::uuid[])[:person] AND event_type = 1 AND NOT EXISTS (SELECT FROM health_events n WHERE n.user_id = e.user_id"
             " AND n.id = e.id AND n.version > 1 AND n.version > e.version) ORDER BY occurred_at DESC, id DESC LIMIT 30;\n")
    for _ in range(ROUNDS):
        row.references.append(rig.pgbench("\\set person random(1, 50)\n" + query, 16, SECONDS))
        result = rig.load(rig.health.port, 16, SECONDS, "GET", "/v1/health-events?event_type=mood&limit=30", tokens=tokens)
        row.ours.append(result["rate"])
    row.checked = "30 items a page" if page_is_whole(rig) else "VOID: not 30 items"
    return [row]


def page_is_whole(rig: Rig) -> bool:
    answer = rig.people[0].health.get("/v1/health-events", params={"event_type": "mood", "limit": 30}).json()
    return len(answer["items"]) == 30


def cached_read(rig: Rig):
    """GET /v1/vitals/latest, from the cache, against nginx with the same bytes in a file."""
    fill(rig)
    body = rig.people[0].health.get("/v1/vitals/latest")
    assert body.status_code == 200, body.text
    tokens = rig.stack.folder / "one-token"
    tokens.write_text(rig.people[0].token + "\n")
    folder = rig.stack.folder / "nginx"
    folder.mkdir(exist_ok=True)
    (folder / "reply").write_bytes(body.content)
    subprocess.run(["chmod", "-R", "a+rX", folder], check=True)
    row = Row("cached read, 16 connections", "/s", "nginx, static file of the same bytes")
    peer = Peer("nginx", rig, ["nginx", "-p", str(folder), "-e", "/dev/null", "-c", str(folder / "nginx.conf")])
    (folder / "nginx.conf").write_text(
        f"daemon off; worker_processes 1; pid {folder}/pid; events {{ worker_connections 1024; }}\n"
        f"http {{ access_log off; keepalive_requests 1000000000; server {{ listen 127.0.0.1:{peer.port}; root {folder}; }} }}\n")
    with running(peer):
        for _ in range(ROUNDS):
            row.references.append(rig.load(peer.port, 16, SECONDS, "GET", "/reply")["rate"])
            row.ours.append(rig.load(rig.health.port, 16, SECONDS, "GET", "/v1/vitals/latest", tokens=tokens)["rate"])
    return [row]


ROWS = {"timeline": timeline, "cached_read": cached_read}
