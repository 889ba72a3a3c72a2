"""False alarms of windows of which the log keeps a share of the requests, and all answers that were unsure.

    python benchmarks/sampled_alarms.py [--windows 200] [--rows 3000]

No window has drift, and each has a reference of its own: at a level of 5 %, at most 5 % may alarm. Judged are the rows
that the rate drew, as the monitor does, and in comparison all that were kept. Prints a table for
docs/drift-measured.md.
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
from resnet_ops_monitoring.inference_log.frames import matrix
from resnet_ops_monitoring.inference_log.identity import ModelIdentity
from resnet_ops_monitoring.inference_log.sampling import Sampling
from resnet_ops_monitoring.settings.drift import DriftParams, read_drift_params

ROOT = Path(__file__).resolve().parents[1]
SAMPLINGS = (Sampling(rate=0.1, unsure=0.0), Sampling(rate=0.1, unsure=0.6), Sampling(rate=0.1, unsure=0.8))
REFERENCE_ROWS, LEVEL = 2000, 0.05


def kept(frame: pd.DataFrame, sampling: Sampling) -> tuple[pd.DataFrame, pd.DataFrame]:
    """All rows that are kept, and those that the rate drew."""
    rows = zip(frame["request_id"], matrix(frame, "probabilities"), strict=True)
    found = [sampling.kept(name, row) for name, row in rows]
    drawn = [each is not None and each[1] == each[1] for each in found]  # NaN alone is not itself
    return frame[[each is not None for each in found]], frame[drawn]


def alarms(sampling: Sampling, params: DriftParams, windows: int, rows: int) -> str:
    """A row of the table."""
    rng, fired, sizes = np.random.default_rng(0), np.zeros(2, dtype=int), np.zeros(2, dtype=int)
    for _ in range(windows):
        before = made_up(rng, REFERENCE_ROWS)
        identity = ModelIdentity(*before[["model", "version", "digest"]].iloc[0])
        classes = tuple(str(k) for k in range(10))
        reference = build_reference(before, identity, classes, rows=REFERENCE_ROWS, seed=0)
        for place, some in enumerate(kept(made_up(rng, rows), sampling)):
            verdict = judge(some.reset_index(drop=True), reference, params, window="w")
            fired[place] += verdict.status == "alarm"
            sizes[place] += verdict.rows
    every, drawn = fired / windows
    return (
        f"| {sampling.rate:.0%} | {sampling.unsure or 'none'} | {sizes[1] / windows:,.0f} of "
        f"{sizes[0] / windows:,.0f} | {drawn:.3f} | {every:.3f} |"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--windows", type=int, default=200)
    parser.add_argument("--rows", type=int, default=3000)
    given = parser.parse_args()
    params = replace(read_drift_params(ROOT / "params.yaml"), alpha=LEVEL)
    print(
        f"Commit {git_state(ROOT)}; {given.windows} windows of {given.rows:,} requests a row, level {LEVEL}\n"
    )
    print(
        "| rate | kept if less sure than | drawn of kept rows | alarms, drawn rows | alarms, all kept rows |"
    )
    print("|---|---|---|---|---|")
    for sampling in SAMPLINGS:
        print(alarms(sampling, params, given.windows, given.rows), flush=True)


if __name__ == "__main__":
    main()
