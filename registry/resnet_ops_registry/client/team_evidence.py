"""Evidence about any MLflow model: what its team measured itself, signed and bound to the version's files."""

import hashlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from resnet_ops.errors import ConfigError, DataError, ResnetOpsError
from resnet_ops.evaluation.calibration import measure_calibration
from resnet_ops.evaluation.metrics import measure_answers, measure_top5
from resnet_ops.files import file_digest
from resnet_ops.provenance import environment
from resnet_ops.tasks.beside_truth import Truth, measure_beside_truth
from resnet_ops_registry.attestations.digest import location_digest
from resnet_ops_registry.attestations.evidence import (
    MLFLOW,
    Evidence,
    Headline,
    Metric,
    Outcomes,
    Source,
    metrics_from,
)
from resnet_ops_registry.attestations.keys import PrivateKey, read_key
from resnet_ops_registry.attestations.metrics_file import read_metrics
from resnet_ops_registry.attestations.outcomes import all_outcomes, images_digest, pack_scores
from resnet_ops_registry.attestations.predictions_file import PredictionsFile, read_predictions
from resnet_ops_registry.cards.model_card import CardTexts
from resnet_ops_registry.cards.publishing import publish_card
from resnet_ops_registry.client.attesting import find_model_version, location_of, send
from resnet_ops_registry.common.connection import connect
from resnet_ops_registry.common.mlflow_errors import reported
from resnet_ops_registry.gate.candidates import refusals_of
from resnet_ops_registry.gate.display import FILES_TAG, MEMBER_TAG, WEIGHTS_TAG
from resnet_ops_registry.gate.signed_evidence import signed_now

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities.model_registry import ModelVersion

__all__ = ["Attested", "attest_evidence", "metrics_of"]

SPLIT = "test"
CONFIDENCE, CALIBRATION_BINS, SEED = 0.95, 15, 0
"""Nobody who signs chooses them, so that a policy knows what it asks for."""


@dataclass(frozen=True)
class Attested:
    """What was signed of a version, and what the gate says of it now."""

    evidence: Evidence
    refusals: Mapping[str, str | None]
    """For each guarded alias or stage, by its label: why the gate refuses the version; None where it passes."""
    notes: tuple[str, ...]
    """What a person should know of the files and of what was made of them."""
    first: tuple[str, ...]
    """The metrics that a person looks at first."""


@dataclass(frozen=True)
class _Measured:
    metrics: dict[str, Metric]
    outcomes: dict[str, Outcomes]
    data: dict[str, str]
    notes: tuple[str, ...]
    first: tuple[str, ...] = ()
    task: str | None = None
    headline: Headline | None = None


def attest_evidence(
    model: str,
    version: int,
    key: str,
    *,
    metrics: Path | str | None = None,
    predictions: Path | str | None = None,
    truth: Truth | None = None,
) -> Attested:
    """Sign what a team measured of a registered version, of whatever flavour, and hand it to the registry.

    key: the name of the key that signs. metrics: a JSON file, as `read_metrics` takes it. predictions: a CSV or parquet
    file, as `read_predictions` takes it, or with `truth` the answers that `measure_beside_truth` takes; metrics,
    intervals and outcomes are computed here. The version's files are hashed here, and the evidence is about these
    alone; it takes the place of earlier evidence of the version.

    Raises DataError that names what is wrong in a file; ConfigError without a file, a key or a version, and for a
    network that the pipeline published; EvidenceError when the registry does not accept it.
    """
    signer = read_key(key)
    found = _measured(Path(metrics) if metrics else None, Path(predictions) if predictions else None, truth)
    client = connect()
    about = find_model_version(client, model, version)
    with reported(f"Signing for {model} v{version}"):
        digest = location_digest(location_of(client, about))
        _check_no_network(about, digest)
        evidence = Evidence(
            member="",
            weights_digest=digest,
            format=MLFLOW,
            metrics=found.metrics,
            data=found.data,
            source=Source(commit="", dirty=False, dvc_lock=None),
            environment=environment() if predictions else {},
            hardware={},
            seeds={"evaluation": SEED} if predictions else {},
            outcomes=found.outcomes,
            task=found.task,
            headline=found.headline,
            created=datetime.now(UTC),
        )
        send(client, about, evidence, signer, digest)
    notes = (*found.notes, *_keep_card(client, about, evidence, signer))
    return Attested(evidence, refusals_of(client, model, version), notes, found.first)


def _keep_card(
    client: "MlflowClient", version: "ModelVersion", evidence: Evidence, signer: PrivateKey
) -> Iterator[str]:
    """Keep the model card and the signed evidence with the version's run; why not, where that cannot be.

    The evidence is accepted by then, and whoever may sign need not own the run.
    """
    if not version.run_id:
        yield "It has no run, where its model card would be kept."
        return
    try:
        with reported(f"Writing the model card of {version.name} v{version.version}"):
            texts = CardTexts(intended_use="", limits="")
            publish_card(client, version, texts, lambda fresh: signed_now(fresh, evidence, signer))
    except ResnetOpsError as error:
        yield f"Its run keeps no model card: {error}"


