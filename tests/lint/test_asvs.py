"""The page about ASVS is what its items say, and each proof is there."""

import importlib.util
import sys
from collections import Counter
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))
from source import ROOT  # noqa: E402

spec = importlib.util.spec_from_file_location("asvs_page", ROOT / "tests/asvs/page.py")
asvs = importlib.util.module_from_spec(spec)
spec.loader.exec_module(asvs)


def test_every_item_is_there_once():
    items = asvs.read()
    assert len({item.number for item in items}) == len(items)
    assert Counter(item.chapter for item in items) == {chapter: count for chapter, (_, count) in asvs.CHAPTERS.items()}


def test_each_proof_exists():
    known = asvs.files()
    assert [fault for item in asvs.read() for proof in item.proofs if (fault := asvs.missing(proof, known))] == []


def test_a_proof_that_is_none_is_noticed():
    known = asvs.files()
    assert asvs.missing("test_auth.py::test_nothing_of_the_kind", known) and asvs.missing("no_test.c::a", known)
    assert asvs.missing("docs/nowhere.md", known) and not asvs.missing("test_auth.py::test_login", known)


def test_few_do_not_apply():
    assert sum(item.reason is not None for item in asvs.read()) <= asvs.MOST_NOT_APPLICABLE


def test_the_page_is_current():
    assert (ROOT / "docs/asvs.md").read_text(encoding="utf-8") == asvs.page(asvs.read())
