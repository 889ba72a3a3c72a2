"""An artifact destination for the server's proxy that is never written where files with evidence lie.

`mlflow server --artifacts-destination write-once:s3://bucket/mlflow`: everything goes on to the destination after
the colon, but uploads to, over and beside the files of a version with evidence, and their deletion, are refused.
So are those to any other location that the server writes to.

MLflow finds the class by the entry point `write-once` of the group `mlflow.artifact_repository`.
"""

import asyncio
import os
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from functools import lru_cache, wraps
from inspect import iscoroutinefunction, signature
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mlflow.exceptions import MlflowException
from mlflow.protos.databricks_pb2 import RESOURCE_CONFLICT
from mlflow.store.artifact.artifact_repo import ArtifactRepository

from resnet_ops_registry.common.settings import GATED_SCHEME, WRITE_ONCE_SCHEME

if TYPE_CHECKING:
    from sqlalchemy import Engine

__all__ = ["WriteOnceRepository"]

_STORE = "_MLFLOW_SERVER_REGISTRY_STORE"
_WRITES = (
    "log_artifact",
    "log_artifacts",
    "log_artifact_from_stream",
    "log_artifact_from_async_stream",
    "upload_archived_trace_data_bytes",
    "delete_artifacts",
    "create_multipart_upload",
    "complete_multipart_upload",
    "create_presigned_upload_url",
)


class WriteOnceRepository(ArtifactRepository):
    """The repository behind the colon, with a look into the registry before each write.

    Streamed, multipart and presigned uploads are not offered: MLflow then takes in the whole file first and hands
    it over complete, so that an upload cannot be held open from before the evidence until after the promotion.
    """

    def __init__(
        self, artifact_uri: str, tracking_uri: str | None = None, registry_uri: str | None = None
    ) -> None:
        super().__init__(artifact_uri, tracking_uri, registry_uri)
        # MLflow imports this module while it is importing its registry of repositories
        from mlflow.store.artifact.artifact_repository_registry import get_artifact_repository

        self._root = artifact_uri.removeprefix(WRITE_ONCE_SCHEME)
        self._inner: Any = get_artifact_repository(self._root, tracking_uri, registry_uri)

    def log_artifact(self, local_file: str, artifact_path: str | None = None) -> None:
        """Upload one file, unless it belongs to a version with evidence (MlflowException, 409)."""
        with _allowed(self._root, artifact_path, Path(local_file).name):
            self._inner.log_artifact(local_file, artifact_path)

    def log_artifacts(self, local_dir: str, artifact_path: str | None = None) -> None:
        """Upload a folder, unless it would touch a version with evidence."""
        with _allowed(self._root, artifact_path):
            self._inner.log_artifacts(local_dir, artifact_path)

    def delete_artifacts(self, artifact_path: str | None = None) -> None:
        """Delete a file or folder, unless a version with evidence lies there, above or below."""
        with _allowed(self._root, artifact_path):
            self._inner.delete_artifacts(artifact_path)

    def list_artifacts(self, path: str | None = None) -> Any:
        """As the repository behind."""
        return self._inner.list_artifacts(path)

    def download_artifacts(self, artifact_path: str, dst_path: str | None = None) -> Any:
        """As the repository behind."""
        return self._inner.download_artifacts(artifact_path, dst_path)

    def get_local_path(self, artifact_path: str) -> Any:
        """As the repository behind."""
        return self._inner.get_local_path(artifact_path)

    def _download_file(self, remote_file_path: str, local_path: str) -> None:
        self._inner._download_file(remote_file_path, local_path)


@contextmanager
def _allowed(root: str, *parts: str | None) -> Iterator[None]:
    """Around a write. Raises MlflowException (409) where a version with evidence lies."""
    from resnet_ops_registry.store.places import writing

    path = "/".join(part.strip("/") for part in parts if part)
    with writing(_registry(), root, path) as version:
        if version is not None:
            raise MlflowException(
                f"{path} belongs to {version}, whose evidence is about these very files; log a new model instead.",
                error_code=RESOURCE_CONFLICT,
            )
        yield


def _is_gated() -> bool:
    """Whether this is a process of a server with the gate."""
    return os.environ.get(_STORE, "").startswith(GATED_SCHEME)


def _registry() -> "Engine":
    if not _is_gated():
        raise MlflowException(
            "A write-once: destination needs a server whose --registry-store-uri starts with gated:.",
            error_code=RESOURCE_CONFLICT,
        )
    return _engine(os.environ[_STORE].removeprefix(GATED_SCHEME))


@lru_cache(maxsize=1)
def _engine(uri: str) -> "Engine":
    from resnet_ops_registry.database.tables import make_engine, upgrade

    engine = make_engine(uri)
    upgrade(engine)
    return engine


def _guard_every_location() -> None:
    """Ask before every write of the server's process, wherever it goes.

    An experiment's `artifact_location` may be any folder or bucket, and the route `upload-artifact` writes there with
    the server's rights, past its artifact destination.
    """
    from mlflow.store.artifact.artifact_repository_registry import ArtifactRepositoryRegistry

    made: Any = ArtifactRepositoryRegistry.get_artifact_repository
    if hasattr(made, "__wrapped__"):
        return

    @wraps(made)
    def get_artifact_repository(registry: Any, artifact_uri: str, *more: Any, **named: Any) -> Any:
        repository = made(registry, artifact_uri, *more, **named)
        if _is_gated() and not isinstance(repository, WriteOnceRepository):
            for name in _WRITES:
                if hasattr(repository, name):
                    setattr(repository, name, _asked(getattr(repository, name), artifact_uri))
        return repository

    setattr(ArtifactRepositoryRegistry, made.__name__, get_artifact_repository)


def _asked(write: Callable[..., Any], root: str) -> Callable[..., Any]:
    names = signature(write)

    def allowed(values: Any, named: Any) -> AbstractContextManager[None]:
        given = names.bind(*values, **named).arguments
        file = given.get("local_file") or given.get("artifact_file_name") or ""
        return _allowed(root, given.get("artifact_path"), Path(file).name)

    @wraps(write)
    def asked(*values: Any, **named: Any) -> Any:
        with allowed(values, named):
            return write(*values, **named)

    @wraps(write)
    async def asked_of_a_stream(*values: Any, **named: Any) -> Any:
        # in a thread, since whoever asks the database may have to wait for others
        permission = allowed(values, named)
        await asyncio.to_thread(permission.__enter__)
        try:
            return await write(*values, **named)
        finally:
            await asyncio.to_thread(permission.__exit__, None, None, None)

    return asked_of_a_stream if iscoroutinefunction(write) else asked


_guard_every_location()
