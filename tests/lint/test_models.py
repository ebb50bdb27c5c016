"""tests/models/*.pml: spin looks at every interleaving; and without the mechanism that a model is about, it finds the fault."""

import shutil
import subprocess
from pathlib import Path

import pytest

MODEL = Path(__file__).resolve().parents[1] / "models" / "reply_stream.pml"


def check(folder, claim, *defines):
    """spin's verdict: the number of errors, and whether all of it was searched."""
    shutil.copy(MODEL, folder)
    subprocess.run(["spin", *defines, "-a", MODEL.name], cwd=folder, check=True, capture_output=True)
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
