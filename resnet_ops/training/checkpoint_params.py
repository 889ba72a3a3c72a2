"""How often a training in progress is written down."""

import math
from dataclasses import dataclass

from resnet_ops.params import Settings

__all__ = ["CheckpointParams"]


@dataclass(frozen=True, kw_only=True)
class CheckpointParams(Settings):
    """In `params.yaml` under `checkpoint`. Shapes no result: a killed training ends with the same bits."""

    every_seconds: float
    """Training time that a kill costs at most; 0 writes after every step."""

    def __post_init__(self) -> None:
        if not 0 <= self.every_seconds < math.inf:
            raise ValueError(f"every_seconds is {self.every_seconds}, but must be at least 0 and finite")
