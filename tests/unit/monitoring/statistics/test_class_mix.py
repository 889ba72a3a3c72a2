"""Whether another mix of classes, or changed images, is what shifted the embeddings."""

import numpy as np
import pytest
from numpy.typing import NDArray

from resnet_ops_monitoring.statistics.class_mix import ClassLooks, Look, MixSpace
from resnet_ops_monitoring.statistics.two_sample import Whitening

_FEATURES = 8


def _weak(
    rng: np.random.Generator, turned: bool = False, mix: float = 0.5
) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """Embeddings and labels of two classes that one number tells apart two times in three; the others hardly vary.

    turned: the first number shifts, so that answers turn over, and two of the others by a tenth of that.
    """
    labels = (rng.random(3000) < mix).astype(np.int64)
    rows = rng.normal(0, 1, (3000, _FEATURES)) * [1.0, *[0.05] * (_FEATURES - 1)]
    rows[:, 0] += np.where(labels == 1, 0.45, -0.45) + 0.3 * turned
    rows[:, 1:3] += 0.03 * turned
    return rows, labels


def _look(rows: NDArray[np.float64]) -> Look:
    shares = np.bincount((rows[:, 0] > 0).astype(int), minlength=2) / len(rows)
    return Look(len(rows), 0.5, 0.5, shares, rows.mean(axis=0), float(rows.var(axis=0).sum()))


def _looks(rows: NDArray[np.float64], labels: NDArray[np.int64], classes: int) -> ClassLooks:
    confusion = np.zeros((classes, classes), dtype=np.int64)
    np.add.at(confusion, ((rows[:, 0] > 0).astype(int), labels), 1)
    centre = np.zeros((classes, rows.shape[1]))
    for label in np.unique(labels):
        centre[label] = rows[labels == label].mean(axis=0)
    none = np.zeros(classes)
    return ClassLooks(confusion, certain=none, confidence=none, centre=centre, called=none, score=none)


def test_images_that_turn_answers_over_are_told_from_another_mix_that_shifts_embeddings_nearly_alike() -> (
    None
):
    """Nearly all of either shift lies between the classes, in the embeddings' own units."""
    rng = np.random.default_rng(3)
    rows, labels = _weak(rng)
    clean, classes = _look(rows), _looks(rows, labels, 2)
    space = MixSpace.of(classes, Whitening.of(rows))
    turned, mixed = _look(_weak(rng, turned=True)[0]), _look(_weak(rng, mix=0.75)[0])
    for now in (turned, mixed):
        assert space.far(clean, now)
        assert classes.at_the_mix_of(clean, now, space, -1.0).behind, "as it was told without a guard"
    assert space.share(clean, turned) < 0.3 < 0.7 < space.share(clean, mixed)
    as_it_was, other = (classes.at_the_mix_of(clean, now, space, 0.5) for now in (turned, mixed))
    assert not as_it_was.behind
    assert as_it_was.accuracy == classes.accuracy
    assert as_it_was.classes == pytest.approx(classes.shares)
    assert other.behind
    assert other.classes[1] == pytest.approx(0.75, abs=0.05)


def test_where_a_mix_can_shift_embeddings_is_at_most_half_of_all_directions() -> None:
    rng = np.random.default_rng(7)
    rows, metric = rng.normal(0, 1, (300, 6)), Whitening.of(rng.normal(0, 1, (500, 6)))
    for there, expected in ((1, 0), (2, 1), (3, 2), (30, 3)):
        classes = _looks(rows, np.arange(300) % there, 30)
        assert MixSpace.of(classes, metric).directions.shape == (6, expected)


def test_a_shift_that_may_be_chance_is_not_told_from_a_mix() -> None:
    rng = np.random.default_rng(4)
    rows, labels = _weak(rng)
    space = MixSpace.of(_looks(rows, labels, 2), Whitening.of(rows))
    assert not space.far(_look(rows), _look(rows))
    assert space.share(_look(rows), _look(rows)) == 1