def _check_no_network(version: "ModelVersion", digest: str) -> None:
    """What a pipeline signed of a network (speed, size, exports, reproductions) would be lost."""
    ours = None, digest, version.tags.get(FILES_TAG)
    if MEMBER_TAG in version.tags and version.tags.get(WEIGHTS_TAG) not in ours:
        raise ConfigError(
            f"{version.name} v{version.version} is a network that a pipeline published with evidence of its own. "
            f"Measure it on other images with: resnet-ops attest evaluation {version.name} {version.version}"
        )


def _measured(metrics: Path | None, predictions: Path | None, truth: Truth | None) -> _Measured:
    if truth is not None and predictions is None:
        raise ConfigError("--truth is what --predictions FILE is measured by. Name both.")
    if metrics is None and predictions is None:
        raise ConfigError("There is nothing to sign. Name --metrics FILE, --predictions FILE or both.")
    parts = []
    if predictions:
        parts = [_beside(predictions, truth) if truth else _of_predictions(predictions)]
    if metrics:
        parts.append(_Measured(read_metrics(metrics), {}, {"metrics file": _digest(metrics)}, ()))
    for name in parts[0].metrics if len(parts) > 1 else ():
        if name in parts[1].metrics:
            raise DataError(f"{metrics} and {predictions} both say {name}. Leave it out of {metrics}.")
    return _Measured(
        {name: metric for part in parts for name, metric in part.metrics.items()},
        {name: each for part in parts for name, each in part.outcomes.items()},
        {name: digest for part in parts for name, digest in part.data.items()},
        tuple(note for part in parts for note in part.notes),
        tuple(name for part in parts for name in part.first),
        parts[0].task,
        parts[0].headline,
    )


def _beside(file: Path, truth: Truth) -> _Measured:
    found = measure_beside_truth(file, truth, SPLIT, CONFIDENCE, SEED)
    images = images_digest(
        (hashlib.sha256(name.encode()).hexdigest(), hashlib.sha256(true.encode()).hexdigest())
        for name, true in found.images
    )
    n = len(found.images)
    return _Measured(
        metrics_from(found.measurements) | {f"data.{SPLIT}.images": Metric(value=n, n=n, unit="images")},
        {SPLIT: pack_scores(images, found.scores)},
        {"predictions file": _digest(file), "test images": f"sha256:{images}"},
        found.notes,
        found.first,
        found.task,
        Headline.of(found.headline),
    )


def _of_predictions(file: Path) -> _Measured:
    found = read_predictions(file)
    outcomes, data = {}, {"predictions file": _digest(file)}
    if found.ids is not None:
        images = [
            (hashlib.sha256(row.encode()).hexdigest(), found.classes[label])
            for row, label in zip(found.ids, found.labels, strict=True)
        ]
        outcomes = all_outcomes(SPLIT, images, found.predicted == found.labels, found.groups)
        data["test images"] = f"sha256:{outcomes[SPLIT].images}"
    return _Measured(metrics_of(found), outcomes, data, tuple(_notes(found, file)), first=(f"{SPLIT}.top1",))


def _digest(file: Path) -> str:
    return f"sha256:{file_digest(file)}"


def metrics_of(found: PredictionsFile) -> dict[str, Metric]:
    """What a pipeline's evaluation says of the same answers, under the same names."""
    n, about = len(found.labels), (found.labels, SPLIT, CONFIDENCE, found.groups)
    measured = measure_answers(found.predicted, found.labels, found.classes, SPLIT, CONFIDENCE, found.groups)
    if found.probabilities is not None:
        measured |= measure_top5(found.probabilities, *about)
        measured |= measure_calibration(
            np.log(np.maximum(found.probabilities, np.finfo(float).tiny)),
            found.labels,
            SPLIT,
            CALIBRATION_BINS,
            CONFIDENCE,
            SEED,
        )
        if _impossible(found):
            del measured[f"{SPLIT}.nll"]
    return metrics_from(measured) | {f"data.{SPLIT}.images": Metric(value=n, n=n, unit="images")}


def _impossible(found: PredictionsFile) -> int:
    """Rows whose true class has the probability 0: their log loss is infinite."""
    assert found.probabilities is not None
    return int((np.take_along_axis(found.probabilities, found.labels[:, None], axis=1) == 0).sum())


def _notes(found: PredictionsFile, file: Path) -> Iterator[str]:
    if found.ids is None:
        yield f"{file} has no column id, so no rule can compare rows (comparison) or know them (data)."
    if found.unread:
        yield f"Columns that were not read: {', '.join(found.unread)[:500]}."
    if found.probabilities is None:
        return
    n = len(found.labels)
    if others := int((found.probabilities.argmax(axis=1) != found.predicted).sum()):
        yield (
            f"In {others:,} of {n:,} rows another class than `predicted` is the most probable. `predicted` is the "
            "answer; calibration looks at the most probable class."
        )
    if impossible := _impossible(found):
        yield f"{SPLIT}.nll is left out: in {impossible:,} of {n:,} rows the true class has the probability 0."
