"""The tests of a window: summary against summary, one finding each."""

import math
from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import cached_property
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from resnet_ops_monitoring.drift.accuracy_calibration import AccuracyCalibration, Harm, look_of_summary
from resnet_ops_monitoring.drift.unspent import Guarded
from resnet_ops_monitoring.drift.verdict import Finding, Signal
from resnet_ops_monitoring.inference_log.frames import STATISTICS
from resnet_ops_monitoring.settings.drift import ALARM_SHARES, DriftParams
from resnet_ops_monitoring.statistics.class_mix import shifts
from resnet_ops_monitoring.statistics.summary import WindowSummary
from resnet_ops_monitoring.statistics.two_sample import (
    Whitening,
    centre_shift,
    class_shift,
    copies,
    copies_shift,
    kolmogorov_smirnov_counts,
    number_shifts,
    probability_shift,
)

__all__ = ["Comparison"]

Drawn = TypeVar("Drawn", np.float32, np.int64)
_COPIES = 0.02
"""Least share of a window's rows that are copies and may alarm: a request that is sent twice is no frozen camera."""


@dataclass(frozen=True)
class Comparison:
    """Two summaries of one schema, and how they are compared.

    alpha: for all that may alarm, together. harm: what the change costs; None where nothing was calibrated. scalars: as
    in `SummarySchema`; they have the probabilities' part of alpha. guarded: where the window is compared with what the
    version was calibrated on.
    """

    before: WindowSummary
    now: WindowSummary
    classes: tuple[str, ...]
    params: DriftParams
    alpha: float
    harm: Harm | None = None
    scalars: tuple[str, ...] = ()
    guarded: Guarded | None = None

    def findings(self) -> tuple[Finding, ...]:
        """All tests: what may alarm first, then image statistics, which are information.

        Embeddings see every change of the images, also those that hurt nobody. So they alarm only where the estimated
        loss reaches the guard, and where it does not, shifted probabilities are no alarm either; nor are shifted
        classes where the embeddings shifted too, unless another mix of classes is what shifted the embeddings, or the
        classes shifted farther than changes that cost nothing shift them. What the guard leaves of the probabilities'
        part of alpha is the classes' (`unspent`).
        """
        rng = np.random.default_rng(self.params.seed)
        softmax, classes, embeddings, repeated = (
            self.alpha * ALARM_SHARES[signal] for signal in ("softmax", "classes", "embeddings", "copies")
        )
        images = self._embeddings(embeddings, rng)
        suppressed = self._suppressed(images)
        return (
            *self._unusable(),
            *self._copies(repeated),
            self._softmax(softmax, rng, suppressed),
            self._with_unspent(self._classes(classes, rng), softmax, images, suppressed),
            images,
            *self._image(),
        )

    def of_source(self) -> tuple[Finding, ...]:
        """The tests for one source of several: probabilities and predicted classes, each at half of alpha.

        Where the estimated loss does not reach the guard, they alarm as little as those of the whole window.
        """
        rng = np.random.default_rng(self.params.seed)
        if self.harm is None or self.harm.guard is None:
            return self._softmax(self.alpha / 2, rng), self._classes(self.alpha / 2, rng)
        images = self._embeddings(self.alpha / 10, rng)
        suppressed = self._suppressed(images)
        changed = suppressed and self._by_harmless_images(images, self.alpha / 2)
        return self._softmax(self.alpha / 2, rng, suppressed), self._classes(self.alpha / 2, rng, changed)

    def _suppressed(self, images: Finding) -> bool:
        """Whether the model does about as well, by the estimate; without a guard only where the embeddings shifted."""
        if self.harm is None:
            return False
        if self.harm.guard is None:
            return (images.fired or images.suppressed) and self.harm.loss < 0
        return self.harm.below(self.harm.guard)

    def _by_harmless_images(self, images: Finding, alpha: float) -> bool:
        """Whether shifted classes are what changed images do that cost nothing: no farther than such changes do."""
        return self.harm is not None and not self.harm.classes_shifted and self._by_images(images, alpha)

    def _by_images(self, images: Finding, alpha: float) -> bool:
        """Whether changed images shifted the classes: the embeddings shifted, by a test at this level, and no other mix
        of classes is behind it."""
        known = self.harm is not None and self.harm.guard is not None and not self.harm.mixed
        return (
            known and images.p_value is not None and images.p_value <= alpha and images.effect >= images.floor
        )

    def _with_unspent(self, found: Finding, more: float, images: Finding, suppressed: bool) -> Finding:
        """The test of predicted classes at its own level; and, where that decides, with what is unspent of this much
        more. That is not for changed images of which the estimate says that they cost nothing."""
        own, p_value = found.threshold or 0.0, found.p_value or 0.0
        harmless, level = suppressed and self._by_harmless_images(images, own), own
        if self.guarded is not None and own < p_value <= own + more:
            harmless = suppressed and self._by_images(images, own + more)
            sides = self.before.reservoir, self.now.reservoir.first(self.params.test_rows)
            spent = self.guarded.spent(*sides, more, self._permutations(more), self.params.seed)
            level += max(more - spent, 0.0)
        fired = p_value <= level and found.effect >= found.floor and not harmless
        return replace(found, threshold=level, fired=fired)

    def _copies(self, alpha: float) -> Iterator[Finding]:
        before, now = (side.reservoir.embedding for side in (self.before, self.now))
        known, found = copies(before), copies(now)
        if found:
            share, p_value = found / len(now), copies_shift(known, len(before), found, len(now))
            yield Finding(
                signal="copies",
                column="embedding",
                method="rows that repeat another, binomial",
                statistic=float(found),
                p_value=p_value,
                threshold=alpha,
                effect=share,
                floor=_COPIES,
                reference=known / len(before),
                window=share,
                fired=p_value <= alpha and share >= _COPIES,
            )

    def _unusable(self) -> Iterator[Finding]:
        if self.now.unusable:
            share, most = self.now.unusable / self.now.rows, self.params.max_unusable
            yield Finding(
                signal="unusable",
                column="rows",
                method="share of rows that are not finite",
                statistic=share,
                p_value=None,
                threshold=None,
                effect=share,
                floor=most,
                reference=0.0,
                window=share,
                fired=share > most,
            )

    def _softmax(self, alpha: float, rng: np.random.Generator, suppressed: bool = False) -> Finding:
        before, now = self.before.reservoir.probabilities, self._drawn(self.now.reservoir.probabilities)
        floor, permutations = self.params.softmax_effect, self._permutations(alpha)
        means = before.mean(axis=0, dtype=float), now.mean(axis=0, dtype=float)
        signal: Signal = "scalars" if self.scalars else "softmax"
        if self.scalars:
            statistic, p_value, deltas = number_shifts(before, now, permutations, rng)
            most = int(np.abs(deltas).argmax())
            shift = float(np.abs(deltas[most]))
        else:
            statistic, p_value, shift = probability_shift(before, now, permutations, rng)
            most = int(np.abs(means[1] - means[0]).argmax())
        return Finding(
            signal=signal,
            column=(self.scalars or self.classes)[most],
            method="MMD of ranks, permutations" if self.scalars else "MMD, permutations",
            statistic=statistic,
            p_value=p_value,
            threshold=alpha,
            effect=shift,
            floor=floor,
            reference=float(means[0][most]),
            window=float(means[1][most]),
            fired=p_value <= alpha and shift >= floor and not suppressed,
        )

    def _image(self) -> Iterator[Finding]:
        threshold = self.params.alpha / len(STATISTICS)
        for k, name in enumerate(STATISTICS):
            if min(int(side.counts[k].sum()) for side in (self.before, self.now)) >= self.params.min_rows:
                yield self._column(k, "image", name, threshold, self.params.image_effect)

    def _column(self, place: int, signal: Signal, column: str, threshold: float, floor: float) -> Finding:
        before, now = self.before, self.now
        distance, p_value = kolmogorov_smirnov_counts(
            before.counts[place], now.counts[place], before.worth, now.worth
        )
        return Finding(
            signal=signal,
            column=column,
            method="Kolmogorov-Smirnov",
            statistic=distance,
            p_value=p_value,
            threshold=threshold,
            effect=distance,
            floor=floor,
            reference=self.before.mean(place),
            window=self.now.mean(place),
            fired=p_value <= threshold and distance >= floor,
        )

    def _classes(self, alpha: float, rng: np.random.Generator, suppressed: bool = False) -> Finding:
        before, now = (
            np.bincount(rows, minlength=len(self.classes))
            for rows in (self.before.reservoir.predicted, self._drawn(self.now.reservoir.predicted))
        )
        floor = self.params.classes_effect
        statistic, p_value, shift = class_shift(before, now, self._permutations(alpha), rng)
        shares = before / before.sum(), now / now.sum()
        most = int(np.abs(shares[1] - shares[0]).argmax())
        return Finding(
            signal="classes",
            column=self.classes[most],
            method="largest class deviance, permutations",
            statistic=statistic,
            p_value=p_value,
            threshold=alpha,
            effect=shift,
            floor=floor,
            reference=float(shares[0][most]),
            window=float(shares[1][most]),
            fired=p_value <= alpha and shift >= floor and not suppressed,
        )

    def _embeddings(self, alpha: float, rng: np.random.Generator) -> Finding:
        known = self.before.reservoir.embedding
        known, now = known[len(known) // 2 :], self._drawn(self.now.reservoir.embedding)
        floor, permutations = self.params.embeddings_effect, self._permutations(alpha)
        statistic, p_value, effect = centre_shift(known, now, self._metric, permutations, rng)
        shifted = p_value <= alpha and effect >= floor
        return Finding(
            signal="embeddings",
            column="embedding",
            method="Mahalanobis distance of the means, permutations",
            statistic=statistic,
            p_value=p_value,
            threshold=alpha,
            effect=effect,
            floor=floor,
            reference=None,
            window=None,
            fired=shifted and not self._harmless,
        )

    @cached_property
    def _metric(self) -> Whitening:
        """By the half of the known rows that is not compared."""
        known = self.before.reservoir.embedding
        return Whitening.of(known[: len(known) // 2])

    def likely_reason(self, accuracy_calibration: AccuracyCalibration) -> str | None:
        """The perturbation that shifts embeddings most as this window's shifted; None where none may be named."""
        if self.harm is not None and self.harm.mixed:
            return None
        before, now = (look_of_summary(side, self.scalars) for side in (self.before, self.now))
        metric = Whitening.of(self.before.reservoir.embedding)
        return accuracy_calibration.most_alike(
            now.centre - before.centre, shifts(before, now), now.rows, metric
        )

    @property
    def _harmless(self) -> bool:
        """Whether the estimated loss is less than what may alarm."""
        if self.harm is None:
            return False
        guard = self.params.embeddings_loss if self.harm.guard is None else self.harm.guard
        return self.harm.below(guard)

    def _drawn(self, rows: NDArray[Drawn]) -> NDArray[Drawn]:
        """The rows that are tested: the first of a reservoir are a draw from it."""
        return rows[: self.params.test_rows]

    def _permutations(self, alpha: float) -> int:
        """As many as set, or more where the smallest p value could not reach alpha."""
        return max(self.params.permutations, math.ceil(2 / alpha))
