"""Verdicts on data sets left out of every choice: false alarms, harmless changes, power, estimates, reasons.

    python benchmarks/drift_left_out.py --data DATA

DATA holds `fashion-mnist`, `cifar10`, `magnetic-tile` and `bccd`; the digits come with scikit-learn. Trains a small,
mostly weak model on each, scores held-out images as they are, changed (`left_out_sets.CHANGES`) and rehearsed, keeps
the scores in CACHE, and judges windows by the product's own detector. Nothing is set by what comes out: each
version's guard comes from its own accuracy calibration. Beside it, on the same windows: Kolmogorov-Smirnov on softmax
columns and maximum mean discrepancy of embeddings, which say that something moved and not whether it hurts. Writes a
table in docs/drift-measured.md.
"""

import argparse
import sys
from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import numpy as np
from numpy.typing import NDArray

from benchmarks.drift_parts.drift_pools import IDENTITY, frame_of, predictions_of
from benchmarks.drift_parts.left_out_scores import EACH, held_out_scores, rehearsed_rows
from benchmarks.drift_parts.left_out_sets import CHANGES, KIN, SETS
from benchmarks.drift_parts.shifted_images import CLEAN, REHEARSED, Scores
from benchmarks.drift_power import LEVEL, bbsd, share
from benchmarks.marked_part import write_marked_part
from resnet_ops.evaluation.operating_point import OperatingPoint
from resnet_ops.files import read_json, write_json
from resnet_ops.provenance import environment, git_state, hardware
from resnet_ops_monitoring.drift.detector import judge
from resnet_ops_monitoring.drift.perturbations import PERTURBATIONS
from resnet_ops_monitoring.drift.reference import Reference, build_reference
from resnet_ops_monitoring.drift.trials import Tried, calibrated_accuracy
from resnet_ops_monitoring.drift.words import family
from resnet_ops_monitoring.settings.drift import DriftParams, read_drift_params

ROOT = Path(__file__).resolve().parents[1]
PAGE = ROOT / "docs" / "drift-measured.md"
START, END = "<!-- drift left out: begin -->", "<!-- drift left out: end -->"
SIZES = (100, 500)
CALM, MIXES, FROZEN = "none", ("even classes x 3", "odd classes x 3"), "frozen: 5 % one frame"
DEALS = 12
"""References that windows are judged by."""
HARMLESS, HARMFUL = 0.01, 0.025
"""Accuracy lost up to which a change is harmless, and from which on it hurts; those between are in neither count."""


