"""Verdicts and estimates at an operating point, on data sets and changes that took no part in choosing anything.

    python benchmarks/drift_operating_point.py --data DATA

The scores are those of `benchmarks/drift_left_out.py`, and kept with them. Of each data set one class is looked for;
the threshold is the one that reaches a sensitivity of .9 on the reference's images. Every window is judged twice, by a
reference with the operating point and by one without. Writes a table in docs/drift-measured.md.
"""

import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import numpy as np

from benchmarks.drift_left_out import CALM, HARMLESS, SIZES, Version, read_arguments
from benchmarks.drift_parts.drift_pools import frame_of
from benchmarks.drift_parts.left_out_scores import held_out_scores
from benchmarks.drift_parts.left_out_sets import CHANGES
from benchmarks.drift_parts.shifted_images import CLEAN, Scores
from benchmarks.drift_power import LEVEL, share
from benchmarks.marked_part import write_marked_part
from resnet_ops.evaluation.operating_point import OperatingPoint
from resnet_ops.provenance import environment, git_state, hardware
from resnet_ops_monitoring.drift.detector import judge
from resnet_ops_monitoring.settings.drift import DriftParams, read_drift_params
from resnet_ops_monitoring.statistics.operating_estimate import SIDES

ROOT = Path(__file__).resolve().parents[1]
PAGE = ROOT / "docs" / "drift-measured.md"
START, END = "<!-- drift at operating points: begin -->", "<!-- drift at operating points: end -->"
POSITIVE = 1
"""The class that is looked for: a defect, of magnetic tiles; of the others whatever comes second."""
SENSITIVITY = 0.9
GROUPS = (
    "none",
    "costs neither side 2.5 points, nor accuracy 1",
    "costs neither side 2.5 points, but accuracy 1 or more",
    "costs a side 2.5 points or more",
)


def decided(scores: Scores, point: OperatingPoint) -> dict[str, float]:
    """True sensitivity and specificity."""
    positive = scores.labels == POSITIVE
    called = scores.probabilities[:, POSITIVE] >= point.threshold
    return {"sensitivity": float(called[positive].mean()), "specificity": float((~called)[~positive].mean())}


def with_point(name: str, scores: dict[str, Scores]) -> Version:
    """The version, deciding where the reference's images have the asked-for sensitivity."""
    plain = Version(name, scores, 0)
    base = scores[CLEAN][slice(0, plain.half)]
    ordered = np.sort(base.probabilities[base.labels == POSITIVE, POSITIVE])
    threshold = float(ordered[int((1 - SENSITIVITY) * len(ordered))])
    return replace(plain, operating=OperatingPoint((str(POSITIVE),), threshold))


def measured(
    version: Version, change: str, n: int, windows: int, params: DriftParams
) -> list[dict[str, float]]:
    """Of each window: whether it alarms with and without the point, and how far off each side's estimate is."""
    assert version.operating is not None
    rng = np.random.default_rng((11, n))
    return [
        row for dealt, each in version.dealt(windows) for row in _judged(dealt, change, n, each, params, rng)
    ]


def _judged(
    version: Version, change: str, n: int, windows: int, params: DriftParams, rng: np.random.Generator
) -> Iterator[dict[str, float]]:
    assert version.operating is not None
    tested = decided(version.base, version.operating)
    for number in range(windows):
        window = version.window(change, n, rng)
        frame, settings = frame_of(window, version.classes), replace(params, seed=number)
        verdict = judge(frame, version.reference, settings, window="w")
        row = {
            "with": float(verdict.status == "alarm"),
            "without": float(judge(frame, version.plain.reference, settings, window="w").status == "alarm"),
        }
        truth = decided(window, version.operating)
        for name in SIDES if verdict.operating else ():
            guess = getattr(verdict.operating, name).estimated
            row[f"{name} off"] = abs(guess.value - truth[name])
            row[f"{name} unchanged"] = abs(tested[name] - truth[name])
            row[f"{name} held"] = float(guess.low <= truth[name] <= guess.high)
        yield row


def groups(version: Version) -> dict[str, list[str]]:
    """Changes by what they truly cost the worse side, on the very images that are changed."""
    assert version.operating is not None
    before = decided(version.scores[CLEAN], version.operating)
    found: dict[str, list[str]] = {name: [] for name in GROUPS}
    found[GROUPS[0]].append(CALM)
    for change in CHANGES:
        after = decided(version.scores[change], version.operating)
        lost = max(before[name] - after[name] for name in SIDES)
        found[GROUPS[3 if lost >= 0.025 else 1 + (version.loss(change)[0] > HARMLESS)]].append(change)
    return found


def lines(version: Version, windows: int, calm: int, params: DriftParams) -> Iterator[str]:
    """Rows of the table."""
    for what, changes in groups(version).items():
        for n in SIZES:
            rows = [
                row
                for change in changes
                for row in measured(version, change, n, calm if change == CALM else windows, params)
            ]
            if rows:
                mean = {
                    key: float(np.nanmean([row.get(key, np.nan) for row in rows]))
                    for key in dict.fromkeys(key for row in rows for key in row)
                }
                sides = [
                    f"{100 * mean[f'{name} off']:.1f} | {100 * mean[f'{name} unchanged']:.1f} | "
                    f"{share(mean[f'{name} held'])}"
                    for name in SIDES
                ]
                yield (
                    f"| {version.name} | {what}: {len(changes)} | {n} | {share(mean['without'])} | "
                    f"{share(mean['with'])} | {' | '.join(sides)} |"
                )


HEAD = (
    "| data | windows | n | alarms without the point | with it | sensitivity off by, points | assumed unchanged | "
    "interval holds | specificity off by | assumed unchanged | interval holds |"
)


def main() -> None:
    arguments = read_arguments(__doc__, windows=20, calm=200)
    params = replace(read_drift_params(ROOT / "params.yaml"), alpha=LEVEL, permutations=199)
    table = [HEAD, "|---" * HEAD.count(" | ") + "|---|"]
    for name in arguments.only:
        version = with_point(name, held_out_scores(name, arguments.data, arguments.cache))
        for line in lines(version, arguments.windows, arguments.calm, params):
            print(line, file=sys.stderr, flush=True)
            table.append(line)
    about = {**environment(), **hardware(), **git_state(ROOT)}
    body = [
        f"Made by `python benchmarks/drift_operating_point.py` at commit {str(about['commit'])[:7]}: {about['cpu']}, "
        f"Python {about['python']}, torch {about['torch']}. alpha {LEVEL}; {arguments.calm} windows a row without a "
        f"change, {arguments.windows} for each change and size.",
        "\n".join(table),
    ]
    print("\n\n".join(body))
    if not arguments.measure:
        write_marked_part(PAGE, START, END, "\n\n" + "\n\n".join(body) + "\n\n")


if __name__ == "__main__":
    main()
