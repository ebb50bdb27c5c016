"""What expressions mean, asked of the command `salus-scheduler --next`: rows with known answers, rows that must be
refused, and an oracle that looks at every minute around changes of clocks."""

import csv
import os
import random
import re
import subprocess
import zoneinfo
from collections import defaultdict
from datetime import UTC, datetime, timedelta
from importlib.util import find_spec
from pathlib import Path

import pytest
from support.paths import BIN

MINUTE = timedelta(minutes=1)
NEWEST_ZONES = Path(find_spec("tzdata").origin).parent / "zoneinfo"
REFUSAL = re.compile(r"error: (expression|macro|every|at|second|minute|hour|day-of-month|month|day-of-week|year): "
                     r".+ \(column ([1-9][0-9]*)\)")


def ask(rows, folder: Path | None = None) -> list[str]:
    """The command's answers to rows of (expression, zone, start, count)."""
    text = "".join("\t".join(map(str, row)) + "\n" for row in rows)
    done = subprocess.run([BIN / "salus-scheduler", "--next", *([folder] if folder else [])], input=text.encode(),
                          capture_output=True, timeout=300)
    assert done.returncode == 0 and not done.stderr, done.stderr.decode()
    answers = done.stdout.decode().split("\n")
    assert answers.pop() == "" and len(answers) == len(rows)
    return answers


def table(path: Path) -> list[dict]:
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file, delimiter="\t", quoting=csv.QUOTE_NONE))


def zones_version(folder: Path) -> str:
    return (folder / "tzdata.zi").read_text().split("\n")[0].removeprefix("# version ")


# ---- rows with known answers

@pytest.mark.parametrize("name", ["cases.tsv", "cases-disputed.tsv"])
@pytest.mark.parametrize("folder", [None, NEWEST_ZONES], ids=["machine", "newest"])
def test_known_answers(realdata, name, folder):
    rows = table(realdata / "cron" / name)
    if folder is None and zones_version(Path("/usr/share/zoneinfo")) < "2026c":
        rows = [row for row in rows if row["category"] != "tzdata-2026"]
    expected = [row.get("expected_utc") or row["adopt_utc"] for row in rows]
    answers = ask([(row["expression"], row["timezone"], row["start_utc"], len(wish.split()))
                   for row, wish in zip(rows, expected, strict=True)], folder)
    wrong = [(row["expression"], row["timezone"], row["start_utc"], wish, answer)
             for row, wish, answer in zip(rows, expected, answers, strict=True) if wish != answer]
    assert rows and not wrong, f"{len(wrong)} of {len(rows)}: {wrong[:5]}"


def test_what_is_refused(realdata):
    rows = table(realdata / "cron/invalid.tsv")
    answers = ask([(row["expression"], "UTC", "2025-01-01T00:00:00Z", 1) for row in rows])
    for row, answer in zip(rows, answers, strict=True):
        found = REFUSAL.fullmatch(answer)
        assert found, f"{row}: {answer}"
        assert int(found[2]) <= len(row["expression"].encode()) + 1, f"{row}: {answer}"


@pytest.mark.parametrize(("expression", "answer"), [
    ("60 * * * *", "error: minute: 60 is above 59 (column 1)"),
    ("5/15 * * * *", "error: minute: a step needs a range: write 5-59/n (column 2)"),
    ("0 0 1,15W * *", "error: day-of-month: W goes with a single day, not with a list (column 5)"),
    ("CRON_TZ=UTC 0 0 * * *", "error: expression: the time zone has a field of its own, not a prefix (column 1)"),
    ("@reboot", "error: macro: @reboot: a schedule knows no reboot (column 1)"),
    ("@Daily", "error: macro: there is no such macro (column 1)"),
    ("* * * *", "error: expression: 4 of at least 5 fields (column 8)"),
    ("", "error: expression: it is empty (column 1)"),
    ("@every 59s", "error: every: shorter than 60s (column 8)"),
    ("@every -5m", "error: every: a number is missing (column 8)"),
    ("@at tomorrow", "error: at: this is no RFC 3339 time (column 5)"),
    ("0 " * 130, "error: expression: longer than 256 bytes (column 257)"),
    ("0 0 30 2 *", ""),
    ("@every 90m", "2025-01-01T01:30:00Z 2025-01-01T03:00:00Z"),
    ("@at 2025-01-01T08:00:00+02:00", "2025-01-01T06:00:00Z"),
    ("0 0 0 1 1 * 2199", "2199-01-01T00:00:00Z"),
    ("0 0 L-2 2 *", "2025-02-26T00:00:00Z 2026-02-26T00:00:00Z"),
    ("0 0 LW 2,8 *", "2025-02-28T00:00:00Z 2025-08-29T00:00:00Z"),
    ("0 0 * * +?", "error: day-of-week: '?' stands alone (column 10)"),
])
def test_rows_of_ours(expression, answer):
    assert ask([(expression, "UTC", "2025-01-01T00:00:00Z", 2)]) == [answer]


