"""From an evaluation to a refusal: the server refuses a member for its slices, its robustness, its calibration."""

from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import pytest
from mlflow import MlflowClient
from mlflow.exceptions import MlflowException

from resnet_ops.data import PreparedData
from resnet_ops.evaluation.evaluate import evaluate
from resnet_ops.evaluation.operating_point import OperatingPointParams
from resnet_ops.evaluation.params import EvaluateParams, RobustnessParams, SliceParams
from resnet_ops.measurement import Measurement
from resnet_ops.model import load_model
from resnet_ops_registry import check
from resnet_ops_registry.attestations.evidence import Evidence, Metric, metrics_from, show_metric
from resnet_ops_registry.client.publish import Published
from resnet_ops_registry.database.tables import open_database
from resnet_ops_registry.gate.policies import apply_policy
from tests.unit.core.makers import digits as read_digits

pytestmark = pytest.mark.slow  # each publishes or trains: left to `make test`

NAME = "digits-classifier"
PARAMS = EvaluateParams(
    confidence=0.95,
    calibration_bins=15,
    slices=SliceParams(columns=("class_name",), statistics=("brightness",), quantiles=4, min_images=30),
    robustness=RobustnessParams(images=100),
    gallery=0,
    operating_point=OperatingPointParams(
        positive=("0", "1"),
        aim="specificity",
        at_least=0.8,
        prevalence=None,
        partial_auc=(0.2,),
        precision_at_recall=(0.8,),
        recall_at_precision=(0.5,),
    ),
)
EvidenceMaker = Callable[..., Evidence]
Publisher = Callable[..., Published]


@pytest.fixture
def measured(model_folder: Path) -> dict[str, Measurement]:
    """A real evaluation of the tiny model on the digits."""
    data: PreparedData = read_digits()
    return evaluate(load_model(model_folder), data, PARAMS, seed=0).measured


@pytest.fixture
def version(
    client: MlflowClient,
    measured: dict[str, Measurement],
    make_evidence: EvidenceMaker,
    published: Publisher,
) -> int:
    """The tiny model, registered with the evidence of its evaluation and of a benchmark."""
    found = metrics_from(measured) | BENCHMARK
    evidence = make_evidence().model_copy(update={"metrics": found, "created": datetime.now(UTC)})
    return published(evidence=evidence).version


def put_into_force(rule: str) -> None:
    policy = (
        f"model: {NAME}\nevidence_roles: [pipeline]\n"
        f"guards: [{{aliases: [champion], rules: [{{rule: threshold, {rule}, why: promised}}]}}]\n"
    )
    with open_database() as connection:
        apply_policy(connection, policy, "p.yaml")


BENCHMARK = {
    "edge-cpu.latency_p99_ms": Metric(value=3.25, n=400, low=3.0, high=4.5, unit="ms"),
    "edge-cpu.batch8.latency_p99_ms": Metric(value=9.75, n=50, unit="ms"),
    "edge-cpu.throughput_ips": Metric(value=17439.68, n=400, low=17429.2, high=17453.5, unit="images/s"),
    "edge-cpu.load_ms": Metric(value=37.0, n=1, unit="ms"),
    "edge-cpu.first_request_ms": Metric(value=0.46, n=1, unit="ms"),
    "edge-cpu.peak_memory_mb": Metric(value=67.9, n=1, unit="MiB"),
    "edge-cpu.memory_share": Metric(value=0.066, n=1, unit="of the profile's memory"),
    "edge-cpu.energy_mj": Metric(value=2.5, n=1, unit="mJ"),
    "compute.flops": Metric(value=5_033_216, n=1, unit="FLOP/image"),
    "data.test.images": Metric(value=360, n=360, unit="images"),
}
RULES = {
    "test.worst_slice": ("min: 0.85", "min: 0"),
    "test.partial_auc.0.2": ("bound: low, min: 0.95", "bound: low, min: 0.01"),
    "test.precision_at_recall.0.8": ("bound: low, min: 0.95", "bound: low, min: 0.01"),
    "test.recall_at_precision.0.5": ("min: 0.9", "min: 0"),
    "robustness.mean_accuracy": ("bound: low, min: 0.6", "bound: low, min: 0.01"),
    "robustness.accuracy.fog": ("min: 0.9", "min: 0"),
    "test.ece": ("bound: high, max: 0.0001", "bound: high, max: 1"),
    "calibrated.brier": ("max: 0.1", "max: 2"),
    "calibrated.nll": ("bound: high, max: 0.5", "bound: high, max: 100"),
    "edge-cpu.latency_p99_ms": ("bound: high, max: 4", "bound: high, max: 5"),
    "edge-cpu.batch8.latency_p99_ms": ("max: 9", "max: 10"),
    "edge-cpu.throughput_ips": ("bound: low, min: 20000", "bound: low, min: 17000"),
    "edge-cpu.load_ms": ("max: 30", "max: 40"),
    "edge-cpu.first_request_ms": ("max: 0.4", "max: 0.5"),
    "edge-cpu.peak_memory_mb": ("max: 64", "max: 128"),
    "edge-cpu.memory_share": ("max: 0.05", "max: 1"),
    "edge-cpu.energy_mj": ("max: 2", "max: 3"),
    "compute.flops": ("max: 1000000", "max: 10000000"),
    "data.test.images": ("min: 1000", "min: 300"),
}
"""By metric: what the tiny, untrained model cannot meet, and what it can."""


def test_a_member_is_refused_for_any_measure_with_the_number_and_its_images(
    client: MlflowClient, version: int, measured: dict[str, Measurement]
) -> None:
    known = metrics_from(measured) | BENCHMARK
    for name, (asked, met) in RULES.items():
        put_into_force(f"metric: {name}, {asked}")
        with pytest.raises(MlflowException) as caught:
            client.set_registered_model_alias(NAME, "champion", str(version))
        assert f"{name} {show_metric(known[name])}" in caught.value.message
        assert ("is above" if "max" in asked else "is below") in caught.value.message
        put_into_force(f"metric: {name}, {met}")
        client.set_registered_model_alias(NAME, "champion", str(version))
        client.delete_registered_model_alias(NAME, "champion")


def test_a_rule_on_every_slice_names_the_worst_one_and_one_that_was_not_measured_refuses(
    version: int, measured: dict[str, Measurement]
) -> None:
    put_into_force('metric: "test.slice.*", min: 0.99')
    slices = {name: each.value for name, each in measured.items() if name.startswith("test.slice.")}
    message = check(NAME, version, "champion").message
    named = [name for name, value in slices.items() if value == min(slices.values()) and name in message]
    assert named
    assert f"n={measured[named[0]].n}" in message
    put_into_force("metric: test.slice.site.north, min: 0.5")
    assert "test.slice.site.north is missing" in check(NAME, version, "champion").message


def test_gate_explain_prints_every_measure_as_a_person_reads_it(
    version: int, run: Callable[..., str]
) -> None:
    put_into_force("metric: edge-cpu.throughput_ips, bound: low, min: 20000")
    told = run("gate", "explain", NAME, str(version))
    for part in ("17,440 images/s", "(17,429-17,454, n=400)", "low end >= 20,000"):
        assert part in " ".join(told.split()), part
    assert "e+04" not in told
