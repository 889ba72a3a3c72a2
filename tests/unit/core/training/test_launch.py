"""The workers of one machine: what is seen of them, and that none outlives the one who started them."""

import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest

START = """
import sys
from resnet_ops.console import report_errors
from resnet_ops.training.distributed.launch import start_workers
with report_errors("training"):
    start_workers(2, sys.argv[1:])
"""
SAY = """
print("worker", rank, "of", os.environ["WORLD_SIZE"])
open(sys.argv[1] + rank, "w")
"""
FAIL = """
if rank == "1":
    sys.exit("no memory left here")
time.sleep(60)
"""
DIE = """
if rank == "1":
    os.kill(os.getpid(), signal.SIGKILL)
time.sleep(60)
"""
JOIN = """
from resnet_ops.training.distributed.workers import join_workers
with join_workers("cpu"):
    open(sys.argv[1] + rank, "w").write(str(os.getpid()))
    time.sleep(120)
"""


def start(folder: Path, text: str) -> subprocess.Popen[str]:
    """Two workers who run this; their argument is how files begin that they write.

    Started by a program of its own: torch takes its signals over, and leaves logs open.
    """
    script = folder / "script.py"
    script.write_text(f"import os, signal, sys, time\nrank = os.environ['RANK']\n{text}")
    command = [sys.executable, "-c", START, str(script), str(folder / "done")]
    return subprocess.Popen(command, text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE)


@pytest.mark.slow
def test_each_worker_knows_its_place_and_only_the_first_is_heard(tmp_path: Path) -> None:
    with start(tmp_path, SAY) as starter:
        said, complained = starter.communicate(timeout=120)
    assert (starter.returncode, said, complained) == (0, "worker 0 of 2\n", "")
    assert (tmp_path / "done1").exists()


@pytest.mark.slow
@pytest.mark.parametrize(
    ("text", "message"),
    [
        (FAIL, "no memory left here"),
        (DIE, "training: Worker 1 of 2 was killed by SIGKILL."),
    ],
)
def test_a_worker_that_fails_alone_is_heard_once(text: str, message: str, tmp_path: Path) -> None:
    with start(tmp_path, text) as starter:
        _, complained = starter.communicate(timeout=120)
    assert starter.returncode == 1
    assert complained.startswith(message)
    assert complained.count("\n") == 1


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="only Linux can end them")
def test_workers_die_with_the_process_that_started_them(tmp_path: Path) -> None:
    places = [tmp_path / f"done{rank}" for rank in "01"]
    with start(tmp_path, JOIN) as starter:
        try:
            while not all(place.exists() and place.read_text() for place in places):
                assert starter.poll() is None
                time.sleep(0.1)
        finally:
            starter.kill()
        end = time.monotonic() + 60
        while any(lives(int(place.read_text())) for place in places):
            assert time.monotonic() < end
            time.sleep(0.1)


def lives(process: int) -> bool:
    try:
        return bool(psutil.Process(process).status() != psutil.STATUS_ZOMBIE)
    except psutil.NoSuchProcess:
        return False
