"""tests/models/*.pml: spin looks at every interleaving; and without the mechanism that a model is about, it finds the fault."""

import shutil
import subprocess
from pathlib import Path

import pytest

MODELS = Path(__file__).resolve().parents[1] / "models"


def check(folder, claim, *defines, model="reply_stream.pml"):
    """spin's verdict: the number of errors, and whether all of it was searched."""
    shutil.copy(MODELS / model, folder)
    subprocess.run(["spin", *defines, "-a", model], cwd=folder, check=True, capture_output=True)
    subprocess.run(["gcc", "-w", "-O2", "-DNFAIR=3", "-o", "pan", "pan.c"], cwd=folder, check=True)
    result = subprocess.run(["./pan", "-a", "-f", "-m1000000", "-N", claim], cwd=folder, check=True, capture_output=True, text=True)
    assert "max search depth too small" not in result.stdout
    assert "errors: " in result.stdout, result.stdout
    return int(result.stdout.split("errors: ")[1].split()[0])


@pytest.mark.parametrize(("claim", "last"), [("safe", 3), ("same", 3), ("ends_come", 2)])
def test_the_model_holds(tmp_path, claim, last):
    assert check(tmp_path, claim, f"-DLAST={last}") == 0


@pytest.mark.parametrize(("claim", "broken"), [("safe", "BROKEN_FENCE"), ("same", "BROKEN_HOLD")])
def test_without_the_mechanism_it_does_not(tmp_path, claim, broken):
    assert check(tmp_path, claim, f"-D{broken}") > 0


@pytest.mark.parametrize("claim", ["one", "begun"])
def test_a_reply_is_taken_up_once(tmp_path, claim):
    assert check(tmp_path, claim, model="reply_claim.pml") == 0


@pytest.mark.parametrize("broken", ["BROKEN_CLAIM", "BROKEN_FENCE"])
def test_not_by_two_steps_or_without_the_fence(tmp_path, broken):
    assert check(tmp_path, "one", f"-D{broken}", model="reply_claim.pml") > 0
