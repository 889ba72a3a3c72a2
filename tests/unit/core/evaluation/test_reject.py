"""The reject option answers as much as its risk allows, and says what came of it on other images."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from resnet_ops.evaluation.reject import (
    RejectParams,
    choose_confidence,
    confidence_of,
    measure_reject,
    reject_panel,
)
from resnet_ops.evaluation.square import sheet

PARAMS = RejectParams(max_risk=0.25)


def test_a_hand_case() -> None:
    confidence = np.array([0.99, 0.9, 0.8, 0.8, 0.6, 0.4])
    right = np.array([True, True, True, False, False, True])
    # answered 1, 2, 4 (the two at 0.8 together), 5, 6: wrong 0, 0, 1, 2, 2, so 4 of risk 1/4 are the most
    assert choose_confidence(confidence, right, PARAMS) == pytest.approx(0.7)
    assert choose_confidence(confidence, right, RejectParams(max_risk=0.4)) == 0.0
    assert choose_confidence(confidence, right, RejectParams(max_risk=0)) == pytest.approx(0.85)
    assert choose_confidence(confidence, ~right, RejectParams(max_risk=0)) is None


@given(
    rows=st.lists(st.tuples(st.sampled_from([0.3, 0.5, 0.7, 0.9]), st.booleans()), min_size=1, max_size=30),
    risk=st.sampled_from([0.0, 0.1, 0.3, 0.5]),
)
def test_no_other_threshold_answers_more_at_the_allowed_risk(
    rows: list[tuple[float, bool]], risk: float
) -> None:
    confidence, right = (np.array(part) for part in zip(*rows, strict=True))
    right = right.astype(bool)
    found = choose_confidence(confidence, right, RejectParams(max_risk=risk))
    tried = [
        int((confidence >= level).sum())
        for level in np.unique(confidence)
        if (~right[confidence >= level]).mean() <= risk + 1e-12
    ]
    assert (0 if found is None else int((confidence >= found).sum())) == max(tried, default=0)


def test_neighbouring_confidences_are_told_apart_or_not_at_all() -> None:
    sure = np.array([np.nextafter(1, 0), np.nextafter(np.nextafter(1, 0), 0)])
    found = choose_confidence(sure, np.array([True, False]), RejectParams(max_risk=0))
    assert found is not None
    assert (sure >= found).tolist() == [True, False]
    answered = confidence_of(np.array([[sure[0], 1 - sure[0]], [sure[1], 1 - sure[1]]]))
    assert answered.tolist() == [1.0, 1.0], "models answer in float32"


def test_coverage_and_risk_are_those_of_the_test_split() -> None:
    rng = np.random.default_rng(0)
    validation, test = ((rng.uniform(0.2, 1, n), rng.random(n) < 0.7) for n in (400, 300))
    found = measure_reject(validation, test, PARAMS, 0.95)
    threshold = found["reject.threshold"].value
    answered = test[0] >= threshold
    assert found["reject.threshold"].n == 400
    assert found["reject.coverage"].value == pytest.approx(answered.mean())
    assert found["reject.risk"].value == pytest.approx((~test[1][answered]).mean())
    assert found["reject.risk"].n == answered.sum()
    assert "risk at most 0.25" in str(found["reject.threshold"].method)
    kept = measure_reject(validation, test, PARAMS, 0.95, threshold=0.9)
    assert kept["reject.coverage"].value == pytest.approx((test[0] >= 0.9).mean())


def test_nothing_is_said_where_no_threshold_reaches_the_aim_and_no_risk_where_nothing_is_answered() -> None:
    wrong = np.array([0.5, 0.9]), np.array([False, False])
    assert measure_reject(wrong, wrong, PARAMS, 0.95) == {}
    found = measure_reject(wrong, (np.array([0.1]), np.array([True])), PARAMS, 0.95, threshold=0.5)
    assert found["reject.coverage"].value == 0
    assert "reject.risk" not in found


def test_intervals_know_groups() -> None:
    rng = np.random.default_rng(1)
    groups = np.repeat(np.arange(30), 20)
    right = (rng.random(30) < 0.8)[groups]
    split = rng.uniform(0.5, 1, 600), right
    plain = measure_reject(split, split, PARAMS, 0.95, threshold=0.6)["reject.risk"]
    grouped = measure_reject(split, split, PARAMS, 0.95, groups, threshold=0.6)["reject.risk"]
    assert plain.low is not None
    assert plain.high is not None
    assert grouped.low is not None
    assert grouped.high is not None
    assert grouped.high - grouped.low > 2 * (plain.high - plain.low)


@pytest.mark.parametrize("risk", [-0.1, 1.0, float("nan")])
def test_a_risk_that_can_be_none_is_refused(risk: float) -> None:
    with pytest.raises(ValueError, match="max_risk"):
        RejectParams(max_risk=risk)


def test_the_panel_has_a_dot_where_it_answers() -> None:
    confidence, right = np.array([0.9, 0.8, 0.7]), np.array([True, True, False])
    assert "<circle" in sheet("a", [reject_panel(confidence, right, 0.75)])
    assert "<title>0.667, 0.000</title>" in sheet("a", [reject_panel(confidence, right, 0.75)])
    assert "<circle" not in sheet("a", [reject_panel(confidence, right, None)])
    assert "<circle" not in sheet("a", [reject_panel(confidence, right, 0.95)])
