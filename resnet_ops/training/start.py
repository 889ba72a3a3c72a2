"""Which weights a training starts from, and how they may move."""

import math
import re
from dataclasses import dataclass

from resnet_ops.params import Settings

__all__ = ["REGISTERED", "Start"]

REGISTERED = re.compile(r"models:/[^/@]+/\d+")
"""A version in the registry; an alias would move."""


@dataclass(frozen=True, kw_only=True)
class Start(Settings):
    """In `params.yaml` under a recipe's `start`; null there for fresh weights.

    Parts are named as in the network's `stage_features`: stem, stage1, stage2 ..., and `head`.
    """

    source: str
    """`file:PATH` of a safetensors file or of a saved model's folder, `torchvision:ResNet18_Weights.IMAGENET1K_V1` or
    another name that torchvision has, or a registered version as `models:/NAME/3`."""
    sha256: str | None
    """64 hexadecimal digits, of that file; of a saved model what its version shows as `resnet_ops.weights_digest`.
    Where it is null or another, training stops and says what was found: nobody trains from other weights unawares."""
    frozen: dict[str, int]
    """Epochs that each named part stays as it is, statistics of normalisation included; as many as the recipe has, or
    more, for good. Without the head."""
    rates: dict[str, float]
    """What the learning rate is multiplied by in each named part; 1 where a part is not named."""

    def __post_init__(self) -> None:
        kind, _, place = self.source.partition(":")
        if not place or not (kind in ("file", "torchvision") or REGISTERED.fullmatch(self.source)):
            raise ValueError(
                f"source is {self.source!r}, but must be file:PATH, torchvision:NAME or models:/NAME/VERSION"
            )
        if self.sha256 is not None and not re.fullmatch("[0-9a-f]{64}", self.sha256):
            raise ValueError(
                f"sha256 is {self.sha256!r}, but must be 64 hexadecimal digits, or null to be told"
            )
        if "head" in self.frozen:
            raise ValueError("frozen names head, but a head that stays as it is learns nothing")
        if any(epochs < 1 for epochs in self.frozen.values()):
            raise ValueError(f"frozen is {self.frozen}, but must give each part at least 1 epoch")
        if not all(0 < factor < math.inf for factor in self.rates.values()):
            raise ValueError(f"rates are {self.rates}, but must be above 0 and finite; use frozen for 0")
