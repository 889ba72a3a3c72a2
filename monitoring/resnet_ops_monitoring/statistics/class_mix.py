"""Another mix of classes: what the images as they were would look like under it, how far it is to be believed, and
whether it, or changed images, is what shifted the embeddings.
"""

import math
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from resnet_ops_monitoring.statistics.two_sample import Whitening

__all__ = ["HALF", "ClassLooks", "Look", "MixSpace", "Mixed", "shifts"]

Floats = NDArray[np.float64]
_ARRAYS = ("confusion", "certain", "confidence", "centre", "called", "score")
_SCORES = "scores"
HALF = 0.5
"""Share of the embeddings' shift from which on a mix is behind it, where perturbations set no guard of it."""


@dataclass(frozen=True, eq=False)
class Look:
    """What tells without labels how right a model is, of some images.

    rows: how many. certain: share of them as certain as answers that are right (`accuracy_threshold`). confidence: mean
    of the highest probability. shares: (K,) of the predicted classes. centre: (F,) mean embedding; spread: sum of the
    variances of its F numbers. called: share that is positive at the operating point, score: mean of their scores;
    both 0 where there is none.
    """

    rows: int
    certain: float
    confidence: float
    shares: Floats
    centre: Floats
    spread: float
    called: float = 0.0
    score: float = 0.0


@dataclass(frozen=True, eq=False)
class Mixed:
    """The look of the images as they were under another mix of classes, their accuracy then, and whether that mix, and
    not changed images, is behind the embeddings' shift. classes: (K,) how often each class truly comes in it."""

    look: Look
    accuracy: float
    behind: bool
    classes: Floats


@dataclass(frozen=True, eq=False)
class ClassLooks:
    """The images as they were, class by class.

    confusion: (K, K) counts, [predicted class, true class]. certain, confidence, called, score: (K,) and centre:
    (K, F), as in `Look`, of the images of each true class; 0 where there are none. scores: (K,) their mean scores,
    where an image is not just right or wrong.
    """

    confusion: NDArray[np.int64]
    certain: Floats
    confidence: Floats
    centre: Floats
    called: Floats
    score: Floats
    scores: Floats | None = None

    @cached_property
    def shares(self) -> Floats:
        """(K,) how often each class truly came."""
        return np.asarray(self.confusion.sum(axis=0) / self.confusion.sum(), dtype=np.float64)

    @cached_property
    def given(self) -> Floats:
        """(K, K) shares of predicted classes among the images of each true class."""
        return np.asarray(self.confusion / np.maximum(self.confusion.sum(axis=0), 1), dtype=np.float64)

    @cached_property
    def accuracy(self) -> float:
        """Of the images as they were."""
        if self.scores is not None:
            return float(self.shares @ self.scores)
        return float(np.trace(self.confusion) / self.confusion.sum())

    @cached_property
    def _inverse(self) -> Floats | None:
        """None where the matrix is no farther from a singular one than chance shifts it, as in `label_shift`."""
        of_class = self.confusion.sum(axis=0)
        if (of_class == 0).any():
            return None
        noise = np.sqrt((self.given * (1 - self.given) / of_class).sum())
        if np.linalg.svd(self.given, compute_uv=False)[-1] <= noise:
            return None
        return np.asarray(np.linalg.inv(self.given), dtype=np.float64)

    def at_the_mix_of(self, clean: Look, now: Look, space: "MixSpace", guard: float) -> Mixed:
        """`clean` under the mix of classes of `now`: black box shift estimation (Lipton et al. 2018), shrunk twice.

        Towards the old mix by as much as chance shifts the predicted classes (as James and Stein do), and to the part
        that it explains: another mix shifts the mean embedding to where its classes lie. Changed images may shift it
        nearly there too, but beside it as well: where the share by `space` stays below the guard, there is no other
        mix. guard: below 0 where none is known.
        """
        change = self._change(clean, now)
        explained = _explained(clean, now, change @ self.centre)
        behind = explained >= HALF if guard < 0 else space.share(clean, now) > guard
        change = change * explained * (behind or guard < 0)
        look = Look(
            rows=clean.rows,
            certain=clean.certain + float(change @ self.certain),
            confidence=clean.confidence + float(change @ self.confidence),
            shares=np.clip(clean.shares + self.given @ change, 1e-9, None),
            centre=clean.centre + change @ self.centre,
            spread=clean.spread,
            called=clean.called + float(change @ self.called),
            score=clean.score + float(change @ self.score),
        )
        classes = np.clip(self.shares + change, 0, None)
        of_class = np.diag(self.given) if self.scores is None else self.scores
        return Mixed(look, self.accuracy + float(change @ of_class), behind, classes)

    def _change(self, clean: Look, now: Look) -> Floats:
        """(K,) of the true classes' shares, shrunk by chance."""
        shifted = now.shares - clean.shares
        chance = sum(float((each.shares * (1 - each.shares)).sum()) / each.rows for each in (clean, now))
        kept = 1 - chance / max(float(np.square(shifted).sum()), 1e-12)
        if kept <= 0 or self._inverse is None:
            return np.zeros(len(shifted))
        shares = np.clip(self._inverse @ now.shares, 0, None)
        return np.asarray(kept * (shares / shares.sum() - self.shares), dtype=np.float64)

    def to_arrays(self) -> dict[str, NDArray[Any]]:
        """All of it, for `from_arrays`."""
        found = {name: getattr(self, name) for name in _ARRAYS}
        return found if self.scores is None else {**found, _SCORES: self.scores}

    @classmethod
    def from_arrays(cls, arrays: dict[str, NDArray[Any]]) -> "ClassLooks":
        """Raises LookupError or ValueError when something is missing or does not fit."""
        many = len(arrays["confusion"])
        none = np.zeros(many)  # as in references of before there were operating points
        found = cls(
            **{name: arrays[name] for name in _ARRAYS[:4]},
            **{name: arrays.get(name, none) for name in _ARRAYS[4:]},
            scores=arrays.get(_SCORES),
        )
        rest = [found.certain, found.confidence, found.called, found.score, found.centre[:, 0]]
        rest += [] if found.scores is None else [found.scores]
        fit = found.confusion.shape == (many, many) and all(each.shape == (many,) for each in rest)
        if not fit or not found.confusion.sum() > 0:
            raise ValueError("the classes of its accuracy calibration do not fit together")
        return found


