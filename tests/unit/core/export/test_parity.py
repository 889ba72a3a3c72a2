"""Whether an export is near enough to the original: what is refused, what is shown, and what the images cannot tell."""

from typing import Any

import numpy as np
import pytest

from resnet_ops.evaluation.paired_interval import images_needed, paired_difference
from resnet_ops.export.params import Tolerance, TooFewImages
from resnet_ops.export.parity import Verdict, judge_parity, measure_parity
from resnet_ops.predictions import Predictions, softmax

ALLOWED = Tolerance(max_logit_difference=100.0, min_equal_predictions=0.98, max_accuracy_loss=0.005)
ENOUGH = images_needed(0.02, 0.005, 0.95)


def answers(classes: np.ndarray) -> Predictions:
    logits = 10.0 * np.eye(3)[classes]
    return Predictions(logits, softmax(logits), logits, classes)


def judged(
    n: int, lost: int = 0, won: int = 0, too_few: TooFewImages = "estimate", **changes: Any
) -> Verdict:
    """The original is wrong on the first `won` images; the export wins those, and loses so many of the rest."""
    truth = np.zeros(n, dtype=int)
    before, after = truth.copy(), truth.copy()
    before[:won] = 1
    after[won : won + lost] = 1
    measured = measure_parity(answers(before), answers(after), truth, 0.95)
    tolerance = Tolerance(**{**vars(ALLOWED), **changes})
    return judge_parity(measured, tolerance, too_few, 0.95)


def test_what_is_lost_is_told_with_its_interval_its_limit_and_the_images() -> None:
    assert str(judged(360, lost=4)) == "refused, loses 1.1 points (0.0-2.8), allowed 0.5 (360 images)"
    both = str(judged(360, lost=12, min_equal_predictions=0.98))
    assert both.startswith("refused, predicts the same on 96.67%, needed 98.00%; loses 3.3 points (1.")


def test_a_loss_that_rounds_to_the_limit_is_told_apart_from_it() -> None:
    assert "loses 0.51 points" in str(judged(390, lost=2))


@pytest.mark.parametrize("too_few", ["estimate", "refuse"])
def test_an_export_that_is_shown_to_lose_little_is_written_whatever_the_setting(
    too_few: TooFewImages,
) -> None:
    assert judged(ENOUGH, too_few=too_few) == Verdict(ENOUGH)
    assert judged(800, too_few=too_few) == Verdict(800), "fewer do where nothing differs"


@pytest.mark.parametrize("too_few", ["estimate", "refuse"])
def test_where_the_images_suffice_a_small_loss_must_be_shown(too_few: TooFewImages) -> None:
    verdict = judged(ENOUGH, lost=15, too_few=too_few)
    assert verdict.refusals[0].startswith("loses 0.5 points (")
    assert verdict.refusals[0].endswith(", allowed 0.5 at the interval's upper end")


def test_too_few_images_are_never_called_enough() -> None:
    said = "loses 0.0 points (-1.1 to 1.1), allowed 0.5: not shown with 360 images, needs about 3,300"
    assert judged(360) == Verdict(360, doubts=(said,))
    assert str(judged(360)) == f"written; {said}"
    assert str(judged(360, too_few="refuse")) == f"refused, {said} (360 images)"


def test_an_estimate_beyond_the_limit_is_refused_with_few_images_too() -> None:
    assert judged(360, lost=1).refusals == ()
    assert judged(360, lost=2).refusals
    assert judged(360, lost=3, won=2).refusals == ()


def test_a_limit_of_nothing_is_counted_on_the_images() -> None:
    for too_few in ("estimate", "refuse"):
        assert judged(360, too_few=too_few, max_accuracy_loss=0.0) == Verdict(360)
        assert judged(360, lost=1, won=1, too_few=too_few, max_accuracy_loss=0.0) == Verdict(360)
    refused = str(judged(360, lost=1, max_accuracy_loss=0.0))
    assert refused == "refused, loses 0.3 points (-0.8 to 1.6), allowed 0 (360 images)"


@pytest.mark.parametrize("differing", [0.0, 0.01, 0.02, 0.1])
@pytest.mark.parametrize("margin", [0.005, 0.02])
def test_so_many_images_show_it_and_fewer_do_not(differing: float, margin: float) -> None:
    needed = images_needed(differing, margin, 0.95)
    each = round(needed * differing / 2)
    assert paired_difference(each, each, needed, 0.95)[1] == pytest.approx(margin, rel=0.05)
    few = round(0.8 * needed)
    each = round(few * differing / 2)
    assert paired_difference(each, each, few, 0.95)[1] > margin


def test_with_the_fewest_images_of_all_not_one_may_differ() -> None:
    needed = images_needed(0, 0.005, 0.95)
    assert paired_difference(0, 0, needed, 0.95)[1] <= 0.005 < paired_difference(0, 0, needed - 1, 0.95)[1]
    assert paired_difference(1, 0, needed, 0.95)[1] > 0.005


@pytest.mark.slow
def test_an_export_that_loses_just_too_much_is_rarely_written_where_the_images_suffice() -> None:
    """The chance is alpha, half of what the two-sided interval leaves out, over the outcomes of 1.5 % that differ."""
    draws = np.random.default_rng(0).multinomial(ENOUGH, [0.01, 0.005, 0.985], size=4000)
    written = sum(paired_difference(int(lost), int(won), ENOUGH, 0.95)[1] <= 0.005 for lost, won, _ in draws)
    assert written / len(draws) < 0.04
