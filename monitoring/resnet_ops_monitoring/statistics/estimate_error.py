"""How far the estimate of accuracy can be trusted for one version, found on its own accuracy calibration before it is
watched.

Windows of the usual sizes are drawn from each perturbation, so that what the regression learns includes the chance
in such windows. Then each kind of change is estimated by a regression that does not know it. How far that misses
is the estimate's error for changes that nobody thought of; how low it puts changes that cost nothing is the guard: an
estimated loss below it raises no alarm. Two more guards come from the same windows: how far harmless changes shift the
predicted classes, and how much changed images look like another mix of classes.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from resnet_ops_monitoring.statistics.class_mix import HALF, ClassLooks, Look, Mixed, MixSpace, shifts

__all__ = [
    "HARMLESS",
    "NOT_PERTURBED",
    "SIZES",
    "SUPPRESSED",
    "Calibration",
    "Guess",
    "Rows",
    "Trial",
    "calibrated",
    "guard",
    "left_out",
    "regression",
    "scale_of",
    "windows_of",
]

Floats = NDArray[np.float64]
HARMLESS = 0.01
"""Loss of accuracy up to which a change counts as harmless, as in docs/drift-measured.md."""
NOT_PERTURBED = ("as they are", "class gone", "other mix")
"""Kinds of trials whose images are as they were."""
SUPPRESSED = 0.9
"""Share of trials that a guard lies above: for that of the loss, of harmless ones, each of a kind unknown to the
regression."""
SIZES = (50, 100, 200, 500, 1000)
"""Rows of the windows that trials are drawn as."""
_DRAWS = 2
_LEAST = 10
"""Fewer trials than this set no guard of their own."""
_GUARDS = ("guards", "class_guards", "mix_guards")
_ARRAYS = {"moves": "shifts"} | {
    name: name for name in ("kinds", "sizes", "gains", "noise", *_GUARDS, "misses")
}
"""The arrays as references hold them, and the fields that they are."""


@dataclass(frozen=True, eq=False)
class Rows:
    """Numbers of some images: certain (n,) bool, confidence (n,), predicted (n,), embeddings (n, F); called (n,) bool
    and scores (n,) at the operating point, none of them called where there is none."""

    certain: NDArray[np.bool_]
    confidence: Floats
    predicted: NDArray[np.int64]
    embeddings: NDArray[np.float32]
    classes: int
    called: NDArray[np.bool_]
    scores: Floats

    def look(self, rows: NDArray[np.int64] | None = None) -> Look:
        """Of these rows, which may repeat; None: all."""
        chosen = np.arange(len(self.certain)) if rows is None else rows
        embeddings = self.embeddings[chosen].astype(np.float64)
        return Look(
            rows=len(chosen),
            certain=float(self.certain[chosen].mean()),
            confidence=float(self.confidence[chosen].mean()),
            shares=np.bincount(self.predicted[chosen], minlength=self.classes) / len(chosen),
            centre=embeddings.mean(axis=0),
            spread=float(embeddings.var(axis=0).sum()),
            called=float(self.called[chosen].mean()),
            score=float(self.scores[chosen].mean()),
        )


@dataclass(frozen=True, eq=False)
class Trial:
    """Images of one kind of change, and the same ones as they were, row by row.

    labels: (n,) places of their classes. right: (n,) whether the answers are, or scores; before: of the same images as
    they were.
    weights: (n,) of a draw of rows, for another mix of classes; None: all alike.
    """

    kind: str
    changed: Rows
    same: Rows
    labels: NDArray[np.int64]
    right: NDArray[np.bool_] | Floats
    before: NDArray[np.bool_] | Floats
    weights: Floats | None = None


@dataclass(frozen=True)
class Guess:
    """value: accuracy. gain: what changed images add to it (below 0: cost). error: the regression's, in accuracy."""

    value: float
    gain: float
    error: float


