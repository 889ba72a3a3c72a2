"""What MLflow raises, as our own errors."""

from collections.abc import Iterator
from contextlib import contextmanager

from resnet_ops.errors import ServiceError
from resnet_ops_registry.settings import mask_password, registry_uri

__all__ = ["reported"]


@contextmanager
def reported(task: str) -> Iterator[None]:
    """Turn what goes wrong inside MLflow into a ServiceError that says what was being done, and where."""
    from mlflow.exceptions import MlflowException
    from requests import RequestException

    try:
        yield
    except (MlflowException, RequestException) as error:
        text = mask_password(str(error)).splitlines()[0][:500]
        raise ServiceError(
            f"{task} failed at {mask_password(registry_uri())}: {text} "
            "Nothing is lost; run the same command again to continue."
        ) from error
