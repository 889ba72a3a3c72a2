"""The inference log's writer against bare bulk inserts of the same rows, in one run: speed, space and memory.

    python benchmarks/inference_log.py [--rows 50000] [--rounds 5] [--memory-rows 1000000] [--features 512]

Into SQLite and, where its server is installed, PostgreSQL, each row with 512 numbers of embedding and 10 probabilities.
A pair is the writer and the bare insert, in random order, each into an empty database of its own. Bare: finished tuples
by sqlite3's `executemany`, 1,000 rows a transaction, or one binary COPY. The writer's clock runs from the first
`record` until the database has the last row; where its memory is full, the one who records waits. Memory is that of a
process of its own which records rows without an end of them in memory. Prints tables for benchmarks/RESULTS.md.
"""

import argparse
import json
import os
import random
import sqlite3
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
os.environ.setdefault("OMP_NUM_THREADS", "1")

import numpy as np
import psycopg

from resnet_ops.provenance import environment, git_state, hardware
from resnet_ops_monitoring.inference_log.client.writer import Writer, open_writer
from resnet_ops_monitoring.inference_log.columns import RECORDED, STATISTICS
from resnet_ops_monitoring.inference_log.connection import LogDatabase
from tests.attacks.servers import new_database, postgresql, postgresql_missing

ROOT = Path(__file__).resolve().parents[1]
CLASSES = tuple(f"class {k}" for k in range(10))
ABOUT: dict[str, Any] = {"model": "made-up", "version": "1", "digest": "d" * 64, "classes": CLASSES}
START = datetime(2026, 1, 5, 8, tzinfo=UTC)
POOL, TRANSACTION = 1000, 1000


@dataclass(frozen=True)
class Answers:
    """Made-up answers, taken in turn."""

    probabilities: "np.ndarray[Any, np.dtype[np.float32]]"
    embeddings: "np.ndarray[Any, np.dtype[np.float32]]"
    statistics: list[dict[str, float]]

    @classmethod
    def made(cls, features: int) -> "Answers":
        rng = np.random.default_rng(0)
        raw = rng.random((POOL, len(CLASSES)), dtype=np.float32)
        numbers = rng.random((POOL, len(STATISTICS)))
        return cls(
            (raw / raw.sum(axis=1, keepdims=True)).astype(np.float32),
            rng.normal(size=(POOL, features)).astype(np.float32),
            [dict(zip(STATISTICS, row, strict=True)) for row in numbers.tolist()],
        )

    def record(self, log: Writer, row: int) -> bool:
        """Hand a row over, as a server does."""
        place = row % POOL
        return log.record(
            self.probabilities[place],
            self.embeddings[place],
            self.statistics[place],
            request_id=f"request-{row:012}",
            time=START + timedelta(milliseconds=row),
            source="line 1",
            latency_ms=1.5,
        )

    def tuples(self, rows: int) -> list[tuple[Any, ...]]:
        """The same rows, ready for a driver, in the order of RECORDED."""
        found = []
        for row in range(rows):
            place = row % POOL
            head = (f"request-{row:012}", "d" * 64, START + timedelta(milliseconds=row), "made-up", "1")
            how = ("champion", "ok", 1.0, 1.0, "line 1", None, None)
            predicted = CLASSES[int(self.probabilities[place].argmax())]
            numbers = self.statistics[place].values()
            vectors = (self.probabilities[place].tobytes(), self.embeddings[place].tobytes())
            found.append((*head, *how, *numbers, predicted, 1.5, None, None, *vectors))
        return found


def by_writer(url: str, answers: Answers, rows: int, folder: Path) -> float:
    """Seconds from the first `record` until the database has the last row."""
    with open_writer(url, **ABOUT, folder=folder) as log:
        begin = time.perf_counter()
        for row in range(rows):
            while not answers.record(log, row):
                time.sleep(0.001)
        while log.stats().written < rows:
            time.sleep(0.005)
        return time.perf_counter() - begin


def into_sqlite(path: Path, tuples: list[tuple[Any, ...]]) -> float:
    """Seconds of bare inserts."""
    ready = [(*row[:2], row[2].strftime("%Y-%m-%d %H:%M:%S.%f"), *row[3:]) for row in tuples]
    marks = ", ".join("?" * len(RECORDED))
    statement = f"INSERT INTO inferences ({_names()}) VALUES ({marks})"
    with closing(sqlite3.connect(path)) as connection:
        begin = time.perf_counter()
        for first in range(0, len(ready), TRANSACTION):
            with connection:
                connection.executemany(statement, ready[first : first + TRANSACTION])
        return time.perf_counter() - begin


def into_postgresql(url: str, tuples: list[tuple[Any, ...]]) -> float:
    """Seconds of one binary COPY."""
    types = [
        *["text"] * 2,
        "timestamptz",
        *["text"] * 4,
        *["float8"] * 2,
        *["text"] * 3,
        *["float8"] * 5,
        "text",
        *["float8"] * 3,
        *["bytea"] * 2,
    ]
    with psycopg.connect(url) as connection, connection.cursor() as cursor:
        begin = time.perf_counter()
        with cursor.copy(f"COPY inferences ({_names()}) FROM STDIN (FORMAT BINARY)") as copy:
            copy.set_types(types)
            for row in tuples:
                copy.write_row(row)
        connection.commit()
        return time.perf_counter() - begin


def _names() -> str:
    return ", ".join(f'"{name}"' for name in RECORDED)


