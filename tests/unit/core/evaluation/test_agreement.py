"""Agreement of raters, against published examples and by simulation."""

import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from resnet_ops.data import PreparedData
from resnet_ops.evaluation.agreement import krippendorff_alpha, measure_agreement
from resnet_ops.evaluation.evaluate import evaluate, save_evaluation
from resnet_ops.evaluation.params import RobustnessParams
from tests.unit.core.evaluation.test_evaluate import make_params
from tests.unit.core.makers import untrained

FOUR = (
    "1 2 3 3 2 1 4 1 2 . . .",
    "1 2 3 3 2 2 4 1 2 5 . 3",
    ". 3 3 3 2 3 4 2 2 5 1 .",
    "1 2 3 3 2 4 4 1 2 5 1 .",
)


def ratings(*raters: str) -> list[list[str]]:
    return [["" if each == "." else each for each in rater.split()] for rater in raters]


@pytest.mark.parametrize(
    ("raters", "alpha"),
    [
        (("0 1 0 0 0 0 0 0 1 0", "1 1 1 0 0 1 0 0 0 0"), 0.095),
        (("a a b b d c c c e d d a", "b a b b b c c c e d d d"), 0.692),
        (FOUR, 0.743),
    ],
    ids=["A", "B", "C"],
)
def test_alpha_is_that_of_the_published_examples(raters: tuple[str, ...], alpha: float) -> None:
    """Krippendorff 2011, Computing Krippendorff's Alpha-Reliability, sections A, B and C."""
    assert krippendorff_alpha(ratings(*raters)) == pytest.approx(alpha, abs=5e-4)


def simulated(rng: np.random.Generator, images: int, each: int) -> tuple[dict[str, np.ndarray], np.ndarray]:
    """Three raters of whom one in five is wrong, on groups of images that are hard alike."""
    group = np.arange(images) // each
    truth = rng.random(group[-1] + 1) < 0.3
    hard = rng.beta(0.5, 2, group[-1] + 1)
    said = [(rng.random(images) < hard[group]) ^ truth[group] for _ in range(3)]
    return {f"label_{k + 1}": np.where(one, "crack", "none") for k, one in enumerate(said)}, group


@pytest.mark.slow
@pytest.mark.parametrize(("images", "each"), [(60, 1), (400, 1), (500, 10)])
def test_intervals_hold_the_truth_also_where_images_come_in_groups(images: int, each: int) -> None:
    rng = np.random.default_rng(0)
    columns, group = simulated(rng, 200_000, 1)
    truth = {name: found.value for name, found in measure_agreement(columns, "test", 0.95).items()}
    held = dict.fromkeys(truth, 0)
    for _ in range(1000):
        columns, group = simulated(rng, images, each)
        for name, found in measure_agreement(columns, "test", 0.95, group).items():
            assert found.low is not None
            assert found.high is not None
            held[name] += found.low <= truth[name] <= found.high
    assert min(held.values()) >= 0.93 * 1000


def test_raters_who_always_agree_are_no_certainty_and_few_groups_have_no_interval() -> None:
    labels = np.array(["crack", "none"] * 20)
    columns = {"label_1": labels, "label_2": labels, "site": labels}
    found = measure_agreement(columns, "test", 0.95)["test.rater_alpha"]
    assert (found.value, found.n, found.high) == (1, 40, 1)
    assert found.low is not None
    assert 0.8 < found.low < 1
    assert measure_agreement(columns, "test", 0.95, np.arange(40) // 8)["test.rater_alpha"].low is None


def test_nothing_is_measured_of_one_rater_or_one_class() -> None:
    labels = np.array(["crack", "none"] * 20)
    assert measure_agreement({"label_1": labels}, "test", 0.95) == {}
    assert measure_agreement({"label_1": labels, "label_2": np.array([""] * 40)}, "test", 0.95) == {}
    one = np.array(["none"] * 40)
    assert measure_agreement({"label_1": one, "label_2": one}, "test", 0.95) == {}


def test_agreement_is_measured_with_the_model_and_shown_with_its_mistakes(
    digits: PreparedData, tmp_path: Path
) -> None:
    names = np.array([row.class_name for row in digits.rows], dtype=object)
    other = np.where(np.arange(len(names)) % 10 == 0, "7", names).astype(object)
    rated = replace(digits, extra={"label_1": names, "label_2": other, "label_3": np.full(len(names), "")})
    params = make_params(robustness=RobustnessParams(images=0))
    found = evaluate(untrained(), rated, params, seed=0)
    alpha = found.measured["test.rater_alpha"]
    assert 0.8 < alpha.value < 1
    assert alpha.n == len(digits.split("test"))
    save_evaluation(found, "tiny", params, tmp_path)
    page = (tmp_path / "mistakes.html").read_text()
    assert alpha.shown in page
    assert re.search(r"rated \d 2<br>", page)
    assert "test.rater_alpha" not in evaluate(untrained(), digits, params, seed=0).measured
