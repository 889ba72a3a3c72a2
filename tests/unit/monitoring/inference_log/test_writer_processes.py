"""Writers in several processes: killed at any moment, forked, beside each other, one after the other."""

import os
import random
import signal
import subprocess
import sys
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from resnet_ops_monitoring.inference_log.client.delivery import SAFE_WITHIN
from tests.unit.monitoring.inference_log.writing import (
    away,
    eventually,
    logged,
    record,
    segments,
    writer_of,
)
from tests.unit.project_imports import ROOT

pytestmark = pytest.mark.slow

_RECORDS = """
import os, sys, threading, time
from pathlib import Path
from tests.unit.monitoring.inference_log.writing import answer, writer_of

waited, since = [0.0, 0.0], [0.0]  # for the disk, for the processor; begin of the fsync under way
fsync = os.fsync

def timed(file):
    since[0] = time.monotonic()
    try:
        fsync(file)
    finally:
        waited[0] += time.monotonic() - since[0]
        since[0] = 0.0

def beat():
    while True:
        begin = time.monotonic()
        time.sleep(0.01)
        waited[1] += max(time.monotonic() - begin - 0.012, 0.0)

os.fsync = timed

def live(life):
    threading.Thread(target=beat, daemon=True).start()
    log = writer_of(Path(sys.argv[1]))
    for i in range(10**6):
        assert log.record(*answers[i % 50], request_id=f"{life}-{i}")
        now, begun = time.monotonic(), since[0]
        under_way = now - begun if begun else 0.0
        safe = log.stats().recorded - log.stats().depth
        print(os.getpid(), i, now, safe, sum(waited) + under_way, flush=True)
        time.sleep(0.002)

answers = [answer(i) for i in range(50)]
for life in range(int(sys.argv[2])):
    child = os.fork()
    if not child:
        live(life)
    os.waitpid(child, 0)
"""


def run(code: str, *arguments: object) -> subprocess.Popen[str]:
    """A program of its own that can import what the tests can."""
    command = [sys.executable, "-c", code, *map(str, arguments)]
    return subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True)


Said = list[tuple[int, float, int, float]]


def killed_after(folder: Path, moments: Sequence[int]) -> list[Said]:
    """Have processes record, one after the other, each killed once it has recorded so many rows; all that each said."""
    driver = run(_RECORDS, folder, len(moments))
    assert driver.stdout is not None
    lives: dict[int, Said] = {}
    for line in driver.stdout:
        pid, i, at, safe, waited = line.split()
        said = lives.setdefault(int(pid), [])
        said.append((int(i), float(at), int(safe), float(waited)))
        if len(said) == moments[len(lives) - 1]:
            os.kill(int(pid), signal.SIGKILL)
    assert driver.wait() == 0
    driver.stdout.close()
    return list(lives.values())


@pytest.mark.parametrize("state", ["there", "away", "comes"])
def test_kill_9_at_any_moment_loses_no_row_that_is_older_than_promised(tmp_path: Path, state: str) -> None:
    moments = [random.Random(f"{state} {life}").randrange(1, 300) for life in range(7)]
    if state == "away":
        with away(tmp_path):
            lives = killed_after(tmp_path, moments)
    elif state == "comes":
        (tmp_path / "log.db").mkdir()
        with ThreadPoolExecutor(1) as pool:
            running = pool.submit(killed_after, tmp_path, moments)
            eventually(lambda: bool(segments(tmp_path)) or running.done(), "rows are put by")
            (tmp_path / "log.db").rmdir()
            lives = running.result()
    else:
        lives = killed_after(tmp_path, moments)
    with writer_of(tmp_path):
        eventually(lambda: segments(tmp_path) == [], "the segments of the dead are taken over")
    found = logged(tmp_path)["request_id"].tolist()
    there = {*found}
    assert len(found) == len(there)
    assert len(lives) == 7
    for life, said in enumerate(lives):
        _, end, safe, waited = said[-1]
        assert there >= {f"{life}-{i}" for i in range(safe)}
        promised = [i for i, at, _, before in said if end - at > 2 * SAFE_WITHIN + waited - before]
        assert there >= {f"{life}-{i}" for i in promised}


