"""Accuracy calibration: how right the model was on images perturbed on purpose, and what that says of a window without
labels.

Before a version is watched, it meets its labelled held-out images perturbed in many ways (`perturbations`). What a
perturbation does to six numbers that need no labels is kept beside what it cost; a regression from the one to the
other estimates a window's accuracy (Deng and Zheng 2021, arXiv:2007.02915, with the shift of embeddings alone). It is a
Gaussian process (Rasmussen and Williams 2006), which knows less the farther a window is from all perturbations. What it
is worth for this version is found beside it (`calibration`); references of before that was kept are judged by the plain
regression, whose errors are scaled by how far it misses kinds of perturbation that are held out from it.
"""

import math
from dataclasses import dataclass
from functools import cached_property
from statistics import NormalDist
from typing import Any

import numpy as np
from numpy.typing import NDArray

from resnet_ops_monitoring.drift.likeness import (
    SILENT,
    TRIED_ONCE,
    apart,
    cosines_of,
    margin_of,
    most_like,
    named,
    reach_of,
)
from resnet_ops_monitoring.statistics.accuracy import Estimate, certainty, chance_of
from resnet_ops_monitoring.statistics.accuracy import confidence as confidence_of
from resnet_ops_monitoring.statistics.class_mix import Look, MixSpace, shifts
from resnet_ops_monitoring.statistics.estimate_error import Calibration, Rows, regression, scale_of
from resnet_ops_monitoring.statistics.operating_estimate import OperatingCalibration
from resnet_ops_monitoring.statistics.summary import SCORE_UNIT, SummarySchema, WindowSummary
from resnet_ops_monitoring.statistics.two_sample import Whitening

__all__ = ["AccuracyCalibration", "Harm", "SideEstimate", "far_shifted", "look_of_summary", "rows_of"]

Floats = NDArray[np.float64]
_SHIFTS = 6
_LOOK = ("rows", "certain", "confidence", "shares", "centre", "spread", "called", "score")
_CALIBRATION, _OPERATING = "calibration.", "operating."


@dataclass(frozen=True)
class Harm:
    """What a window's changed images cost, by the estimate. loss: of accuracy, below 0 where it is higher. guard: the
    least loss that may alarm; None where the accuracy calibration does not know it. mixed: whether another mix of
    classes, and not changed images, is behind the embeddings' shift. side_fell: whether sensitivity or specificity fell
    by what may alarm. classes_shifted: whether the predicted classes shifted farther than harmless changes shift
    them."""

    loss: float
    guard: float | None = None
    mixed: bool = False
    side_fell: bool = False
    classes_shifted: bool = False

    def below(self, guard: float) -> bool:
        """Whether the model does about as well, where this is the guard."""
        return self.loss < guard and not self.side_fell


@dataclass(frozen=True)
class SideEstimate:
    """One side of the operating point. right, tested: of its held-out images. alarming: whether the estimated loss is
    one that may alarm."""

    right: int
    tested: int
    estimate: Estimate
    alarming: bool


