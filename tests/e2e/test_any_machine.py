"""The pipeline with other seeds and without newer instructions, in clones; here with one member, two runs."""

import re
import subprocess
import sys

import pytest

from tests.e2e.project import Project

pytestmark = pytest.mark.e2e


def test_the_pipeline_ends_well_with_other_seeds_and_instruction_sets(checkout: Project) -> None:
    command = [sys.executable, "benchmarks/any_machine.py", "--quick"]
    done = subprocess.run(
        command, cwd=checkout.folder, env=checkout.environment, capture_output=True, text=True, timeout=3000
    )
    assert done.returncode == 0, done.stdout + done.stderr
    rows = [line.split(" | ") for line in done.stdout.splitlines() if re.match(r"\| (avx2|default) ", line)]
    assert [row[:4] for row in rows] == [["| avx2", "1", "0", "0"], ["| default", "1", "1", "0"]]
    for row in rows:
        assert re.fullmatch(r"(0\.9\d\d|1\.000) (.* )?@champion( .*)?", row[5]), row
        assert row[6] == "resnet14", row
        assert row[-1] == "warning, alarm |", row
    # a quiet window may alarm once in a hundred; both of them once in ten thousand
    assert any(row[-2] == "ok, ok" for row in rows), rows
