"""Weights that a training starts from, read from where `Start` says and known by their digest."""

import hashlib
import pickle
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlparse

import torch
from safetensors import SafetensorError
from safetensors.torch import load
from torch import Tensor

from resnet_ops.errors import ConfigError, DataError, ServiceError
from resnet_ops.files import file_digest
from resnet_ops.model import load_model
from resnet_ops.model_files import model_digest
from resnet_ops.training.start import Start

__all__ = ["Moments", "StartingWeights", "read_starting_weights"]

Moments = tuple[tuple[float, ...], tuple[float, ...]]
"""Mean and deviation of each channel, of values in [0, 1]."""
PICKLED = (b"PK\x03\x04", b"\x80")
"""How a pickle starts, packed as torch does or not."""


@dataclass(frozen=True)
class StartingWeights:
    """Tensors by name, and what is known of the model that they are from."""

    state: dict[str, Tensor]
    classes: tuple[str, ...] | None
    """In the order of the head's outputs; None where the source does not say."""
    moments: Moments | None
    """What its input was normalised with; None where the source does not say."""


def read_starting_weights(start: Start) -> StartingWeights:
    """The weights that `start` names.

    Raises ConfigError when their digest is not the one asked for, they are a pickle or torchvision has no such
    weights; DataError when the file is missing or damaged; ServiceError when torchvision's cannot be downloaded.
    """
    kind, _, place = start.source.partition(":")
    match kind:
        case "torchvision":
            return _read_torchvision(place, start)
        case "file":
            path = Path(place)
            return _read_model(path, start) if path.is_dir() else _read_safetensors(path, start)
        case _:
            raise ConfigError(
                f"start.source is {start.source}, a version in a registry. The pipeline fetches and verifies it; "
                "without the pipeline, save the model into a folder and name that, as file:FOLDER."
            )


def _require(found: str, start: Start) -> None:
    if start.sha256 is None:
        raise ConfigError(
            f"start.sha256 is null, but weights must be known by their digest. Those of {start.source} have {found}: "
            "if they are the ones you mean, write that into the recipe in params.yaml."
        )
    if found != start.sha256:
        raise ConfigError(
            f"{start.source} holds other weights than the recipe asks for: their sha256 is {found}, start.sha256 in "
            f"params.yaml is {start.sha256}. Restore the weights, or write the new digest there."
        )


def _read_model(folder: Path, start: Start) -> StartingWeights:
    _require(model_digest(folder), start)
    model = load_model(folder)
    return StartingWeights(model.network.state_dict(), model.classes, (model.mean, model.std))


def _read_safetensors(path: Path, start: Start) -> StartingWeights:
    try:
        content = path.read_bytes()
    except OSError as error:
        raise DataError(
            f"The weights {path} cannot be read: {error.strerror}. Correct start.source in params.yaml."
        ) from error
    if content.startswith(PICKLED):
        raise ConfigError(
            f"{path} is a pickle, which can run code when it is read. Where you trust it, convert it once:\n"
            f"  python -c \"import torch; from safetensors.torch import save_file; save_file(torch.load('{path}', "
            f"weights_only=True), '{path.with_suffix('.safetensors')}')\""
        )
    _require(hashlib.sha256(content).hexdigest(), start)
    try:
        return StartingWeights(load(content), None, None)
    except SafetensorError as error:
        raise DataError(f"{path} is not a safetensors file ({error}). Fetch it again.") from error


def _read_torchvision(name: str, start: Start) -> StartingWeights:
    from torchvision.models import get_weight

    try:
        weights = get_weight(name)
    except (AttributeError, KeyError, ValueError) as error:
        raise ConfigError(
            f"torchvision has no weights {name}. Write start.source in params.yaml as in "
            "torchvision:ResNet18_Weights.IMAGENET1K_V1"
        ) from error
    if "categories" not in weights.meta:
        raise ConfigError(
            f"torchvision's {name} are not weights of a classifier. Correct start.source in params.yaml."
        )
    path = Path(torch.hub.get_dir()) / "checkpoints" / Path(urlparse(weights.url).path).name
    if not path.exists():
        _download(weights.url, path)
    _require(file_digest(path), start)
    try:
        state = torch.load(path, map_location="cpu", weights_only=True)
    except (pickle.UnpicklingError, RuntimeError, EOFError) as error:
        raise DataError(
            f"{path} holds no weights ({error}). Delete it and run the same command again."
        ) from error
    transforms = weights.transforms()
    moments = tuple(transforms.mean), tuple(transforms.std)
    return StartingWeights(state, tuple(weights.meta["categories"]), moments)


def _download(url: str, path: Path) -> None:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        torch.hub.download_url_to_file(url, str(path), progress=False)
    except OSError as error:
        raise ServiceError(
            f"{url} cannot be downloaded ({error}). On a machine with a network: curl -O {url}; then put the file to "
            f"{path} here, and run the same command again."
        ) from error