@dataclass(frozen=True, eq=False)
class AccuracyCalibration:
    """What was tried. clean: the images as they were, of which `right` answers of `tested` were right; its rows are
    the groups of those that are of groups. Where images have scores, these are summed up in the place of right answers.

    kinds: (R,) names of the perturbations. shifts: (R, 6) by `shifts`. hits, tried: (R,) right answers, and images.
    centres: (R, F) how far the images' mean embedding shifted, 0 where they were as they are; (R, 0) in accuracy
    calibrations of before it was kept. calibration: what the estimate is worth; None in accuracy calibrations of before
    it was kept. operating: what was found at the operating point, where the version has one. scalars: as in
    `SummarySchema`.
    """

    clean: Look
    right: float
    tested: int
    kinds: tuple[str, ...]
    shifts: Floats
    hits: NDArray[np.int64] | Floats
    tried: NDArray[np.int64]
    centres: NDArray[np.float32]
    calibration: Calibration | None = None
    operating: OperatingCalibration | None = None
    scalars: tuple[str, ...] = ()

    def mix_space(self, metric: Whitening) -> MixSpace | None:
        """Where another mix of classes shifts embeddings that vary so; None where nothing is known of classes."""
        return None if self.calibration is None else MixSpace.of(self.calibration.classes, metric)

    def estimate(self, window: WindowSummary, confidence: float, space: MixSpace | None) -> Estimate:
        """The share of right answers in a window with usable rows, and an interval for it.

        Variances add up: of the window's rows, of the reference's, and of the method (the last one scaled so that it
        holds `confidence` of the perturbations, each kind judged by the others). space: as `mix_space` gives it.
        """
        value, error = self._guess(window, space)
        if self.calibration is None:
            missed = float(np.quantile(self._misses, confidence))
        else:
            missed = self.calibration.quantile(window.independent, confidence)
        tested = self.right * self._worth, self.tested * self._worth
        return _estimate(value, window.independent, tested, error, missed, confidence)

    def sides(
        self, window: WindowSummary, confidence: float, space: MixSpace | None
    ) -> dict[str, SideEstimate]:
        """Sensitivity and specificity in the window, as `estimate` does it; none without an operating point."""
        if self.calibration is None or self.operating is None or space is None:
            return {}
        now = self._look(window)
        guesses = self.operating.guesses(self.calibration.mixed(self.clean, now, space), now)
        found = {}
        for name, guess in guesses.items():
            side = self.operating.sides[name]
            right, tested = side.tested.tolist()
            missed = side.quantile(window.independent, confidence)
            before = right * self._worth, tested * self._worth
            estimate = _estimate(guess.value, guess.rows, before, guess.error, missed, confidence)
            found[name] = SideEstimate(right, tested, estimate, guess.alarming)
        return found

    def harm(self, window: WindowSummary, space: MixSpace | None) -> Harm:
        """What the change of the images costs, beside that of another mix of classes where the accuracy calibration
        knows it.
        """
        if self.calibration is None or space is None:
            return Harm(self.right / self.tested - self._guess(window, space)[0])
        return self.harm_between(self.calibration, space, self.clean, self._look(window))

    def harm_between(self, calibration: Calibration, space: MixSpace, clean: Look, now: Look) -> Harm:
        """The same of images that look like `now`, where `clean` is how they looked. calibration: this one's own."""
        mixed = calibration.mixed(clean, now, space)
        gain = calibration.guess(mixed, now).gain
        lost = self.operating is not None and any(
            guess.alarming for guess in self.operating.guesses(mixed, now).values()
        )
        shifted = calibration.classes_shifted(clean, now)
        return Harm(-gain, calibration.guard(now.rows), mixed.behind, lost, shifted)

    def most_alike(self, shifted: Floats, numbers: Floats, rows: int, metric: Whitening) -> str | None:
        """The kind that shifts the mean embedding in most nearly this direction; None where none may be named.

        shifted: (F,). numbers: (6,) by `shifts`, of a window of so many rows; farther from the kind's than those of
        nine in ten perturbations, it is no such change. Kinds that shift embeddings no farther than chance could are
        left out. Accuracy calibrations of before they had a guard name none.
        """
        if self.calibration is None or self.centres.shape[1] != len(shifted):
            return None
        whitened, far = far_shifted(self.centres, self.tried, self.clean.rows, metric)
        kinds, whitened, known = np.array(self.kinds)[far], whitened[far], (self.shifts / self._scale)[far]
        now = metric.white(shifted[None])[0]
        like = most_like(kinds, cosines_of(whitened, now))
        if like is None or named(like, margin_of(kinds, whitened, self.clean.rows, like.kind)) is None:
            return None
        kind = like.kind
        shown = (self._shown(self.calibration, rows) / self._scale)[far]
        of, reach = kinds == kind, reach_of(kinds, whitened, known, shown, self.clean.rows)
        return kind if apart(whitened[of], known[of], now, numbers / self._scale) <= reach else None

    def _shown(self, calibration: Calibration, rows: int) -> Floats:
        """(R, 6) `shifts` as a window of about so many rows shows them; of kinds that were not drawn as such, as all
        their images do."""
        kinds, shown = np.array(self.kinds), self.shifts.copy()
        tried = ~np.isin(kinds, ("class gone", *TRIED_ONCE))
        drawn = calibration.as_windows(kinds[tried], rows)
        if drawn is not None:
            shown[tried] = drawn
        return shown

    def _guess(self, window: WindowSummary, space: MixSpace | None) -> tuple[float, float]:
        """Accuracy, and the regression's standard error."""
        if self.calibration is not None and space is not None:
            now = self._look(window)
            found = self.calibration.guess(self.calibration.mixed(self.clean, now, space), now)
            return found.value, found.error
        gain, error = self._predicted(self._regression, shifts(self.clean, self._look(window))[None])
        return min(max(self.right / self.tested + float(gain[0]), 0.0), 1.0), float(error[0])

    def _look(self, window: WindowSummary) -> Look:
        return look_of_summary(window, self.scalars)

    @property
    def _worth(self) -> float:
        """How many independent images a tested one is worth."""
        return min(self.clean.rows / self.tested, 1.0)

    @cached_property
    def _gains(self) -> Floats:
        return np.asarray(self.hits / self.tried - self.right / self.tested, dtype=np.float64)

    @cached_property
    def _noise(self) -> Floats:
        return np.array([chance_of(*each) for each in zip(self.hits, self.tried, strict=True)])

    @cached_property
    def _scale(self) -> Floats:
        return scale_of(self.shifts)

    @cached_property
    def _regression(self) -> Any:
        return self._fitted(np.ones(len(self.kinds), dtype=bool))

    @cached_property
    def _misses(self) -> Floats:
        """(R,) errors in standard errors, each kind predicted from the other kinds."""
        kinds, found = np.array(self.kinds), np.empty(len(self.kinds))
        for kind in dict.fromkeys(self.kinds):
            out = kinds == kind
            gains, errors = self._predicted(self._fitted(~out), self.shifts[out])
            found[out] = np.abs(gains - self._gains[out]) / np.sqrt(errors**2 + self._noise[out])
        return found

    def _fitted(self, rows: NDArray[np.bool_]) -> Any:
        return regression(self.shifts[rows] / self._scale, self._gains[rows], self._noise[rows])

    def _predicted(self, regression: Any, shifted: Floats) -> tuple[Floats, Floats]:
        gains, errors = regression.predict(shifted / self._scale, return_std=True)
        return gains, errors

    def to_arrays(self) -> dict[str, NDArray[Any]]:
        """All of it, for `from_arrays`; no pickle is needed to keep them."""
        return {
            **{f"clean.{name}": np.asarray(getattr(self.clean, name)) for name in _LOOK},
            "tested": np.array([self.right, self.tested], dtype=self.hits.dtype),
            "kinds": np.array(self.kinds, dtype=np.str_),
            "moves": self.shifts,
            "hits": self.hits,
            "tried": self.tried,
            "centres": self.centres,
            **({"scalars": np.array(self.scalars, dtype=np.str_)} if self.scalars else {}),
            **self._kept(),
            **(
                {}
                if self.operating is None
                else {f"{_OPERATING}{name}": each for name, each in self.operating.to_arrays().items()}
            ),
        }

    def _kept(self) -> dict[str, NDArray[Any]]:
        if self.calibration is None:
            return {}
        found = {f"{_CALIBRATION}{name}": each for name, each in self.calibration.to_arrays().items()}
        return {**found, "margin": np.array(SILENT)}  # earlier releases read it, and name no reason

    @classmethod
    def from_arrays(cls, arrays: dict[str, NDArray[Any]]) -> "AccuracyCalibration":
        """Raises LookupError or ValueError when something is missing or does not fit."""
        rows, certain, confidence, shares, centre, spread = (arrays[f"clean.{name}"] for name in _LOOK[:6])
        called, score = (float(arrays.get(f"clean.{name}", 0.0)) for name in _LOOK[6:])
        right, tested = arrays["tested"].tolist()
        kept, decided = _below(arrays, _CALIBRATION), _below(arrays, _OPERATING)
        accuracy_calibration = cls(
            clean=Look(
                int(rows), float(certain), float(confidence), shares, centre, float(spread), called, score
            ),
            right=right,
            tested=int(tested),
            kinds=tuple(arrays["kinds"].tolist()),
            shifts=arrays["moves"],
            hits=arrays["hits"],
            tried=arrays["tried"],
            centres=arrays.get("centres", np.zeros((len(arrays["kinds"]), 0), dtype=np.float32)),
            calibration=Calibration.from_arrays(kept) if kept else None,
            operating=OperatingCalibration.from_arrays(decided) if decided else None,
            scalars=tuple(arrays["scalars"].tolist()) if "scalars" in arrays else (),
        )
        many = len(accuracy_calibration.kinds)
        shapes = [
            part.shape
            for part in (accuracy_calibration.shifts, accuracy_calibration.hits, accuracy_calibration.tried)
        ]
        fit = shapes == [(many, _SHIFTS), (many,), (many,)] and shares.ndim == centre.ndim == 1
        if not (many and fit and accuracy_calibration.centres.shape in ((many, 0), (many, len(centre)))):
            raise ValueError("the parts of its accuracy calibration do not fit together")
        numbers = accuracy_calibration.shifts, accuracy_calibration.centres
        if min(accuracy_calibration.tested, accuracy_calibration.tried.min()) < 1 or not all(
            np.isfinite(each).all() for each in numbers
        ):
            raise ValueError("its accuracy calibration holds numbers that cannot be")
        return accuracy_calibration


