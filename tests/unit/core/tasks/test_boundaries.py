"""Boundary F1 is that of a hand-computed case and of a naive implementation, and its intervals cover."""

from itertools import product

import numpy as np
import pytest

from resnet_ops.tasks.measuring import overlap
from resnet_ops.tasks.measuring.boundary import boundary_scores, measure_boundaries, tolerance_of
from resnet_ops.tasks.task import IGNORED
from tests.unit.core.tasks.mask_populations import boundary_population

CLASSES = ("ground", "crack", "hole")


def square(side: int = 12, top: int = 3, left: int = 3, size: int = 4) -> np.ndarray:
    """(side, side) with a square of class 1."""
    mask = np.zeros((side, side), np.uint8)
    mask[top : top + size, left : left + size] = 1
    return mask


def naive(answer: np.ndarray, mask: np.ndarray, classes: int) -> tuple[list[float], list[bool]]:
    """By the definition, pixel by pixel."""
    height, width = mask.shape
    tolerance = max(1.0, 0.0075 * (height**2 + width**2) ** 0.5)
    places = list(product(range(height), range(width)))
    ignored = [place for place in places if mask[place] == IGNORED]

    def far(a: tuple[int, int], others: list[tuple[int, int]]) -> bool:
        return all(((a[0] - b[0]) ** 2 + (a[1] - b[1]) ** 2) ** 0.5 > tolerance for b in others)

    def boundary(of: np.ndarray, kind: int) -> list[tuple[int, int]]:
        found = []
        for y, x in places:
            beside = [(y + 1, x), (y - 1, x), (y, x + 1), (y, x - 1)]
            known = [each for each in beside if each in places and mask[each] != IGNORED]
            if of[y, x] == kind and mask[y, x] != IGNORED and any(of[each] != kind for each in known):
                found.append((y, x))
        return found

    scores, bounded = [], []
    for kind in range(classes):
        said, true = boundary(answer, kind), boundary(mask, kind)
        said_asked, true_asked = ([each for each in part if far(each, ignored)] for part in (said, true))
        near = [
            [not far(each, others) for each in part]
            for part, others in ((said_asked, true), (true_asked, said))
        ]
        precision, recall = (sum(part) / len(part) if part else 1.0 for part in near)
        f1 = 2 * precision * recall / (precision + recall) if precision + recall else 0.0
        scores.append(f1 if said_asked or true_asked else float("nan"))
        bounded.append(bool(true_asked))
    return scores, bounded


def test_a_shifted_square_by_hand() -> None:
    """A square of 4x4 has 12 pixels of boundary. Of one in columns 5 to 8, those in 5 to 7 are within a pixel of one in
    columns 3 to 6: four, two and two; of the four in column 8 none is. So it is the other way round.
    """
    scores, bounded = boundary_scores(square(left=5)[None], square()[None], 2)
    assert scores[0, 1] == pytest.approx(8 / 12)
    assert bounded.tolist() == [[True, True]]
    same, _ = boundary_scores(square()[None], square()[None], 2)
    assert same.tolist() == [[1, 1]]
    nearly, _ = boundary_scores(square(left=4)[None], square()[None], 2)
    assert nearly[0, 1] == 1, "one pixel is within the tolerance"


def test_the_tolerance_is_a_share_of_the_diagonal_but_a_pixel_at_least() -> None:
    assert tolerance_of(64, 64) == 1
    assert tolerance_of(300, 400) == pytest.approx(0.0075 * 500)


@pytest.mark.parametrize("ignored", [0.0, 0.03])
def test_scores_are_those_of_a_naive_implementation(ignored: float) -> None:
    rng = np.random.default_rng(1)
    masks = np.kron(rng.integers(0, 3, (6, 4, 4)), np.ones((4, 4))).astype(np.uint8)
    answers = np.roll(masks, 1, axis=2)
    answers = np.where(rng.random(masks.shape) < 0.05, rng.integers(0, 3, masks.shape), answers).astype(
        np.uint8
    )
    masks[rng.random(masks.shape) < ignored] = IGNORED
    masks[0], answers[1] = 0, 2
    scores, bounded = boundary_scores(answers, masks, 3)
    expected = [naive(answer, mask, 3) for answer, mask in zip(answers, masks, strict=True)]
    np.testing.assert_allclose(scores, [each for each, _ in expected], rtol=1e-12)
    assert bounded.tolist() == [each for _, each in expected]
    assert np.nanmax(scores) > 0.5, "else nothing would be told apart"


def test_the_frame_and_what_is_ignored_are_no_boundary() -> None:
    plain = np.zeros((1, 12, 12), np.uint8)
    padded = plain.copy()
    padded[:, :3] = IGNORED
    for mask in (plain, padded):
        scores, bounded = boundary_scores(plain, mask, 2)
        assert np.isnan(scores).all()
        assert not bounded.any()
    hidden = square()[None]
    hidden[:, 2:8, 2:8] = np.where(square()[2:8, 2:8] == 1, 1, IGNORED)  # outlined with ignored pixels
    scores, bounded = boundary_scores(square(left=9)[None], hidden, 2)
    assert not bounded.any()
    assert measure_boundaries(scores, bounded, CLASSES[:2], "test", 0.95, 0) == {}


def test_a_class_without_a_partner_scores_nothing_and_one_without_both_does_not_count() -> None:
    missed, _ = boundary_scores(square()[None] * 0, square()[None], 3)
    alarmed, seen = boundary_scores(square()[None], square()[None] * 0, 3)
    for scores in (missed, alarmed):
        np.testing.assert_array_equal(scores, [[0, 0, np.nan]])
    assert not seen.any()


def test_measures_are_means_over_images_and_then_over_classes() -> None:
    scores = np.array([[0.5, 0.25, np.nan], [1.0, np.nan, 0.0], [np.nan, np.nan, np.nan]] * 4)
    bounded = np.isfinite(scores) & (scores > 0)
    found = measure_boundaries(scores, bounded, CLASSES, "test", 0.95, 0)
    values, numbers = ({name: getattr(each, part) for name, each in found.items()} for part in ("value", "n"))
    assert values == pytest.approx(
        {"test.boundary_f1": 0.5, "test.boundary_f1.ground": 0.75, "test.boundary_f1.crack": 0.25}
    ), "no mask has a boundary of a hole"
    assert numbers == {"test.boundary_f1": 8, "test.boundary_f1.ground": 8, "test.boundary_f1.crack": 4}
    assert found["test.boundary_f1.crack"].low is None, "four images tell hardly anything"
    assert found["test.boundary_f1.ground"].low is not None


@pytest.mark.slow
def test_intervals_cover_in_a_thousand_draws(monkeypatch: pytest.MonkeyPatch) -> None:
    """docs/segmentation.md has what was found; the bound is three standard errors below .95."""
    monkeypatch.setattr(overlap, "DRAWS", 300)
    scores, _ = boundary_population(1_000_000, np.random.default_rng(1))
    by_class = np.nanmean(scores, axis=0)
    truth, covered = np.array([by_class.mean(), *by_class]), np.zeros(3, int)
    rng = np.random.default_rng(0)
    for seed in range(1000):
        found = measure_boundaries(*boundary_population(100, rng), CLASSES[:2], "test", 0.95, seed)
        low, high = np.array([(each.low, each.high) for each in found.values()], float).T
        covered += (low <= truth) & (truth <= high)
    assert (covered >= 930).all()
