"""False alarms a day over a simulated year without drift, by the size of the reference.

    python benchmarks/false_alarms.py

Deals scores of a made-up model (ten clouds of embeddings and a linear head), so that references of any size and years
of windows come from one population. Each year is split over several references, since the luck of one is in all of its
windows. Reference, level, tests and the memory of windows are those of `resnet-ops monitor run`.
"""

import argparse
import sys
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import timedelta
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import numpy as np
import pandas as pd

from resnet_ops_monitoring.drift.budget import k_of_n, window_level
from resnet_ops_monitoring.drift.detector import judge_summary
from resnet_ops_monitoring.drift.reference import Reference, build_reference
from resnet_ops_monitoring.inference_log.frames import COLUMNS, STATISTICS, vectors
from resnet_ops_monitoring.inference_log.identity import ModelIdentity
from resnet_ops_monitoring.settings.drift import DriftParams
from resnet_ops_monitoring.settings.service import MonitorSettings, RunParams, read_monitor_settings
from resnet_ops_monitoring.statistics.summary import summarise

ROOT = Path(__file__).resolve().parents[1]
SIZES = (300, 1000, 2000, 10_000, 50_000, 100_000)
HOUR = timedelta(hours=1)
_MODEL = ModelIdentity("made-up", "1", "0" * 64)
_CLASSES = tuple("0123456789")
_FEATURES = 8


@dataclass(frozen=True)
class Year:
    """days: simulated. level: of one window. fired: share of windows. alarms: windows in alarm a day, error: its
    standard error over references."""

    days: int
    level: float
    fired: float
    alarms: float
    error: float


def made_up(rng: np.random.Generator, rows: int, each: int = 1) -> pd.DataFrame:
    """The inference log's rows of a model that answers as it always does, `each` of them of one group."""
    centres = np.random.default_rng(99).normal(0, 1.0, (len(_CLASSES), _FEATURES))
    group = np.arange(rows) // each
    truth = rng.integers(0, len(_CLASSES), group[-1] + 1)[group]
    embedding = centres[truth] + rng.normal(0, 1, (rows, _FEATURES))
    if each > 1:  # half of the spread is the group's
        own = rng.normal(0, 1, (group[-1] + 1, _FEATURES))[group]
        embedding = centres[truth] + (embedding - centres[truth] + own) / np.sqrt(2)
    embedding = embedding.astype(np.float32)
    logits = embedding @ centres.T - (centres**2).sum(axis=1) / 2
    exponentials = np.exp(logits - logits.max(axis=1, keepdims=True))
    probabilities = (exponentials / exponentials.sum(axis=1, keepdims=True)).astype(np.float32)
    columns = {
        "request_id": [str(each) for each in rng.integers(0, 2**62, rows)],
        "time": pd.Timestamp("2026-01-05T08:00Z"),
        "model": _MODEL.name,
        "version": _MODEL.version,
        "digest": _MODEL.digest,
        "source": None,
        "window": None,
        **dict.fromkeys(STATISTICS, 0.5),
        "embedding": vectors(embedding),
        "probabilities": vectors(probabilities),
        "predicted": np.array(_CLASSES, dtype=object)[probabilities.argmax(axis=1)],
        "latency_ms": 1.0,
        "label": np.array(_CLASSES, dtype=object)[truth],
    }
    frame = pd.DataFrame(columns)[list(COLUMNS)]
    return frame if each == 1 else frame.assign(group=group.astype(str))


def simulated(
    rng: np.random.Generator,
    seen: int,
    kept: int,
    window_rows: int,
    settings: tuple[RunParams, DriftParams],
    *,
    references: int,
    days: int,
) -> Year:
    """`days` of hourly windows for each of some references of `seen` rows, of which reservoirs keep `kept`."""
    flags, alarms, level = [], [], 0.0
    for _ in range(references):
        reference = build_reference(made_up(rng, seen), _MODEL, _CLASSES, rows=kept, seed=0)
        level = window_level(*settings, HOUR, window_rows, reference)
        fired = list(_judged(rng, reference, window_rows, settings[1], level, 24 * days))
        flags += fired
        run = settings[0]
        ends = range(1, len(fired) + 1)
        alarms.append(
            sum(k_of_n(fired[:end][-run.windows :], run.min_alarms, run.windows) for end in ends) / days
        )
    error = float(np.std(alarms) / np.sqrt(len(alarms)))
    return Year(references * days, level, float(np.mean(flags)), float(np.mean(alarms)), error)


def _judged(
    rng: np.random.Generator,
    reference: Reference,
    rows: int,
    params: DriftParams,
    level: float,
    windows: int,
) -> Iterator[bool]:
    for number in range(windows):
        window = summarise(made_up(rng, rows), reference.schema)
        verdict = judge_summary(window, reference, replace(params, seed=number), window="w", alpha=level)
        yield verdict.fired


def _settings(path: Path, alpha: float, permutations: int) -> MonitorSettings:
    settings = read_monitor_settings(path)[1]
    return replace(settings, drift=replace(settings.drift, alpha=alpha, permutations=permutations))


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--sizes", type=int, nargs="*", default=SIZES, help="rows of the reference")
    parser.add_argument("--rows", type=int, default=500, help="rows of an hourly window")
    parser.add_argument("--references", type=int, default=73)
    parser.add_argument("--days", type=int, default=5, help="for each reference; 73 of 5 days are a year")
    parser.add_argument("--kept", type=int, default=2000, help="rows that a reservoir keeps")
    parser.add_argument(
        "--alpha",
        type=float,
        default=0.05,
        help="the level's cap; at 0.01 of params.yaml next to nothing fires",
    )
    parser.add_argument("--permutations", type=int, default=199)
    arguments = parser.parse_args()
    settings = _settings(ROOT / "params.yaml", arguments.alpha, arguments.permutations)
    print("| reference rows | days | level of a window | fired | false alarms a day (standard error) |")
    print("|---|---|---|---|---|")
    for seen in arguments.sizes:
        found = simulated(
            np.random.default_rng(seen),
            seen,
            arguments.kept,
            arguments.rows,
            (settings.run, settings.drift),
            references=arguments.references,
            days=arguments.days,
        )
        print(
            f"| {seen:,} | {found.days} | {found.level:.4f} | {found.fired:.4f} "
            f"| {found.alarms:.3f} ({found.error:.3f}) |",
            flush=True,
        )


if __name__ == "__main__":
    main()
