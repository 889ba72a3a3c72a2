"""One version for the same weights, also when two publish them in the same moment."""

import re
from typing import Any

from mlflow.exceptions import MlflowException
from mlflow.protos.databricks_pb2 import RESOURCE_ALREADY_EXISTS
from mlflow.store.model_registry.dbmodels.models import SqlModelVersion, SqlModelVersionTag
from sqlalchemy import func, select
from sqlalchemy.orm import Session

from resnet_ops_registry.database import tables
from resnet_ops_registry.gate.display import WEIGHTS_TAG

__all__ = ["AlreadyPublished", "fold_publications"]

_COPY = re.compile(r"models:/[^/]+/[^/]+")


class AlreadyPublished(MlflowException):
    """These weights have a version already: nothing is made."""

    def __init__(self, model: str, version: int) -> None:
        super().__init__(f"These weights are {model} v{version}.", error_code=RESOURCE_ALREADY_EXISTS)
        self.version = version


def fold_publications(session: Session) -> None:
    """Raise AlreadyPublished when a new version says the weights' digest of one that is there.

    Copies are left alone: whoever copies a version wants a second one.
    """
    for item in session.new:
        if isinstance(item, SqlModelVersion) and not _COPY.fullmatch(str(item.source)):
            digests = [tag.value for tag in item.model_version_tags if tag.key == WEIGHTS_TAG]
            if digests:
                _look_for(session, item, digests[0])


def _look_for(session: Session, item: Any, digest: str) -> None:
    connection = session.connection()
    tables.lock(connection)
    tags, versions = SqlModelVersionTag.__table__.c, SqlModelVersion.__table__.c
    known = connection.execute(
        select(func.min(versions.version)).where(
            tags.workspace == item.workspace,
            tags.name == item.name,
            tags.key == WEIGHTS_TAG,
            tags.value == digest,
            versions.workspace == tags.workspace,
            versions.name == tags.name,
            versions.version == tags.version,
            versions.current_stage != "Deleted_Internal",
        )
    ).scalar_one()
    if known is not None:
        raise AlreadyPublished(item.name, known)
