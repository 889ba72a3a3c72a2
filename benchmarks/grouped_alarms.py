"""False alarms of windows whose rows come in groups that are alike, such as several images of one patient.

    python benchmarks/grouped_alarms.py [--windows 400]

No window has drift, and each has a reference of its own: at a level of 5 %, at most 5 % may alarm. A group has a class
and a place among the embeddings; its rows lie around it, half of the spread within a class being the group's. The same
windows are judged with the groups in the log and without. Prints a table for docs/drift-measured.md.
"""

import argparse
import sys
from dataclasses import replace
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import numpy as np
import pandas as pd

from benchmarks.false_alarms import made_up
from resnet_ops.provenance import git_state
from resnet_ops_monitoring.drift.detector import judge
from resnet_ops_monitoring.drift.reference import build_reference
from resnet_ops_monitoring.inference_log.identity import ModelIdentity
from resnet_ops_monitoring.settings.drift import DriftParams, read_drift_params

ROOT = Path(__file__).resolve().parents[1]
REFERENCE_ROWS, LEVEL = 4000, 0.05
SIZES = ((500, 5), (1000, 10), (2000, 20), (200, 50))
"""Rows of a window, and of each group."""
CLASSES = tuple("0123456789")


def judged(rows: int, each: int, params: DriftParams, windows: int) -> np.ndarray:
    """(2, 4) of windows without drift, whose groups are not logged and are: shares that alarm, that are not judged, and
    whose intervals of counted and of estimated accuracy hold the truth.
    """
    rng, found = np.random.default_rng((rows, each)), np.zeros((2, 4))
    truth = _accuracy(made_up(rng, 200_000, each))
    for number in range(windows):
        frames = [made_up(rng, many, each) for many in (REFERENCE_ROWS, rows)]
        for place, (before, now) in enumerate(([frame.drop(columns="group") for frame in frames], frames)):
            identity = ModelIdentity(*before[["model", "version", "digest"]].iloc[0])
            reference = build_reference(before, identity, CLASSES, rows=2000, seed=0)
            verdict = judge(now, reference, replace(params, seed=number), window="w")
            real, guess = verdict.real_accuracy, verdict.estimated
            found[place] += (
                verdict.status == "alarm",
                verdict.status == "insufficient data",
                real is not None and real.low <= truth <= real.high,
                guess is not None and guess.low <= truth <= guess.high,
            )
    return found / windows


def _accuracy(frame: pd.DataFrame) -> float:
    return float((frame["label"] == frame["predicted"]).mean())


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--windows", type=int, default=400)
    windows = parser.parse_args().windows
    params = replace(read_drift_params(ROOT / "params.yaml"), alpha=LEVEL)
    print(f"Commit {git_state(ROOT)}; {windows} windows a row, level {LEVEL}\n")
    print("| rows | groups | logged | alarms | not judged | counted accuracy holds | estimated holds |")
    print("|---|---|---|---|---|---|---|")
    for rows, each in SIZES:
        for logged, found in zip(("no", "yes"), judged(rows, each, params, windows), strict=True):
            shares = [f"{share:.3f}" for share in found]
            numbers = " | ".join([*shares[:3], "none" if found[1] == 1 else shares[3]])
            print(f"| {rows:,} | {rows // each} of {each} | {logged} | {numbers} |", flush=True)


if __name__ == "__main__":
    main()