def far_shifted(
    centres: NDArray[np.float32], tried: NDArray[np.int64], rows: int, metric: Whitening
) -> tuple[Floats, NDArray[np.bool_]]:
    """(R, F) whitened shifts of the mean embedding, and (R,) which are farther than chance could shift it."""
    shifted = metric.white(centres.astype(np.float64))
    squares = np.square(shifted).sum(axis=1)
    return shifted, squares > 2 * centres.shape[1] * (1 / tried + 1 / rows)


def _estimate(
    value: float, n: int, reference: tuple[float, float], error: float, missed: float, confidence: float
) -> Estimate:
    """A share among n independent rows. reference: right of tested, such rows as well. missed: standard errors that
    hold as much of the trials.
    """
    normal = NormalDist().inv_cdf((1 + confidence) / 2)
    chance = chance_of(round(value * n), n) + chance_of(*reference)
    half = normal * math.sqrt(chance + (max(1.0, missed / normal) * error) ** 2)
    return Estimate(value=value, low=max(0.0, value - half), high=min(1.0, value + half))


def _below(arrays: dict[str, NDArray[Any]], prefix: str) -> dict[str, NDArray[Any]]:
    return {name.removeprefix(prefix): each for name, each in arrays.items() if name.startswith(prefix)}


def rows_of(
    probabilities: NDArray[np.float32],
    embeddings: NDArray[np.float32],
    schema: SummarySchema,
    predicted: NDArray[np.int64] | None = None,
) -> Rows:
    """Of (n, K) softmax rows and (n, F) embeddings, all finite, n > 0.

    predicted: (n,) places of classes, which (n, M) scalars in the place of softmax rows cannot tell.
    """
    kinds = predicted if schema.scalars and predicted is not None else probabilities.argmax(axis=1)
    scores, point = np.zeros(len(probabilities)), schema.operating
    if point is not None:
        scores = point.scores(probabilities, schema.classes).astype(np.float64)
    return Rows(
        certain=certainty(probabilities, schema.scalars) >= schema.threshold,
        confidence=confidence_of(probabilities, schema.scalars).astype(np.float64),
        predicted=kinds.astype(np.int64),
        embeddings=embeddings,
        classes=len(schema.classes),
        called=np.zeros(len(scores), dtype=bool) if point is None else scores >= point.threshold,
        scores=scores,
    )


def look_of_summary(summary: WindowSummary, scalars: tuple[str, ...] = ()) -> Look:
    """Of a window with usable rows; confidence and embeddings by its reservoir."""
    drawn, n = summary.reservoir, summary.usable
    rows = drawn.embedding.astype(np.float64)
    return Look(
        rows=summary.independent,
        certain=summary.confident / n,
        confidence=float(confidence_of(drawn.probabilities, scalars).mean(dtype=np.float64)),
        shares=summary.predicted / n,
        centre=rows.mean(axis=0),
        spread=float(rows.var(axis=0).sum()),
        called=summary.called / n,
        score=summary.scores / SCORE_UNIT / n,
    )
