"""Retrieval: how well the embeddings find images of the same class among others.

Each test image looks among the embeddings of the validation split, which no training saw and with which it shares no
group. Similarity is the cosine. Recall at k is the share of images that have one of their class among the k nearest
(Jegou et al. 2011); MAP@R is the mean average precision over the R nearest, where R is how many there are of the class
(Musgrave et al. 2020, arXiv:2003.08505).
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from resnet_ops.evaluation.metrics import mean_of, share_right
from resnet_ops.measurement import Measurement
from resnet_ops.params import Settings

__all__ = ["RetrievalParams", "measure_retrieval", "ranked"]

BLOCK = 4_000_000
"""Similarities that are held at once, to bound the memory."""


@dataclass(frozen=True, kw_only=True)
class RetrievalParams(Settings):
    """Under `evaluate.retrieval`: how embeddings are tried as what finds similar images."""

    at: tuple[int, ...]
    """How many of the nearest images are looked at, for recall."""

    def __post_init__(self) -> None:
        if not self.at or any(k < 1 for k in self.at) or len(set(self.at)) < len(self.at):
            raise ValueError(f"at is {self.at}, but must be different numbers, each 1 or more")


def measure_retrieval(
    gallery: tuple[np.ndarray, np.ndarray],
    queries: tuple[np.ndarray, np.ndarray],
    params: RetrievalParams,
    confidence: float,
    groups: np.ndarray | None = None,
) -> dict[str, Measurement]:
    """`retrieval.recall_at_K` for each K that the gallery can hold, and `retrieval.map_at_r`.

    gallery, queries: (M, F) and (N, F) embeddings with their labels, (M,) and (N,). groups: (N,) which group each query
    is of, which widens the intervals of recall; `map_at_r` has none then. Intervals are those of other queries in this
    gallery. Images whose class is not in the gallery could find nothing: they are left out, and n says how many stay.
    """
    known = np.isin(queries[1], gallery[1])
    embeddings, labels = queries[0][known], queries[1][known]
    if not len(labels):
        return {}
    first = np.empty(len(labels), dtype=np.int64)
    precision = np.empty(len(labels))
    for rows, order in ranked(embeddings, gallery[0]):
        hits = gallery[1][order] == labels[rows, None]
        first[rows] = hits.argmax(axis=1)
        precision[rows] = _average_precision(hits)
    some = None if groups is None else groups[known]
    found = {
        f"retrieval.recall_at_{k}": share_right(first < k, confidence, some)
        for k in params.at
        if k <= len(gallery[1])
    }
    mean = mean_of(precision, confidence)
    return found | {"retrieval.map_at_r": mean if some is None else mean.bare()}


def ranked(queries: np.ndarray, gallery: np.ndarray) -> Iterator[tuple[slice, np.ndarray]]:
    """Blocks of queries, (N, F), and for each of them the places in the gallery, (M, F), from the most similar on.

    Of equally similar ones the first comes first. An embedding without length is similar to none.
    """
    there = _directions(gallery).T
    step = max(1, BLOCK // max(1, len(gallery)))
    for start in range(0, len(queries), step):
        rows = slice(start, min(start + step, len(queries)))
        yield rows, np.argsort(-(_directions(queries[rows]) @ there), axis=1, kind="stable")


def _directions(embeddings: np.ndarray) -> np.ndarray:
    lengths = np.linalg.norm(embeddings.astype(np.float64), axis=1, keepdims=True)
    return np.asarray(embeddings / np.maximum(lengths, np.finfo(np.float64).tiny))


def _average_precision(hits: np.ndarray) -> np.ndarray:
    """(N,) average precision at R of (N, M) hits in order of similarity; R is how many hits a row has, 1 or more."""
    relevant = hits.sum(axis=1)
    ranks = np.arange(1, hits.shape[1] + 1)
    counted = np.where(hits & (ranks <= relevant[:, None]), hits.cumsum(axis=1) / ranks, 0.0)
    return np.asarray(counted.sum(axis=1) / relevant)
