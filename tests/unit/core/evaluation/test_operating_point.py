"""An operating point: chosen on validation by its aim, measured on test, and nothing where it cannot be had."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Literal

import numpy as np
import pytest

from resnet_ops.errors import ConfigError
from resnet_ops.evaluation.operating_point import (
    OperatingPoint,
    OperatingPointParams,
    choose_threshold,
    curve,
    measure_operating_point,
    score,
)

Aim = Literal["sensitivity", "specificity", "precision", "cost"]
TRUTH = np.array([True, True, False, True, False, False, True, False])
SCORES = np.array([0.9, 0.8, 0.7, 0.6, 0.4, 0.3, 0.2, 0.1])


def params(aim: Aim, at_least: float, prevalence: float | None = None) -> OperatingPointParams:
    return OperatingPointParams(positive=("crack",), aim=aim, at_least=at_least, prevalence=prevalence)


@pytest.mark.parametrize(
    ("aim", "at_least", "decided"),
    [
        ("sensitivity", 0.75, 4),
        ("sensitivity", 1.0, 7),
        ("specificity", 1.0, 2),
        ("specificity", 0.75, 4),
        ("precision", 1.0, 2),
        ("precision", 0.7, 4),
        ("cost", 1.0, 2),
        ("cost", 10.0, 7),
    ],
)
def test_the_threshold_reaches_its_aim_and_is_the_best_otherwise(
    aim: Aim, at_least: float, decided: int
) -> None:
    threshold = choose_threshold(TRUTH, SCORES, params(aim, at_least))
    assert threshold is not None
    assert (threshold <= SCORES).sum() == decided


def test_a_threshold_decides_as_it_was_measured_also_with_the_digits_that_models_answer_with() -> None:
    """Of probabilities in float64 the mistakes could be told apart; of answers in float32 they cannot."""
    surer = np.array([1 - 1e-12, 1 - 2e-12, 1 - 3e-12, 0.2, 0.1])
    rows, labels = np.stack([1 - surer, surer], axis=1), np.array([1, 0, 1, 0, 0])
    positive, scores = score(rows, labels, ("good", "crack"), ("crack",))
    assert scores[:3].tolist() == [1.0] * 3
    threshold = choose_threshold(positive, scores, params("sensitivity", 1.0))
    assert threshold is not None
    served = OperatingPoint(("crack",), threshold).called(rows.astype(np.float32), ("good", "crack"))
    assert served.tolist() == (scores >= threshold).tolist() == [True] * 3 + [False] * 2


@pytest.mark.parametrize("seed", range(20))
@pytest.mark.parametrize("aim", ["sensitivity", "specificity", "precision"])
def test_no_other_threshold_reaches_the_aim_and_does_better(aim: Aim, seed: int) -> None:
    rng = np.random.default_rng(seed)
    truth, scores = rng.random(60) < 0.4, rng.integers(0, 12, 60) / 12  # many equal ones
    wanted = 0.6
    threshold = choose_threshold(truth, scores, params(aim, wanted))
    reached = {}
    for each in [*np.unique(scores), 2.0]:
        said = scores >= each
        found = {
            "sensitivity": (said & truth).sum() / truth.sum(),
            "specificity": (~said & ~truth).sum() / (~truth).sum(),
            "precision": (said & truth).sum() / max(said.sum(), 1),
        }
        if found[aim] >= wanted:
            reached[said.sum()] = found["specificity" if aim == "sensitivity" else "sensitivity"]
    if threshold is None:
        assert reached == {}
    else:
        assert reached[(scores >= threshold).sum()] == max(reached.values())


def test_nothing_is_decided_positive_where_only_that_reaches_the_aim() -> None:
    threshold = choose_threshold(np.array([False, True]), np.array([1.0, 0.5]), params("specificity", 1.0))
    assert threshold is not None
    assert not (np.array([1.0]) >= threshold).any()


@pytest.mark.parametrize("truth", [np.zeros(8, bool), np.ones(8, bool)])
def test_without_images_of_both_sides_there_is_no_threshold(truth: np.ndarray) -> None:
    assert choose_threshold(truth, SCORES, params("sensitivity", 0.5)) is None
    assert (
        measure_operating_point((truth, SCORES), (truth, SCORES), params("sensitivity", 0.5), 0.95, 0) == {}
    )


def test_an_aim_that_no_threshold_reaches_leaves_the_point_out_so_that_a_rule_on_it_refuses() -> None:
    truth = np.array([False, True, False])
    scores = np.array([0.9, 0.5, 0.4])
    found = measure_operating_point((truth, scores), (truth, scores), params("precision", 0.9), 0.95, 0)
    assert set(found) == {"test.roc_auc", "test.average_precision"}


def test_what_is_measured_is_of_the_test_split_at_the_threshold_of_validation() -> None:
    tuned = (TRUTH, SCORES)
    test = (np.array([True, False, True, False]), np.array([0.95, 0.74, 0.66, 0.1]))
    found = measure_operating_point(tuned, test, params("specificity", 1.0), 0.95, 0)
    assert found["operating.threshold"].value == pytest.approx(0.75)
    assert "specificity at least 1; positive: crack" in str(found["operating.threshold"].method)
    assert (found["operating.sensitivity"].value, found["operating.sensitivity"].n) == (0.5, 2)
    assert (found["operating.specificity"].value, found["operating.specificity"].n) == (1.0, 2)
    drawn = curve(test, 0.75)
    assert drawn["counts"] == {"hits": 1, "misses": 1, "alarms": 0, "passes": 2}
    assert len(drawn["curve"]) == 4
    json.dumps(drawn)


def test_the_probabilities_of_several_classes_are_added_up() -> None:
    rows = np.array([[0.5, 0.2, 0.3], [0.1, 0.8, 0.1]])
    positive, scores = score(rows, np.array([0, 1]), ("crack", "none", "dent"), ("crack", "dent"))
    assert positive.tolist() == [True, False]
    assert scores == pytest.approx([0.8, 0.2])


@pytest.mark.parametrize(
    ("names", "said"), [(("hole",), "names hole; classes are"), (("a", "b"), "names every class")]
)
def test_classes_that_cannot_be_looked_for_are_named(names: tuple[str, ...], said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        score(np.ones((1, 2)) / 2, np.array([0]), ("a", "b"), names)


@pytest.mark.parametrize(
    "wrong",
    [
        {"positive": ()},
        {"positive": ("a", "a")},
        {"at_least": 1.5},
        {"at_least": 0},
        {"prevalence": 1.0},
        {"prevalence": 1e-320},
    ],
)
def test_settings_that_mean_nothing_are_refused(wrong: dict[str, object]) -> None:
    with pytest.raises(ValueError, match=next(iter(wrong))):
        replace(params("specificity", 0.9), **wrong)  # type: ignore[arg-type]


def test_the_setting_is_null_for_the_digits() -> None:
    import yaml

    from tests.unit.project_imports import ROOT

    settings = yaml.safe_load((ROOT / Path("params.yaml")).read_text())
    assert settings["evaluate"]["operating_point"] is None


def test_with_groups_only_what_knows_them_has_an_interval() -> None:
    test = (np.tile(TRUTH, 10), np.tile(SCORES, 10))
    groups = np.repeat(np.arange(20), 4)
    found = measure_operating_point(test, test, params("specificity", 0.5), 0.95, 0, groups)
    with_interval = {name for name, each in found.items() if each.low is not None}
    assert with_interval == {"operating.sensitivity", "operating.specificity"}
    assert "20 groups" in str(found["operating.sensitivity"].method)
    few = measure_operating_point(test, test, params("specificity", 0.5), 0.95, 0, groups // 6)
    assert few["operating.sensitivity"].low is None
