"""How long the check of a long audit log takes, and one person's rows in it."""

import time

from bench.rig import Rig
from bench.table import Row
from support import client
from support.waiting import eventually

COUNT = 1_000_000


def fill(rig: Rig):
    """Rows as refreshes leave them, of ten thousand people."""
    with rig.stack.postgres.connect("salus_auth") as database:
        database.execute(
            "INSERT INTO audit_log (at, actor, user_id, action, target, outcome, method, ip, user_agent, request_id)"
            " SELECT now(), id, id, 'session.refresh', gen_random_uuid()::text, 'done', 'refresh', '203.0.113.7',"
            " 'Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0', gen_random_uuid()::text"
            " FROM (SELECT md5((n %% 10000)::text)::uuid AS id FROM generate_series(1, %s) n) people", [COUNT])
        eventually(lambda: database.execute("SELECT (SELECT max(position) FROM audit_log) ="
                                            " (SELECT max(last_position) FROM audit_heads)").fetchone()[0], within=120)


def audit_verify(rig: Rig):
    verify = Row("audit log: check of 1,000,000 rows", "s", goal=5, at_most=True, absolute=True)
    own = Row("audit log: a page of one person's rows among them", "ms", goal=20, at_most=True, absolute=True)
    person = client.register(rig.auth.url)
    fill(rig)
    for _ in range(3):
        begin = time.monotonic()
        said = rig.auth.run("--verify-audit").stdout
        verify.ours.append(time.monotonic() - begin)
        assert said.startswith("whole: "), said
    for _ in range(50):
        begin = time.monotonic()
        assert person.auth.get("/v1/me/audit").status_code == 200
        own.ours.append((time.monotonic() - begin) * 1000)
    return [verify, own]


ROWS = {"audit_verify": audit_verify}