@dataclass(frozen=True)
class Version:
    """A data set's scores and its reference, with an operating point where one is given."""

    name: str
    scores: dict[str, Scores]
    seed: int
    operating: OperatingPoint | None = None
    deal: int = 0
    """Which images are the reference's: the first half, or another half for each further number."""

    @property
    def half(self) -> int:
        return len(self.scores[CLEAN]) // 2

    @cached_property
    def _order(self) -> NDArray[np.int64]:
        places = np.arange(len(self.scores[CLEAN]))
        return np.random.default_rng((13, self.deal)).permutation(places) if self.deal else places

    @cached_property
    def base(self) -> Scores:
        """Clean images of the reference."""
        return self.scores[CLEAN][self._order[: self.half]]

    @cached_property
    def rest(self) -> Scores:
        """Clean images that are in no reference."""
        return self.changed(CLEAN)

    def changed(self, change: str) -> Scores:
        """The images that are in no reference, under a change."""
        return self.scores[change][self._order[self.half :]]

    def dealt(self, windows: int) -> Iterator[tuple["Version", int]]:
        """References to judge so many windows by, with the number of each.

        Several, dealt anew: all windows of one deal share what by chance tells its halves apart, so a rate by it can be
        far from the mean of such rates.
        """
        deals = self._deals[:windows]
        for deal in deals:
            yield deal, windows // len(deals)

    @cached_property
    def _deals(self) -> list["Version"]:
        return [self, *(replace(self, deal=number) for number in range(1, DEALS))]

    @cached_property
    def plain(self) -> "Version":
        """The same without an operating point."""
        return replace(self, operating=None)

    @property
    def classes(self) -> tuple[str, ...]:
        return tuple(map(str, range(self.rest.probabilities.shape[1])))

    @cached_property
    def reference(self) -> Reference:
        made = build_reference(
            frame_of(self.base, self.classes),
            IDENTITY,
            self.classes,
            rows=2000,
            seed=self.seed,
            operating=self.operating,
        )
        clean = predictions_of(self.base)
        accuracy_calibration = calibrated_accuracy(
            made.schema, clean, self.base.labels, self._tried(), self.seed
        )
        return replace(made, accuracy_calibration=accuracy_calibration)

    def _tried(self) -> Iterator[Tried]:
        """Of the reference's images, the first EACH that were scored perturbed."""
        ours = self._order[: self.half]
        for place, (kind, severity) in enumerate(PERTURBATIONS):
            rows = rehearsed_rows(place, len(self._order))
            chosen = np.flatnonzero(np.isin(rows, ours))[:EACH]
            found, same = (
                self.scores[f"{REHEARSED}{kind} {severity}"][chosen],
                self.scores[CLEAN][rows[chosen]],
            )
            yield Tried(kind, predictions_of(found), predictions_of(same), found.labels)

    def loss(self, change: str) -> tuple[float, float]:
        """Of accuracy, on all held-out images, with its standard error."""
        lost = self.scores[CLEAN].right.astype(float) - self.scores[change].right
        return float(lost.mean()), float(lost.std() / np.sqrt(len(lost)))

    def worst(self, change: str) -> float:
        """What the class loses that loses most, as a share of its images."""
        lost = self.scores[CLEAN].right.astype(float) - self.scores[change].right
        labels = self.scores[CLEAN].labels
        return max(float(lost[labels == label].mean()) for label in np.unique(labels))

    def window(self, change: str, n: int, rng: np.random.Generator) -> Scores:
        """n rows under a change; where images are dealt twice, their embeddings differ by a hair."""
        if change in MIXES:
            weights = np.where(self.rest.labels % 2 == MIXES.index(change), 3.0, 1.0)
            return _dealt(self.rest, n, rng, weights / weights.sum())
        if change == FROZEN:
            frames = max(n // 20, 2)
            one = self.rest[rng.integers(0, len(self.rest), 1).repeat(frames)]
            return _dealt(self.rest, n - frames, rng) + one
        return _dealt(self.rest if change == CALM else self.changed(change), n, rng)


def _dealt(scores: Scores, n: int, rng: np.random.Generator, weights: np.ndarray | None = None) -> Scores:
    repeats = n > len(scores) or weights is not None
    drawn = scores[rng.choice(len(scores), n, replace=repeats, p=weights)]
    hair = 0.01 * drawn.embeddings.std(axis=0) * rng.normal(0, 1, drawn.embeddings.shape) * repeats
    return replace(drawn, embeddings=(drawn.embeddings + hair).astype(np.float32))


def mmd(reference: Scores, window: Scores, rng: np.random.Generator) -> bool:
    """Maximum mean discrepancy of embeddings (Gretton et al. 2012): median distance, 199 relabellings, 500 rows."""
    known = reference.embeddings[rng.permutation(len(reference))[:500]]
    rows, n = np.concatenate([window.embeddings, known]).astype(np.float64), len(window)
    lengths = np.square(rows).sum(axis=1)
    squares = np.maximum(lengths[:, None] + lengths - 2 * rows @ rows.T, 0)
    kernel = np.exp(-squares / np.median(squares))
    labels = np.full((200, len(rows)), -1 / (len(rows) - n))
    labels[0, :n] = 1 / n
    for row in labels[1:]:
        row[rng.choice(len(rows), n, replace=False)] = 1 / n
    found = np.einsum("ij,ij->i", labels @ kernel, labels)
    return bool((1 + (found[1:] >= found[0] - 1e-12).sum()) / 200 <= LEVEL)


def measured(
    version: Version, change: str, n: int, windows: int, params: DriftParams, kept: Path
) -> dict[str, float]:
    """Shares of windows that alarm and are named, errors of the estimate in accuracy; kept in a file of `kept`."""
    path = kept / f"{version.name} {change} {n} {windows}.json".replace("%", "pc").replace(":", "")
    if not path.exists():
        write_json(path, _measured(version, change, n, windows, params))
        print(version.name, change, n, read_json(path), file=sys.stderr, flush=True)
    found: dict[str, float] = read_json(path)
    return found


def _measured(version: Version, change: str, n: int, windows: int, params: DriftParams) -> dict[str, float]:
    rng = np.random.default_rng((7, n))
    own = {family(kind) for kind in KIN.get(change, ())}
    by_reference = [
        list(_judged(dealt, change, n, each, params, own, rng)) for dealt, each in version.dealt(windows)
    ]
    rows = [row for of_one in by_reference for row in of_one]
    found = {
        key: float(np.nanmean(values)) if not np.isnan(values).all() else -1.0
        for key in rows[0]
        if len(values := np.array([row[key] for row in rows], dtype=float))
    }
    return {**found, "spread": _spread([float(np.mean([row["ours"] for row in of])) for of in by_reference])}


def _spread(means: list[float]) -> float:
    """Standard error of the mean of independent means."""
    return float(np.std(means, ddof=1) / np.sqrt(len(means)))


def _judged(
    version: Version,
    change: str,
    n: int,
    windows: int,
    params: DriftParams,
    own: set[str],
    rng: np.random.Generator,
) -> Iterator[dict[str, float]]:
    tested = float(version.base.right.mean())
    for number in range(windows):
        window = version.window(change, n, rng)
        verdict = judge(
            frame_of(window, version.classes), version.reference, replace(params, seed=number), window="w"
        )
        guess, reason, truth = verdict.estimated, verdict.likely_reason, float(window.right.mean())
        yield {
            "ours": verdict.status == "alarm",
            "ks": bbsd(version.base, window),
            "mmd": mmd(version.base, window, rng),
            "error": np.nan if guess is None else abs(guess.value - truth),
            "same": abs(tested - truth),
            "holds": np.nan if guess is None else float(guess.low <= truth <= guess.high),
            "right": reason is not None and family(reason) in own,
            "wrong": reason is not None and family(reason) not in own,
        }


@dataclass(frozen=True)
class Table:
    """What is measured, and how often."""

    params: DriftParams
    kept: Path
    windows: int
    calm: int

    def of(self, version: Version, change: str, n: int) -> dict[str, float]:
        windows = self.calm if change == CALM else self.windows
        return measured(version, change, n, windows, self.params, self.kept)

    def groups(self, version: Version) -> dict[str, list[str]]:
        """Changes by what they truly cost."""
        harmless = [change for change in CHANGES if version.loss(change)[0] <= HARMLESS]
        return {
            "none": [CALM],
            f"harmless (at most {100 * HARMLESS:g} point)": harmless,
            f"of these: no class loses {100 * HARMFUL:g}": [
                change for change in harmless if version.worst(change) < HARMFUL
            ],
            f"harmful ({100 * HARMFUL:g} points or more)": [
                change for change in CHANGES if version.loss(change)[0] >= HARMFUL
            ],
            "other mix of classes": list(MIXES),
            FROZEN: [FROZEN],
        }

    def summary(self, versions: list[Version]) -> Iterator[str]:
        yield (
            "| left out (accuracy) | windows | n | ours (standard error) | KS on softmax | MMD on embeddings "
            "| estimate off by, points | assumed unchanged | interval holds | reason right | wrong |"
        )
        yield "|---|---|---|---|---|---|---|---|---|---|---|"
        for version in versions:
            name = f"{version.name} ({100 * version.scores[CLEAN].right.mean():.1f})"
            for what, changes in self.groups(version).items():
                for n in SIZES:
                    found = [self.of(version, change, n) for change in changes]
                    if found:
                        yield f"| {name} | {what}: {len(changes)} | {n} | {' | '.join(_cells(found))} |"

    def each(self, versions: list[Version]) -> Iterator[str]:
        yield "| change | " + " | ".join(version.name for version in versions) + " |"
        yield "|---|" + "---|" * len(versions)
        for change in (*CHANGES, *MIXES):
            cells = []
            for version in versions:
                few, many = (share(self.of(version, change, n)["ours"]) for n in SIZES)
                cells.append(f"{'' if change in MIXES else _cost(version, change)}{few} / {many}")
            yield f"| {change} | {' | '.join(cells)} |"


def _cost(version: Version, change: str) -> str:
    lost, error = version.loss(change)
    return f"{100 * lost:.1f} ± {100 * error:.1f}, {100 * version.worst(change):.1f}: "


def _cells(found: list[dict[str, float]]) -> Iterator[str]:
    """The error of what is alarmed is over changes, or over references where there is one change."""
    means = {
        key: float(np.mean([each[key] for each in found if each[key] >= 0] or [np.nan])) for key in found[0]
    }
    error = _spread([each["ours"] for each in found]) if len(found) > 1 else found[0]["spread"]
    yield f"{share(means['ours'])} ({share(error)})"
    yield from (share(means[key]) for key in ("ks", "mmd"))
    for key in ("error", "same"):
        yield "none" if np.isnan(means[key]) else f"{100 * means[key]:.1f}"
    yield "none" if np.isnan(means["holds"]) else share(means["holds"])
    yield from (share(means[key]) for key in ("right", "wrong"))


def read_arguments(about: str | None, *, windows: int, calm: int) -> argparse.Namespace:
    """Of the command line; windows, calm: how many there are where nothing else is asked."""
    parser = argparse.ArgumentParser(description=about, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--cache", type=Path, default=ROOT / "var" / "drift_left_out")
    parser.add_argument("--only", nargs="*", choices=list(SETS), default=list(SETS), help="data sets")
    parser.add_argument("--windows", type=int, default=windows, help="for each change and size")
    parser.add_argument("--calm", type=int, default=calm, help="without a change, for each size")
    parser.add_argument("--measure", action="store_true", help="measure, but leave the page as it is")
    return parser.parse_args()


def main() -> None:
    arguments = read_arguments(__doc__, windows=60, calm=400)
    params = replace(read_drift_params(ROOT / "params.yaml"), alpha=LEVEL, permutations=199)
    table = Table(params, arguments.cache / "rates", arguments.windows, arguments.calm)
    versions = [
        Version(name, held_out_scores(name, arguments.data, arguments.cache), 0) for name in arguments.only
    ]
    about = {**environment(), **hardware(), **git_state(ROOT)}
    body = [
        f"Made by `python benchmarks/drift_left_out.py` at commit {str(about['commit'])[:7]}: {about['cpu']}, Python "
        f"{about['python']}, torch {about['torch']}. alpha {LEVEL}; {arguments.calm} windows a row without a change "
        f"and {arguments.windows} for each change and size, by up to {DEALS} references. The standard error is over "
        "changes, and over references where there is one.",
        "\n".join(table.summary(versions)),
        "Each change: accuracy lost in points with its standard error, what the class loses that loses most, and "
        "windows of 100 / 500 that alarm.",
        "\n".join(table.each(versions)),
    ]
    print("\n\n".join(body))
    if not arguments.measure:
        write_marked_part(PAGE, START, END, "\n\n" + "\n\n".join(body) + "\n\n")


if __name__ == "__main__":
    main()
