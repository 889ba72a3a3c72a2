"""The version that serves, as scripts of before asked for it, for one more release (`resnet_ops_pipelines.serving`)."""

from resnet_ops.errors import DataError
from resnet_ops.predictions import DeployedModel
from resnet_ops_monitoring.inference_log.identity import ModelIdentity
from resnet_ops_pipelines import serving

__all__ = ["read_serving"]


def read_serving() -> tuple[DeployedModel, ModelIdentity, str]:
    """Model, who it is, and its role. Raises DataError where none serves."""
    found = serving.read_serving()
    if found is None:
        raise DataError(serving.NOBODY)
    return found.model, found.identity, found.role
