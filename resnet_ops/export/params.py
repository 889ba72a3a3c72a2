"""Which formats a model is exported to, and how equal each must be to the original."""

from dataclasses import dataclass
from typing import Literal

from resnet_ops.params import Settings

__all__ = ["Deployment", "ExportParams", "Format", "Quantisation", "Tolerance", "TooFewImages"]

Format = Literal["pt2", "onnx", "int8"]
"""`pt2`: torch.export's program. `onnx`: ONNX, fp32. `int8`: ONNX, weights and activations of 8 bits."""

TooFewImages = Literal["estimate", "refuse"]
"""What holds where the test images are too few to show that little accuracy is lost."""


@dataclass(frozen=True, kw_only=True)
class Tolerance(Settings):
    """How far an export may be from the original, over all test images. Under `export.formats.<format>`."""

    max_logit_difference: float
    """Largest difference in any logit."""
    min_equal_predictions: float
    """Share of images on which both predict the same class."""
    max_accuracy_loss: float
    """How much top-1 may fall, a fraction: 0.005 is half a point. It must be shown: the interval of the loss must end
    there. 0: it must not fall on the test images; that is counted, for no number of images shows a loss of nothing."""

    def __post_init__(self) -> None:
        if not self.max_logit_difference >= 0 or not 0 < self.min_equal_predictions <= 1:
            raise ValueError(
                "max_logit_difference must not be negative, min_equal_predictions within 0 and 1"
            )
        if not 0 <= self.max_accuracy_loss < 1:
            raise ValueError(f"max_accuracy_loss is {self.max_accuracy_loss}, but must be within 0 and 1")


@dataclass(frozen=True, kw_only=True)
class Quantisation(Settings):
    """How `int8` is calibrated. Under `export.quantisation`."""

    calibration: Literal["minmax", "percentile"]
    """The range of each activation: all that was seen, or all but the outermost 0.001 %."""
    images: int
    """Validation images that are looked at, the first ones, at most."""
    reduce_range: bool
    """Weights of 7 bits, so that the file predicts the same on x86 processors without VNNI: their 16-bit sums overflow
    with 8."""

    def __post_init__(self) -> None:
        if self.images < 1:
            raise ValueError(f"images is {self.images}, but must be at least 1")


@dataclass(frozen=True, kw_only=True)
class ExportParams(Settings):
    """In `params.yaml` under `export`."""

    formats: dict[Format, Tolerance]
    """Which formats are made, and how equal each must be. All take images (N, H, W, C), uint8 or uint16."""
    too_few_images: TooFewImages
    """Where the test images are too few to show that a loss is within `max_accuracy_loss`: `estimate` judges by the
    loss on them, and says that it is not shown; `refuse` refuses the format."""
    quantisation: Quantisation
    """How `int8` is calibrated."""


@dataclass(frozen=True, kw_only=True)
class Deployment(Settings):
    """An export that is evaluated, measured and registered as itself. In `params.yaml` under `deployments`."""

    member: str
    """Which member of the family."""
    format: Literal["onnx", "int8"]
    """Which of its exports; `pt2` is none, because loading it reads a pickle."""
