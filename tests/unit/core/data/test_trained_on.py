"""What a model was trained on is noted beside it, carried on, and never measures it."""

from dataclasses import replace
from pathlib import Path

import pytest

from resnet_ops.data import PreparedData
from resnet_ops.data.trained_on import leave_out, read_trained_on, save_trained_on
from resnet_ops.errors import DataError
from resnet_ops.evaluation.evaluate import evaluate
from tests.unit.core.evaluation.test_evaluate import make_params
from tests.unit.core.makers import make_data, untrained


@pytest.fixture
def data() -> PreparedData:
    return make_data({"train": [0, 1, 0], "validation": [1], "test": [1, 0, 1]}, ("a", "b"))


def test_what_was_noted_is_read_again_and_nothing_noted_is_not_nothing_seen(tmp_path: Path) -> None:
    assert read_trained_on(tmp_path) is None
    save_trained_on([], tmp_path)
    assert not read_trained_on(tmp_path)
    assert read_trained_on(tmp_path) is not None
    save_trained_on(["b" * 64, "a" * 64, "b" * 64], tmp_path)
    known = read_trained_on(tmp_path)
    assert known is not None
    save_trained_on({*known, "c" * 64}, tmp_path / "next")
    assert read_trained_on(tmp_path / "next") == frozenset(each * 16 for each in "abc")


def test_a_list_that_is_damaged_is_named(tmp_path: Path) -> None:
    (tmp_path / "trained_on.txt").write_bytes(b"\xff")
    with pytest.raises(DataError, match=r"trained_on\.txt cannot be read"):
        read_trained_on(tmp_path)


def test_seen_images_leave_the_splits_that_measure_and_no_other(data: PreparedData, tmp_path: Path) -> None:
    test = data.split("test")
    save_trained_on([row.sha256 for row in (*data.split("train").rows, test.rows[1])], tmp_path)
    rest, count = leave_out(data, read_trained_on(tmp_path) or (), "test")
    assert count == 1
    assert [row.index for row in rest.split("test").rows] == [test.rows[0].index, test.rows[2].index]
    assert len(rest.split("train")) == 3
    assert leave_out(data, (), "test") == (data, 0)


def test_a_model_that_has_seen_every_image_is_not_measured(data: PreparedData) -> None:
    with pytest.raises(DataError, match="every image of split test"):
        leave_out(data, {row.sha256[:16] for row in data.rows}, "test")


@pytest.mark.slow
def test_an_evaluation_counts_only_images_that_the_model_has_not_seen(digits: PreparedData) -> None:
    seen = {row.sha256[:16] for row in digits.split("test").rows[:100]}
    rest, count = leave_out(digits, seen, "test")
    found = evaluate(untrained(), rest, make_params(), seed=0)
    assert count == 100
    assert found.measured["test.top1"].n == len(digits.split("test")) - 100
    assert {row.sha256[:16] for row in found.data.rows}.isdisjoint(seen)


def test_models_are_chosen_by_images_that_the_gate_does_not_judge_by(digits: PreparedData) -> None:
    found = evaluate(untrained(), digits, make_params(), seed=0).measured["validation.top1"]
    assert found.n == len(digits.split("validation"))
    test = digits.split("test")
    other = replace(digits, labels=digits.labels.copy())
    other.labels[digits.places("test")] = (test.labels + 1) % 10
    assert evaluate(untrained(), other, make_params(), seed=0).measured["validation.top1"] == found
