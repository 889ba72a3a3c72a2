"""A rehearsal: how right the model was on images spoilt on purpose, and what that says of a window without labels.

Before a version is watched, it meets its labelled held-out images spoilt in many ways (`rehearsing`). What a spoiling
moves in six numbers that need no labels is kept beside what it cost; a regression from the one to the other estimates a
window's accuracy (Deng and Zheng 2021, arXiv:2007.02915, with the shift of embeddings alone). It is a Gaussian process
(Rasmussen and Williams 2006), which knows less the farther a window is from all that was rehearsed; its errors are
scaled by how far it misses kinds of spoiling that are held out from it.
"""

import math
from dataclasses import dataclass
from functools import cached_property
from statistics import NormalDist
from typing import Any

import numpy as np
from numpy.typing import NDArray

from resnet_ops_monitoring.accuracy import Estimate, chance_of, negative_entropy
from resnet_ops_monitoring.summary import WindowSummary
from resnet_ops_monitoring.two_sample import Metric

__all__ = ["Look", "Rehearsal", "look_of_rows", "look_of_summary", "moves"]

Floats = NDArray[np.float64]
_MOVES = 6
_ALIKE = 0.7
"""Cosine of two moves of the embeddings from which on they count as of one kind (docs/drift.md)."""
_LOOK = ("rows", "certain", "confidence", "shares", "centre", "spread")


@dataclass(frozen=True, eq=False)
class Look:
    """What tells without labels how right a model is, of some images.

    rows: how many. certain: share of them as certain as answers that are right (`accuracy_threshold`). confidence: mean
    of the highest probability. shares: (K,) of the predicted classes. centre: (F,) mean embedding; spread: sum of the
    variances of its F numbers.
    """

    rows: int
    certain: float
    confidence: float
    shares: Floats
    centre: Floats
    spread: float


@dataclass(frozen=True, eq=False)
class Rehearsal:
    """What was rehearsed. clean: the images as they were, of which `right` answers of `tested` were right.

    kinds: (R,) names of the ways of spoiling. moves: (R, 6) by `moves`. hits, tried: (R,) right answers, and images.
    centres: (R, F) how far the images' mean embedding moved, 0 where they were as they are; (R, 0) in rehearsals of
    before it was kept.
    """

    clean: Look
    right: int
    tested: int
    kinds: tuple[str, ...]
    moves: Floats
    hits: NDArray[np.int64]
    tried: NDArray[np.int64]
    centres: NDArray[np.float32]

    def estimate(self, window: WindowSummary, confidence: float) -> Estimate:
        """The share of right answers in a window with usable rows, and an interval for it.

        Variances add up: of the window's rows, of the reference's, and of the method (the last one scaled so that it
        holds `confidence` of what was rehearsed, each kind judged by the others).
        """
        value, error = self._guess(window)
        normal = NormalDist().inv_cdf((1 + confidence) / 2)
        scale = max(1.0, float(np.quantile(self._misses, confidence)) / normal)
        n = window.usable
        chance = chance_of(round(value * n), n) + chance_of(self.right, self.tested)
        half = normal * math.sqrt(chance + (scale * error) ** 2)
        return Estimate(value=value, low=max(0.0, value - half), high=min(1.0, value + half))

    def loss(self, window: WindowSummary) -> float:
        """How much lower the estimated accuracy is than that of the images as they were; below 0 where it is higher."""
        return self.right / self.tested - self._guess(window)[0]

    def most_alike(self, moved: Floats, metric: Metric) -> str | None:
        """The kind that moves the mean embedding in most nearly this direction; None where none is alike.

        moved: (F,). Kinds that move it no farther than chance could are left out.
        """
        if self.centres.shape[1] != len(moved):
            return None
        kinds, now = metric.white(self.centres.astype(np.float64)), metric.white(moved[None])[0]
        lengths = np.linalg.norm(kinds, axis=1)
        far = np.square(lengths) > 2 * len(moved) * (1 / self.tried + 1 / self.clean.rows)
        alike = np.where(far, kinds @ now / np.maximum(lengths * np.linalg.norm(now), 1e-30), -1.0)
        best = int(alike.argmax())
        return self.kinds[best] if alike[best] >= _ALIKE else None

    def _guess(self, window: WindowSummary) -> tuple[float, float]:
        """Accuracy, and the regression's standard error."""
        gain, error = self._predicted(self._regression, moves(self.clean, look_of_summary(window))[None])
        return min(max(self.right / self.tested + float(gain[0]), 0.0), 1.0), float(error[0])

    @cached_property
    def _gains(self) -> Floats:
        return np.asarray(self.hits / self.tried - self.right / self.tested, dtype=np.float64)

    @cached_property
    def _noise(self) -> Floats:
        return np.array([chance_of(*each) for each in zip(self.hits, self.tried, strict=True)])

    @cached_property
    def _scale(self) -> Floats:
        return np.asarray(np.maximum(self.moves.std(axis=0), 1e-3), dtype=np.float64)

    @cached_property
    def _regression(self) -> Any:
        return self._fitted(np.ones(len(self.kinds), dtype=bool))

    @cached_property
    def _misses(self) -> Floats:
        """(R,) errors in standard errors, each kind predicted from the other kinds."""
        kinds, found = np.array(self.kinds), np.empty(len(self.kinds))
        for kind in dict.fromkeys(self.kinds):
            out = kinds == kind
            gains, errors = self._predicted(self._fitted(~out), self.moves[out])
            found[out] = np.abs(gains - self._gains[out]) / np.sqrt(errors**2 + self._noise[out])
        return found

    def _fitted(self, rows: NDArray[np.bool_]) -> Any:
        """scikit-learn's regression on these rows: what is proportional to the moves, what bends, and chance.

        The kernel's numbers are in accuracy, and in standard deviations of the moves. Fitting them to each reference
        instead changed the error by less than half a point.
        """
        from sklearn.gaussian_process import GaussianProcessRegressor
        from sklearn.gaussian_process.kernels import RBF, ConstantKernel, DotProduct, WhiteKernel

        kernel = (
            ConstantKernel(0.1**2) * DotProduct(0.3) + ConstantKernel(0.08**2) * RBF(1.0) + WhiteKernel(5e-5)
        )
        model = GaussianProcessRegressor(kernel, alpha=self._noise[rows], optimizer=None)
        return model.fit(self.moves[rows] / self._scale, self._gains[rows])

    def _predicted(self, regression: Any, moved: Floats) -> tuple[Floats, Floats]:
        gains, errors = regression.predict(moved / self._scale, return_std=True)
        return gains, errors

    def to_arrays(self) -> dict[str, NDArray[Any]]:
        """All of it, for `from_arrays`; no pickle is needed to keep them."""
        return {
            **{f"clean.{name}": np.asarray(getattr(self.clean, name)) for name in _LOOK},
            "tested": np.array([self.right, self.tested], dtype=np.int64),
            "kinds": np.array(self.kinds, dtype=np.str_),
            "moves": self.moves,
            "hits": self.hits,
            "tried": self.tried,
            "centres": self.centres,
        }

    @classmethod
    def from_arrays(cls, arrays: dict[str, NDArray[Any]]) -> "Rehearsal":
        """Raises LookupError or ValueError when something is missing or does not fit."""
        rows, certain, confidence, shares, centre, spread = (arrays[f"clean.{name}"] for name in _LOOK)
        right, tested = arrays["tested"].tolist()
        rehearsal = cls(
            clean=Look(int(rows), float(certain), float(confidence), shares, centre, float(spread)),
            right=right,
            tested=tested,
            kinds=tuple(arrays["kinds"].tolist()),
            moves=arrays["moves"],
            hits=arrays["hits"],
            tried=arrays["tried"],
            centres=arrays.get("centres", np.zeros((len(arrays["kinds"]), 0), dtype=np.float32)),
        )
        many = len(rehearsal.kinds)
        shapes = [part.shape for part in (rehearsal.moves, rehearsal.hits, rehearsal.tried)]
        fit = shapes == [(many, _MOVES), (many,), (many,)] and shares.ndim == centre.ndim == 1
        if not (many and fit and rehearsal.centres.shape in ((many, 0), (many, len(centre)))):
            raise ValueError("the parts of its rehearsal do not fit together")
        numbers = rehearsal.moves, rehearsal.centres
        if min(rehearsal.tested, rehearsal.tried.min()) < 1 or not all(
            np.isfinite(each).all() for each in numbers
        ):
            raise ValueError("its rehearsal holds numbers that cannot be")
        return rehearsal


