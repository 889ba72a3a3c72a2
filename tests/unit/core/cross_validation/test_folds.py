"""Folds: groups whole, each image held out once, and what is pooled is right and covers the truth."""

from dataclasses import replace
from pathlib import Path
from statistics import NormalDist

import numpy as np
import pytest
from hypothesis import given, reject, settings
from hypothesis import strategies as st

from resnet_ops.cross_validation.answers import FoldAnswers, answer_fold
from resnet_ops.cross_validation.folds import as_splits, deal_folds
from resnet_ops.cross_validation.measure import measure_folds, thresholds_of
from resnet_ops.cross_validation.report import save_folds
from resnet_ops.data import PreparedData
from resnet_ops.data.digests import pixel_digests
from resnet_ops.errors import DataError
from resnet_ops.evaluation.operating_point import OperatingPointParams
from resnet_ops.evaluation.params import CrossValidationParams
from resnet_ops.files import read_json
from resnet_ops.measurement import measurements_from_json
from tests.unit.core.makers import make_data, make_plan, make_recipe

TWO = ("a", "b")
POINT = OperatingPointParams(positive=("b",), aim="specificity", at_least=0.5, prevalence=None)


def grouped(labels: list[int], groups: list[int], same: tuple[tuple[int, int], ...] = ()) -> PreparedData:
    """Images with these groups; pairs in `same` are equal images."""
    data = make_data({"train": labels}, TWO)
    rows = list(data.rows)
    for one, other in same:
        rows[other] = replace(rows[other], sha256=rows[one].sha256)
    return replace(data, rows=rows, extra={"patient": np.array([str(each) for each in groups], dtype=object)})


@pytest.mark.slow
@settings(max_examples=25, deadline=None)
@given(
    st.lists(st.tuples(st.integers(0, 1), st.integers(0, 14)), min_size=20, max_size=80),
    st.integers(3, 6),
    st.integers(0, 3),
)
def test_groups_and_equal_images_are_never_in_two_folds(
    images: list[tuple[int, int]], folds: int, seed: int
) -> None:
    labels, groups = (list(each) for each in zip(*images, strict=True))
    data = grouped(labels, groups, ((0, 10), (3, 7)))
    try:
        fold_of = deal_folds(data, folds, "patient", seed)
    except DataError:  # of a class in too few groups
        reject()
    assert set(fold_of.tolist()) == set(range(folds))
    for group in set(groups):
        assert len({fold_of[i] for i, each in enumerate(groups) if each == group}) == 1
    assert fold_of[0] == fold_of[10]
    assert fold_of[3] == fold_of[7]
    assert np.array_equal(fold_of, deal_folds(data, folds, "patient", seed))
    held_out = np.concatenate([as_splits(data, fold_of, fold).places("test") for fold in range(folds)])
    assert sorted(held_out.tolist()) == list(range(len(images)))
    for fold in range(folds):
        splits = as_splits(data, fold_of, fold)
        assert set(splits.split("train").labels.tolist()) == set(labels)


def test_classes_are_in_equal_shares_where_images_stand_for_themselves() -> None:
    data = make_data({"train": [0] * 40 + [1] * 10, "test": [0] * 10}, TWO)
    fold_of = deal_folds(data, 5, None, seed=0)
    for label, each in ((0, 10), (1, 2)):
        assert np.bincount(fold_of[data.labels == label]).tolist() == [each] * 5


def test_a_class_in_too_few_groups_is_named_with_what_is_needed() -> None:
    data = grouped([0] * 20 + [1] * 20, [*range(20), *([20, 21] * 10)])
    with pytest.raises(DataError, match=r"3 folds take 3 different groups .* fewer of b \(2\)"):
        deal_folds(data, 3, "patient", seed=0)


@pytest.mark.parametrize("folds", [2, 21])
def test_too_few_and_too_many_folds_are_refused(folds: int) -> None:
    with pytest.raises(ValueError, match="within 3 and 20"):
        CrossValidationParams(folds=folds)


def answers(places: list[list[int]], probabilities: list[list[float]]) -> list[FoldAnswers]:
    """Of folds by the probability of class b; each fold's model was validated on the next one's images."""
    rows = [np.stack([1 - np.array(each), np.array(each)], axis=1) for each in probabilities]
    return [
        FoldAnswers(np.array(places[k]), rows[k], np.array(places[after]), rows[after], 99)
        for k in range(len(places))
        for after in [(k + 1) % len(places)]
    ]


def test_pooled_numbers_by_hand() -> None:
    data = make_data({"train": [0, 1, 0, 1, 0, 1]}, TWO)
    found = answers([[0, 1], [2, 3], [4, 5]], [[0.2, 0.9], [0.6, 0.7], [0.1, 0.3]])
    measured = measure_folds(found, data, POINT, 0.95, None)
    assert (measured["cross_validated.top1"].value, measured["cross_validated.top1"].n) == (4 / 6, 6)
    assert measured["cross_validated.recall.a"].value == 2 / 3
    assert measured["cross_validated.models"].value == 3
    assert measured["cross_validated.top1"].method == "wilson 0.95, 3 folds pooled"
    # a threshold of the next fold: 0.6 | 0.7, 0.1 | 0.3, 0.2 | 0.9; specificity is 1 or 0 on one image
    at = thresholds_of(found, data, POINT)
    assert at == pytest.approx([0.65, 0.2, 0.55])
    assert measured["cross_validated.sensitivity"].value == 2 / 3  # 0.9 >= 0.65, 0.7 >= 0.2, 0.3 < 0.55
    assert measured["cross_validated.specificity"].value == 2 / 3  # 0.2, 0.1 below; 0.6 above