def test_bad_rows_have_an_answer_each():
    assert ask([("* * * * *", "Mars/Olympus", "2025-01-01T00:00:00Z", 1),
                ("* * * * *", "UTC", "yesterday", 1),
                ("* * * * *", "UTC", "2025-01-01T00:00:00Z", 0),
                ("* * * * *", "UTC")]) == [
        "error: there is no such time zone", "error: the start is no RFC 3339 time",
        "error: the count must be from 1 to 100000", "error: a row has four columns: expression, zone, start, count"]


def test_256_bytes_of_hostility():
    """Whatever bytes come, there is one line for each row, and nothing dies."""
    dice = random.Random(7)
    alphabet = "0123456789*/-,LW#?+H()@: \x01\x7fäJANSUNeveryat."
    rows = [("".join(dice.choices(alphabet, k=dice.randint(1, 256))), "UTC", "2025-01-01T00:00:00Z", 3) for _ in range(20_000)]
    for row, answer in zip(rows, ask(rows), strict=True):
        assert answer.startswith("error: ") or re.fullmatch(r"[0-9TZ: -]*", answer), (row, answer)


# ---- every minute around changes of clocks

EXPRESSIONS = [
    "* * * * *", "*/5 * * * *", "*/7 * * * *", "0 * * * *", "30 * * * *", "0 */2 * * *", "15 */3 * * *", "*/20 1 * * *",
    "*/20 2 * * *", "*/15 0 * * *", "*/30 23 * * *", "0 0 * * *", "30 0 * * *", "0 1 * * *", "30 1 * * *", "45 1 * * *",
    "0 2 * * *", "15 2 * * *", "30 2 * * *", "59 2 * * *", "0 3 * * *", "30 3 * * *", "0 4 * * *", "30 23 * * *", "59 23 * * *",
    "0,30 2 * * *", "0,15,30,45 1-3 * * *", "10-20 0-4 * * *", "5 0-23 * * *", "0 1,2,3 * * *", "0 2 * * 0", "30 1 * * 6",
    "0 0 1 * *", "30 2 1-15 * *", "0 12 * * 1-5", "0 0 */2 * *", "30 2 * 3,10 *", "15 1 */3 * 0", "0 22-23 * * *", "1 0,1,2 * * *",
]


def values(field: str, low: int, high: int) -> set[int]:
    found = set()
    for item in field.split(","):
        part, _, step = item.partition("/")
        first, last = (low, high) if part == "*" else map(int, (part.split("-") * 2)[:2])
        found |= set(range(first, last + 1, int(step or 1)))
    return found


class Naive:
    """An expression of plain forms, matched by looking at each minute."""

    def __init__(self, text: str):
        minute, hour, day, month, weekday = text.split()
        self.interval = minute.startswith("*") or hour.startswith("*")
        self.minutes, self.hours = values(minute, 0, 59), values(hour, 0, 23)
        self.days, self.months, self.weekdays = values(day, 1, 31), values(month, 1, 12), values(weekday, 0, 7)
        self.either = day != "*" and weekday != "*"

    def fits(self, wall: datetime) -> bool:
        in_days, in_week = wall.day in self.days, wall.isoweekday() % 7 in self.weekdays
        return (wall.minute in self.minutes and wall.hour in self.hours and wall.month in self.months
                and ((in_days or in_week) if self.either else (in_days and in_week)))


