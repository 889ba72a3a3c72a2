"""An export as it runs: by onnxruntime, without torch, or (`pt2`) by torch."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from resnet_ops.data.depth import Depth
from resnet_ops.errors import DataError
from resnet_ops.extras import require
from resnet_ops.files import read_json
from resnet_ops.model_files import DESCRIPTION, EXPORT_FILES, WEIGHTS, model_file
from resnet_ops.predictions import DeployedModel, Predictions, check_images
from resnet_ops.tasks.answers import predictions_of
from resnet_ops.tasks.task import CLASSIFICATION, Task, images_at_once, task_from_json

__all__ = ["ExportedModel", "load_deployed", "load_exported"]

Run = Callable[[np.ndarray], tuple[np.ndarray, np.ndarray]]
"""Images (N, H, W, C), uint8 or uint16 -> logits (N, K, ...) and embeddings (N, F)."""


@dataclass(frozen=True)
class ExportedModel:
    """A deployable file that is loaded, and what it is."""

    run: Run
    name: str
    """The member's name, such as `resnet20`."""
    format: str
    exported_from: str
    """The digest of the trained model's two files."""
    classes: tuple[str, ...]
    image_size: int
    channels: int
    task: Task = CLASSIFICATION
    depth: Depth = 8

    def predict(self, images: np.ndarray, batch_size: int = 256) -> Predictions:
        """See `DeployedModel.predict`."""
        check_images(self, images)
        batch_size = images_at_once(self.task, self.image_size, batch_size)
        starts = range(0, max(len(images), 1), batch_size)
        parts = [self.run(np.array(images[start : start + batch_size])) for start in starts]
        logits, embeddings = (np.concatenate(part) for part in zip(*parts, strict=True))
        return predictions_of(self.task, logits, embeddings)


def load_deployed(folder: Path, threads: int = 0, device: str = "cpu") -> DeployedModel:
    """Load a trained model's folder or that of an export, whichever it is; see `load_exported`.

    device: cpu or cuda, where a trained model computes; an export computes on the CPU.
    """
    if model_file(folder).name == WEIGHTS:
        require(str(folder), "torch", "safetensors")
        from resnet_ops.model import load_model

        return load_model(folder, device)
    return load_exported(folder, threads)


def load_exported(folder: Path, threads: int = 0) -> ExportedModel:
    """Load an export's folder. threads: of onnxruntime, 0 for as many as there are cores.

    Raises DataError when a file is missing, corrupt or does not fit the other, ConfigError without onnxruntime.
    """
    description = read_json(folder / DESCRIPTION)
    try:
        wanted = {
            key: description[key] for key in ("name", "format", "exported_from", "image_size", "channels")
        }
        path = folder / EXPORT_FILES[wanted["format"]]
        run = _torch_run(path) if wanted["format"] == "pt2" else _onnx_run(path, threads)
        task = task_from_json(description.get("task"))
        return ExportedModel(
            run=run,
            classes=tuple(description["classes"]),
            task=task,
            depth=description.get("depth", 8),
            **wanted,
        )
    except (AttributeError, KeyError, TypeError, ValueError, RuntimeError, OSError) as error:
        raise DataError(
            f"{folder} holds no usable export ({type(error).__name__}: {error}). "
            "Restore it from the registry or run: dvc repro"
        ) from error


def _onnx_run(path: Path, threads: int) -> Run:
    require(str(path), "onnxruntime")
    import onnxruntime
    from onnxruntime.capi import onnxruntime_pybind11_state as faults

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.log_severity_level = 3  # errors
    try:
        session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
    except (
        faults.Fail,
        faults.InvalidGraph,
        faults.InvalidProtobuf,
        faults.NoSuchFile,
        faults.NotImplemented,
    ) as error:
        raise ValueError(str(error)) from error

    one_each = session.get_inputs()[0].shape[0] == 1

    def run(images: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        count = len(images)
        if one_each and not count:
            images = np.zeros((1, *images.shape[1:]), images.dtype)  # for the shapes
        batches = np.split(images, len(images)) if one_each else [images]
        parts = [session.run(["logits", "embeddings"], {"images": batch}) for batch in batches]
        logits, embeddings = parts[0] if len(parts) == 1 else map(np.concatenate, zip(*parts, strict=True))
        return logits[:count], embeddings[:count]

    return run


def _torch_run(path: Path) -> Run:
    """torch.export.load may read pickles: only for what this project's own export wrote, never from the registry."""
    require(str(path), "torch")
    import torch

    module = torch.export.load(path).module()

    def run(images: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        with torch.inference_mode():
            logits, embeddings = module(torch.from_numpy(images))
        return logits.numpy(), embeddings.numpy()

    return run
