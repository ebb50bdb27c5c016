"""services/chat/data/help.tsv: whom a person in a crisis can reach. Checked with each build; docs/help-lines.md shows it."""
import datetime
import re

from contract import ContractError

PLACE = "services/chat/data/help.tsv"
COLUMNS = ("country", "kind", "language", "name", "reach", "hours", "spoken", "source", "checked_on")
NEVER = "-"


def load(root):
    """The rows as dicts; none where there is no table."""
    path = root / PLACE
    rows = []
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines() if path.exists() else [], 1):
        if line and not line.startswith("#"):
            rows.append(_row(number, line.split("\t")))
    for country in {row["country"] for row in rows}:
        kinds = {row["kind"] for row in rows if row["country"] == country}
        if kinds != {"crisis", "emergency"}:
            raise ContractError(PLACE, f"{country} needs rows of both kinds, crisis and emergency")
    return rows


def _row(number, cells):
    def fail(problem):
        raise ContractError(f"{PLACE}:{number}", problem)
    if len(cells) != len(COLUMNS) or not all(cells):
        fail(f"needs {len(COLUMNS)} columns, none empty: {', '.join(COLUMNS)}")
    row = dict(zip(COLUMNS, cells, strict=True))
    if not re.fullmatch(r"[A-Z]{2}|\*", row["country"]):
        fail("country must be two letters of ISO 3166, or *")
    if row["kind"] not in ("crisis", "emergency"):
        fail("kind must be crisis or emergency")
    if not re.fullmatch(r"https://[a-z0-9.-]+(/\S*)?", row["source"]):
        fail("source must be the https address of the page that says so")
    if row["checked_on"] == NEVER:
        return row
    try:
        checked = datetime.date.fromisoformat(row["checked_on"])
    except ValueError:
        fail("checked_on must be YYYY-MM-DD, or - when nobody has compared the row with its source")
    if len(row["checked_on"]) != 10 or checked > datetime.datetime.now(datetime.UTC).date() + datetime.timedelta(days=1):
        fail("checked_on must be a day that has been, as YYYY-MM-DD")
    return row


def page(rows):
    """The lines of docs/help-lines.md; none without a table."""
    if not rows:
        return []
    checked = sorted(row["checked_on"] for row in rows if row["checked_on"] != NEVER)
    never = len(rows) - len(checked)
    lines = ["# Whom the companion names in a crisis", "",
             f"Generated from `{PLACE}` by `make docs`. `checked on` is the day on which somebody compared the row with its source.", "",
             f"**{never} of {len(rows)} rows were never compared.** Confirm each before a release." if never else
             f"All {len(rows)} rows were compared with their sources.",
             f"The oldest check: {'never' if never else checked[0]}. The metric `salus_chat_help_oldest_check_seconds` has it as "
             "Unix time (0: never), and the alarm `SalusHelpLinesUnchecked` comes half a year after it.", "",
             "| country | kind | language of the row | name | how | hours | spoken | source | checked on |", "| --- " * 9 + "|"]
    for row in rows:
        cells = [row[column] for column in COLUMNS]
        cells[-1] = "never" if row["checked_on"] == NEVER else row["checked_on"]
        cells[7] = f"<{row['source']}>"
        lines.append("| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |")
    return lines
