"""The reference that a version's held-out images make: its predictions of them, as they are and perturbed."""

from datetime import UTC, datetime

import numpy as np

from resnet_ops.data import PreparedData
from resnet_ops.errors import DataError
from resnet_ops.evaluation.operating_point import OperatingPoint
from resnet_ops.messages import Progress
from resnet_ops.predictions import DeployedModel
from resnet_ops.tasks.watching.watching import watched, watching_of
from resnet_ops_monitoring.drift.reference import Reference, Scored, build_reference
from resnet_ops_monitoring.drift.trials import calibrate_accuracy
from resnet_ops_monitoring.inference_log.identity import ModelIdentity
from resnet_ops_monitoring.serving.scorer import Scorer
from resnet_ops_monitoring.settings.drift import ReferenceParams
from resnet_ops_registry.attestations.evidence import SCORE_STEPS, Evidence

__all__ = ["check_tested", "held_out_reference"]

NO_TIME = datetime.fromtimestamp(0, UTC)  # held-out images were never requested; equal runs give equal bytes
ANSWER, EACH = 1.5, 0.01
"""More than one answer; and how far apart scores of other images lie, even where their mean is the same."""


def held_out_reference(
    model: DeployedModel,
    identity: ModelIdentity,
    test: PreparedData,
    params: ReferenceParams,
    seed: int,
    progress: Progress,
    operating: OperatingPoint | None = None,
    group: str | None = None,
    evidence: Evidence | None = None,
) -> Reference:
    """The labelled, calibrated reference of a version. test: images that it was not trained on, with their labels.
    operating: where it decides, by its evidence. group: the column of the manifest whose images are alike. evidence:
    what was measured on its test images, to see that it does on these as it did there (`check_tested`).

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
    if evidence is not None:
        check_tested(identity, watching.measured, known.scores, evidence)
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


def check_tested(identity: ModelIdentity, measured: str, scores: np.ndarray, evidence: Evidence) -> None:
    """Raise DataError unless a version did on these images as its evidence says: else they are not its test images.

    measured: what scores are. scores: (N,) of the images in their order, in [0, 1] or whether each is right. Where the
    evidence holds the score of each image, each is compared with its own, too. In sum one answer may differ, and
    scores of single images by EACH in the mean, as they can on another machine.
    """
    outcomes, top1 = evidence.outcomes.get("test"), evidence.metrics.get("test.top1")
    packed = None if outcomes is None else outcomes.score_bytes()
    apart = 0.0
    if packed is not None:
        before = np.frombuffer(packed, ">u2") / SCORE_STEPS
        n, value = len(before), float(before.mean())
        apart = float(np.abs(scores - before).sum()) if n == len(scores) else np.inf
    elif top1 is not None:
        n, value = top1.n, top1.value
    else:
        raise DataError(
            f"The evidence of {identity} names no test.top1, so nothing tells whether these are the images that it was "
            "tested on. Publish it with evidence that does: dvc repro register_models"
        )
    differ = abs(float(scores.mean()) - value) * n
    if n != len(scores) or differ > ANSWER or apart > max(ANSWER, EACH * n):
        each = "" if packed is None else ", image by image"
        raise DataError(
            f"These are not the held-out images that {identity} was tested on: {measured} {scores.mean():.1%} of "
            f"{len(scores)}, where its evidence says {value:.1%} of {n}{each}. Measure it on these: resnet-ops attest "
            f"evaluation {identity.name} {identity.version}. Or check out the data that it was trained with, then run: "
            "dvc repro prepare_data"
        )
