"""Per-image outcomes of an evaluation, as evidence holds them: which image was classified right."""

import base64
import csv
import hashlib
from collections import Counter
from collections.abc import Collection, Iterable, Sequence
from pathlib import Path

import numpy as np

from resnet_ops.data.trained_on import is_among
from resnet_ops.errors import DataError
from resnet_ops_registry.attestations.evidence import (
    MAX_OUTCOMES,
    MAX_SCORES,
    SCORE_STEPS,
    Metric,
    Outcomes,
)

__all__ = [
    "all_outcomes",
    "images_digest",
    "pack_outcomes",
    "pack_scores",
    "read_outcomes",
    "split_sizes",
]


def images_digest(images: Iterable[tuple[str, str]]) -> str:
    """The sha256 over (image's sha256, true class) in order: equal where two models were asked the same."""
    digest = hashlib.sha256()
    for sha256, truth in images:
        digest.update(f"{sha256} {truth}\n".encode())
    return digest.hexdigest()


def pack_outcomes(images: str, right: np.ndarray, starts: np.ndarray | None = None) -> Outcomes:
    """Outcomes of N images whose `images_digest` is `images`; right: (N,) bool. Raises DataError beyond 2 million.

    starts: (N,) bool, where a group begins, of images that stand together by group.
    """
    if not 0 < len(right) <= MAX_OUTCOMES:
        raise DataError(
            f"Evidence holds the outcomes of 1 to {MAX_OUTCOMES:,} images, not of {len(right):,}. "
            "Compare on a smaller split."
        )
    begun = None if starts is None else _packed(starts)
    return Outcomes(images=images, n=len(right), right=_packed(right), starts=begun)


def pack_scores(images: str, scores: np.ndarray) -> Outcomes:
    """Outcomes of N images with scores (N,) in [0, 1], kept to 1 / 65535.

    Raises DataError for other scores, and beyond half a million.
    """
    if not 0 < len(scores) <= MAX_SCORES:
        raise DataError(
            f"Evidence holds the scores of 1 to {MAX_SCORES:,} images, not of {len(scores):,}. Compare on a smaller "
            "split."
        )
    if not ((scores >= 0) & (scores <= 1)).all():
        wrong = scores[~((scores >= 0) & (scores <= 1))][0]
        raise DataError(
            f"An image's score is {wrong:g}, but scores are from 0 to 1. Measure again: dvc repro"
        )
    steps = np.rint(scores * SCORE_STEPS).astype(">u2")
    return Outcomes(images=images, n=len(scores), scores=base64.b64encode(steps.tobytes()).decode())


def _packed(bits: np.ndarray) -> str:
    return base64.b64encode(np.packbits(np.asarray(bits, dtype=bool)).tobytes()).decode()


def all_outcomes(
    split: str,
    images: Sequence[tuple[str, str]],
    right: np.ndarray,
    groups: np.ndarray | None = None,
    decided: tuple[np.ndarray, np.ndarray] | None = None,
) -> dict[str, Outcomes]:
    """What evidence holds of N images: their outcomes, and those at the operating point.

    images: (image's sha256, true class) of each. right: (N,) bool. groups: (N,) which group each is of. decided: (N,)
    bool each, which images are positive and which are called so.
    """

    def of(rows: np.ndarray, held: np.ndarray) -> Outcomes:
        starts = None
        if groups is not None:
            _, first, number = np.unique(groups[rows], return_index=True, return_inverse=True)
            begins = first[number]  # where each image's group is met first
            order = np.argsort(begins, kind="stable")
            rows, ordered = rows[order], begins[order]
            starts = np.append(True, ordered[1:] != ordered[:-1])
        return pack_outcomes(images_digest(images[row] for row in rows), held[rows], starts)

    found = {split: of(np.arange(len(images)), right)}
    if decided is not None:
        positive, called = decided
        for name, side, correct in (("sensitivity", positive, called), ("specificity", ~positive, ~called)):
            if side.any():
                found[f"operating.{name}"] = of(np.flatnonzero(side), correct)
    return found


def read_outcomes(
    predictions: Path, manifest: Path, split: str, seen: Collection[str] = ()
) -> dict[str, Outcomes]:
    """Outcomes of one split from predictions.csv (index, actual, predicted) and manifest.csv (index, split, sha256).

    Columns group, positive and called (yes or no) of predictions.csv count where they are there; so do `score` (a
    fraction, instead of right or not) and `asked` (a digest of what was asked, not the class). seen: what the model was
    trained on, which is not measured. Raises DataError when the two do not speak of the same images in the same
    order.
    """
    try:
        with manifest.open(newline="") as file:
            listed = [row for row in csv.DictReader(file) if row["split"] == split]
        images = [row for row in listed if not is_among(row["sha256"], seen)]
        with predictions.open(newline="") as file:
            rows = list(csv.DictReader(file))
        asked = [(row["index"], row["class_name"]) for row in images]
        answered = [(row["index"], row["actual"]) for row in rows]
        columns = {name: np.array([row[name] for row in rows]) for name in (rows[0] if rows else ())}
        right = columns["actual"] == columns["predicted"]
        scores = columns["score"].astype(float) if "score" in columns else None
        truths = columns["asked"] if "asked" in columns else [row["class_name"] for row in images]
        shown = [(row["sha256"], str(truth)) for row, truth in zip(images, truths, strict=False)]
        decided = None
        if "called" in columns:
            decided = columns["positive"] == "yes", columns["called"] == "yes"
    except (OSError, KeyError, TypeError, ValueError, csv.Error) as error:
        raise DataError(
            f"{predictions} and {manifest} cannot be read together ({error!r}). Run: dvc repro"
        ) from error
    if asked != answered:
        raise DataError(
            f"{predictions} is not about the {len(asked)} images of split {split} in {manifest}. Run: dvc repro"
        )
    if scores is not None:
        return {split: pack_scores(images_digest(shown), scores)}
    return all_outcomes(split, shown, right, columns.get("group"), decided)


def split_sizes(manifest: Path, seen: Collection[str] = ()) -> dict[str, Metric]:
    """How many images each split of a manifest.csv has, as `data.<split>.images`; of test without those `seen`."""
    try:
        with manifest.open(newline="") as file:
            sizes = Counter(
                row["split"]
                for row in csv.DictReader(file)
                if not (seen and row["split"] == "test" and is_among(row["sha256"], seen))
            )
    except (OSError, KeyError, csv.Error) as error:
        raise DataError(f"{manifest} cannot be read ({error!r}). Run: dvc repro") from error
    return {f"data.{split}.images": Metric(value=n, n=n, unit="images") for split, n in sorted(sizes.items())}
