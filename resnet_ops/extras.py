"""Packages that not every role needs, and the extra of `resnet-ops` that brings each."""

from collections.abc import Sequence
from importlib.util import find_spec

from resnet_ops.errors import ConfigError

__all__ = ["EXTRAS", "installation", "needed_by", "require"]

EXTRAS = {
    "torch": "train",
    "torchvision": "train",
    "safetensors": "train",
    "PIL": "train",
    "pynvml": "train",
    "dvc": "pipelines",
    "evidently": "monitoring",
    "great_expectations": "monitoring",
    "pandas": "monitoring",
    "pyarrow": "train",
    "sklearn": "train",
    "apprise": "monitoring",
    "prometheus_client": "monitoring",
    "fastapi": "serve",
    "httptools": "serve",
    "uvicorn": "serve",
    "uvloop": "serve",
    "onnx": "onnx",
    "onnxruntime": "onnx",
    "onnxscript": "onnx",
    "psycopg": "postgresql",
    "flask_wtf": "auth",
    "ray": "scale",
    "pillow_heif": "heif",
    "pydicom": "dicom",
    "pycocotools": "detection",
}
"""Import name -> extra."""


def require(wanted: str, *modules: str) -> None:
    """Raise ConfigError, which says what to install, when one of `modules` is not. wanted: what asks for them."""
    missing = [name for name in modules if find_spec(name) is None]
    if missing:
        raise ConfigError(installation(wanted, missing))


def installation(wanted: str, missing: Sequence[str]) -> str:
    """One message: `wanted` needs what is missing, and the command that installs it. missing: keys of EXTRAS."""
    extras = ",".join(dict.fromkeys(EXTRAS[name] for name in missing))
    return f"{wanted} needs {', '.join(missing)}, not installed here. Install: pip install 'resnet-ops[{extras}]'"


def needed_by(wanted: str, error: BaseException) -> str | None:
    """The same message for an import that failed; None for other errors, and where no extra brings what is missing."""
    missing = str(error.name).partition(".")[0] if isinstance(error, ModuleNotFoundError) else ""
    return installation(wanted, [missing]) if missing in EXTRAS else None
