"""Dealing images into folds: groups whole, classes in equal shares as far as groups allow."""

import warnings
from dataclasses import replace

import numpy as np

from resnet_ops.data import PreparedData
from resnet_ops.data.splits.groups import join_groups
from resnet_ops.errors import DataError

__all__ = ["as_splits", "deal_folds"]

FEWEST = 3
"""Folds: one is held out, one is watched, and one at least is trained on."""


def deal_folds(data: PreparedData, folds: int, group: str | None, seed: int) -> np.ndarray:
    """(N,) the fold of each image, 0 to folds - 1, by scikit-learn's StratifiedGroupKFold; the same for the same seed.

    Images of one group are in one fold, and so are groups that share an equal image. group: a column of the manifest,
    such as patient; None where each image stands for itself. Raises DataError where a class has too few groups to be in
    every training.
    """
    from sklearn.model_selection import StratifiedGroupKFold

    digests = [row.sha256 for row in data.rows]
    groups = data.groups(group)
    names = digests if groups is None else [str(name) for name in groups]
    unit_of = join_groups(names, digests)
    units = np.array([unit_of[name] for name in names])
    what = "images" if groups is None else "groups"
    of_class = {name: np.unique(units[data.labels == label]).size for label, name in enumerate(data.classes)}
    scarce = [f"{name} ({count})" for name, count in of_class.items() if count < folds]
    if scarce:
        raise DataError(
            f"{folds} folds take {folds} different {what} of each class, but there are fewer of {', '.join(scarce)}. "
            f"Add {what}, or lower evaluate.cross_validation.folds in params.yaml ({FEWEST} at least)."
        )
    fold_of = np.empty(len(units), np.int64)
    dealing = StratifiedGroupKFold(folds, shuffle=True, random_state=seed)
    with warnings.catch_warnings():
        warnings.simplefilter(
            "ignore"
        )  # of classes with fewer images than folds, which is checked above and below
        for fold, (_, held_out) in enumerate(dealing.split(units, data.labels, units)):
            fold_of[held_out] = fold
    for label, name in enumerate(data.classes):
        if np.unique(fold_of[data.labels == label]).size < FEWEST:
            raise DataError(
                f"Class {name} came into fewer than {FEWEST} of {folds} folds, because its groups are those of "
                "other classes too. Add groups, or change evaluate.cross_validation.folds in params.yaml."
            )
    return fold_of


def as_splits(data: PreparedData, fold_of: np.ndarray, fold: int) -> PreparedData:
    """The data for the training without this fold: it is split `test`, the next `validation`, the others `train`."""
    watched = (fold + 1) % (int(fold_of.max()) + 1)
    names = {fold: "test", watched: "validation"}
    rows = [
        replace(row, split=names.get(each, "train"))
        for row, each in zip(data.rows, fold_of.tolist(), strict=True)
    ]
    return replace(data, rows=rows)
