"""What the guard leaves of the part of alpha that shifted probabilities have.

They alarm only where the estimated loss reaches the guard, too, which without drift it seldom does. How seldom is
counted among relabellings of the window's and the reference's rows, each of which is estimated as the window is. So
what the test of predicted classes may take is known for this very window, reference and level, and all tests together
still alarm in at most alpha of windows without drift.
"""

from dataclasses import dataclass

import numpy as np

from resnet_ops_monitoring.drift.accuracy_calibration import AccuracyCalibration, rows_of
from resnet_ops_monitoring.drift.reference import Reference
from resnet_ops_monitoring.statistics.class_mix import MixSpace
from resnet_ops_monitoring.statistics.reservoir import Reservoir
from resnet_ops_monitoring.statistics.summary import SummarySchema, WindowSummary
from resnet_ops_monitoring.statistics.two_sample import farthest_relabelled

__all__ = ["Guarded"]


@dataclass(frozen=True)
class Guarded:
    """What estimates the loss of a version's windows, where they are compared with what it was calibrated on."""

    schema: SummarySchema
    calibration: AccuracyCalibration
    space: MixSpace | None

    @classmethod
    def of(cls, reference: Reference, before: WindowSummary) -> "Guarded | None":
        """None where windows are compared with other rows: there an estimated loss has no such share.

        Nor is there any where classes are all that is predicted: changed images that cost nothing turn these over, and
        would alarm more often.
        """
        known, own = (
            reference.accuracy_calibration,
            before is reference.summary and reference.accepted is None,
        )
        if known is None or not own or not reference.schema.scalars:
            return None
        return cls(reference.schema, known, reference.mix_space)

    def spent(self, before: Reservoir, now: Reservoir, alpha: float, permutations: int, seed: int) -> float:
        """Share of relabellings in which probabilities, or scalars, alarm at alpha. now: the rows that are tested."""
        known = self.calibration.calibration
        if known is None or self.space is None:
            return alpha
        probabilities, embeddings, predicted = (
            np.concatenate([getattr(side, name) for side in (now, before)])
            for name in ("probabilities", "embedding", "predicted")
        )
        rows = rows_of(probabilities, embeddings, self.schema, predicted)
        far = farthest_relabelled(
            probabilities,
            len(now),
            int(alpha * (1 + permutations)),
            permutations,
            np.random.default_rng((seed, 6)),
            ranked=bool(self.schema.scalars),
        )
        alarms = 0
        for window in far:
            sides = (rows.look(np.flatnonzero(which)) for which in (~window, window))
            harm = self.calibration.harm_between(known, self.space, *sides)
            alarms += harm.guard is not None and not harm.below(harm.guard)
        return (1 + alarms) / (1 + permutations)
