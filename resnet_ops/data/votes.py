"""Soft labels: the target of an image is what share of those who rated it named each class."""

from dataclasses import replace

import numpy as np

from resnet_ops.data.listing.raters import rating_columns
from resnet_ops.data.prepared import PreparedData
from resnet_ops.errors import ConfigError

__all__ = ["vote_shares", "with_votes"]


def with_votes(train: PreparedData, name: str) -> PreparedData:
    """The training split with `vote_shares` as its targets. name: of the member.

    Raises ConfigError where the images have no ratings, or are asked for more than a class.
    """
    if train.targets is not None or not rating_columns(train.extra):
        raise ConfigError(
            f"{name}: the recipe's soft_labels takes classes that several people gave to each image, in columns "
            "label_1, label_2 ... of a CSV file or with a row for each rating. In params.yaml set it to false."
        )
    return replace(train, targets=vote_shares(train))


def vote_shares(data: PreparedData) -> np.ndarray:
    """(N, K) float32 rows that sum to 1.

    A rating that names no class of the data does not count; where none counts, the image's own class has all.
    """
    ratings = np.array([data.extra[name].astype(np.str_) for name in rating_columns(data.extra)])
    counts = np.stack([(ratings == name).sum(axis=0) for name in data.classes], axis=1).astype(np.float64)
    alone = counts.sum(axis=1) == 0
    counts[alone, data.labels[alone]] = 1
    return np.asarray(counts / counts.sum(axis=1, keepdims=True), np.float32)