def test_without_a_threshold_in_one_fold_there_is_no_sensitivity() -> None:
    data = make_data({"train": [0, 1, 0, 1, 0, 0]}, TWO)
    found = answers([[0, 1], [2, 3], [4, 5]], [[0.2, 0.9], [0.6, 0.7], [0.1, 0.3]])
    measured = measure_folds(found, data, POINT, 0.95, None)
    assert "cross_validated.sensitivity" not in measured
    assert "cross_validated.top1" in measured


def test_nothing_has_the_name_of_a_number_of_the_version_itself() -> None:
    data = make_data({"train": [0, 1, 0, 1, 0, 1]}, TWO)
    found = answers([[0, 1], [2, 3], [4, 5]], [[0.2, 0.9], [0.6, 0.7], [0.1, 0.3]])
    assert all(name.startswith("cross_validated.") for name in measure_folds(found, data, POINT, 0.95, None))


def learnable() -> PreparedData:
    """Dark and bright images, in groups of three."""
    data = make_data({"train": [0, 1] * 15, "validation": [0, 1] * 15, "test": [0, 1] * 15}, TWO)
    data.images[data.labels == 1] //= 2
    rows = [
        replace(row, sha256=each) for row, each in zip(data.rows, pixel_digests(data.images), strict=True)
    ]
    groups = np.array([str(place // 6 * 2 + place % 2) for place in range(90)], dtype=object)
    return replace(data, rows=rows, extra={"patient": groups})


@pytest.mark.slow
def test_each_fold_is_asked_about_by_a_model_that_never_saw_it_and_is_trained_once(tmp_path: Path) -> None:
    data, plan = learnable(), make_plan(make_recipe(epochs=8, batch_size=6, crop_padding=0))
    fold_of = deal_folds(data, 3, "patient", seed=0)
    said: list[str] = []

    def all_folds(seen: frozenset[str] = frozenset()) -> list[FoldAnswers]:
        return [answer_fold(plan, data, fold_of, fold, seen, tmp_path, 1e9, said.append) for fold in range(3)]

    found = all_folds()
    assert said == []
    for fold, each in enumerate(found):
        assert set(fold_of[each.held_out].tolist()) == {fold}
        assert each.trained_on == (fold_of == (fold + 2) % 3).sum()
    measured = measure_folds(found, data, None, 0.95, "patient")
    assert measured["cross_validated.top1"].n == 90
    assert measured["cross_validated.top1"].value > 0.8
    again = all_folds()
    assert len(said) == 3
    assert all(np.array_equal(a.of_held_out, b.of_held_out) for a, b in zip(found, again, strict=True))
    save_folds("tiny", found, [None] * 3, data, measured, tmp_path / "report")
    assert measurements_from_json(read_json(tmp_path / "report" / "measurements.json")) == measured
    page = (tmp_path / "report" / "index.html").read_text()
    assert "of other models than the one that is registered" in page
    known = data.rows[found[0].held_out[0]].sha256[:16]
    (kept,) = tmp_path.glob("tiny-fold2/*.npz")
    kept.write_bytes(kept.read_bytes()[:-50])
    fewer = all_folds(frozenset([known]))
    assert len(fewer[0].held_out) == len(found[0].held_out) - 1
    assert np.array_equal(fewer[1].of_held_out, found[1].of_held_out), "a damaged file is trained again"


@pytest.mark.slow
@pytest.mark.parametrize(("spread", "size"), [(0.0, 1), (1.0, 6)])
def test_intervals_cover_the_mean_accuracy_of_the_models_of_all_folds(spread: float, size: int) -> None:
    """One number an image, a threshold learned from the images of other folds; groups that share an offset."""
    covered = 0
    for draw in range(1000):
        rng = np.random.default_rng(draw)
        patients = 60
        labels = np.repeat(np.arange(patients) % 2, size)
        groups = np.repeat(np.arange(patients), size)
        values = 2.0 * labels + (spread * rng.normal(size=patients))[groups] + rng.normal(size=len(labels))
        fold_of = (np.arange(patients) // 2 % 5)[groups]
        scale = (1 + spread**2) ** 0.5
        folds, truth = [], 0.0
        for fold in range(5):
            train, held_out = np.flatnonzero(fold_of != fold), np.flatnonzero(fold_of == fold)
            at = np.mean([values[train][labels[train] == label].mean() for label in (0, 1)])
            called = (values[held_out] > at).astype(float)
            rows = np.stack([1 - called, called], axis=1)
            folds.append(FoldAnswers(held_out, rows, held_out, rows, len(train)))
            normal = NormalDist(0, scale)
            truth += (normal.cdf(at) + 1 - normal.cdf(at - 2)) / 2 * len(held_out) / len(labels)
        data = grouped(labels.tolist(), groups.tolist())
        found = measure_folds(folds, data, None, 0.95, "patient")["cross_validated.top1"]
        assert found.low is not None
        assert found.high is not None
        covered += found.low <= truth <= found.high
    assert covered >= 0.93 * 1000, covered
