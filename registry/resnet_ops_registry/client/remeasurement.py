"""Registered versions, measured again on the test images of today."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from resnet_ops.data import PreparedData, load_prepared
from resnet_ops.data.trained_on import leave_out
from resnet_ops.errors import ConfigError, DataError, EvidenceError
from resnet_ops.evaluation.evaluate import THRESHOLDS, Evaluation, evaluate
from resnet_ops.evaluation.operating_point import OperatingPointParams
from resnet_ops.evaluation.params import EvaluateParams, read_evaluate_params
from resnet_ops.evaluation.reject import RejectParams
from resnet_ops.messages import Progress
from resnet_ops.predictions import DeployedModel
from resnet_ops.provenance import hardware
from resnet_ops.tasks.task import require_per_image
from resnet_ops_registry.attestations.evidence import Evidence, Metric, metrics_from, show_metric
from resnet_ops_registry.attestations.keys import PrivateKey
from resnet_ops_registry.attestations.outcomes import all_outcomes, images_digest
from resnet_ops_registry.cards.publishing import refresh_card
from resnet_ops_registry.client.attesting import find_model_version, send
from resnet_ops_registry.client.loading import load
from resnet_ops_registry.common.connection import connect
from resnet_ops_registry.common.mlflow_errors import reported
from resnet_ops_registry.gate.signed_evidence import evidence_of

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities.model_registry import ModelVersion

__all__ = ["attest_evaluation"]

_MEASURED = (
    *("test.", "validation.", "calibrated.", "robustness.", "operating.", "reject.", "retrieval."),
    "data.test.",
)
"""How the metrics begin that an evaluation replaces; speed, size and the export's loss stay as they were."""


@dataclass(frozen=True)
class _Subject:
    """A version that is measured. before: its evidence until now. digest: of the very files that are measured."""

    version: "ModelVersion"
    model: DeployedModel
    before: Evidence
    digest: str
    trained_on: frozenset[str]


def attest_evaluation(
    model: str, versions: Sequence[int], data: Path, params: Path, key: PrivateKey, progress: Progress
) -> list[str]:
    """Measure versions on the test images that none of them has seen, sign that as evidence, and say what came out.

    All are measured on the same images, so that the gate can compare them image by image. data: a folder of prepared
    data. params: the file whose `evaluate` says how. progress: takes predictions of corrupted images, done and in all.
    Raises EvidenceError where a version does not say what it was trained on, or the registry does not take
    the new one; DataError where the images are not the model's, or all of them were seen.
    """
    settings, seed, group = read_evaluate_params(params)
    client, prepared = connect(), load_prepared(data)
    require_per_image(prepared.task, "attest evaluation")
    subjects = [_subject(client, model, number, prepared) for number in dict.fromkeys(versions)]
    seen = frozenset[str]().union(*(subject.trained_on for subject in subjects))
    unseen, count = leave_out(prepared, seen, "test")
    unseen, _ = leave_out(unseen, seen, "validation")
    lines = [f"{count} test images are left out, because a version has seen them."] if count else []
    for subject in subjects:
        evidence, number = (
            _measure(subject, unseen, settings, seed, progress, group),
            int(subject.version.version),
        )
        with reported(f"Signing for {model} v{number}"):
            # not of what the store holds by now: the gate compares, and takes nothing about other files
            send(client, subject.version, evidence, key, subject.digest)
        refresh_card(client, model, number)
        now, then = (show_metric(each.metrics["test.top1"]) for each in (evidence, subject.before))
        lines.append(f"{model} v{number}: test.top1 {now}, was {then}; signed by {key.name}")
        if evidence.operating_point != subject.before.operating_point:
            remake = f"resnet-ops drift reference {model} {number}"
            lines.append(
                f"{model} v{number} decides at another point now. Have the monitor know it: {remake}"
            )
    return lines


def _subject(client: "MlflowClient", model: str, number: int, data: PreparedData) -> _Subject:
    found = find_model_version(client, model, number)
    before, version = evidence_of(client, found).evidence, load(model, number)
    loaded, seen = version.model, version.trained_on
    require_per_image(loaded.task, "attest evaluation")
    if version.weights_digest != before.weights_digest:
        raise EvidenceError(
            f"The evidence of {model} v{number} is about other weights ({before.weights_digest[:12]}) than those of "
            f"its files ({version.weights_digest[:12]}). Do not use it; publish it again: dvc repro"
        )
    if seen is None:
        raise EvidenceError(
            f"{model} v{number} does not say which images it was trained on, so nothing tells which of these it has "
            "seen. Train it again, or compare with a version that says so."
        )
    if loaded.classes != data.classes:
        odd = sorted({*loaded.classes} ^ {*data.classes})
        raise DataError(
            f"{model} v{number} has other classes than these images ({', '.join(odd[:10]) or 'another order'}), so it "
            "cannot be measured on them."
        )
    return _Subject(found, loaded, before, version.files_digest, seen)


def _measure(
    subject: _Subject,
    data: PreparedData,
    settings: EvaluateParams,
    seed: int,
    progress: Progress,
    group: str | None,
) -> Evidence:
    thresholds = _thresholds_of(subject.before, settings)
    values = {name: each.value for name, each in thresholds.items()}
    found = evaluate(subject.model, data, settings, seed, progress, group, values)
    kept = {name: metric for name, metric in subject.before.metrics.items() if not name.startswith(_MEASURED)}
    images = [(row.sha256, row.class_name) for row in found.data.rows]
    outcomes = all_outcomes("test", images, found.right, found.groups, found.called)
    before = {name: each for name, each in subject.before.outcomes.items() if not name.startswith(_MEASURED)}
    return subject.before.model_copy(
        update={
            "metrics": kept | _metrics(found, thresholds),
            "outcomes": before | outcomes,
            "positive": settings.operating_point.positive
            if settings.operating_point and found.called
            else (),
            "data": subject.before.data | {"test images": f"sha256:{images_digest(images)}"},
            "hardware": subject.before.hardware | {"evaluation": hardware()},
            "replaces": subject.before.replaces or subject.before.digest(),
            "created": datetime.now(UTC),
        }
    )


def _thresholds_of(before: Evidence, settings: EvaluateParams) -> dict[str, Metric]:
    """Where the version decides and abstains since it was published, but for what has another aim now.

    Raises ConfigError where it has a threshold of which the settings say nothing: its evidence would lose it.
    """
    aims = dict(zip(THRESHOLDS, (settings.operating_point, settings.reject), strict=True))
    found = {name: before.metrics[name] for name in aims if name in before.metrics}
    for name, threshold in found.items():
        if aims[name] is None:
            key = "operating_point" if name == THRESHOLDS[0] else "reject"
            raise ConfigError(
                f"The version has a {name} of {threshold.value:.4g} ({threshold.method}), and params.yaml sets no "
                f"evaluate.{key}: its new evidence would be without. Set it, as it was or anew."
            )
    return {name: each for name, each in found.items() if _same_aim(each, before, aims[name])}


def _same_aim(threshold: Metric, before: Evidence, aim: OperatingPointParams | RejectParams | None) -> bool:
    if isinstance(aim, OperatingPointParams) and before.positive:
        same = str(threshold.method).startswith(f"{aim.aim_words};")
        return same and set(before.positive) == set(aim.positive)
    return aim is not None and threshold.method == aim.words


def _metrics(found: Evaluation, thresholds: dict[str, Metric]) -> dict[str, Metric]:
    n, measured = len(found.data), metrics_from(found.measured)
    kept = {name: each for name, each in thresholds.items() if name in measured}
    return measured | kept | {"data.test.images": Metric(value=n, n=n, unit="images")}
