"""An artifact destination for the server's proxy that is never written where files with evidence lie.

`mlflow server --artifacts-destination write-once:s3://bucket/mlflow`: everything goes on to the destination after
the colon, but uploads to, over and beside the files of a version with evidence, and their deletion, are refused.
MLflow finds the class by the entry point `write-once` of the group `mlflow.artifact_repository`.
"""

import os
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mlflow.exceptions import MlflowException
from mlflow.protos.databricks_pb2 import RESOURCE_CONFLICT
from mlflow.store.artifact.artifact_repo import ArtifactRepository

from resnet_ops_registry.settings import GATED_SCHEME, WRITE_ONCE_SCHEME

if TYPE_CHECKING:
    from sqlalchemy import Engine

__all__ = ["WriteOnceRepository"]


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
        self._check(artifact_path, Path(local_file).name)
        self._inner.log_artifact(local_file, artifact_path)

    def log_artifacts(self, local_dir: str, artifact_path: str | None = None) -> None:
        """Upload a folder, unless it would touch a version with evidence."""
        self._check(artifact_path)
        self._inner.log_artifacts(local_dir, artifact_path)

    def delete_artifacts(self, artifact_path: str | None = None) -> None:
        """Delete a file or folder, unless a version with evidence lies there, above or below."""
        self._check(artifact_path)
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

    def _check(self, *parts: str | None) -> None:
        from resnet_ops_registry.places import sealed_by

        path = "/".join(part.strip("/") for part in parts if part)
        location = f"{self._root.rstrip('/')}/{path}".rstrip("/")
        with _registry().connect() as connection:
            version = sealed_by(connection, location)
        if version is not None:
            raise MlflowException(
                f"{path} belongs to {version}, whose evidence is about these very files; log a new model instead.",
                error_code=RESOURCE_CONFLICT,
            )


def _registry() -> "Engine":
    uri = os.environ.get("_MLFLOW_SERVER_REGISTRY_STORE", "")
    if not uri.startswith(GATED_SCHEME):
        raise MlflowException(
            "A write-once: destination needs a server whose --registry-store-uri starts with gated:.",
            error_code=RESOURCE_CONFLICT,
        )
    return _engine(uri.removeprefix(GATED_SCHEME))


@lru_cache(maxsize=1)
def _engine(uri: str) -> "Engine":
    from sqlalchemy import create_engine

    return create_engine(uri)
