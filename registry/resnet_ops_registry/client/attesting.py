"""Say something about a version: sign it and hand it to the registry, over plain MLflow REST."""

from typing import TYPE_CHECKING

from resnet_ops.errors import ConfigError, EvidenceError, ServiceError
from resnet_ops_registry.attestations.digest import location_digest
from resnet_ops_registry.attestations.envelope import Statement, Subject, sign
from resnet_ops_registry.attestations.keys import PrivateKey
from resnet_ops_registry.attestations.predicates import Predicate, kind_of, predicate_type
from resnet_ops_registry.common.mlflow_errors import asked, is_unknown, reported
from resnet_ops_registry.common.settings import is_direct
from resnet_ops_registry.gate.display import STATEMENT_TAG

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities.model_registry import ModelVersion

__all__ = ["UNGATED", "attest", "find_model_version", "location_of", "send", "version_with_alias"]

UNGATED = (
    "The MLflow server runs without the gate and kept what it was sent as a plain tag, which was removed again. "
    "Start it with `make ui`, or with --registry-store-uri gated:<database URI>."
)


def find_model_version(client: "MlflowClient", model: str, version: int) -> "ModelVersion":
    """The version as MLflow knows it. Raises ConfigError when there is none."""
    with asked(f"Looking for {model} v{version}"):
        return client.get_model_version(model, str(version))


def version_with_alias(client: "MlflowClient", model: str, alias: str) -> "ModelVersion":
    """The version that an alias points to. Raises ConfigError when there is none."""
    from mlflow.exceptions import MlflowException

    with reported(f"Looking for {model} @{alias}"):
        try:
            return client.get_model_version_by_alias(model, alias)
        except MlflowException as error:
            if not is_unknown(error):
                raise
            raise ConfigError(
                f"No version of {model} is @{alias} yet. Promote one: resnet-ops promote {model} VERSION {alias}"
            ) from error


def attest(
    client: "MlflowClient", model: str, version: int, predicate: Predicate, key: PrivateKey
) -> "ModelVersion":
    """Sign a statement about the version's files as they are now, and hand it over. Gives the version afterwards.

    The files are hashed here, not taken from what the server says of them: who signs has seen what they sign.
    Raises EvidenceError when the registry does not accept it.
    """
    found = find_model_version(client, model, version)
    with reported(f"Signing for {model} v{version}"):
        digest = location_digest(location_of(client, found))
        send(client, found, predicate, key, digest)
        return client.get_model_version(model, str(version))


def send(
    client: "MlflowClient", version: "ModelVersion", predicate: Predicate, key: PrivateKey, digest: str
) -> None:
    """Sign a statement about a version with files of this digest, and hand it over."""
    from mlflow.exceptions import MlflowException

    subject = Subject(version.name, int(version.version), int(version.creation_timestamp), digest)
    envelope = sign(Statement(subject, predicate_type(predicate), predicate.as_signed()), key)
    try:
        client.set_model_version_tag(version.name, version.version, STATEMENT_TAG, envelope.text)
    except MlflowException as error:
        if error.error_code not in ("INVALID_PARAMETER_VALUE", "RESOURCE_CONFLICT"):
            raise
        raise EvidenceError(
            f"The {kind_of(predicate)} for {version.name} v{version.version} was not accepted: {error.message}"
        ) from error
    if STATEMENT_TAG in client.get_model_version(version.name, version.version).tags:
        client.delete_model_version_tag(version.name, version.version, STATEMENT_TAG)
        raise ServiceError(UNGATED)


def location_of(client: "MlflowClient", version: "ModelVersion") -> str:
    """Where the version's files can be read from here."""
    if is_direct():
        return str(client.get_model_version_download_uri(version.name, version.version))
    return f"models:/{version.name}/{version.version}"
