"""Verdicts on windows of answers that are no class an image: false alarms, power, estimated score, likely reasons.

A model answers thousands of drawn shapes that it never saw, as they are, changed (`drawn_shapes.CHANGES`) and perturbed
as in an accuracy calibration, and the product's own detector judges windows. Each reference is dealt anew; windows are
of images in none.
"""

import argparse
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

import numpy as np
import pandas as pd

from benchmarks.drift_parts.drift_pools import IDENTITY
from benchmarks.drift_power import LEVEL, share
from benchmarks.marked_part import write_marked_part
from benchmarks.tasks.drawn_shapes import CHANGES, CLASSES, Shapes, drawn_shapes
from resnet_ops.data import image_stats
from resnet_ops.predictions import DeployedModel, Predictions
from resnet_ops.provenance import environment, git_state, hardware
from resnet_ops.tasks.watching.watching import watched, watching_of
from resnet_ops_monitoring.drift.detector import judge
from resnet_ops_monitoring.drift.reference import Reference, Scored, build_reference
from resnet_ops_monitoring.drift.trials import Tried, calibrated_accuracy, trials
from resnet_ops_monitoring.drift.words import family
from resnet_ops_monitoring.inference_log.frames import COLUMNS
from resnet_ops_monitoring.settings.drift import DriftParams, read_drift_params

__all__ = ["ROOT", "measure"]

ROOT = Path(__file__).resolve().parents[2]
PAGE = ROOT / "docs" / "drift-measured.md"
SIZES = (100, 500)
REFERENCE, TRIED, PERTURBED = 1000, 1000, 200
"""Images of a reference; that calibrations draw from; and of each perturbation."""
CALM, GONE, MORE = "none", "no squares", "three times the squares"
KIN = {
    **dict.fromkeys(("contrast x 0.97", "contrast x 0.5"), ("contrast", "fog")),
    **dict.fromkeys(("brightness + 2", "brightness + 30"), ("brightness",)),
    **dict.fromkeys(("noise 3", "noise 12"), ("gaussian_noise", "shot_noise", "impulse_noise")),
    **dict.fromkeys(("blur 0.3", "blur 1.5"), ("defocus_blur", "motion_blur", "zoom_blur", "glass_blur")),
}
"""Perturbations of a change's own kind."""


@dataclass(frozen=True, eq=False)
class Answers:
    """What the log keeps of images, with image statistics, labels and scores."""

    kept: Predictions
    scores: np.ndarray
    labels: np.ndarray
    statistics: dict[str, np.ndarray]

    @classmethod
    def of(cls, model: DeployedModel, shapes: Shapes) -> "Answers":
        found = watched(model, shapes.images, shapes.asked)
        return cls(found.kept, found.scores, shapes.labels, image_stats(shapes.images))

    def __getitem__(self, rows: np.ndarray) -> "Answers":
        parts = (self.kept.logits, self.kept.probabilities, self.kept.embeddings, self.kept.predicted)
        statistics = {name: values[rows] for name, values in self.statistics.items()}
        kept = Predictions(*(part[rows] for part in parts))
        return Answers(kept, self.scores[rows], self.labels[rows], statistics)

    def frame(self) -> pd.DataFrame:
        """The inference log's rows."""
        n = len(self.scores)
        columns: dict[str, object] = {
            "request_id": [str(row) for row in range(n)],
            "time": pd.date_range("2026-01-05T08:00Z", periods=n, freq="s"),
            **{"model": IDENTITY.name, "version": IDENTITY.version, "digest": IDENTITY.digest},
            **{"source": None, "window": None, "latency_ms": 1.0},
            **self.statistics,
            "embedding": list(self.kept.embeddings),
            "probabilities": list(self.kept.probabilities),
            "predicted": [CLASSES[kind] for kind in self.kept.predicted],
            "label": [CLASSES[label] for label in self.labels],
        }
        return pd.DataFrame(columns)[list(COLUMNS)]


@dataclass(frozen=True, eq=False)
class Pool:
    """A model, and all that it was asked. dealt: images from which references and windows are dealt."""

    model: DeployedModel
    dealt: int

    def _shapes(self, count: int, seed: int) -> Shapes:
        return drawn_shapes(count, seed, task=self.model.task)

    @cached_property
    def tried(self) -> list[Tried]:
        """On images that are in no reference and no window."""
        shapes = self._shapes(TRIED, 1)
        known = watched(self.model, shapes.images, shapes.asked)
        found = trials(
            self.model,
            shapes.images,
            shapes.labels,
            shapes.asked,
            known,
            each=PERTURBED,
            seed=0,
            progress=lambda done, total: None,
        )
        return list(found)

    @cached_property
    def answers(self) -> dict[str, Answers]:
        """By change, of the same images in the same order."""
        shapes = self._shapes(self.dealt, 2)
        found = {CALM: Answers.of(self.model, shapes)}
        for name, change in CHANGES.items():
            found[name] = Answers.of(self.model, replace(shapes, images=change(shapes.images)))
        return found

    @cached_property
    def _references(self) -> dict[int, tuple[Reference, np.ndarray]]:
        return {}

    def reference(self, number: int) -> tuple[Reference, np.ndarray]:
        """The reference of so many, and the images that are in none of its rows."""
        if number not in self._references:
            order = np.random.default_rng(number).permutation(self.dealt)
            self._references[number] = self._reference(order[:REFERENCE]), order[REFERENCE:]
        return self._references[number]

    def _reference(self, rows: np.ndarray) -> Reference:
        base, watching = self.answers[CALM][rows], watching_of(self.model)
        scored = Scored(watching.measured, base.scores, watching.scalars(CLASSES), watching.threshold)
        made = build_reference(base.frame(), IDENTITY, CLASSES, rows=REFERENCE, seed=0, scored=scored)
        calibration = calibrated_accuracy(
            made.schema, base.kept, base.labels, self.tried, 0, scores=base.scores
        )
        return replace(made, accuracy_calibration=calibration)

    def window(self, change: str, n: int, rest: np.ndarray, rng: np.random.Generator) -> Answers:
        """n images of `rest` under a change."""
        clean = self.answers[CALM]
        if change in (GONE, MORE):
            weights = np.where(clean.labels[rest] == 2, 3.0 if change == MORE else 0.0, 1.0)
            return clean[rng.choice(rest, n, replace=False, p=weights / weights.sum())]
        return self.answers[change][rng.choice(rest, n, replace=False)]


