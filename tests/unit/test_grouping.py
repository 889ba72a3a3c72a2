"""Tests that share a fixture run on one worker, so that what is dear to make is made once."""

import subprocess
import sys
from pathlib import Path

import pytest

from tests.unit.project_imports import ROOT

TESTS = """
import os
import pytest

@pytest.fixture(scope="module", params=["a", "b"])
def dear(request):
    with open("made.txt", "a") as file:
        file.write(f"{request.param} {os.environ['PYTEST_XDIST_WORKER']}\\n")
    return request.param

@pytest.mark.parametrize("number", range(6))
def test_it(dear, number):
    pass
"""


@pytest.mark.slow
def test_a_fixture_of_a_module_is_made_by_one_worker(tmp_path: Path) -> None:
    folder = tmp_path / "tests"
    folder.mkdir()
    for name in ("__init__.py", "conftest.py", "once.py"):
        (folder / name).write_text((ROOT / "tests" / name).read_text())
    (folder / "test_dear.py").write_text(TESTS)
    command = [
        sys.executable,
        "-m",
        "pytest",
        "-n",
        "2",
        "--dist",
        "loadgroup",
        "--no-loadscope-reorder",
        "-q",
    ]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    made = [line.split()[0] for line in (tmp_path / "made.txt").read_text().splitlines()]
    assert sorted(made) == ["a", "b"]
