"""How often each class truly comes, told from predictions by a known confusion."""

import numpy as np
from numpy.typing import NDArray

from resnet_ops_monitoring.statistics.label_shift import estimate_label_shift

GIVEN = np.array([[0.9, 0.1, 0.05], [0.05, 0.8, 0.15], [0.05, 0.1, 0.8]])


def reference(rng: np.random.Generator, rows: int) -> NDArray[np.int64]:
    return np.stack([rng.multinomial(rows, column) for column in GIVEN.T], axis=1)


def test_known_shares_are_recovered() -> None:
    confusion, shares = np.rint(GIVEN * 1000).astype(np.int64), np.array([0.7, 0.1, 0.2])
    found = estimate_label_shift(confusion, np.rint(GIVEN @ shares * 100_000).astype(np.int64), 0.95)
    assert found is not None
    assert np.allclose(found.shares, shares, atol=1e-3)
    assert abs(found.accuracy - shares @ np.diag(GIVEN)) < 1e-3


def test_the_intervals_cover_the_true_shares() -> None:
    rng, shares = np.random.default_rng(0), np.array([0.6, 0.3, 0.1])
    covered = []
    for _ in range(400):
        found = estimate_label_shift(reference(rng, 300), rng.multinomial(500, GIVEN @ shares), 0.9)
        assert found is not None
        covered.append((np.array(found.low) <= shares) & (shares <= np.array(found.high)))
    assert 0.86 < np.mean(covered) < 0.94


def test_a_class_that_is_gone_has_share_zero_within_its_interval() -> None:
    rng = np.random.default_rng(1)
    found = estimate_label_shift(reference(rng, 500), rng.multinomial(1000, GIVEN @ [0, 0.5, 0.5]), 0.95)
    assert found is not None
    assert found.low[0] == 0
    assert found.shares[0] < 0.05
    assert abs(sum(found.shares) - 1) < 1e-9


def test_classes_that_the_model_cannot_tell_apart_give_no_estimate() -> None:
    rng = np.random.default_rng(2)
    mixed = np.array([[0.5, 0.5, 0.1], [0.4, 0.4, 0.1], [0.1, 0.1, 0.8]])
    for _ in range(20):
        confusion = np.stack([rng.multinomial(200, column) for column in mixed.T], axis=1)
        assert estimate_label_shift(confusion, np.array([100, 100, 100]), 0.95) is None


def test_an_empty_window_or_a_class_without_rows_gives_no_estimate() -> None:
    confusion = np.diag([50, 50, 50])
    assert estimate_label_shift(confusion, np.zeros(3, dtype=np.int64), 0.95) is None
    assert estimate_label_shift(np.diag([50, 0, 50]), np.array([10, 10, 10]), 0.95) is None
