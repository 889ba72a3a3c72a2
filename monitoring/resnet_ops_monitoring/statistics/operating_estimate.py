"""Sensitivity and specificity in a window without labels, estimated as its accuracy is.

The trials of the accuracy calibration are drawn as windows once more. What each gains is counted among the positive
images, or among all others, and two more numbers tell of it: the share that is called positive, and the mean score.
Neither side changes with how many positives there are, but with which of several classes they are: the estimate is that
of the mix that the embeddings speak for, like the accuracy's.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from statistics import NormalDist
from typing import Any

import numpy as np
from numpy.typing import NDArray

from resnet_ops_monitoring.statistics.accuracy import chance_of
from resnet_ops_monitoring.statistics.class_mix import ClassLooks, Look, Mixed, MixSpace, shifts
from resnet_ops_monitoring.statistics.estimate_error import (
    SIZES,
    SUPPRESSED,
    Trial,
    guard,
    left_out,
    regression,
    scale_of,
    windows_of,
)

__all__ = ["SIDES", "OperatingCalibration", "Side", "SideGuess", "calibrated_sides"]

Floats = NDArray[np.float64]
SIDES = ("sensitivity", "specificity")
_SHIFTS = 8
_ARRAYS = ("counted", "rates", "tested", "gains", "noise", "guards", "misses")
_LEAST = 20
"""Trials with images of a side that its regression needs; with fewer nothing is estimated of it."""


@dataclass(frozen=True)
class SideGuess:
    """value: estimated share decided right. error: the regression's. rows: of the window that are of this side, by the
    estimated mix. alarming: whether changed images cost as much as may alarm."""

    value: float
    error: float
    rows: int
    alarming: bool


@dataclass(frozen=True, eq=False)
class Side:
    """What one side of the operating point was found to lose.

    counted: (K,) which classes are of it. rates: (K,) share of each class's images decided right, as they were; tested:
    (2,) how many of its images were, and of how many. gains: (S, R) by size and trial; not a number where a trial has
    no image of it, as in noise (R,) and misses (S, R). guards: (S,), with the sampling error of the reference. All but
    rates as in `estimate_error.Calibration`.
    """

    counted: NDArray[np.bool_]
    rates: Floats
    tested: NDArray[np.int64]
    gains: Floats
    noise: Floats
    guards: Floats
    misses: Floats

    @cached_property
    def known(self) -> NDArray[np.bool_]:
        """(R,) trials that have images of this side."""
        return np.isfinite(self.noise)

    def quantile(self, rows: int, confidence: float) -> float:
        """How many standard errors hold this share of the trials, each judged as a stranger."""
        return float(np.quantile(self.misses[_place(rows), self.known], confidence))


def _at(counted: NDArray[np.bool_], rates: Floats, classes: Floats) -> float:
    weights = np.where(counted, np.maximum(classes, 1e-9), 0.0)
    return float(weights @ rates / weights.sum())


@dataclass(frozen=True, eq=False)
class OperatingCalibration:
    """Both sides, by shifts (S, R, 8): the six of `class_mix.shifts`, of the share called positive, of the score."""

    shifts: Floats
    sensitivity: Side
    specificity: Side

    @property
    def sides(self) -> dict[str, Side]:
        """By the names of `SIDES`."""
        return {"sensitivity": self.sensitivity, "specificity": self.specificity}

    def guesses(self, mixed: Mixed, now: Look) -> dict[str, SideGuess]:
        """Of a window that looks like `now`, beside the images as they were at its mix of classes, for each side."""
        place, found = _place(now.rows), {}
        for name, side in self.sides.items():
            model, scale = self._regression(name, place)
            gain, error = model.predict(_shifts(mixed, now)[None] / scale, return_std=True)
            found[name] = SideGuess(
                value=min(max(_at(side.counted, side.rates, mixed.classes) + float(gain[0]), 0.0), 1.0),
                error=float(error[0]),
                rows=max(round(now.rows * float(mixed.classes[side.counted].sum())), 1),
                alarming=bool(-gain[0] >= side.guards[place]),
            )
        return found

    def _regression(self, name: str, place: int) -> tuple[Any, Floats]:
        if (name, place) not in self._fitted:
            side = self.sides[name]
            given, gains = self.shifts[place, side.known], side.gains[place, side.known]
            scale = scale_of(given)
            self._fitted[name, place] = regression(given / scale, gains, side.noise[side.known]), scale
        return self._fitted[name, place]

    @cached_property
    def _fitted(self) -> dict[tuple[str, int], tuple[Any, Floats]]:
        return {}

    def to_arrays(self) -> dict[str, NDArray[Any]]:
        """All of it, for `from_arrays`."""
        sides = {
            f"{name}.{part}": np.asarray(getattr(side, part))
            for name, side in self.sides.items()
            for part in _ARRAYS
        }
        return {"shifts": self.shifts, **sides}

    @classmethod
    def from_arrays(cls, arrays: dict[str, NDArray[Any]]) -> "OperatingCalibration":
        """Raises LookupError or ValueError when something is missing or does not fit."""
        found = cls(
            arrays["shifts"],
            *(Side(**{part: arrays[f"{name}.{part}"] for part in _ARRAYS}) for name in SIDES),
        )
        sizes, many = len(SIZES), found.shifts.shape[1]
        for side in found.sides.values():
            shapes = [each.shape for each in (side.gains, side.misses, side.noise, side.guards, side.tested)]
            fit = shapes == [(sizes, many), (sizes, many), (many,), (sizes,), (2,)]
            if not fit or side.counted.shape != side.rates.shape or side.known.sum() < _LEAST:
                raise ValueError("the parts of its operating point's calibration do not fit together")
            numbers = side.gains[:, side.known], side.misses[:, side.known], side.guards, side.rates
            if not (side.tested[1] > 0 and all(np.isfinite(each).all() for each in numbers)):
                raise ValueError("its operating point's calibration holds numbers that cannot be")
        if found.shifts.shape != (sizes, many, _SHIFTS) or not np.isfinite(found.shifts).all():
            raise ValueError("the shifts of its operating point's calibration do not fit")
        return found


def calibrated_sides(
    clean: Look,
    classes: ClassLooks,
    positive: NDArray[np.bool_],
    trials: Sequence[Trial],
    mixes: tuple[MixSpace, Floats],
    seed: int,
) -> OperatingCalibration | None:
    """From the trials, drawn anew by the seed. positive: (K,) which classes are. mixes: with `Calibration.mix_guards`.

    None where a side has no images, or too few trials with any.
    """
    held = classes.confusion.sum(axis=0)
    counted = dict(zip(SIDES, (positive, ~positive), strict=True))
    rates = dict(zip(SIDES, (classes.called, 1 - classes.called), strict=True))
    if any(held[of].sum() == 0 for of in counted.values()):
        return None
    rng = np.random.default_rng((seed, 5))
    shifted, kinds = [], []
    gains: dict[str, list[list[float]]] = {name: [] for name in SIDES}
    noise: dict[str, list[float]] = {name: [] for name in SIDES}
    for trial in trials:
        truths = {name: _truth(trial, name, of, rates[name], held) for name, of in counted.items()}
        for looks in windows_of(clean, trial, rng):
            found = [
                (now, classes.at_the_mix_of(clean, now, mixes[0], float(least)))
                for now, least in zip(looks, mixes[1], strict=True)
            ]
            kinds.append(trial.kind)
            shifted.append([_shifts(mixed, now) for now, mixed in found])
            for name, (truth, chance) in truths.items():
                noise[name].append(chance)
                gains[name].append(
                    [truth - _at(counted[name], rates[name], mixed.classes) for _, mixed in found]
                )
    by_size = np.array(shifted).transpose(1, 0, 2)
    sides = [
        _side(by_size, np.array(kinds), counted[name], rates[name], held, gains[name], noise[name])
        for name in SIDES
    ]
    return None if None in sides else OperatingCalibration(by_size, *(each for each in sides if each))


def _truth(
    trial: Trial, name: str, counted: NDArray[np.bool_], rates: Floats, held: NDArray[np.int64]
) -> tuple[float, float]:
    """The share of a trial's images of this side that are decided right, and its variance by chance."""
    rows = counted[trial.labels]
    if trial.weights is not None:
        rows &= trial.weights > 0
    m = int(rows.sum())
    if not m:
        return float("nan"), float("nan")
    after, before = (
        (each.called == (name == "sensitivity"))[rows].astype(np.float64)
        for each in (trial.changed, trial.same)
    )
    if trial.weights is not None:
        weights = trial.weights[rows] / trial.weights[rows].sum()
        return float(weights @ after), float(0.5 / m) / m
    change = after - before
    return _at(counted, rates, held / held.sum()) + float(change.mean()), float(change.var() + 0.5 / m) / m


