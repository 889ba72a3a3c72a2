"""A small run of `benchmarks/inference_log.py`: all that it measures is there, whatever it comes to."""

import re
import subprocess
import sys

import pytest

from tests.attacks.servers import postgresql_missing
from tests.unit.project_imports import ROOT

pytestmark = pytest.mark.e2e


def test_the_writer_and_the_bare_insert_write_the_same_rows() -> None:
    small = ["--rows", "300", "--rounds", "2", "--memory-rows", "400", "--features", "16"]
    command = [sys.executable, "benchmarks/inference_log.py", *small]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    speeds = re.findall(
        r"^\| (\w+) \| [\d,]+ \([\d,]+-[\d,]+\) \| [\d,]+ \([\d,]+-[\d,]+\) \| [\d.]+ \(.*\) \|$",
        done.stdout,
        re.M,
    )
    assert speeds == ["SQLite", *([] if postgresql_missing() else ["PostgreSQL"])]
    assert re.search(r"`record` takes [\d.]+ µs \(median\), \d+ µs \(99th percentile\), n = 300", done.stdout)
    assert re.search(
        r"records 400 rows: after a tenth \d+ MiB, after all \d+ MiB, in memory at the end \d+ MiB, bytes a row [\d,]+",
        done.stdout,
    )