@dataclass(frozen=True, eq=False)
class MixSpace:
    """Where another mix of classes can shift the mean embedding. metric: how embeddings vary; directions: (F, D),
    whitened by it, of length one and at right angles."""

    metric: Whitening
    directions: Floats

    @classmethod
    def of(cls, classes: ClassLooks, metric: Whitening) -> "MixSpace":
        """At most half of all directions: those that tell the classes apart most."""
        apart = metric.white(classes.centre - classes.shares @ classes.centre)
        _, lengths, rows = np.linalg.svd(apart * np.sqrt(classes.shares)[:, None], full_matrices=False)
        many = min(int((lengths > 1e-9).sum()), apart.shape[1] // 2)
        return cls(metric, rows[:many].T)

    def share(self, clean: Look, now: Look) -> float:
        """Of the mean embedding's shift, in [0, 1]: the part in these directions, both parts less what chance adds.

        Whitened, a shift counts as much where embeddings hardly vary as where the classes lie apart. 1 where all of it
        may be chance.
        """
        shifted, chance = self._shifted(clean, now)
        part = self.directions.shape[1] / len(shifted)
        within = float(np.square(self.directions.T @ shifted).sum())
        beside = max(float(np.square(shifted).sum()) - within - chance * (1 - part), 0.0)
        within = max(within - chance * part, 0.0)
        return within / (within + beside) if within + beside > 0 else 1.0

    def far(self, clean: Look, now: Look) -> bool:
        """Whether the mean embedding shifted farther than chance shifts it."""
        shifted, chance = self._shifted(clean, now)
        return float(np.square(shifted).sum()) > 2 * chance

    def _shifted(self, clean: Look, now: Look) -> tuple[Floats, float]:
        """(F,) whitened, and its squared length by chance alone."""
        shifted = self.metric.white((now.centre - clean.centre)[None])[0]
        return shifted, len(shifted) * (1 / clean.rows + 1 / now.rows)


def _explained(clean: Look, now: Look, by_mix: Floats) -> float:
    if not by_mix.any():
        return 0.0
    chance = clean.spread / clean.rows + now.spread / now.rows
    shifted = now.centre - clean.centre
    whole = float(np.square(shifted).sum()) - chance
    rest = max(float(np.square(shifted - by_mix).sum()) - chance, 0.0)
    return max(0.0, 1 - rest / whole) if whole > 1e-12 else 0.0


def shifts(clean: Look, now: Look) -> Floats:
    """(6,) what shifted: certainty, confidence, classes, their variety, the embeddings' centre and their spread.

    Distances are less what chance alone shifts, so that few rows look no more shifted than many.
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
