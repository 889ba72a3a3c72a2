"""What a small model of each data set says of held-out images: as they are, changed, perturbed as in an accuracy
calibration.
"""

import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from benchmarks.drift_parts.left_out_sets import CHANGES, SETS, Images, Labels
from benchmarks.drift_parts.shifted_images import CLEAN, ENGINE, NARROW, REHEARSED, Scores, kept_scores
from benchmarks.images import prepared
from resnet_ops.model import TrainedModel
from resnet_ops.params import parse_params
from resnet_ops.training.loop import fit
from resnet_ops.training.plan import Plan
from resnet_ops_monitoring.drift.perturbations import PERTURBATIONS, perturbed
from resnet_ops_pipelines.project_params import Params

__all__ = ["EACH", "held_out_scores", "rehearsed_rows"]

ROOT = Path(__file__).resolve().parents[2]
EACH = 200
"""Images that each kind and severity is rehearsed on."""
_SCORED = 700
"""Images that each is scored on, so that any half of the held-out images has EACH."""


def held_out_scores(name: str, data: Path, cache: Path) -> dict[str, Scores]:
    """Scores of a data set by what was done to its images, kept in `cache`.

    CLEAN: all held-out images. A change: the same, changed. REHEARSED and a kind and severity: the images that
    `rehearsed_rows` gives for it.
    """
    return kept_scores(cache / "scores" / f"{name}.npz", lambda: _scored(name, data))


def _scored(name: str, data: Path) -> dict[str, Scores]:
    read, recipe, epochs = SETS[name]
    images, labels, held, truth = read(data)
    model = _trained(images, labels, recipe, epochs)

    found = {CLEAN: Scores.of(model, held, truth)}
    for change, apply in CHANGES.items():
        found[change] = Scores.of(model, apply(held), truth)
        print(f"{name}: {change}, {found[change].right.mean():.3f} right", file=sys.stderr, flush=True)
    for place, (kind, severity) in enumerate(PERTURBATIONS):
        rows = rehearsed_rows(place, len(held))
        found[f"{REHEARSED}{kind} {severity}"] = Scores.of(
            model, perturbed(held[rows], kind, severity, 0), truth[rows]
        )
    return found


def rehearsed_rows(place: int, images: int) -> NDArray[np.int64]:
    """Those of so many images that the kind and severity number `place` was scored on."""
    return np.random.default_rng((0, place)).permutation(images)[:_SCORED]


def _trained(images: Images, labels: Labels, recipe: str, epochs: int) -> TrainedModel:
    validation = np.random.default_rng(1).permutation(len(labels))[:100]
    order = np.concatenate([np.arange(len(labels)), validation])
    classes = tuple(map(str, range(int(labels.max()) + 1)))
    learn = prepared(images[order], labels[order], len(labels), classes)
    plan = replace(parse_params(ROOT / "params.yaml", Params).recipes[recipe], epochs=epochs)
    return fit(Plan(name="drift", member=NARROW, recipe=plan, engine=ENGINE, seed=0), learn, [])
