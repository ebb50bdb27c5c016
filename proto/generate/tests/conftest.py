import pathlib
import sys

import pytest

sys.path[:0] = [str(pathlib.Path(__file__).parent), str(pathlib.Path(__file__).parents[1])]

from sample import Folder  # noqa: E402


@pytest.fixture
def folder(tmp_path):
    return Folder(tmp_path)
