"""Per-image outcomes of an evaluation, as evidence holds them: which image was classified right."""

import base64
import csv
import hashlib
from collections import Counter
from collections.abc import Collection, Iterable
from pathlib import Path

import numpy as np

from resnet_ops.data.trained_on import is_among
from resnet_ops.errors import DataError
from resnet_ops_registry.attestations.evidence import MAX_OUTCOMES, Metric, Outcomes

__all__ = ["images_digest", "pack_outcomes", "read_outcomes", "split_sizes"]


def images_digest(images: Iterable[tuple[str, str]]) -> str:
    """The sha256 over (image's sha256, true class) in order: equal where two models were asked the same."""
    digest = hashlib.sha256()
    for sha256, truth in images:
        digest.update(f"{sha256} {truth}\n".encode())
    return digest.hexdigest()


def pack_outcomes(images: str, right: np.ndarray) -> Outcomes:
    """Outcomes of N images whose `images_digest` is `images`; right: (N,) bool. Raises DataError beyond 2 million."""
    if not 0 < len(right) <= MAX_OUTCOMES:
        raise DataError(
            f"Evidence holds the outcomes of 1 to {MAX_OUTCOMES:,} images, not of {len(right):,}. "
            "Compare on a smaller split."
        )
    packed = np.packbits(np.asarray(right, dtype=bool)).tobytes()
    return Outcomes(images=images, n=len(right), right=base64.b64encode(packed).decode())


def read_outcomes(predictions: Path, manifest: Path, split: str, seen: Collection[str] = ()) -> Outcomes:
    """Outcomes of one split from predictions.csv (index, actual, predicted) and manifest.csv (index, split, sha256).

    seen: what the model was trained on, which is not measured. Raises DataError when the two do not speak of the same
    images in the same order.
    """
    try:
        with manifest.open(newline="") as file:
            rows = [row for row in csv.DictReader(file) if row["split"] == split]
        images = [row for row in rows if not is_among(row["sha256"], seen)]
        with predictions.open(newline="") as file:
            rows = list(csv.DictReader(file))
        asked = [(row["index"], row["class_name"]) for row in images]
        answered = [(row["index"], row["actual"]) for row in rows]
        right = np.array([row["actual"] == row["predicted"] for row in rows], dtype=bool)
        digest = images_digest((row["sha256"], row["class_name"]) for row in images)
    except (OSError, KeyError, ValueError, csv.Error) as error:
        raise DataError(
            f"{predictions} and {manifest} cannot be read together ({error!r}). Run: dvc repro"
        ) from error
    if asked != answered:
        raise DataError(
            f"{predictions} is not about the {len(asked)} images of split {split} in {manifest}. Run: dvc repro"
        )
    return pack_outcomes(digest, right)


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
