"""What a manifest must hold, as it is configured."""

from dataclasses import dataclass
from typing import Any, ClassVar

__all__ = ["ManifestParams"]


@dataclass(frozen=True, kw_only=True)
class ManifestParams:
    """What a manifest must hold. In `params.yaml` under `validate`."""

    __pydantic_config__: ClassVar[dict[str, Any]] = {"extra": "forbid"}

    min_rows: int
    """Fewest images in all."""
    min_class_rows: int
    """Fewest images of each class in each split."""
    max_class_ratio: float
    """Largest class to smallest, in images over all splits, above which a warning is given."""

    def __post_init__(self) -> None:
        for name in ("min_rows", "min_class_rows"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} must be at least 1; it is {getattr(self, name)}")
        if self.max_class_ratio < 1:
            raise ValueError(f"max_class_ratio must be at least 1; it is {self.max_class_ratio}")
