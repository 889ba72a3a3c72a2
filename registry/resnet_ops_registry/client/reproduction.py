"""What came out when a training was repeated, compared with what the version is known for."""

from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from resnet_ops.errors import ConfigError, DataError
from resnet_ops.files import read_json
from resnet_ops.measurement import measurements_from_json
from resnet_ops.model_files import DESCRIPTION, model_digest
from resnet_ops.provenance import environment
from resnet_ops_registry.attestations.evidence import show_number
from resnet_ops_registry.attestations.keys import PrivateKey
from resnet_ops_registry.attestations.predicates import Reproduction, spoken
from resnet_ops_registry.client.attesting import attest, find_model_version
from resnet_ops_registry.common.connection import connect
from resnet_ops_registry.common.mlflow_errors import reported
from resnet_ops_registry.gate.display import WEIGHTS_TAG

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities.model_registry import ModelVersion

__all__ = ["attest_reproduction"]


def attest_reproduction(
    model: str, version: int, weights: Path, measurements: Path | None, key: PrivateKey
) -> list[str]:
    """Sign which weights and metrics came out, and give a comparison in words.

    The gate compares by itself, with the evidence; the words here are for the person. Raises ConfigError when
    `weights` holds no model.
    """
    if not (weights / DESCRIPTION).is_file():
        raise ConfigError(f"{weights} holds no model. Name a folder such as models/resnet20.")
    reproduction = spoken(
        Reproduction,
        weights_digest=model_digest(weights),
        metrics=_metrics(measurements) if measurements else {},
        environment=environment(),
        created=datetime.now(UTC),
    )
    client = connect()
    known = find_model_version(client, model, version)
    lines = _compare(reproduction, known, _known_metrics(client, known))
    attest(client, model, version, reproduction, key)
    return lines


def _metrics(path: Path) -> dict[str, float]:
    try:
        return {name: each.value for name, each in measurements_from_json(read_json(path)).items()}
    except (AttributeError, ArithmeticError, TypeError, ValueError) as error:
        raise DataError(f"{path} holds no measurements ({error}). Name a measurements.json.") from error


def _known_metrics(client: "MlflowClient", version: "ModelVersion") -> dict[str, float]:
    if not version.run_id:
        return {}
    with reported(f"Reading the run of {version.name} v{version.version}"):
        return dict(client.get_run(version.run_id).data.metrics)


def _compare(reproduction: Reproduction, version: "ModelVersion", known: dict[str, float]) -> list[str]:
    label = f"{version.name} v{version.version}"
    if reproduction.weights_digest == version.tags.get(WEIGHTS_TAG):
        return [f"The weights are those of {label}, to the bit."]
    differences = [
        f"{name}: {show_number(value)}, was {show_number(known[name])} ({value - known[name]:+.4g})"
        for name, value in sorted(reproduction.metrics.items())
        if name in known and value != known[name]
    ]
    return [f"The weights are not those of {label}.", *differences]
