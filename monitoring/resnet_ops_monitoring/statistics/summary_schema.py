"""How the rows of a version are summarised."""

import hashlib
from dataclasses import asdict, dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from resnet_ops.evaluation.operating_point import OperatingPoint
from resnet_ops.files import canonical_json
from resnet_ops_monitoring.inference_log.identity import ModelIdentity

__all__ = ["SummarySchema"]


@dataclass(frozen=True, eq=False)
class SummarySchema:
    """How rows are summarised; the reference says it. Summaries of one schema can be added and compared.

    classes: what an image can be predicted as. edges: (C, 255) of the columns of `bins.column_names`. features: numbers
    in an embedding. threshold: of `accuracy.certainty`, at or above which a row counts as right (average thresholded
    confidence). rows: size of the reservoir; seed: of its hash priorities. operating: where the version decides, where
    it has such a point. scalars: names of a row's numbers, where these are no probabilities of its classes.
    score_threshold: the score from which boxes were counted into these numbers, where the task has boxes.
    """

    identity: ModelIdentity
    classes: tuple[str, ...]
    edges: NDArray[np.float64]
    features: int
    threshold: float
    rows: int
    seed: int
    operating: OperatingPoint | None = None
    scalars: tuple[str, ...] = ()
    score_threshold: float | None = None

    @property
    def numbers(self) -> int:
        """How many a row has in the place of probabilities."""
        return len(self.scalars or self.classes)

    @cached_property
    def digest(self) -> str:
        """sha256 of all of it."""
        about = [
            asdict(self.identity),
            self.classes,
            self.features,
            repr(self.threshold),
            self.rows,
            self.seed,
            *([] if self.operating is None else [self.operating.positive, repr(self.operating.threshold)]),
            *([list(self.scalars)] if self.scalars else []),
            *([] if self.score_threshold is None else [f"score {self.score_threshold!r}"]),
        ]
        return hashlib.sha256(canonical_json(about) + self.edges.astype("<f8").tobytes()).hexdigest()
