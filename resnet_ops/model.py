"""A trained model: two files that say everything, and what it predicts.

The folder holds `weights.safetensors` and `member.json`; a training notes beside them which images the model has seen.
No pickle is ever read.
"""

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save
from torch import Tensor, nn

from resnet_ops.data.depth import Depth, dtype_of, noted_depth, white_of
from resnet_ops.errors import ConfigError, DataError
from resnet_ops.families.any_member import AnyMember, member_from_json
from resnet_ops.families.build import Network
from resnet_ops.files import read_json, write_bytes, write_json
from resnet_ops.model_files import DESCRIPTION, WEIGHTS
from resnet_ops.predictions import Predictions, check_images
from resnet_ops.tasks.heads.head import head_of
from resnet_ops.tasks.task import CLASSIFICATION, Task, images_at_once, noted_task, task_from_json

__all__ = ["ImageClassifier", "TrainedModel", "load_model", "save_model"]


class ImageClassifier(nn.Module):
    """A network together with the normalisation of its input, as it is deployed.

    `forward` takes images (N, H, W, C), uint8 or uint16, and perhaps what they show, and gives logits (N, K, ...), or
    what else the task's network gives.
    """

    mean: Tensor
    std: Tensor

    def __init__(self, network: Network, mean: tuple[float, ...], std: tuple[float, ...]) -> None:
        super().__init__()
        self.network = network
        self.register_buffer("mean", torch.tensor(mean).view(-1, 1, 1), persistent=False)
        self.register_buffer("std", torch.tensor(std).view(-1, 1, 1), persistent=False)

    def normalise(self, images: Tensor) -> Tensor:
        """(N, H, W, C) -> (N, C, H, W) floats with the training split's mean and deviation taken out."""
        white = white_of(16 if images.dtype == torch.uint16 else 8)
        return (images.permute(0, 3, 1, 2).float() / white - self.mean) / self.std

    def forward(self, images: Tensor, *shown: Any) -> Tensor:
        return self.network(self.normalise(images), *shown)  # type: ignore[no-any-return]


@dataclass(frozen=True)
class TrainedModel:
    """A network in evaluation mode and all that is needed to use it."""

    network: Network
    name: str
    """The member's name, such as `resnet20`."""
    member: AnyMember
    classes: tuple[str, ...]
    image_size: int
    """Side of the square input in pixels."""
    channels: int
    mean: tuple[float, ...]
    """Mean of each channel over the training split, of values in [0, 1]."""
    std: tuple[float, ...]
    task: Task = CLASSIFICATION
    """What it answers with."""
    depth: Depth = 8
    """Bits of a value of the input."""

    def classifier(self) -> ImageClassifier:
        """The deployable module, in evaluation mode."""
        return ImageClassifier(self.network, self.mean, self.std).eval()

    def predict(self, images: np.ndarray, batch_size: int = 256) -> Predictions:
        """Predict images (N, H, W, C) of the model's size and depth, where its network is.

        Raises DataError when they do not fit.
        """
        check_images(self, images)
        device, head = next(self.network.parameters()).device, head_of(self.task)
        batch_size = images_at_once(self.task, self.image_size, batch_size)
        classifier = self.classifier().to(device)
        embeddings, answers = [], []
        empty = np.zeros((1, *images.shape[1:]), dtype_of(self.depth))
        shown = images if len(images) else empty  # for the shapes
        with torch.inference_mode():
            for start in range(0, len(shown), batch_size):
                batch = torch.from_numpy(shown[start : start + batch_size].copy()).to(device)
                answered, features = head.answer(self.network, classifier.normalise(batch))
                embeddings.append(features.float().cpu())
                answers.append(answered.float().cpu())
        return head.predictions(torch.cat(answers)[: len(images)], torch.cat(embeddings)[: len(images)])


def save_model(model: TrainedModel, folder: Path) -> None:
    """Write the model's two files, each atomically; equal models give equal bytes."""
    state = {name: tensor.detach().cpu().contiguous() for name, tensor in model.network.state_dict().items()}
    write_bytes(folder / WEIGHTS, save(state))
    fields = ("name", "classes", "image_size", "channels", "mean", "std")
    description = {field: getattr(model, field) for field in fields}
    write_json(
        folder / DESCRIPTION,
        {
            **description,
            "member": asdict(model.member),
            **noted_task(model.task),
            **noted_depth(model.depth),
        },
    )


def load_model(folder: Path, device: str = "cpu") -> TrainedModel:
    """Load a model's folder onto a device, cpu or cuda. For a GPU, this process computes without TF32 from then on.

    Raises DataError when a file is missing, corrupt or does not fit the other, ConfigError without that device.
    """
    if device == "cuda" and not torch.cuda.is_available():
        raise ConfigError("The device is cuda, but torch sees no GPU here. Set it to cpu.")
    if device == "cuda":  # for all threads at once: a scorer has several models that answer side by side
        torch.backends.cudnn.allow_tf32, torch.backends.cudnn.deterministic = False, True
    description = read_json(folder / DESCRIPTION)
    try:
        member = member_from_json(description.pop("member"))
        for key in ("classes", "mean", "std"):
            description[key] = tuple(description[key])
        task = task_from_json(description.pop("task", None))
        classes = description["classes"]
        network = head_of(task, classes).network(member, description["channels"], len(classes))
        network.load_state_dict(load_file(folder / WEIGHTS))
        return TrainedModel(network=network.to(device).eval(), member=member, task=task, **description)
    except (AttributeError, KeyError, TypeError, ValueError, RuntimeError, OSError, SafetensorError) as error:
        raise DataError(
            f"{folder} holds no usable model ({type(error).__name__}: {error}). "
            "Restore it from the registry or run: dvc repro"
        ) from error
