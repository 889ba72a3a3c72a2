"""The two files of a model, and their digest: known without torch."""

import hashlib
from pathlib import Path

from resnet_ops.errors import DataError
from resnet_ops.files import canonical_json, file_digest

__all__ = ["DESCRIPTION", "EXPORT_FILES", "WEIGHTS", "model_digest", "model_file"]

WEIGHTS, DESCRIPTION = "weights.safetensors", "member.json"
EXPORT_FILES = {"pt2": "model.pt2", "onnx": "model.onnx", "int8": "model.onnx"}
"""By format."""


def model_file(folder: Path) -> Path:
    """The file beside the description: a trained model's weights, or the one that an export made.

    Raises DataError when there is none, or more than one.
    """
    found = [path for name in sorted({WEIGHTS, *EXPORT_FILES.values()}) if (path := folder / name).is_file()]
    if not found:
        raise DataError(f"{folder / WEIGHTS} is missing. Restore it from the registry or run: dvc repro")
    if len(found) > 1:
        raise DataError(
            f"{folder} holds {' and '.join(path.name for path in found)}, but a model is one of them. "
            "Delete the folder and run: dvc repro"
        )
    return found[0]


def model_digest(folder: Path) -> str:
    """The sha256 over the names and contents of the model's two files, 64 hexadecimal digits.

    Raises DataError when one is missing.
    """
    try:
        files = {path.name: file_digest(path) for path in (folder / DESCRIPTION, model_file(folder))}
    except FileNotFoundError as error:
        raise DataError(
            f"{error.filename} is missing. Restore it from the registry or run: dvc repro"
        ) from error
    return hashlib.sha256(canonical_json(files)).hexdigest()