@dataclass(frozen=True, eq=False)
class Calibration:
    """kinds: (R,). sizes: (S,) rows of windows. shifts: (S, R, 6) of trials drawn as such windows, and what they gained
    beside the mix, gains: (S, R), of which noise: (R,) is the variance by chance. guards: (S,) estimated losses below
    which there is no alarm; class_guards: (S,) shifts of a predicted class's share above which they cannot hold back
    the alarm about it, 1 in accuracy calibrations of before they were kept; mix_guards: (S,) shares of the embeddings'
    shift (`MixSpace.share`) above which another mix of classes is behind it, -1 in such ones. misses: (S, R) errors in
    standard errors, each kind by a regression without it."""

    classes: ClassLooks
    kinds: tuple[str, ...]
    sizes: NDArray[np.int64]
    shifts: Floats
    gains: Floats
    noise: Floats
    guards: Floats
    class_guards: Floats
    mix_guards: Floats
    misses: Floats

    def mixed(self, clean: Look, now: Look, space: MixSpace) -> Mixed:
        """The images as they were, at the mix of classes of a window that looks like `now`."""
        return self.classes.at_the_mix_of(clean, now, space, float(self.mix_guards[self._place(now.rows)]))

    def guess(self, mixed: Mixed, now: Look) -> Guess:
        """The accuracy of a window that looks like `now`, beside the same images as they were."""
        place = self._place(now.rows)
        model, scale = self._regression(place)
        gain, error = model.predict(shifts(mixed.look, now)[None] / scale, return_std=True)
        value = min(max(mixed.accuracy + float(gain[0]), 0.0), 1.0)
        return Guess(value, float(gain[0]), float(error[0]))

    def guard(self, rows: int) -> float:
        """Estimated loss, in accuracy, from which on a change of images in a window of so many rows may alarm."""
        return float(self.guards[self._place(rows)])

    def classes_shifted(self, clean: Look, now: Look) -> bool:
        """Whether the predicted classes shifted farther than harmless perturbations shift them."""
        return bool(_class_shift(clean, now) > self.class_guards[self._place(now.rows)])

    def as_windows(self, kinds: NDArray[np.str_], rows: int) -> Floats | None:
        """(T, 6) shifts of the first T trials as a window of about so many rows shows them; None where these are not of
        the (T,) kinds."""
        if tuple(kinds.tolist()) != self.kinds[::_DRAWS][: len(kinds)]:
            return None
        return np.asarray(self.shifts[self._place(rows), ::_DRAWS][: len(kinds)], dtype=np.float64)

    def quantile(self, rows: int, confidence: float) -> float:
        """How many standard errors hold this share of the perturbations, each judged as a stranger."""
        return float(np.quantile(self.misses[self._place(rows)], confidence))

    def _place(self, rows: int) -> int:
        return max(int(np.searchsorted(self.sizes, rows, side="right")) - 1, 0)

    def _regression(self, place: int) -> tuple[Any, Floats]:
        if place not in self._fitted:
            given, scale = self.shifts[place], scale_of(self.shifts[place])
            self._fitted[place] = regression(given / scale, self.gains[place], self.noise), scale
        return self._fitted[place]

    @cached_property
    def _fitted(self) -> dict[int, tuple[Any, Floats]]:
        return {}

    def to_arrays(self) -> dict[str, NDArray[Any]]:
        """All of it, for `from_arrays`."""
        found = {name: np.asarray(getattr(self, field)) for name, field in _ARRAYS.items()}
        return {**found, **{f"classes.{name}": each for name, each in self.classes.to_arrays().items()}}

    @classmethod
    def from_arrays(cls, arrays: dict[str, NDArray[Any]]) -> "Calibration":
        """Raises LookupError or ValueError when something is missing or does not fit."""
        start = "classes."
        classes = {name.removeprefix(start): each for name, each in arrays.items() if name.startswith(start)}
        ones = np.ones(len(arrays["guards"]))
        whole = {"class_guards": ones, "mix_guards": -ones, **arrays}
        parts: dict[str, Any] = {field: whole[name] for name, field in _ARRAYS.items()}
        found = cls(
            classes=ClassLooks.from_arrays(classes),
            **{**parts, "kinds": tuple(parts["kinds"].tolist())},
        )
        sizes, many = len(found.sizes), len(found.kinds)
        names = ("shifts", "gains", "misses", "noise", *_GUARDS)
        fit = [(sizes, many, 6), (sizes, many), (sizes, many), (many,), *[(sizes,)] * len(_GUARDS)]
        if [getattr(found, name).shape for name in names] != fit or not sizes * many:
            raise ValueError("the parts of its accuracy calibration do not fit together")
        if not all(np.isfinite(getattr(found, name)).all() for name in _ARRAYS.values() if name != "kinds"):
            raise ValueError("its accuracy calibration holds numbers that cannot be")
        return found


