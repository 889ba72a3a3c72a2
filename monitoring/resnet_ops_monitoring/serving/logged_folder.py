"""The folder that `mlflow models serve` serves, with the log behind it."""

import warnings
from importlib.metadata import version
from pathlib import Path

import numpy as np

from resnet_ops.data.depth import dtype_of
from resnet_ops_monitoring.serving.source import version_of

__all__ = ["save_logged_model"]


def save_logged_model(uri: str, folder: Path, *, ungated: bool = False, threads: int = 1) -> None:
    """Write an MLflow model that answers as the version at `uri` does and logs each answer; `folder` must be new.

    uri: `models:/NAME@ALIAS`, or with `ungated` whatever `resnet-ops serve --ungated` takes. Each server that starts
    loads and verifies the version anew; where the alias moves, start it again. The log is the one that
    RESNET_OPS_INFERENCE_LOG names then. threads: of an export's runtime. Raises what `version_of` raises.
    """
    model = version_of(uri, ungated, threads).model
    shape = (-1, model.image_size, model.image_size, model.channels)
    with warnings.catch_warnings():
        # of type hints in MLflow's own modules; and the signature is given, so no example is needed to infer one
        warnings.filterwarnings("ignore", message=".*type hint.*|.*input example was not provided.*")
        import mlflow.pyfunc
        from mlflow.models import ModelSignature
        from mlflow.types import Schema, TensorSpec

        mlflow.pyfunc.save_model(
            path=str(folder),
            python_model=str(Path(__file__).with_name("logged_model.py")),
            model_config={"uri": uri, "ungated": ungated, "threads": threads},
            signature=ModelSignature(inputs=Schema([TensorSpec(np.dtype(dtype_of(model.depth)), shape)])),
            pip_requirements=[f"resnet-ops[serve]=={version('resnet-ops')}"],
        )