def judged(
    pool: Pool, change: str, n: int, references: int, windows: int, params: DriftParams
) -> dict[str, float]:
    """Of windows by each reference: rates with the standard error over references, errors of the estimate.

    A test that found a shift alarms unless the estimate says that it costs nothing: `shifts` counts both.
    """
    rng, rows, rates, found = np.random.default_rng((n, len(change))), [], [], []
    own = {family(kind) for kind in KIN.get(change, ())}
    for number in range(references):
        reference, rest = pool.reference(number)
        fired = []
        for each in range(windows):
            window = pool.window(change, n, rest, rng)
            settings = replace(params, seed=number * windows + each)
            verdict = judge(window.frame(), reference, settings, window="w")
            guess, reason, truth = verdict.estimated, verdict.likely_reason, float(window.scores.mean())
            fired.append(verdict.status == "alarm")
            found.append(
                any(each.fired or each.suppressed for each in verdict.findings if each.signal != "image")
            )
            if guess is not None:
                rows.append(
                    {
                        "truth": truth,
                        "error": abs(guess.value - truth),
                        "same": abs(verdict.reference_accuracy.value - truth),
                        "holds": float(guess.low <= truth <= guess.high),
                        "right": float(reason is not None and family(reason) in own),
                        "wrong": float(reason is not None and family(reason) not in own),
                    }
                )
        rates.append(float(np.mean(fired)))
    means = {key: float(np.mean([row[key] for row in rows])) for key in rows[0]}
    means["shifts"] = float(np.mean(found))
    error = float(np.std(rates, ddof=1) / np.sqrt(references))
    print(change, n, np.mean(rates), error, means, file=sys.stderr, flush=True)
    return {**means, "alarms": float(np.mean(rates)), "standard error": error}


def table(pool: Pool, arguments: argparse.Namespace, params: DriftParams) -> Iterator[str]:
    yield (
        "| change | n | windows | score | a test found a shift | alarm (standard error) | estimate off by, points "
        "| assumed unchanged | interval holds | reason right | wrong |"
    )
    yield "|---|---|---|---|---|---|---|---|---|---|---|"
    for change in (CALM, *CHANGES, GONE, MORE):
        references = arguments.calm if change == CALM else arguments.references
        for n in SIZES:
            found = judged(pool, change, n, references, arguments.windows, params)
            cells = [
                f"{found['truth']:.3f}",
                share(found["shifts"]),
                f"{share(found['alarms'])} ({share(found['standard error'])})",
                *(f"{100 * found[key]:.1f}" for key in ("error", "same")),
                *(share(found[key]) for key in ("holds", "right", "wrong")),
            ]
            yield f"| {change} | {n} | {references * arguments.windows} | {' | '.join(cells)} |"


def measure(
    about: str | None, script: Path, marks: tuple[str, str], trained: Callable[[Path], DeployedModel]
) -> None:
    """Read the command line, measure, and write the table between the marks in docs/drift-measured.md.

    about: what the script is for. trained: the model, kept in a folder.
    """
    parser = argparse.ArgumentParser(description=about, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cache", type=Path, default=ROOT / "var" / script.stem, help="keeps the model")
    parser.add_argument(
        "--images", type=int, default=6000, help="from which references and windows are dealt"
    )
    parser.add_argument("--calm", type=int, default=80, help="references without a change")
    parser.add_argument("--references", type=int, default=6, help="for each change")
    parser.add_argument("--windows", type=int, default=10, help="for each reference and size")
    parser.add_argument("--measure", action="store_true", help="measure, but leave the page as it is")
    arguments = parser.parse_args()
    params = replace(read_drift_params(ROOT / "params.yaml"), alpha=LEVEL, permutations=399)
    pool = Pool(trained(arguments.cache), arguments.images)
    machine = {**environment(), **hardware(), **git_state(ROOT)}
    asked = [f"benchmarks/tasks/{script.name}", *(word for word in sys.argv[1:] if word != "--measure")]
    body = [
        f"Made by `python {' '.join(asked)}` at commit {str(machine['commit'])[:7]}: {machine['cpu']}, "
        f"Python {machine['python']}, torch {machine['torch']}. alpha {LEVEL}; references of {REFERENCE} of "
        f"{arguments.images} images, {arguments.calm} without a change and {arguments.references} for each change "
        "and size.",
        "\n".join(table(pool, arguments, params)),
    ]
    print("\n\n".join(body))
    if not arguments.measure:
        write_marked_part(PAGE, *marks, "\n\n" + "\n\n".join(body) + "\n\n")
