"""Estimated accuracy under changes that the calibration did not try, of models trained with several seeds.

    python benchmarks/untried_shifts.py [SEEDS]
    ATEN_CPU_CAPABILITY=default python benchmarks/untried_shifts.py

Each model is a ResNet-8 on digits; the window is its 358 production images. Prints a table of docs/drift-measured.md.
"""

import sys
import tempfile
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import numpy as np

from resnet_ops_monitoring.drift.detector import judge
from resnet_ops_monitoring.drift.trials import calibrate_accuracy
from tests.unit.monitoring.conftest import PARAMS, make_served
from tests.unit.monitoring.drift.test_accuracy_calibration import UNREHEARSED, held_out, in_silence


def measured(seed: int) -> dict[str, tuple[float, float, bool]]:
    """By change: true accuracy, how far above it the estimate is, and whether its interval holds it."""
    with tempfile.TemporaryDirectory() as folder:
        served = make_served(Path(folder), seed)
    reference = calibrate_accuracy(
        served.reference, served.scorer.model, *held_out(served), each=100, seed=0, progress=in_silence
    )
    found = {}
    for name, change in UNREHEARSED.items():
        frame = served.score(change(served.unseen), labels=served.truth)
        truth = float((frame["predicted"] == frame["label"]).mean())
        guess = judge(frame, reference, PARAMS, window="w").estimated
        assert guess is not None
        found[name] = (truth, guess.value - truth, guess.low <= truth <= guess.high)
    return found


def main() -> None:
    """Print the table."""
    seeds = int(sys.argv[1]) if len(sys.argv) > 1 else 8
    found = [measured(seed) for seed in range(seeds)]
    print("| change | n | accuracy | estimate above it, points | interval holds |\n|---|---|---|---|---|")
    for name in UNREHEARSED:
        truth, above, holds = (np.array(each) for each in zip(*(one[name] for one in found), strict=True))
        spread = f"{100 * above.mean():.1f} ({100 * above.min():.1f} to {100 * above.max():.1f})"
        print(f"| {name} | {seeds} | {truth.mean():.2f} | {spread} | {holds.sum()} |")


if __name__ == "__main__":
    main()
