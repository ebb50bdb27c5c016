"""The scheduler: next() of cron against robfig/cron and croner on the same expressions, and from due to sent."""

import subprocess
import time
from datetime import UTC, datetime, timedelta

from bench.rig import BENCH, BUILD, Rig
from bench.table import Row
from support.client import Api
from support.mail import SinkThread
from support.paths import ROOT
from support.waiting import eventually

EXPRESSIONS = ["30 9 * * *", "*/5 * * * *", "0 8 * * 1-5", "0 9 1 * *", "0 0 29 2 *"]
RARE = "0 0 29 2 *"
ZONE, SECONDS, ROUNDS = "America/New_York", "0.3", 5
REMINDERS = 1000


def ours() -> list[str]:
    program, out = BUILD / "cron_next", ROOT / "build/release-gcc"
    BUILD.mkdir(parents=True, exist_ok=True)
    subprocess.run(["make", "-s", "BUILD=release", "build/release-gcc/services/scheduler/.objects.a"], cwd=ROOT, check=True)
    subprocess.run(["gcc", "-O2", "-D_GNU_SOURCE", "-std=gnu17", f"-I{ROOT}/libcommon", f"-I{ROOT}/services/scheduler",
                    BENCH / "cron_next.c", "-o", program, out / "services/scheduler/.objects.a",
                    *(out / f"libsalus-{layer}.a" for layer in ("sys", "base")), "-lpthread", "-lm"], check=True)
    return [str(program)]


def robfig() -> list[str]:
    program = BUILD / "robfig"
    subprocess.run(["go", "build", "-o", program, "."], cwd=BENCH / "peers/robfig", check=True)
    return [str(program)]


def croner() -> list[str]:
    folder = BUILD / "croner"
    folder.mkdir(parents=True, exist_ok=True)
    for name in ("package.json", "package-lock.json", "next.mjs"):
        (folder / name).write_bytes((BENCH / "peers/croner" / name).read_bytes())
    if not (folder / "node_modules").exists():
        subprocess.run(["npm", "ci", "--silent", "--no-audit", "--no-fund"], cwd=folder, check=True)
    return ["node", str(folder / "next.mjs")]


def speeds(command: list[str]) -> dict[str, float]:
    done = subprocess.run([*command, ZONE, SECONDS], input="\n".join(EXPRESSIONS) + "\n", capture_output=True, text=True, check=True)
    return {name: float(speed) for name, speed in (line.split("\t") for line in done.stdout.splitlines())}


def cron_next(_: Rig):
    """Each walks from run to run through twelve years, in turns; a second of the processor, not of
    the clock, so that what else runs does not count."""
    programs = {"ours": ours(), "robfig/cron 3.0.1": robfig(), "croner 11": croner()}
    rows = {(expression, peer): Row(f"next() of {expression}", "/s", peer, 500_000 if expression == RARE else 2_000_000, absolute=True)
            for expression in EXPRESSIONS for peer in list(programs)[1:]}
    for _round in range(ROUNDS):
        found = {name: speeds(command) for name, command in programs.items()}
        for (expression, peer), row in rows.items():
            row.ours.append(found["ours"][expression])
            row.references.append(found[peer][expression])
            row.checked = f"{ROUNDS} rounds"
    return list(rows.values())


def due_to_sent(rig: Rig):
    """A thousand reminders of a hundred people within one minute, each at a second of its own; from the planned time to the
    moment at which the mail server has taken it and that is durable."""
    p50 = Row("reminder, due to sent, p50", "ms")
    p99 = Row("reminder, due to sent, p99", "ms", goal=500, at_most=True, absolute=True)
    people = rig.people[:100]
    with SinkThread(rig.stack.folder / "mail") as mail:
        daemon = rig.stack.daemon("scheduler", SALUS_SMTP_URL=f"smtp://127.0.0.1:{mail.port}")
        with rig.stack.postgres.connect("salus_scheduler") as connection:
            known = "SELECT count(*) FROM user_contacts WHERE user_id = ANY (%s::uuid[])"
            eventually(lambda: connection.execute(known, ([one.id for one in people],)).fetchone()[0] == len(people), within=120)
        apis = [Api(daemon.url, one.token) for one in people]
        start = datetime.now(UTC).replace(microsecond=0) + timedelta(seconds=60)
        for number in range(REMINDERS):
            at = (start + timedelta(seconds=number * 60 // REMINDERS)).strftime("%Y-%m-%dT%H:%M:%SZ")
            answer = apis[number % len(apis)].post("/v1/schedules", json={"name": "take it", "cron_expression": f"@at {at}",
                                                                               "overlap_policy": "allow"})
            assert answer.status_code == 201, answer.text
        until = time.monotonic() + 180
        with rig.stack.postgres.connect("salus_scheduler") as connection:
            count = "SELECT count(*) FROM deliveries WHERE sent_at IS NOT NULL"
            while connection.execute(count).fetchone()[0] < REMINDERS and time.monotonic() < until:
                time.sleep(0.5)
            late = sorted(row[0] for row in connection.execute(
                "SELECT (extract(epoch FROM d.sent_at - o.nominal_at) * 1000)::float8 FROM deliveries d"
                " JOIN occurrences o ON o.user_id = d.user_id AND o.id = d.occurrence_id WHERE d.sent_at IS NOT NULL").fetchall())
        ids = {message["Message-ID"] for message in mail.sink.messages()}
        daemon.stop()
    whole = len(late) == len(ids) == mail.sink.count == REMINDERS
    for row, place in ((p50, 0.5), (p99, 0.99)):
        row.ours.append(late[int(len(late) * place)])
        row.checked = f"{REMINDERS} messages, each once" if whole else f"VOID: {len(late)} sent, {mail.sink.count} messages, {len(ids)} ids"
    return [p50, p99]


ROWS = {"cron_next": cron_next, "due_to_sent": due_to_sent}