def look_of_rows(
    probabilities: NDArray[np.float32], embeddings: NDArray[np.float32], threshold: float
) -> Look:
    """Of (n, K) softmax rows and (n, F) embeddings, all finite, n > 0. threshold: `accuracy.accuracy_threshold`."""
    n, classes = probabilities.shape
    certain = int((negative_entropy(probabilities) >= threshold).sum())
    counts = np.bincount(probabilities.argmax(axis=1), minlength=classes)
    return _look(n, certain, counts, probabilities, embeddings)


def look_of_summary(summary: WindowSummary) -> Look:
    """Of a window with usable rows; confidence and embeddings by its reservoir."""
    drawn = summary.reservoir
    return _look(summary.usable, summary.above, summary.predicted, drawn.probabilities, drawn.embedding)


def _look(
    n: int,
    certain: int,
    counts: NDArray[np.int64],
    probabilities: NDArray[np.float32],
    embeddings: NDArray[np.float32],
) -> Look:
    rows = embeddings.astype(np.float64)
    return Look(
        rows=n,
        certain=certain / n,
        confidence=float(probabilities.max(axis=1).mean(dtype=np.float64)),
        shares=counts / n,
        centre=rows.mean(axis=0),
        spread=float(rows.var(axis=0).sum()),
    )


def moves(clean: Look, now: Look) -> Floats:
    """(6,) what moved: certainty, confidence, classes, their variety, the embeddings' centre and their spread.

    Distances are less what chance alone moves, so that few rows look no more moved than many.
    """
    m, n = clean.rows, now.rows
    chance = sum(float((each.shares * (1 - each.shares)).sum()) / each.rows for each in (clean, now))
    classes = float(np.square(now.shares - clean.shares).sum()) - chance
    tiny = 1e-6 * clean.spread + 1e-12
    centre = float(np.square(now.centre - clean.centre).sum()) - clean.spread / m - now.spread / n
    return np.array(
        [
            now.certain - clean.certain,
            now.confidence - clean.confidence,
            math.sqrt(max(classes, 0.0)),
            math.exp(_entropy(now) - _entropy(clean)) - 1,
            math.sqrt(max(centre, 0.0) / (clean.spread + tiny)),
            math.log((now.spread + tiny) / (clean.spread + tiny)),
        ]
    )


def _entropy(look: Look) -> float:
    """Of the predicted classes, in nats, corrected for few rows (Miller 1955)."""
    shares = look.shares[look.shares > 0]
    return float(-(shares * np.log(shares)).sum()) + (len(shares) - 1) / (2 * look.rows)