_FORKS = """
import multiprocessing, os, sys, threading
from pathlib import Path
from tests.unit.monitoring.inference_log.writing import eventually, record, segments, writer_of

folder, done = Path(sys.argv[1]), threading.Event()
log = writer_of(folder)

def apart():
    mine = f"{os.getpid()}-"
    if (folder / "log.db").is_dir():
        eventually(lambda: any(path.parent.name.startswith(mine) for path in segments(folder)), mine)

def serve():
    number = 0
    while not done.is_set():
        assert record(log, 10, f"parent-{number}") == 10
        number += 1
        done.wait(0.001)
    print(number * 10, flush=True)

thread = threading.Thread(target=serve)
thread.start()
children = []
for child in range(8):
    pid = os.fork()
    if pid == 0:
        assert log.stats().recorded == 0
        assert record(log, 50, f"fork-{child}") == 50
        apart()
        log.close()
        os._exit(0)
    children.append(pid)

def worker(number):
    assert record(log, 50, f"worker-{number}") == 50
    apart()  # and ends as multiprocessing ends its children

context = multiprocessing.get_context("fork")
workers = [context.Process(target=worker, args=(number,)) for number in range(4)]
for each in workers:
    each.start()
quiet = context.Process(target=int)  # records nothing
quiet.start()
for each in (*workers, quiet):
    each.join()
    assert each.exitcode == 0
for pid in children:
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0
done.set()
thread.join()
"""


@pytest.mark.parametrize("state", ["there", "away"])
def test_forked_processes_have_threads_and_segments_of_their_own(tmp_path: Path, state: str) -> None:
    if state == "away":
        with away(tmp_path):
            process = run(_FORKS, tmp_path)
            said, _ = process.communicate()
    else:
        process = run(_FORKS, tmp_path)
        said, _ = process.communicate()
    assert process.returncode == 0
    with writer_of(tmp_path):
        eventually(lambda: segments(tmp_path) == [], "all segments are written")
    found = logged(tmp_path)["request_id"].tolist()
    assert len(found) == len({*found})
    names = [name.partition("-")[0] for name in found]
    assert (names.count("fork"), names.count("worker")) == (400, 200)
    assert names.count("parent") == int(said)


_TAKES_OVER = """
import sys
from pathlib import Path
from tests.unit.monitoring.inference_log.writing import eventually, segments, writer_of

sys.stdin.read(1)
with writer_of(Path(sys.argv[1])) as log:
    eventually(lambda: segments(Path(sys.argv[1])) == [], "all segments are written")
print(log.stats().written)
"""


def test_what_dead_processes_left_is_taken_over_once_whoever_looks(tmp_path: Path) -> None:
    with away(tmp_path):
        for number in range(5):
            log = writer_of(tmp_path)
            assert record(log, 40, f"dead-{number}") == 40
            log.close()
        assert len(segments(tmp_path)) == 5
    command = [sys.executable, "-c", _TAKES_OVER, str(tmp_path)]
    others = [
        subprocess.Popen(command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        for _ in range(4)
    ]
    for other in others:
        assert other.stdin is not None
        other.stdin.write("x")
        other.stdin.flush()
    written = [other.communicate()[0] for other in others]
    assert sum(map(int, written)) == 200
    rows = logged(tmp_path)
    assert len(rows) == rows["request_id"].nunique() == 200
    assert [path for path in (tmp_path / "spool").rglob("*") if path.is_file()] == []


def test_a_living_process_keeps_its_segments(tmp_path: Path) -> None:
    with away(tmp_path):
        living = writer_of(tmp_path)
        assert record(living, 10) == 10
        eventually(lambda: bool(segments(tmp_path)), "rows are put by")
        before = segments(tmp_path)
        other = writer_of(tmp_path)
        assert record(other, 1, "other") == 1
        eventually(lambda: len(segments(tmp_path)) > len(before), "the other one's row is put by")
        other.close()  # which looked for what it could take over, before all else
        assert {*before} <= {*segments(tmp_path)}
    living.close()
    with writer_of(tmp_path):
        eventually(lambda: segments(tmp_path) == [], "all segments are written")
    assert len(logged(tmp_path)) == 11


_ENDS = """
import sys
from pathlib import Path
from tests.unit.monitoring.inference_log.writing import record, writer_of

log = writer_of(Path(sys.argv[1]))
assert record(log, 30) == 30
"""


def test_a_program_that_ends_without_closing_has_its_rows_in_the_log(tmp_path: Path) -> None:
    process = run(_ENDS, tmp_path)
    process.communicate()
    assert process.returncode == 0
    assert len(logged(tmp_path)) == 30
    assert segments(tmp_path) == []
