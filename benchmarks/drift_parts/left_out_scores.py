"""What a small model of each data set says of held-out images: as they are, changed, perturbed as in an accuracy
calibration.
"""

import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks.drift_parts.left_out_sets import CHANGES, SETS, Images, Labels
from benchmarks.drift_parts.shifted_images import CLEAN, ENGINE, NARROW, REHEARSED, Scores
from resnet_ops.data import ManifestRow, PreparedData, image_stats
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
    path = cache / "scores" / f"{name}.npz"
    if not path.exists():
        _keep(path, _scored(name, data))
    with np.load(path) as stored:
        names = dict.fromkeys(key.rsplit("/", 1)[0] for key in stored)
        return {each: Scores(*(stored[f"{each}/{part}"] for part in range(4))) for each in names}


def _keep(path: Path, scores: dict[str, Scores]) -> None:
    parts: dict[str, NDArray[Any]] = {}
    for name, each in scores.items():
        whole: list[NDArray[Any]] = [each.probabilities, each.embeddings, each.labels, each.statistics]
        parts |= {f"{name}/{part}": array for part, array in enumerate(whole)}
    path.parent.mkdir(parents=True, exist_ok=True)
    np.savez(path, allow_pickle=False, **parts)


def _scored(name: str, data: Path) -> dict[str, Scores]:
    read, recipe, epochs = SETS[name]
    images, labels, held, truth = read(data)
    model = _trained(images, labels, recipe, epochs)

    def scored(chosen: Images, of: Labels) -> Scores:
        found = model.predict(chosen)
        statistics = np.stack(list(image_stats(chosen).values()), axis=1)
        return Scores(found.probabilities, found.embeddings, of, statistics)

    found = {CLEAN: scored(held, truth)}
    for change, apply in CHANGES.items():
        found[change] = scored(apply(held), truth)
        print(f"{name}: {change}, {found[change].right.mean():.3f} right", file=sys.stderr, flush=True)
    for place, (kind, severity) in enumerate(PERTURBATIONS):
        rows = rehearsed_rows(place, len(held))
        found[f"{REHEARSED}{kind} {severity}"] = scored(perturbed(held[rows], kind, severity, 0), truth[rows])
    return found


def rehearsed_rows(place: int, images: int) -> NDArray[np.int64]:
    """Those of so many images that the kind and severity number `place` was scored on."""
    return np.random.default_rng((0, place)).permutation(images)[:_SCORED]


def _trained(images: Images, labels: Labels, recipe: str, epochs: int) -> TrainedModel:
    validation = np.random.default_rng(1).permutation(len(labels))[:100]
    order = np.concatenate([np.arange(len(labels)), validation])
    rows = [
        _row(int(place), int(labels[place]), number < len(labels), images)
        for number, place in enumerate(order)
    ]
    prepared = PreparedData(images[order], labels[order], rows, tuple(map(str, range(int(labels.max()) + 1))))
    plan = replace(parse_params(ROOT / "params.yaml", Params).recipes[recipe], epochs=epochs)
    return fit(Plan(name="drift", member=NARROW, recipe=plan, engine=ENGINE, seed=0), prepared, [])


def _row(place: int, label: int, train: bool, images: Images) -> ManifestRow:
    return ManifestRow(
        index=place,
        path=str(place),
        label=label,
        class_name=str(label),
        split="train" if train else "validation",
        sha256=f"{place:064x}",
        width=images.shape[2],
        height=images.shape[1],
    )
