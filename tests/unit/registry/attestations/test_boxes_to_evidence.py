"""A dozen drawn images through training, evaluation and evidence, to the gate's rules."""

from collections.abc import Iterator
from pathlib import Path

import pytest
import torch

from resnet_ops.data import save_prepared
from resnet_ops.evaluation.params import EvaluateParams, RobustnessParams, SliceParams
from resnet_ops.files import read_json
from resnet_ops.measurement import measurements_from_json
from resnet_ops.tasks.measuring.measuring import measuring_of
from resnet_ops.training.loop import fit
from resnet_ops_registry.attestations.evidence import (
    EVIDENCE_TYPE_2,
    Evidence,
    Headline,
    metrics_from,
    read_evidence,
)
from resnet_ops_registry.attestations.outcomes import read_outcomes
from tests.unit.core.makers import make_plan, make_recipe
from tests.unit.core.tasks.drawn_boxes import prepared_boxes
from tests.unit.registry.attestations.test_evidence import make_evidence
from tests.unit.registry.judging import case, judged

PARAMS = EvaluateParams(
    confidence=0.95,
    calibration_bins=15,
    slices=SliceParams(columns=("class_name",), statistics=(), quantiles=2, min_images=2),
    robustness=RobustnessParams(images=0),
    gallery=3,
    operating_point=None,
)


@pytest.fixture(autouse=True)
def _usual_torch() -> Iterator[None]:
    yield
    torch.use_deterministic_algorithms(False)


@pytest.fixture
def found(tmp_path: Path) -> Evidence:
    """What is signed of a detector that was trained for a moment."""
    data = prepared_boxes(tmp_path / "raw", count=24)
    save_prepared(data, tmp_path / "prepared", ("train", "validation", "test"))
    recipe = make_recipe(epochs=2, batch_size=4, label_smoothing=0.0, flip=True)
    model = fit(make_plan(recipe), data)
    measuring_of(data.task).evaluate(model, data, PARAMS, 0, lambda done, total: None, None).save(
        "tiny", PARAMS, tmp_path
    )
    manifest = tmp_path / "prepared/manifest.csv"
    return make_evidence(
        metrics=metrics_from(measurements_from_json(read_json(tmp_path / "measurements.json"))),
        outcomes=read_outcomes(tmp_path / "predictions.csv", manifest, "test"),
        task=data.task.name,
        headline=Headline.of(data.task.headline),
    )


@pytest.mark.slow
def test_a_detector_is_trained_evaluated_and_judged_by_its_evidence(found: Evidence) -> None:
    assert found.statement_type == EVIDENCE_TYPE_2
    assert read_evidence(found.as_signed()) == found
    assert found.compared_by.metric == "test.ap"
    assert {found.compared_by.metric, found.compared_by.chosen_by, "test.ap50", "test.threshold"} <= {
        *found.metrics
    }
    assert found.outcomes["test"].score_bytes() is not None
    about = case(metrics=found.metrics, outcomes=found.outcomes, task=found.task, headline=found.headline)
    rule = "rule: threshold, metric: test.ap50, bound: value, min: {}"
    assert judged(rule.format(0), about).passed
    assert not judged(rule.format(0.99), about).passed
