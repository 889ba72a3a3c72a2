"""How a member is trained: every value that shapes its weights."""

import math
from dataclasses import dataclass
from typing import Any, ClassVar, Literal

__all__ = ["Recipe"]


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """In `params.yaml` under `train`. Stochastic gradient descent with Nesterov momentum."""

    __pydantic_config__: ClassVar[dict[str, Any]] = {"extra": "forbid"}

    epochs: int
    """Passes over the training split."""
    batch_size: int
    """Images a step."""
    peak_lr: float
    """Highest learning rate of the schedule, per 256 images of batch (Goyal et al. 2017: linear scaling)."""
    momentum: float
    """Nesterov's, a fraction; 0 for plain descent."""
    weight_decay: float
    """Not applied to biases and normalisation."""
    schedule: Literal["one_cycle", "cosine"]
    """`one_cycle` rises linearly and falls to zero linearly (Smith & Topin 2017); `cosine` rises linearly, then
    falls as a half cosine (Loshchilov & Hutter 2016)."""
    warmup: float
    """Share of the steps in which the rate rises."""
    label_smoothing: float
    """Share of the target spread over all classes (Szegedy et al. 2015); more of it costs calibration."""
    crop_padding: int
    """Images are padded by so many pixels and cut at random; 0 for none."""
    flip: bool
    """Mirror half of the images left to right; false where left and right mean something, as in digits."""
    precision: Literal["fp32", "bf16"]
    """Of the forward pass; `bf16` is faster where the device knows it. Weights stay fp32."""
    threads: int
    """CPU threads; another count gives other bits."""
    device: Literal["cpu", "cuda"]
    """Where training runs; another kind gives other bits."""

    def __post_init__(self) -> None:
        positive = {"epochs": self.epochs, "batch_size": self.batch_size, "peak_lr": self.peak_lr}
        for name, value in {**positive, "threads": self.threads}.items():
            if not 0 < value < math.inf:
                raise ValueError(f"{name} is {value}, but must be above 0 and finite")
        fractions = {
            "momentum": self.momentum,
            "warmup": self.warmup,
            "label_smoothing": self.label_smoothing,
        }
        for name, value in fractions.items():
            if not 0 <= value < 1:
                raise ValueError(f"{name} is {value}, but must be at least 0 and below 1")
        for name, value in {"weight_decay": self.weight_decay, "crop_padding": self.crop_padding}.items():
            if not 0 <= value < math.inf:
                raise ValueError(f"{name} is {value}, but must be at least 0 and finite")
