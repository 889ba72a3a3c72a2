"""The folder of an MLflow model, made so that equal model files give equal bytes."""

import hashlib
import warnings
from importlib.metadata import version
from pathlib import Path

from resnet_ops.data.depth import dtype_of
from resnet_ops.errors import ConfigError
from resnet_ops.files import read_json
from resnet_ops.model_files import DESCRIPTION, WEIGHTS, model_digest, model_file
from resnet_ops.preprocessing import Preprocessing, save_preprocessing
from resnet_ops.tasks.task import task_from_json

__all__ = ["ARTIFACTS", "build_model_folder"]

ARTIFACTS = "artifacts"
"""Where in the model's folder its files lie: weights.safetensors and member.json, say, and the images it has seen."""
REQUIREMENTS = ("resnet-ops", "mlflow", "numpy")
RUNTIMES = {WEIGHTS: ("safetensors", "torch"), "model.onnx": ("onnxruntime",)}
HEADS = {WEIGHTS: ("torchvision",)}
"""What answers that are not a class an image need besides."""


def build_model_folder(
    model_folder: Path,
    destination: Path,
    trained_on: Path | None = None,
    preprocessing: Preprocessing | None = None,
) -> Path:
    """Package a trained model or an ONNX export (its two files) for MLflow at `destination`, and give that.

    trained_on: the list of images that it has seen (`resnet_ops.data.trained_on`), which goes with it. preprocessing:
    how image files are read for it, which does too.

    Nothing in it depends on the time or place: whoever packages the same files with the same versions gets
    the same digest, so a publication that was cut short can be taken up again. Raises ConfigError for `pt2`, and for
    images of another size than the model's.
    """
    import numpy as np

    with warnings.catch_warnings():
        # mlflow warns of type hints in its own modules while it is imported
        warnings.filterwarnings("ignore", message=".*type hint.*")
        import mlflow.pyfunc
        from mlflow.models import Model, ModelSignature
        from mlflow.types import Schema, TensorSpec

    file, description = model_file(model_folder), read_json(model_folder / DESCRIPTION)
    if file.name not in RUNTIMES:
        raise ConfigError(
            f"{file} cannot be registered, because loading it reads a pickle. Register the weights, onnx or int8."
        )
    side, channels, classes = description["image_size"], description["channels"], description["classes"]
    depth = description.get("depth", 8)
    read = (preprocessing.image_size, preprocessing.channels, preprocessing.depth) if preprocessing else ()
    if read not in ((), (side, channels, depth)):
        raise ConfigError(
            f"{file} takes images of {side} pixels with {channels} channels of {depth} bits, but data says "
            f"{', '.join(map(str, read))}. Train it with these settings: dvc repro"
        )
    per_image = task_from_json(description.get("task")).per_image
    runtime = RUNTIMES[file.name] + (() if per_image else HEADS.get(file.name, ()))
    answers = Schema([TensorSpec(np.dtype(np.float32), (-1, len(classes)))])
    signature = ModelSignature(
        inputs=Schema([TensorSpec(np.dtype(dtype_of(depth)), (-1, side, side, channels))]),
        outputs=answers if per_image else None,  # for others a schema has no word
    )
    identity = hashlib.sha256(model_digest(model_folder).encode()).hexdigest()[:32]
    with warnings.catch_warnings():
        # the signature is given, so no example is needed to infer one
        warnings.filterwarnings("ignore", message=".*input example was not provided.*")
        mlflow.pyfunc.save_model(
            path=str(destination),
            python_model=str(Path(__file__).with_name("served_model.py")),
            artifacts={"weights": str(file), "member": str(model_folder / DESCRIPTION)}
            | ({"trained_on": str(trained_on)} if trained_on else {}),
            signature=signature,
            pip_requirements=[
                f"{name}=={version(name).partition('+')[0]}" for name in (*REQUIREMENTS, *runtime)
            ],
            mlflow_model=Model(model_uuid=identity, utc_time_created="1970-01-01 00:00:00.000000"),
            metadata={"member": description["name"], "classes": list(classes)},
        )
    if preprocessing is not None:
        save_preprocessing(preprocessing, destination / ARTIFACTS)
    return destination
