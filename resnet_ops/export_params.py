"""Which formats a model is exported to, and how equal they must be."""

from dataclasses import dataclass
from typing import Any, ClassVar, Literal

__all__ = ["ExportParams"]


@dataclass(frozen=True, kw_only=True)
class ExportParams:
    """In `params.yaml` under `export`."""

    __pydantic_config__: ClassVar[dict[str, Any]] = {"extra": "forbid"}

    formats: tuple[Literal["pt2"], ...]
    """`pt2` is torch.export's program; it takes uint8 images (N, H, W, C) and gives logits (N, K)."""
    max_logit_difference: float
    """Largest difference from the original's logits, over all test images, that an export may have."""
    min_equal_predictions: float
    """Share of test images on which original and export must agree."""

    def __post_init__(self) -> None:
        if not self.max_logit_difference >= 0 or not 0 < self.min_equal_predictions <= 1:
            raise ValueError(
                "max_logit_difference must not be negative, min_equal_predictions within 0 and 1"
            )
