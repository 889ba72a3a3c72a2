"""The curves and the dot of the operating point stand where the counts say."""

import re

import numpy as np
import pytest

from resnet_ops.evaluation.curves import curve_panels
from resnet_ops.evaluation.operating_point import curve
from resnet_ops.evaluation.square import SIDE, y_of
from resnet_ops.measurement import Measurement

POSITIVE = np.array([True, True, False, True, False, False])
SCORES = np.array([0.9, 0.8, 0.7, 0.6, 0.2, 0.1])


def places(drawn: str) -> list[tuple[float, float]]:
    """The line's points as shares."""
    (line,) = re.findall(r'points="([^"]*)"', drawn)
    pairs = [tuple(map(float, pair.split(","))) for pair in line.split()]
    return [(round(x / SIDE, 2), round(1 - (y - y_of(1)) / SIDE, 2)) for x, y in pairs]


def test_the_curves_are_those_of_scikit_learn_and_the_dot_is_at_the_threshold() -> None:
    from sklearn.metrics import roc_curve

    roc, recall = curve_panels(curve((POSITIVE, SCORES), 0.65), {})
    alarms, hits, _ = roc_curve(POSITIVE, SCORES, drop_intermediate=False)
    drawn = roc.draw(0)
    assert places(drawn)[:-1] == [(round(x, 2), round(y, 2)) for x, y in zip(alarms, hits, strict=True)]
    assert "<title>0.333, 0.667</title>" in drawn, "2 of 3 found, 1 of 3 others called so"
    assert "threshold 0.650" in roc.caption
    assert places(recall.draw(0))[:3] == [(0.33, 1.0), (0.67, 1.0), (0.67, 0.67)]
    assert "<title>0.667, 0.667</title>" in recall.draw(0)
    assert "3 of 6" in recall.caption


def test_without_a_threshold_there_is_no_dot_and_it_says_why() -> None:
    roc, recall = curve_panels(curve((POSITIVE, SCORES), None), {})
    assert "no threshold reaches the aim" in roc.caption
    assert "circle" not in roc.draw(0) + recall.draw(0)


@pytest.mark.parametrize("missing", [POSITIVE, ~POSITIVE])
def test_a_side_without_images_has_no_curve(missing: np.ndarray) -> None:
    assert curve_panels(curve((missing & ~missing, SCORES), 0.5), {}) == []
    assert curve_panels(curve((missing | ~missing, SCORES), 0.5), {}) == []


def test_a_threshold_that_nothing_reaches_stands_at_the_corner() -> None:
    roc, recall = curve_panels(curve((POSITIVE, SCORES), 1.0), {})
    assert "<title>0.000, 0.000</title>" in roc.draw(0)
    assert "circle" not in recall.draw(0), "nothing is called positive, so there is no precision"


def test_what_was_measured_at_stated_levels_is_marked_with_its_interval() -> None:
    measured = {
        "test.partial_auc.0.25": Measurement(value=0.8, n=6),
        "test.precision_at_recall.0.5": Measurement(value=0.9, n=6, low=0.75, high=1.0),
        "test.recall_at_precision.0.5": Measurement(value=0.25, n=6),
        "test.recall.5": Measurement(value=0.25, n=6),  # of a class
    }
    roc, recall = (panel.draw(0) for panel in curve_panels(curve((POSITIVE, SCORES), 0.65), measured))
    at, low, high = SIDE / 4, y_of(0.75), y_of(1)
    assert f'd="M{at:.1f},{y_of(0):.1f}L{at:.1f},{high:.1f}"' in roc
    assert "<title>standardised area to here 0.8000 (n 6)</title>" in roc
    assert f'd="M{SIDE / 2:.1f},{low:.1f}L{SIDE / 2:.1f},{high:.1f}"' in recall
    assert "precision at recall 0.5: 0.9000 (0.7500 to 1.0000, n 6)" in recall
    assert "recall at precision 0.5: 0.2500 (n 6)" in recall
    assert (roc + recall).count("stroke-opacity") == 3
