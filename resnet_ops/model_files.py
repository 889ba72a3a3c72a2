"""The two files of a trained model, and their digest: known without torch."""

import hashlib
from pathlib import Path

from resnet_ops.errors import DataError
from resnet_ops.files import canonical_json, file_digest

__all__ = ["DESCRIPTION", "WEIGHTS", "model_digest"]

WEIGHTS, DESCRIPTION = "weights.safetensors", "member.json"


def model_digest(folder: Path) -> str:
    """The sha256 over the names and contents of the model's two files, 64 hexadecimal digits.

    Raises DataError when one is missing.
    """
    try:
        files = {name: file_digest(folder / name) for name in (DESCRIPTION, WEIGHTS)}
    except FileNotFoundError as error:
        raise DataError(
            f"{error.filename} is missing. Restore it from the registry or run: dvc repro"
        ) from error
    return hashlib.sha256(canonical_json(files)).hexdigest()