def shown(zone: zoneinfo.ZoneInfo, start: datetime, end: datetime):
    """Each minute and what the wall shows then, and each local minute that is jumped over with the jump's instant."""
    minutes, skipped, at, before = [], [], start, None
    while at < end:
        wall = at.astimezone(zone).replace(tzinfo=None)
        if before is not None and MINUTE < wall - before <= timedelta(hours=3) + MINUTE:
            skipped += [(before + n * MINUTE, at) for n in range(1, (wall - before) // MINUTE)]
        minutes.append((at, wall))
        at, before = at + MINUTE, wall
    return minutes, skipped


def simulate(naive: Naive, minutes, skipped) -> list[datetime]:
    if naive.interval:
        return [at for at, wall in minutes if naive.fits(wall)]
    fired, seen = set(), set()
    for at, wall in minutes:
        if wall not in seen and naive.fits(wall):
            fired.add(at)
        seen.add(wall)
    return sorted(fired | {jump for wall, jump in skipped if wall not in seen and naive.fits(wall)})


def changes(zone: zoneinfo.ZoneInfo, year: int) -> list[datetime]:
    """The first minutes with another offset, in a year."""
    found, at = [], datetime(year, 1, 1, tzinfo=UTC)
    while at.year == year:
        later = at + timedelta(days=1)
        if at.astimezone(zone).utcoffset() != later.astimezone(zone).utcoffset():
            low, high = 0, 1440
            while high - low > 1:
                middle = (low + high) // 2
                same = (at + middle * MINUTE).astimezone(zone).utcoffset() == at.astimezone(zone).utcoffset()
                low, high = (middle, high) if same else (low, middle)
            found.append(at + high * MINUTE)
        at = later
    return found


def windows(count: int):
    dice = random.Random(int(os.environ.get("SALUS_SEED", "1")))
    names = sorted(name for name in zoneinfo.available_timezones() if "/" in name and not name.startswith("Etc/"))
    while count > 0:
        name, year = dice.choice(names), dice.randint(1973, 2036)
        zone = zoneinfo.ZoneInfo(name)
        for change in changes(zone, year):
            if change.astimezone(zone).utcoffset().seconds % 60 == 0 and count > 0:
                count -= 1
                yield name, zone, change


@pytest.mark.timeout(600)
def test_every_minute_around_changes_of_clocks():
    naives = [Naive(text) for text in EXPRESSIONS]
    rows, expected, compared = [], [], 0
    for name, zone, change in windows(int(os.environ.get("SALUS_WINDOWS", "60"))):
        start, end = change - timedelta(days=2), change + timedelta(days=2)
        # What the wall has shown before counts too: the window begins a day earlier.
        minutes, skipped = shown(zone, start - timedelta(days=1), end)
        for text, naive in zip(EXPRESSIONS, naives, strict=True):
            runs = [at for at in simulate(naive, minutes, skipped) if at > start]
            rows.append((text, name, start.strftime("%Y-%m-%dT%H:%M:%SZ"), len(runs) + 1))
            expected.append((" ".join(at.strftime("%Y-%m-%dT%H:%M:%SZ") for at in runs), end))
            compared += len(minutes)
    for row, (wish, end), answer in zip(rows, expected, ask(rows), strict=True):
        got = " ".join(at for at in answer.split() if at < end.strftime("%Y-%m-%dT%H:%M:%SZ"))
        assert got == wish, (row, got, wish)
    assert compared > 5_000_000 or len(rows) < 60 * len(EXPRESSIONS)


def test_any_start_between_two_runs_has_the_same_answer():
    dice = random.Random(3)
    rows, expected = [], []
    for zone in ("America/New_York", "Australia/Lord_Howe", "Asia/Jerusalem", "Africa/Casablanca", "Pacific/Apia"):
        for text in EXPRESSIONS[5:40:3]:
            start = f"2025-{dice.randint(1, 11):02}-01T00:00:00Z"
            runs = ask([(text, zone, start, 60)])[0].split()
            for before, after in zip(runs, runs[1:], strict=False):
                first, last = datetime.fromisoformat(before), datetime.fromisoformat(after)
                some = first + timedelta(seconds=dice.randrange(int((last - first).total_seconds())))
                rows.append((text, zone, some.strftime("%Y-%m-%dT%H:%M:%SZ"), 1))
                expected.append(after)
    assert ask(rows) == expected


def test_runs_increase_strictly_and_fields_hold():
    by_zone = defaultdict(list)
    for zone in ("UTC", "Europe/London", "America/Sao_Paulo"):
        for text in EXPRESSIONS:
            by_zone[zone].append((text, zone, "2018-10-30T00:00:00Z", 300))
    for rows in by_zone.values():
        for row, answer in zip(rows, ask(rows), strict=True):
            runs = answer.split()
            assert runs == sorted(set(runs)) and len(runs) == 300, row
