"""How a recipe makes up for classes that have few images."""

import math
from dataclasses import dataclass
from typing import Literal, get_args

from resnet_ops.params import Settings

__all__ = ["Imbalance", "Sampling", "Weights"]

Weights = Literal["none", "balanced", "effective"]
Sampling = Literal["natural", "balanced", "square_root"]


@dataclass(frozen=True, kw_only=True)
class Imbalance(Settings):
    """In `params.yaml` under a recipe's `imbalance`; null there, or no such key, for none.

    `weights` and `logit_adjustment` make up for how often classes are drawn, so for what `sampling` has left to do.
    """

    weights: Weights
    """What an image's loss is multiplied by; the mean over an epoch is 1. `balanced` is n / (k n_c) for k classes (King
    & Zeng 2001, as in scikit-learn). `effective` is inverse to a class's effective number of images (Cui et al. 2019,
    arXiv:1901.05555) with beta = 1 - k / n: a class above the average size hardly gains by more images."""
    sampling: Sampling
    """How often a class is drawn. `natural` takes each image once an epoch. The others draw as many images with
    replacement, `balanced` from each class equally often, `square_root` by the root of its size (Mahajan et al. 2018,
    arXiv:1805.00932)."""
    focal: float
    """Gamma of Lin et al. 2017 (arXiv:1708.02002), by which images that are already right count less; 2 there, 0 for
    none."""
    logit_adjustment: float
    """Tau of Menon et al. 2021 (arXiv:2007.07314): tau times the logarithm of a class's share is added to its logit in
    the training loss only. 1 there, for equal errors in all classes; 0 for none."""

    def __post_init__(self) -> None:
        for name, known in {"weights": get_args(Weights), "sampling": get_args(Sampling)}.items():
            if getattr(self, name) not in known:
                raise ValueError(f"{name} is {getattr(self, name)!r}, but must be {', '.join(known)}")
        for name in ("focal", "logit_adjustment"):
            if not 0 <= getattr(self, name) < math.inf:
                raise ValueError(f"{name} is {getattr(self, name)}, but must be at least 0 and finite")
        if self.weights != "none" and self.logit_adjustment:
            raise ValueError(
                f"weights is {self.weights}, but logit_adjustment is {self.logit_adjustment:g}: both make up for the "
                "same, so rare classes would be preferred twice. Set weights to none or logit_adjustment to 0"
            )
        if self.sampling == "balanced" and (self.weights != "none" or self.logit_adjustment):
            rest = "logit_adjustment to 0" if self.logit_adjustment else "weights to none"
            raise ValueError(
                "sampling is balanced, which draws all classes equally often and leaves nothing to make up for. "
                f"Set {rest}, or sampling to natural or square_root"
            )
