"""What the model of each fold says of the images that it was not trained on; kept, so that none is trained twice."""

import hashlib
import io
import shutil
from collections.abc import Callable, Collection
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from resnet_ops.cross_validation.folds import as_splits
from resnet_ops.data import PreparedData
from resnet_ops.data.trained_on import is_among
from resnet_ops.errors import DataError
from resnet_ops.files import write_bytes
from resnet_ops.training.checkpoints import Checkpoints
from resnet_ops.training.identity import training_key
from resnet_ops.training.loop import fit
from resnet_ops.training.plan import Plan

__all__ = ["FoldAnswers", "answer_fold"]


@dataclass(frozen=True)
class FoldAnswers:
    """Of one fold's model: places in the data, and (n, K) probabilities of each."""

    held_out: np.ndarray
    """Images that it has never seen."""
    of_held_out: np.ndarray
    watched: np.ndarray
    """Those that it was validated on: for a threshold."""
    of_watched: np.ndarray
    trained_on: int
    """How many images."""


def answer_fold(
    plan: Plan,
    data: PreparedData,
    fold_of: np.ndarray,
    fold: int,
    seen_before: Collection[str],
    store: Path,
    every_seconds: float,
    say: Callable[[str], None] = lambda text: None,
) -> FoldAnswers:
    """Train without a fold, and ask about it; or read what the same training said before, from `store`.

    plan: of the member; the fold's number is added to its name. seen_before: images that the weights which it starts
    from know, as `read_trained_on` gives them; those are not asked about. A killed training goes on from its
    checkpoint. Raises DataError where the fold has no other image.
    """
    own = replace(plan, name=f"{plan.name}-fold{fold + 1}")
    parts = as_splits(data, fold_of, fold)
    held_out, watched = parts.places("test"), parts.places("validation")
    held_out = np.array(
        [place for place in held_out.tolist() if not is_among(data.rows[place].sha256, seen_before)], np.int64
    )
    if not len(held_out):
        raise DataError(
            f"The weights that {plan.name} starts from have seen every image of fold {fold + 1}, so nothing is left to "
            "ask about. Start from other weights, or leave evaluate.cross_validation out."
        )
    known = "".join(data.rows[place].sha256 for place in held_out)
    key = hashlib.sha256(f"{training_key(own, parts)} {known}".encode()).hexdigest()
    kept = store / own.name / f"{key[:32]}.npz"
    found = _read(kept)
    if found is None:
        model = fit(own, parts, checkpoints=Checkpoints(store / own.name / key[:16], every_seconds))
        found = [model.predict(data.images[places]).probabilities for places in (held_out, watched)]
        content = io.BytesIO()
        np.savez(content, held_out=found[0], watched=found[1])
        write_bytes(kept, content.getvalue())
        shutil.rmtree(store / own.name / key[:16], ignore_errors=True)
    else:
        say(f"{own.name} was trained before, and its answers were kept")
    return FoldAnswers(held_out, found[0], watched, found[1], len(parts.places("train")))


def _read(path: Path) -> list[np.ndarray] | None:
    """Of the images held out, and of those watched; None where they are not kept, or the file is damaged."""
    try:
        with np.load(io.BytesIO(path.read_bytes()), allow_pickle=False) as kept:
            return [kept["held_out"], kept["watched"]]
    except Exception:  # noqa: BLE001 - numpy's and zip's readers raise anything; then the fold is trained again
        return None