def _rows_in(url: str) -> int:
    log = LogDatabase(url)
    with log.transaction("read") as connection:
        found = connection.exec_driver_sql("SELECT count(*) FROM inferences").scalar_one()
    log.close()
    return int(found)


def pairs(
    url: Callable[[str], str], bare: Callable[[str], float], writer: Callable[[str], float], rows: int, n: int
) -> Iterator[tuple[float, float]]:
    """Seconds of the bare insert and of the writer, each into a database of its own that was empty."""
    chance = random.Random(0)
    for number in range(n):
        taken = {}
        for name, way in chance.sample([("bare", bare), ("writer", writer)], 2):
            place = url(f"{name}_{number}")
            LogDatabase(place).close()
            taken[name] = way(place)
            if (found := _rows_in(place)) != rows:
                raise SystemExit(f"{place} holds {found} rows, not {rows}.")
        yield taken["bare"], taken["writer"]


def cost_of_record(answers: Answers, rows: int, folder: Path) -> tuple[float, float]:
    """Microseconds of a call: median and 99th percentile, at a thousand a second or fewer, as a server calls it."""
    taken = []
    with open_writer(f"sqlite:///{folder}/cost.db", **ABOUT, folder=folder) as log:
        for row in range(rows):
            begin = time.perf_counter()
            assert answers.record(log, row)
            taken.append(1e6 * (time.perf_counter() - begin))
            time.sleep(0.001)
    return statistics.median(taken), float(np.percentile(taken, 99))


def memory(rows: int, features: int, folder: Path) -> dict[str, float]:
    """MiB of this process after a tenth of the rows and after all, and bytes a row of the database and on disk."""
    answers, path = Answers.made(features), folder / "memory.db"
    found: dict[str, float] = {}
    with open_writer(f"sqlite:///{path}", **ABOUT, folder=folder / "spool") as log:
        for row in range(rows):
            while not answers.record(log, row):
                time.sleep(0.001)
            if row + 1 in (rows // 10, rows):
                found["after a tenth" if "after a tenth" not in found else "after all"] = _resident()
        depth = log.stats().depth_bytes
    found |= {"in memory at the end": depth / 2**20, "bytes a row": path.stat().st_size / rows}
    return found


def _resident() -> float:
    lines = Path("/proc/self/status").read_text().splitlines()
    return int(next(line for line in lines if line.startswith("VmHWM:")).split()[1]) / 1024


def memory_in_its_own_process(rows: int, features: int, folder: Path) -> dict[str, float]:
    command = [sys.executable, __file__, "--memory-job", str(folder), "--memory-rows", str(rows)]
    done = subprocess.run(
        [*command, "--features", str(features)], capture_output=True, text=True, check=False
    )
    if done.returncode:
        sys.exit(done.stderr[-2000:])
    found: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    return found


def _speeds(kind: str, measured: list[tuple[float, float]], rows: int) -> str:
    bare, writer = ([rows / pair[k] for pair in measured] for k in (0, 1))
    ratios = sorted(before / after for before, after in measured)
    return (
        f"| {kind} | {statistics.median(bare):,.0f} ({min(bare):,.0f}-{max(bare):,.0f}) "
        f"| {statistics.median(writer):,.0f} ({min(writer):,.0f}-{max(writer):,.0f}) "
        f"| {statistics.median(ratios):.2f} ({ratios[0]:.2f}-{ratios[-1]:.2f}) |"
    )


def report(given: argparse.Namespace, folder: Path) -> Iterator[str]:
    answers, rows = Answers.made(given.features), given.rows
    tuples = answers.tuples(rows)
    yield f"Commit {git_state(ROOT)}, {hardware()}, {environment()}; n = {given.rounds} pairs of {rows:,} rows\n"
    yield "| database | bare, rows/s (range) | writer, rows/s (range) | writer / bare, median of pairs (range) |"
    yield "|---|---|---|---|"
    spool = folder / "spool"
    found = pairs(
        lambda name: f"sqlite:///{folder}/{name}.db",
        lambda url: into_sqlite(Path(url.removeprefix("sqlite:///")), tuples),
        lambda url: by_writer(url, answers, rows, spool),
        rows,
        given.rounds,
    )
    yield _speeds("SQLite", list(found), rows)
    if missing := postgresql_missing():
        yield f"\nPostgreSQL was not measured: {missing}."
    else:
        with ExitStack() as stack:
            server = stack.enter_context(postgresql())
            found = pairs(
                lambda name: new_database(server, name),
                lambda url: into_postgresql(url, tuples),
                lambda url: by_writer(url, answers, rows, spool),
                rows,
                given.rounds,
            )
            yield _speeds("PostgreSQL", list(found), rows)
    median, p99 = cost_of_record(answers, min(rows, 5000), folder)
    yield f"\n`record` takes {median:.1f} µs (median), {p99:.0f} µs (99th percentile), n = {min(rows, 5000):,}."
    numbers = memory_in_its_own_process(given.memory_rows, given.features, folder)
    yield f"A process that records {given.memory_rows:,} rows: " + ", ".join(
        f"{name} {value:,.0f}{'' if name == 'bytes a row' else ' MiB'}" for name, value in numbers.items()
    )


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rows", type=int, default=50_000)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--features", type=int, default=512)
    parser.add_argument("--memory-rows", type=int, default=1_000_000)
    parser.add_argument("--memory-job", type=Path, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.memory_job:
        print(json.dumps(memory(given.memory_rows, given.features, given.memory_job)))
        return
    with tempfile.TemporaryDirectory() as folder:
        for line in report(given, Path(folder)):
            print(line, flush=True)


if __name__ == "__main__":
    main()
