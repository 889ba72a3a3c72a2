"""What a manifest must hold, as it is configured."""

from dataclasses import dataclass
from typing import Annotated

from pydantic import Field, PositiveInt

from resnet_ops.params import Settings

__all__ = ["ManifestParams"]


@dataclass(frozen=True, kw_only=True)
class ManifestParams(Settings):
    """What a manifest must hold. In `params.yaml` under `validate`."""

    min_rows: PositiveInt
    """Fewest images in all."""
    min_class_rows: PositiveInt
    """Fewest images of each class in each split."""
    max_class_ratio: Annotated[float, Field(ge=1)]
    """Largest class to smallest, in images over all splits, above which a warning is given."""
