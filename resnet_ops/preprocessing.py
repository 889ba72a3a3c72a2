"""How image files were read for a model, kept beside it: read otherwise, they are not what it was trained on."""

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

from resnet_ops.data.depth import Depth, noted_depth
from resnet_ops.data.params import ReadParams, WindowParams
from resnet_ops.errors import DataError
from resnet_ops.files import read_json, write_json

__all__ = ["NOTED_IN", "Preprocessing", "read_preprocessing", "save_preprocessing"]

NOTED_IN = "preprocessing.json"
"""The file beside the model."""


@dataclass(frozen=True, kw_only=True)
class Preprocessing:
    """What `DataParams` says of it; each as there."""

    image_size: int
    channels: Literal[1, 3]
    fit: Literal["crop", "pad"]
    background: int
    grey_bits: Literal["auto"] | int
    window: WindowParams | None
    depth: Depth = 8

    @classmethod
    def of(cls, params: ReadParams) -> "Preprocessing":
        """That of these settings."""
        return cls(**{name: getattr(params, name) for name in cls.__dataclass_fields__})


def save_preprocessing(preprocessing: Preprocessing, folder: Path) -> None:
    """Write it beside the model in `folder`."""
    noted = {name: value for name, value in asdict(preprocessing).items() if name != "depth"}
    write_json(folder / NOTED_IN, noted | noted_depth(preprocessing.depth))


def read_preprocessing(folder: Path) -> Preprocessing | None:
    """How files were read for the model in `folder`; None where nobody noted it. Raises DataError for other content."""
    path = folder / NOTED_IN
    if not path.is_file():
        return None
    try:
        content: dict[str, Any] = read_json(path)
        window = content.pop("window")
        found = Preprocessing(**content, window=window and WindowParams(**window))
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise DataError(
            f"{path} does not say how images are read ({error}). Publish the model again."
        ) from error
    whole = (found.image_size, found.background, 16 if found.grey_bits == "auto" else found.grey_bits)
    if (
        found.channels not in (1, 3)
        or found.fit not in ("crop", "pad")
        or found.depth not in (8, 16)
        or any(type(n) is not int for n in whole)
    ):
        raise DataError(f"{path} does not say how images are read. Publish the model again.")
    return found
