"""Drift verdicts: how long they take and how much memory, ours against Evidently's DataDriftPreset, in one run.

    python benchmarks/drift_speed.py [--small] [--rounds 1] [--skip-log]

Two tables of made-up numbers: 1 million rows x 20 columns (5 image statistics, 14 probabilities, the negative entropy),
and 100 thousand rows x 512 embeddings. Each measurement is a process of its own on one thread, ours and Evidently's in
turn. The clock runs from the table in memory to the verdict, after one of a small table, so that nobody's imports
count; memory is the most that was taken beyond the table.
Then ours where rows are not in memory: from parquet files and from the inference log (SQLite), at 10^5 and 10^6 rows,
and a second time from the log, when the hours' summaries are kept. Prints tables for benchmarks/RESULTS.md.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
os.environ.setdefault("OMP_NUM_THREADS", "1")

import numpy as np
import pandas as pd

from resnet_ops.provenance import environment, git_state, hardware
from resnet_ops_monitoring.drift.detector import judge, judge_summary
from resnet_ops_monitoring.drift.partitions import export_log, summarise_partition
from resnet_ops_monitoring.drift.reference import Reference, build_reference
from resnet_ops_monitoring.drift.time_ranges import judge_time_range
from resnet_ops_monitoring.inference_log.frames import STATISTICS, matrix, vectors
from resnet_ops_monitoring.inference_log.identity import ModelIdentity
from resnet_ops_monitoring.inference_log.log import InferenceLog
from resnet_ops_monitoring.settings.drift import DriftParams, read_drift_params
from resnet_ops_monitoring.statistics.accuracy import negative_entropy
from resnet_ops_monitoring.statistics.summary import merge, summarise

ROOT = Path(__file__).resolve().parents[1]
CLASSES = tuple(f"class {k}" for k in range(14))
IDENTITY = ModelIdentity("made-up", "1", "d" * 64)
REFERENCE_ROWS, KEPT, BLOCK = 10_000, 2000, 20_000
START = pd.Timestamp("2026-01-05T08:00Z")


def rows_of(rows: int, features: int, seed: int, minutes: float = 1440) -> pd.DataFrame:
    """Made-up predictions, evenly over so many minutes."""
    rng = np.random.default_rng(seed)
    logits = rng.normal(0, 3, (rows, len(CLASSES))).astype(np.float32)
    exponentials = np.exp(logits - logits.max(axis=1, keepdims=True))
    probabilities = exponentials / exponentials.sum(axis=1, keepdims=True)
    predicted = np.array(CLASSES, dtype=object)[probabilities.argmax(axis=1)]
    return pd.DataFrame(
        {
            "request_id": [f"{seed}-{i}" for i in range(rows)],
            "time": START + pd.to_timedelta(np.arange(rows) * (minutes * 60e6 / rows), unit="us"),
            "model": IDENTITY.name,
            "version": IDENTITY.version,
            "digest": IDENTITY.digest,
            "source": None,
            "window": None,
            **{name: rng.normal(0.5, 0.1, rows) for name in STATISTICS},
            "embedding": vectors(rng.normal(0, 1, (rows, features)).astype(np.float32)),
            "probabilities": vectors(probabilities),
            "predicted": predicted,
            "latency_ms": 1.0,
            "label": predicted,
        }
    )


def reference_of(features: int) -> Reference:
    return build_reference(rows_of(REFERENCE_ROWS, features, 0), IDENTITY, CLASSES, rows=KEPT, seed=0)


def settings() -> DriftParams:
    return read_drift_params(ROOT / "params.yaml")


def ours(rows: int, features: int, folder: Path) -> Callable[[], str]:
    frame, reference, params = rows_of(rows, features, 1), reference_of(features), settings()
    return lambda: judge(frame, reference, params, window="w").status


def evidently(rows: int, features: int, folder: Path) -> Callable[[], str]:
    """Over 20 columns, or over the embeddings where there are more than a few numbers in one."""
    warnings.simplefilter("ignore")  # Evidently's own, about numpy and pandas
    from evidently import DataDefinition, Dataset, Report
    from evidently.presets import DataDriftPreset

    def table(frame: pd.DataFrame) -> pd.DataFrame:
        if features > 8:
            embedding = matrix(frame, "embedding")
            return pd.DataFrame(embedding, columns=pd.Index([f"e{k}" for k in range(features)]))
        probabilities = matrix(frame, "probabilities")
        numbers: dict[str, Any] = {name: frame[name] for name in STATISTICS}
        numbers |= {name: probabilities[:, k] for k, name in enumerate(CLASSES)}
        return pd.DataFrame({**numbers, "negative entropy": negative_entropy(probabilities)})

    now, before = table(rows_of(rows, features, 1)), table(rows_of(REFERENCE_ROWS, features, 0))

    def run() -> str:
        definition = DataDefinition(numerical_columns=list(now.columns))
        both = [Dataset.from_pandas(each, data_definition=definition) for each in (now, before)]
        shares = Report([DataDriftPreset()]).run(both[0], both[1]).dict()["metrics"][0]["value"]
        return f"{shares['count']:.0f} columns drifted"

    return run


def merged(rows: int, features: int, folder: Path) -> Callable[[], str]:
    """A day of 24 summaries that are there already."""
    reference, params = reference_of(features), settings()
    hours = [summarise(rows_of(rows // 24, features, 1 + k), reference.schema) for k in range(24)]
    return lambda: judge_summary(merge(reference.schema, hours), reference, params, window="w").status


def _filled(rows: int, features: int, folder: Path) -> InferenceLog:
    """A log with so many rows within one minute, and one file of its export; made once."""
    log = InferenceLog(f"sqlite:///{folder}/{rows}.db")
    have = sum(each.rows for each in log.count(IDENTITY.name).values())
    if have != rows:
        for begin in range(0, rows, BLOCK):
            part = rows_of(min(BLOCK, rows - begin), features, 1 + begin, minutes=1)
            log.append(part)
        export_log(log, folder / f"export-{rows}", IDENTITY.name, start=None, end=None)
    return log


def parquet(rows: int, features: int, folder: Path) -> Callable[[], str]:
    _filled(rows, features, folder)
    (path,) = (folder / f"export-{rows}").glob("*/rows.parquet")
    reference, params = reference_of(features), settings()
    return lambda: (
        judge_summary(summarise_partition(path, reference.schema), reference, params, window="w").status
    )


def log(rows: int, features: int, folder: Path) -> Callable[[], str]:
    log, reference, params = _filled(rows, features, folder), reference_of(features), settings()
    start, end = START.to_pydatetime(), (START + pd.Timedelta(hours=1)).to_pydatetime()
    return lambda: judge_time_range(log, reference, params, name="w", start=start, end=end).verdict.status


JOBS = {
    "ours": ours,
    "Evidently": evidently,
    "24 kept summaries": merged,
    "parquet": parquet,
    "log": log,
    "log again": log,
}


def _memory(name: str) -> int:
    """KiB of this process by /proc: VmRSS now, VmHWM the most since it was reset."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return int(next(line for line in lines if line.startswith(f"{name}:")).split()[1])