def scale_of(given: Floats) -> Floats:
    """(6,) by which shifts are divided before they are compared."""
    return np.asarray(np.maximum(given.std(axis=0), 1e-3), dtype=np.float64)


def regression(given: Floats, gains: Floats, noise: Floats) -> Any:
    """scikit-learn's Gaussian process from (R, 6) scaled shifts to gains: what is proportional, what bends, and chance.

    The kernel's numbers are in accuracy, and in standard deviations of the shifts. Fitting them to each reference
    instead changed the error by less than half a point.
    """
    from sklearn.gaussian_process import GaussianProcessRegressor
    from sklearn.gaussian_process.kernels import RBF, ConstantKernel, DotProduct, WhiteKernel

    kernel = ConstantKernel(0.1**2) * DotProduct(0.3) + ConstantKernel(0.08**2) * RBF(1.0) + WhiteKernel(5e-5)
    return GaussianProcessRegressor(kernel, alpha=noise, optimizer=None).fit(given, gains)


def calibrated(
    clean: Look, classes: ClassLooks, trials: Iterable[Trial], space: MixSpace, seed: int
) -> Calibration:
    """From trials, of which windows of each size are drawn by the seed."""
    rng = np.random.default_rng((seed, 2))
    kinds: list[str] = []
    noise: list[float] = []
    truths: list[float] = []
    drawn: list[list[Look]] = []
    for trial in trials:
        truth, chance = _truth(trial, classes)
        for found in windows_of(clean, trial, rng):
            kinds.append(trial.kind)
            noise.append(chance)
            truths.append(truth)
            drawn.append(found)
    names, chances, by_size = np.array(kinds), np.array(noise), list(zip(*drawn, strict=True))
    mix_guards = [_mix_guard(clean, of_size, kinds, space) for of_size in by_size]
    shifted, gained = [], []
    for of_size, least in zip(by_size, mix_guards, strict=True):
        mixed = [classes.at_the_mix_of(clean, now, space, least) for now in of_size]
        shifted.append(np.array([shifts(each.look, now) for each, now in zip(mixed, of_size, strict=True)]))
        gained.append(np.array(truths) - [each.accuracy for each in mixed])
    moved = np.array([[_class_shift(clean, now) for now in of_size] for of_size in by_size])
    strange = [left_out(*each, names, chances) for each in zip(shifted, gained, strict=True)]
    sized = list(zip(strange, gained, strict=True))
    return Calibration(
        classes=classes,
        kinds=tuple(kinds),
        sizes=np.array(SIZES, dtype=np.int64),
        shifts=np.array(shifted),
        gains=np.array(gained),
        noise=chances,
        guards=np.array([guard(found, each, names) for (found, _), each in sized]),
        class_guards=np.array(
            [_class_guard(found, each, names) for found, each in zip(moved, gained, strict=True)]
        ),
        mix_guards=np.array(mix_guards),
        misses=np.array(
            [np.abs(found - each) / np.sqrt(error**2 + chances) for (found, error), each in sized]
        ),
    )


