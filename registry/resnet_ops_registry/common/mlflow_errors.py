"""What MLflow and its database raise, as our own errors."""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from resnet_ops.errors import ConfigError, GateDenied, ServiceError, StorageError
from resnet_ops_registry.common.settings import mask_password, registry_uri

if TYPE_CHECKING:
    from mlflow.exceptions import MlflowException

__all__ = ["asked", "cause", "is_disk_problem", "is_unknown", "judged", "reported"]

_DRIVER = re.compile(r"^\((?:\w+\.)+\w+\) .+", re.MULTILINE)
_DISK = (
    "disk is full",
    "disk i/o error",
    "readonly database",
    "read-only",
    "unable to open database file",
    "no space left",
)


@contextmanager
def reported(task: str) -> Iterator[None]:
    """Turn what goes wrong inside MLflow into an error that says what was being done, and where.

    Raises StorageError when the database cannot be written, else ServiceError.
    """
    from mlflow.exceptions import MlflowException
    from requests import RequestException
    from sqlalchemy.exc import SQLAlchemyError

    try:
        yield
    except (MlflowException, RequestException, SQLAlchemyError) as error:
        text = cause(error)
        message = f"{task} failed at {mask_password(registry_uri())}: {text.rstrip('.')}."
        again = "Nothing is lost; run the same command again to continue."
        if is_disk_problem(text):
            raise StorageError(f"{message} Free some space or make it writable. {again}") from error
        raise ServiceError(f"{message} {again}") from error


@contextmanager
def asked(task: str) -> Iterator[None]:
    """`reported`, for what names a model or version. Raises ConfigError when there is none of that name."""
    from mlflow.exceptions import MlflowException

    with reported(task):
        try:
            yield
        except MlflowException as error:
            if not is_unknown(error):
                raise
            raise ConfigError(
                f"{error.message.rstrip('.')}. See what there is: resnet-ops registry ls"
            ) from error


@contextmanager
def judged(task: str, see: str) -> Iterator[None]:
    """`asked`, for a change that the gate judges. Raises GateDenied with its reason and what to `see` next."""
    from mlflow.exceptions import MlflowException

    with asked(task):
        try:
            yield
        except MlflowException as error:
            if error.error_code != "RESOURCE_CONFLICT":
                raise
            raise GateDenied(f"{error.message} {see}") from error


def is_unknown(error: "MlflowException") -> bool:
    """Whether MLflow says that there is nothing of that name; it calls some names wrong that are only unknown."""
    return error.error_code in ("RESOURCE_DOES_NOT_EXIST", "INVALID_PARAMETER_VALUE")


def cause(error: Exception) -> str:
    """What went wrong, in one line: in the words of the database driver where it was the one, no password."""
    text = mask_password(str(error)).strip()
    found = _DRIVER.search(text)
    first = text.partition("\n")[0]
    if first.endswith(":"):
        first = " ".join(text.split())
    return (found[0] if found else first)[:500]


def is_disk_problem(text: str) -> bool:
    """Whether an error's text says that a file could not be written: full, read-only, forbidden."""
    return any(words in text.lower() for words in _DISK)
