"""The reference that a version's held-out images make: its predictions of them, as they are and perturbed."""

from datetime import UTC, datetime

import numpy as np

from resnet_ops.data import PreparedData
from resnet_ops.errors import DataError
from resnet_ops.evaluation.operating_point import OperatingPoint
from resnet_ops.messages import Progress
from resnet_ops.predictions import DeployedModel
from resnet_ops.tasks.watching.watching import watched, watching_of
from resnet_ops_monitoring.drift.perturbations import calibrate_accuracy
from resnet_ops_monitoring.drift.reference import Reference, Scored, build_reference
from resnet_ops_monitoring.inference_log.identity import ModelIdentity
from resnet_ops_monitoring.serving.scorer import Scorer
from resnet_ops_monitoring.settings.drift import ReferenceParams
from resnet_ops_registry.attestations.evidence import SCORE_STEPS, Evidence, Metric

__all__ = ["check_tested", "held_out_reference", "measured_before"]

NO_TIME = datetime.fromtimestamp(0, UTC)  # held-out images were never requested; equal runs give equal bytes


def held_out_reference(
    model: DeployedModel,
    identity: ModelIdentity,
    test: PreparedData,
    params: ReferenceParams,
    seed: int,
    progress: Progress,
    operating: OperatingPoint | None = None,
    group: str | None = None,
) -> Reference:
    """The labelled, calibrated reference of a version. test: images that it was not trained on, with their labels.
    operating: where it decides, by its evidence. group: the column of the manifest whose images are alike.

    Raises DataError when the images are not the model's, or it gives no numbers for them; ConfigError when they have no
    such column.
    """
    frame = Scorer(model, identity).score(
        test.images,
        [row.path for row in test.rows],
        [NO_TIME] * len(test),
        labels=[row.class_name for row in test.rows],
        groups=test.groups(group),
    )
    watching, known = watching_of(model), watched(model, test.images, test.asked)
    scalars = watching.scalars(model.classes)
    reference = build_reference(
        frame,
        identity,
        watching.kinds(model.classes),
        rows=params.reference_rows,
        seed=seed,
        operating=operating,
        scored=Scored(watching.measured, np.asarray(known.scores, float), scalars, watching.threshold)
        if scalars
        else None,
    )
    each = params.perturbed_images
    return calibrate_accuracy(
        reference, model, test.images, test.labels, test.asked, known, each=each, seed=seed, progress=progress
    )


def measured_before(evidence: Evidence) -> Metric | None:
    """What a version did on its test images, by its evidence: the share of right ones, or the mean of their scores."""
    outcomes = evidence.outcomes.get("test")
    packed = None if outcomes is None else outcomes.score_bytes()
    if outcomes is None or packed is None:
        return evidence.metrics.get("test.top1")
    return Metric(value=float(np.frombuffer(packed, ">u2").mean()) / SCORE_STEPS, n=outcomes.n)


def check_tested(reference: Reference, tested: Metric | None) -> None:
    """Raise DataError unless the version did on these images as its evidence says: else they are not its test images.

    tested: as `measured_before` has it. One answer may differ, as it can on another machine.
    """
    found = reference.accuracy(0.95)
    if tested is None:
        raise DataError(
            f"The evidence of {reference.identity} names no test.top1, so nothing tells whether these are the images "
            "that it was tested on. Publish it with evidence that does: dvc repro register_models"
        )
    if found.n != tested.n or abs(found.value - tested.value) * tested.n > 1.5:
        raise DataError(
            f"These are not the held-out images that {reference.identity} was tested on: {reference.measured} "
            f"{found.value:.1%} of {found.n}, where its evidence says {tested.value:.1%} of {tested.n}. Measure it on "
            f"these: resnet-ops attest evaluation {reference.identity.name} {reference.identity.version}. Or check out "
            "the data that it was trained with, then run: dvc repro prepare_data"
        )