def _truth(trial: Trial, classes: ClassLooks) -> tuple[float, float]:
    """Accuracy under the trial's change, and the variance of what it costs by chance."""
    m, change = len(trial.right), trial.right.astype(np.float64) - trial.before
    truth = classes.accuracy + float(change.mean())
    if trial.weights is not None:
        truth = float(trial.weights @ trial.right)
    return truth, float(change.var() + 0.5 / m) / m


def windows_of(clean: Look, trial: Trial, rng: np.random.Generator) -> Iterator[list[Look]]:
    """The trial drawn as a window of each of `SIZES`, a few times over: how it looks, less what its images differ
    from all as they were.
    """
    same = trial.same.look()
    for _ in range(_DRAWS):
        found = []
        for size in SIZES:
            now = trial.changed.look(rng.choice(len(trial.right), size, p=trial.weights))
            if trial.weights is None:
                now = _paired(now, same, clean)
            found.append(now)
        yield found


def _paired(now: Look, same: Look, clean: Look) -> Look:
    shares = np.clip(now.shares - same.shares + clean.shares, 1e-9, None)
    return Look(
        rows=now.rows,
        certain=now.certain - same.certain + clean.certain,
        confidence=now.confidence - same.confidence + clean.confidence,
        shares=shares / shares.sum(),
        centre=now.centre - same.centre + clean.centre,
        spread=now.spread * clean.spread / max(same.spread, 1e-12),
        called=now.called - same.called + clean.called,
        score=now.score - same.score + clean.score,
    )


def left_out(given: Floats, gains: Floats, kinds: NDArray[np.str_], noise: Floats) -> tuple[Floats, Floats]:
    """(R,) gains and their errors, each kind by a regression that does not know it."""
    found, errors = np.empty(len(kinds)), np.empty(len(kinds))
    scale = scale_of(given)
    for kind in dict.fromkeys(kinds.tolist()):
        out = kinds == kind
        others = ~out if (~out).any() else out
        model = regression(given[others] / scale, gains[others], noise[others])
        found[out], errors[out] = model.predict(given[out] / scale, return_std=True)
    return found, errors


def guard(found: Floats, gains: Floats, kinds: NDArray[np.str_]) -> float:
    """Above `SUPPRESSED` of the estimated losses of harmless trials: of changed images, and of images as they were."""
    plain = np.isin(kinds, NOT_PERTURBED)
    harmless = gains >= -HARMLESS
    groups = [-found[harmless & part] for part in (plain, ~plain)]
    return max(
        HARMLESS,
        *(float(np.quantile(losses, SUPPRESSED)) for losses in groups if len(losses) >= _LEAST),
        0.0,
    )


def _class_guard(moved: Floats, gains: Floats, kinds: NDArray[np.str_]) -> float:
    """Above `SUPPRESSED` of the shifts of predicted classes by harmless changes of images; 1 where too few are."""
    harmless = (gains >= -HARMLESS) & ~np.isin(kinds, NOT_PERTURBED)
    return float(np.quantile(moved[harmless], SUPPRESSED)) if harmless.sum() >= _LEAST else 1.0


def _mix_guard(clean: Look, windows: Iterable[Look], kinds: list[str], space: MixSpace) -> float:
    """Above `SUPPRESSED` of the shares that another mix seems to have in far shifts by changed images; else half."""
    shares = [
        space.share(clean, now)
        for kind, now in zip(kinds, windows, strict=True)
        if kind not in NOT_PERTURBED and space.far(clean, now)
    ]
    return float(np.quantile(shares, SUPPRESSED)) if len(shares) >= _LEAST else HALF


def _class_shift(clean: Look, now: Look) -> float:
    """Of the share of the predicted class that shifted most."""
    return float(np.abs(now.shares - clean.shares).max())
