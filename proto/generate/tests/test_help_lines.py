"""The table of help lines: what is refused with each build, and its page."""
import help_lines
import pytest

ROWS = ("US\tcrisis\ten\tLine\tcall 1\t24/7\ten\thttps://a.example\t2026-11-01",
        "US\temergency\ten\tEmergency\tcall 2\t24/7\ten\thttps://b.example/x\t-")
# what a row becomes -> what is said
WRONG = {
    ROWS[0].rsplit("\t", 1)[0]: "needs 9 columns",
    ROWS[0].replace("Line", ""): "none empty",
    ROWS[0].replace("US", "usa"): "country must be",
    ROWS[0].replace("crisis", "chat"): "kind must be",
    ROWS[0].replace("https://", "http://"): "source must be the https address",
    ROWS[0].replace("https://a.example", "-"): "source must be the https address",
    ROWS[0].replace("2026-11-01", "2026-02-30"): "checked_on must be YYYY-MM-DD",
    ROWS[0].replace("2026-11-01", "yesterday"): "checked_on must be YYYY-MM-DD",
    ROWS[0].replace("2026-11-01", "2999-01-01"): "a day that has been",
}


def write(folder, *rows):
    folder.write("services/chat/data/help.tsv", "\n".join(("# remarks", *rows)) + "\n")


@pytest.mark.parametrize("row", WRONG)
def test_what_is_refused(folder, row):
    write(folder, row, ROWS[1])
    done = folder.generate("--out", str(folder.path / "out"))
    assert done.returncode != 0 and done.stderr.startswith("generate.py: services/chat/data/help.tsv:2: ")
    assert WRONG[row] in done.stderr


def test_a_country_needs_both_kinds(folder):
    write(folder, ROWS[0])
    assert "US needs rows of both kinds" in folder.generate("--out", str(folder.path / "out")).stderr


def test_the_page_says_how_old_the_oldest_check_is(folder):
    write(folder, *ROWS)
    folder.succeeds()
    page = "\n".join(help_lines.page(help_lines.load(folder.path)))
    assert "**1 of 2 rows were never compared.**" in page and "The oldest check: never" in page
    assert "| US | emergency | en | Emergency | call 2 | 24/7 | en | <https://b.example/x> | never |" in page
    write(folder, ROWS[0], ROWS[1].replace("\t-", "\t2026-10-31"))
    assert "The oldest check: 2026-10-31." in "\n".join(help_lines.page(help_lines.load(folder.path)))
