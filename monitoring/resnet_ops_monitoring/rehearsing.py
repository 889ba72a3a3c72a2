"""Rehearsing: the model meets its labelled held-out images, spoilt in every way that we can think of.

The fifteen common corruptions of `resnet_ops.evaluation` at their five severities, and what they leave out: a camera
that was turned, moved or got too little light. Other mixes of classes come from the clean images. Images of kinds that
the model never learned cannot be rehearsed.
"""

from collections.abc import Callable, Iterator
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from resnet_ops.errors import DataError
from resnet_ops.evaluation.corruptions import CORRUPTIONS, SEVERITIES, corrupt
from resnet_ops.messages import Progress
from resnet_ops.predictions import DeployedModel, Predictions
from resnet_ops_monitoring.reference import Reference
from resnet_ops_monitoring.rehearsal import Rehearsal, look_of_rows, moves

__all__ = ["SPOILINGS", "rehearse", "rehearsed", "spoilt"]

Images = NDArray[np.uint8]
Labels = NDArray[np.int64]
_AS_THEY_ARE = 10
"""Random halves of the clean images: what chance alone does."""
_MIXES = 20
"""Classes, the most frequent ones, that are left out in turn."""
_LEAST = 20
"""A spoiling that leaves fewer usable answers than this is left out."""


def _turned(images: Images, severity: int) -> Images:
    degrees = (3, 6, 12, 20, 30)[severity - 1]
    options = {"axes": (1, 2), "reshape": False, "order": 1, "mode": "nearest"}
    return _bytes(ndimage.rotate(images.astype(np.float32), -degrees, **options))


def _moved(images: Images, severity: int) -> Images:
    share = (1 / 32, 1 / 16, 3 / 32, 1 / 8, 3 / 16)[severity - 1]
    by = (0, share * images.shape[1], -share * images.shape[2], 0)
    return _bytes(ndimage.shift(images.astype(np.float32), by, order=1, mode="nearest"))


def _darkened(images: Images, severity: int) -> Images:
    return _bytes(images * np.float32((0.9, 0.8, 0.65, 0.5, 0.35)[severity - 1]))


def _bytes(values: NDArray[np.floating]) -> Images:
    return np.asarray(np.clip(np.rint(values), 0, 255), dtype=np.uint8)


_HANDLING: dict[str, Callable[[Images, int], Images]] = {
    "turned": _turned,
    "moved": _moved,
    "darkened": _darkened,
}
SPOILINGS = tuple((kind, severity) for kind in (*CORRUPTIONS, *_HANDLING) for severity in SEVERITIES)
"""All kinds at all severities, 1 to 5."""
_KINDS = {*CORRUPTIONS, *_HANDLING}


def spoilt(images: Images, kind: str, severity: int, seed: int) -> Images:
    """Copies of (N, H, W, C) images; the same seed gives the same ones. Raises KeyError for another kind."""
    if kind in CORRUPTIONS:
        return corrupt(images, kind, severity, (seed, CORRUPTIONS.index(kind), severity))
    return _HANDLING[kind](images, severity)


def rehearse(
    reference: Reference,
    model: DeployedModel,
    images: Images,
    labels: Labels,
    *,
    each: int,
    seed: int,
    progress: Progress,
) -> Reference:
    """The labelled reference with a rehearsal in it.

    images: (N, H, W, C) uint8, those of the reference. labels: (N,) places of their classes in `reference.classes`.
    each: at most so many images for each of `SPOILINGS`, drawn anew for each by the seed. progress: takes spoilings
    done and in all. Raises DataError when there are no images.
    """
    if len(images) == 0:
        raise DataError(f"No held-out images to rehearse {reference.identity} with; the split is empty.")
    clean = model.predict(images)
    rng = np.random.default_rng(seed)

    def tried() -> Iterator[tuple[str, Predictions, Labels]]:
        for done, (kind, severity) in enumerate(SPOILINGS):
            rows = rng.permutation(len(images))[:each]
            yield kind, model.predict(spoilt(images[rows], kind, severity, seed)), labels[rows]
            progress(done + 1, len(SPOILINGS))

    return replace(reference, rehearsal=rehearsed(reference.basis.threshold, clean, labels, tried(), seed))


def rehearsed(
    threshold: float,
    clean: Predictions,
    labels: Labels,
    tried: Iterator[tuple[str, Predictions, Labels]],
    seed: int,
) -> Rehearsal:
    """What the predictions of clean and of spoilt images teach. tried: kind, predictions, labels of each spoiling."""
    look = look_of_rows(clean.probabilities, clean.embeddings, threshold)
    kinds, moved, hits, counts, centres = [], [], [], [], []
    for kind, found, truth in (*_mixes(clean, labels, seed), *tried):
        finite = np.isfinite(found.probabilities).all(axis=1) & np.isfinite(found.embeddings).all(axis=1)
        if finite.sum() < min(_LEAST, len(labels)):
            continue
        now = look_of_rows(found.probabilities[finite], found.embeddings[finite], threshold)
        kinds.append(kind)
        moved.append(moves(look, now))
        hits.append(int((found.predicted == truth)[finite].sum()))
        counts.append(int(finite.sum()))
        centres.append((now.centre - look.centre) * (kind in _KINDS))
    return Rehearsal(
        clean=look,
        right=int((clean.predicted == labels).sum()),
        tested=len(labels),
        kinds=tuple(kinds),
        moves=np.array(moved),
        hits=np.array(hits, dtype=np.int64),
        tried=np.array(counts, dtype=np.int64),
        centres=np.array(centres, dtype=np.float32),
    )


def _mixes(clean: Predictions, labels: Labels, seed: int) -> Iterator[tuple[str, Predictions, Labels]]:
    rng, n = np.random.default_rng((seed, 1)), len(labels)
    chosen = [("as they are", rng.permutation(n)[: (n + 1) // 2]) for _ in range(_AS_THEY_ARE)]
    for label in np.bincount(labels).argsort()[::-1][:_MIXES]:
        chosen.append(("class gone", np.flatnonzero(labels != label)))
    for kind, rows in chosen:
        parts = (clean.logits, clean.probabilities, clean.embeddings, clean.predicted)
        yield kind, Predictions(*(part[rows] for part in parts)), labels[rows]
