"""Where a registered version decides, by its signed evidence."""

import logging
from pathlib import Path
from typing import TYPE_CHECKING

from resnet_ops.errors import ConfigError, EvidenceError, ResnetOpsError
from resnet_ops.evaluation.operating_point import OperatingPoint
from resnet_ops.model_files import model_digest
from resnet_ops_registry.attestations.evidence import Evidence
from resnet_ops_registry.client.attesting import find_model_version
from resnet_ops_registry.client.loading import LoadedModel
from resnet_ops_registry.common.connection import connect
from resnet_ops_registry.common.settings import GATED_SCHEME, mask_password, registry_uri
from resnet_ops_registry.gate.signed_evidence import evidence_of

if TYPE_CHECKING:
    from mlflow import MlflowClient

__all__ = ["operating_point_of", "served_operating_point", "signed_evidence_of"]

NOTED_BY_MLFLOW = "registered_model_meta"
"""Beside the files of a version that MLflow fetched from the registry: its name and number."""


def signed_evidence_of(loaded: LoadedModel) -> Evidence:
    """What the registry believes of a version that was loaded, for where it decides.

    Raises EvidenceError where that is nothing about these files.
    """
    return _signed(connect(), loaded.name, loaded.version, loaded.weights_digest)


def operating_point_of(loaded: LoadedModel) -> OperatingPoint | None:
    """The operating point of a version that was loaded; None where it was measured without one.

    Raises EvidenceError where the registry believes no evidence about these files.
    """
    return signed_evidence_of(loaded).operating_point


def served_operating_point(folder: Path) -> OperatingPoint | None:
    """That of the version whose files MLflow itself serves; None where it has none, or is no version of a registry.

    folder: of the model's files as MLflow laid them out. Where the registry cannot be asked, or believes nothing of
    these files, it is None too, and the log says why: nobody may decide at a threshold that is not signed.
    """
    noted = folder.parent / NOTED_BY_MLFLOW
    if not noted.is_file():
        return None
    import mlflow
    import yaml

    version = yaml.safe_load(noted.read_text())
    name, number = version["model_name"], int(version["model_version"])
    try:
        asked = mlflow.get_registry_uri()
        if asked.removeprefix(GATED_SCHEME) != registry_uri().removeprefix(GATED_SCHEME):
            raise ConfigError(
                f"MLflow's registry is {mask_password(asked)}, but MLFLOW_TRACKING_URI or MLFLOW_REGISTRY_URI name "
                f"{mask_password(registry_uri())}. Set them to the registry of the version."
            )
        return _signed(mlflow.MlflowClient(), name, number, model_digest(folder)).operating_point
    except ResnetOpsError as error:
        logging.getLogger(__name__).warning(
            "%s v%s answers without decisions, because its operating point is not known: %s",
            name,
            number,
            error,
        )
        return None


def _signed(client: "MlflowClient", name: str, version: int, weights_digest: str) -> Evidence:
    evidence = evidence_of(client, find_model_version(client, name, version)).evidence
    if evidence.weights_digest != weights_digest:
        raise EvidenceError(
            f"The evidence of {name} v{version} is about other weights ({evidence.weights_digest[:12]}) "
            f"than those that were loaded ({weights_digest[:12]}). Load it again."
        )
    return evidence
