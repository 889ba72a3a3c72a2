"""Which version is watched, what it is judged against, and which versions may answer beside it."""

from dataclasses import dataclass
from pathlib import Path

from mlflow import MlflowClient

from resnet_ops.errors import DataError
from resnet_ops_monitoring.drift.reference import Reference, load_reference
from resnet_ops_monitoring.inference_log.identity import ModelIdentity
from resnet_ops_monitoring.report.stored_reference import check_decides_alike, fetch_reference
from resnet_ops_registry.client.attesting import version_with_alias
from resnet_ops_registry.common.mlflow_errors import reported
from resnet_ops_registry.gate.display import WEIGHTS_TAG

__all__ = ["Watched", "find_watched", "registered_digests"]


@dataclass(frozen=True)
class Watched:
    """The version with an alias, its reference, and the digest of every registered version by number."""

    identity: ModelIdentity
    alias: str
    reference: Reference
    versions: dict[str, str]


def find_watched(client: MlflowClient, model: str, alias: str, local: Path | None) -> Watched:
    """The version that has the alias now.

    Its reference is the one that MLflow keeps; else the one at `local`, if it is the version's. Raises ConfigError when
    no version has the alias, DataError when there is no reference of it, EvidenceError when the version decides
    elsewhere by now than its reference does.
    """
    number = str(version_with_alias(client, model, alias).version)
    versions = registered_digests(client, model)
    if number not in versions:
        raise DataError(
            f"{model} v{number} was not published by resnet-ops, so its answers cannot be identified in the log."
        )
    identity = ModelIdentity(model, number, versions[number])
    return Watched(identity, alias, _reference(client, identity, local), versions)


def registered_digests(client: MlflowClient, model: str) -> dict[str, str]:
    """The digest of the weights of every version that was published by resnet-ops, by its number."""
    quote = '"' if "'" in model else "'"
    with reported(f"Listing the versions of {model}"):
        listed = client.search_model_versions(f"name={quote}{model}{quote}")
    return {str(each.version): each.tags[WEIGHTS_TAG] for each in listed if WEIGHTS_TAG in each.tags}


def _reference(client: MlflowClient, identity: ModelIdentity, local: Path | None) -> Reference:
    try:
        return fetch_reference(client, identity)
    except DataError:
        if local is None or not local.exists():
            raise
    reference = load_reference(local)
    if reference.identity.digest != identity.digest:
        raise DataError(
            f"MLflow keeps no signed reference of {identity}, and {local} is of {reference.identity}. Make it: "
            f"resnet-ops drift reference {identity.name} {identity.version}"
        )
    check_decides_alike(client, reference)
    return reference