def _side(
    shifted: Floats,
    kinds: NDArray[np.str_],
    counted: NDArray[np.bool_],
    rates: Floats,
    held: NDArray[np.int64],
    gains: list[list[float]],
    noise: list[float],
) -> Side | None:
    gained, chances = np.array(gains).T, np.array(noise)
    known = np.isfinite(chances)
    if known.sum() < _LEAST:
        return None
    misses, guards = np.full(gained.shape, np.nan), []
    for place, (given, of_size) in enumerate(zip(shifted, gained, strict=True)):
        found, errors = left_out(given[known], of_size[known], kinds[known], chances[known])
        guards.append(guard(found, of_size[known], kinds[known]))
        misses[place, known] = np.abs(found - of_size[known]) / np.sqrt(errors**2 + chances[known])
    right, tested = round(float((held * rates)[counted].sum())), int(held[counted].sum())
    # the trials are the reference's own images, so its sampling error is in none of them
    luck = NormalDist().inv_cdf(SUPPRESSED) * math.sqrt(chance_of(right, tested))
    return Side(
        counted,
        rates,
        np.array([right, tested], dtype=np.int64),
        gained,
        chances,
        np.hypot(guards, luck),
        misses,
    )


def _place(rows: int) -> int:
    return max(int(np.searchsorted(SIZES, rows, side="right")) - 1, 0)


def _shifts(mixed: Mixed, now: Look) -> Floats:
    return np.append(shifts(mixed.look, now), (now.called - mixed.look.called, now.score - mixed.look.score))