def measure(job: str, rows: int, features: int, folder: Path) -> dict[str, Any]:
    """Seconds and MiB of one verdict, in this process."""
    JOBS["Evidently" if job == "Evidently" else "ours"](1000, features, folder)()
    run = JOBS[job](rows, features, folder)
    Path("/proc/self/clear_refs").write_text("5")
    before, begin, used = _memory("VmRSS"), time.perf_counter(), time.process_time()
    verdict = run()
    seconds, cpu = time.perf_counter() - begin, time.process_time() - used
    memory = (_memory("VmHWM") - before) / 1024
    return {"seconds": seconds, "cpu": cpu, "MiB": memory, "verdict": verdict}


def in_its_own_process(job: str, rows: int, features: int, folder: Path) -> dict[str, Any]:
    command = [sys.executable, __file__, "--job", job, "--rows", str(rows), "--features", str(features)]
    done = subprocess.run([*command, "--folder", str(folder)], capture_output=True, text=True, check=False)
    if done.returncode:
        sys.exit(f"{job}, {rows} rows: {done.stderr[-2000:]}")
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return found


def _row(table: str, job: str, found: list[dict[str, Any]]) -> str:
    seconds, cpu, memory = (statistics.median(each[k] for each in found) for k in ("seconds", "cpu", "MiB"))
    return f"| {table} | {job} | {seconds:.2f} | {cpu:.2f} | {memory:.0f} | {found[0]['verdict']} |"


def report(small: bool, rounds: int, skip_log: bool, folder: Path) -> Iterator[str]:
    wide, deep = ((20_000, 8), (2000, 64)) if small else ((1_000_000, 8), (100_000, 512))
    state = git_state(ROOT)
    yield f"Commit {state}, {hardware()}, {environment()}; median of {rounds}\n"
    yield "| table | by | seconds | CPU seconds | MiB beyond the table | verdict |"
    yield "|---|---|---:|---:|---:|---|"
    ratios = []
    for (rows, features), what in ((wide, "20 columns"), (deep, f"{deep[1]} embeddings")):
        found: dict[str, list[dict[str, Any]]] = {"ours": [], "Evidently": []}
        for _ in range(rounds):
            for job, each in found.items():
                each.append(in_its_own_process(job, rows, features, folder))
        for job, each in found.items():
            yield _row(f"{rows:,} x {what}", job, each)
        pairs = zip(found["Evidently"], found["ours"], strict=True)
        ratios.append(
            f"{what}: {statistics.median(a['seconds'] / b['seconds'] for a, b in pairs):.0f} times faster"
        )
    rows, features = wide
    yield _row(
        f"{rows:,} x 20 columns",
        "24 kept summaries",
        [in_its_own_process("24 kept summaries", rows, features, folder)],
    )
    for rows in () if skip_log else (wide[0] // 10, wide[0]):
        for job in ("parquet", "log", "log again"):
            yield _row(
                f"{rows:,} x 20 columns in one minute", job, [in_its_own_process(job, rows, 8, folder)]
            )
    yield f"\n{'; '.join(ratios)}."


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--small", action="store_true", help="20 thousand rows and 64 embeddings, to try it")
    parser.add_argument("--rounds", type=int, default=1)
    parser.add_argument("--skip-log", action="store_true", help="leave parquet and log out")
    for name, kind in (("--job", str), ("--rows", int), ("--features", int), ("--folder", Path)):
        parser.add_argument(name, type=kind, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.job:
        print(json.dumps(measure(given.job, given.rows, given.features, given.folder)))
        return
    with tempfile.TemporaryDirectory() as folder:
        for line in report(given.small, given.rounds, given.skip_log, Path(folder)):
            print(line, flush=True)


if __name__ == "__main__":
    main()
