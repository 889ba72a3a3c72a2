"""A measured number on its way to JSON and to `dvc metrics`."""

import json

import pytest

from resnet_ops.measurement import (
    Measurement,
    deciding_values,
    measurements_from_json,
    measurements_to_json,
)


@pytest.mark.parametrize("field", ["value", "low", "high"])
@pytest.mark.parametrize("number", [float("nan"), float("inf"), float("-inf")])
def test_a_measurement_that_is_no_finite_number_is_refused(field: str, number: float) -> None:
    fields = {"value": 0.5, "low": 0.4, "high": 0.6, field: number}
    with pytest.raises(ValueError, match="must be finite"):
        Measurement(value=fields["value"], n=10, low=fields["low"], high=fields["high"])


def test_measurements_pass_through_json_unchanged() -> None:
    measured = {
        "test.top1": Measurement(
            value=0.9, n=360, low=0.86, high=0.93, method="wilson 0.95", unit="fraction"
        ),
        "size.bytes": Measurement(value=1024, n=1),
    }
    text = json.dumps(measurements_to_json(measured))
    assert measurements_from_json(json.loads(text)) == measured
    assert set(json.loads(text)["size.bytes"]) == {"value", "n", "low", "high", "method", "unit"}


def test_the_few_values_that_decide_are_nested_at_their_dots() -> None:
    names = ("test.top1", "test.recall.0", "edge-cpu.latency_p95_ms", "edge-cpu.latency_p50_ms", "size.bytes")
    measured = {name: Measurement(value=index, n=1) for index, name in enumerate(names)}
    assert deciding_values(measured) == {
        "test": {"top1": 0},
        "edge-cpu": {"latency_p95_ms": 2},
        "size": {"bytes": 4},
    }


@pytest.mark.parametrize("order", [1, -1])
def test_a_class_name_may_have_dots(order: int) -> None:
    names = ("edge.v1.latency_p95_ms", "edge.v1.2.latency_p95_ms")[::order]
    measured = {name: Measurement(value=0.5, n=1) for name in names}
    assert deciding_values(measured) == {
        "edge": {"v1": {"latency_p95_ms": 0.5, "2.latency_p95_ms": 0.5}},
    }
