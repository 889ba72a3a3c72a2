"""How corrupted images are tried and counted, and the page of the worst mistakes."""

import base64
import io
import re
from dataclasses import replace

import numpy as np
import pytest
from PIL import Image

from resnet_ops.data import PreparedData
from resnet_ops.evaluation import robustness
from resnet_ops.evaluation.corruptions import CORRUPTIONS
from resnet_ops.evaluation.gallery import mistakes_page
from resnet_ops.evaluation.robustness import Robustness, measure_robustness, try_corruptions
from resnet_ops.evaluation.temperature import log_softmax
from tests.unit.core.makers import make_data, take, untrained


def tried(data: PreparedData, images: int, seed: int = 0) -> Robustness:
    model = untrained()
    right = model.predict(data.images).predicted == data.labels
    return try_corruptions(model, data, right, images, seed, lambda done, total: None)


def test_every_image_meets_every_corruption_once_and_every_severity_as_often(digits: PreparedData) -> None:
    found = tried(take(digits, test=50), 40)
    assert found.right.shape == found.severity.shape == (15, 40)
    assert len(set(found.rows.tolist())) == 40
    for of_one_corruption in found.severity:
        assert np.bincount(of_one_corruption).tolist() == [0, 8, 8, 8, 8, 8]
    for of_one_image in found.severity.T:
        assert np.bincount(of_one_image).tolist() == [0, 3, 3, 3, 3, 3]


def test_without_any_corruption_nothing_is_lost(
    digits: PreparedData, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(robustness, "corrupt", lambda images, name, severity, seed: images)
    monkeypatch.setattr(robustness, "BLOCK", 17)  # and the blocks do not get mixed up
    data = take(digits, test=100)
    found = tried(data, 60)
    assert (found.right == found.clean).all()
    measured = measure_robustness(found, 0.95)
    assert measured["robustness.drop"].value == 0
    assert measured["robustness.mean_accuracy"].value == measured["robustness.clean_accuracy"].value


def test_means_are_over_images_and_agree_with_each_other(digits: PreparedData) -> None:
    found = tried(take(digits, test=200), 200)
    measured = measure_robustness(found, 0.95)
    values = {name.removeprefix("robustness."): each.value for name, each in measured.items()}
    by_corruption = [values[f"accuracy.{name}"] for name in CORRUPTIONS]
    assert (
        values["mean_accuracy"] == pytest.approx(np.mean(by_corruption)) == pytest.approx(found.right.mean())
    )
    assert values["mean_accuracy"] == pytest.approx(
        np.mean([values[f"severity.{level}"] for level in range(1, 6)])
    )
    assert values["worst_accuracy"] == min(by_corruption)
    assert values["drop"] == pytest.approx(values["clean_accuracy"] - values["mean_accuracy"])
    for each in measured.values():
        assert each.n == 200
        assert each.low is not None
        assert each.high is not None
        assert each.low <= each.value <= each.high


def test_the_seed_decides_and_progress_is_told(digits: PreparedData) -> None:
    data, told = take(digits, test=60), []
    model = untrained()
    right = np.ones(60, bool)
    first = try_corruptions(model, data, right, 30, 0, lambda done, total: told.append((done, total)))
    again, other = (try_corruptions(model, data, right, 30, seed, lambda *_: None) for seed in (0, 1))
    assert np.array_equal(first.right, again.right)
    assert not np.array_equal(first.rows, other.rows)
    assert told == [(30 * number, 450) for number in range(1, 16)]


def test_no_images_are_no_measurement(digits: PreparedData) -> None:
    assert measure_robustness(tried(take(digits, test=20), 0), 0.95) == {}


def test_what_too_few_images_did_not_meet_is_left_out(digits: PreparedData) -> None:
    found = tried(take(digits, test=20), 2)
    assert all(each.n == 2 for each in measure_robustness(found, 0.95).values())


def page_of(losses: list[float], most: int = 10) -> tuple[str, PreparedData]:
    """Images of class b that are taken for a with these losses; 0 is taken for b."""
    data = make_data({"test": [1] * len(losses)}, ("a<b", "b"))
    rows = [replace(row, path=f"<{row.index}>") for row in data.rows]
    data = PreparedData(data.images, data.labels, rows, data.classes)
    logits = np.array([[np.log(np.expm1(loss)) if loss else -9.0, 0.0] for loss in losses])
    return mistakes_page("t", data, log_softmax(logits), most), data


def test_the_worst_mistakes_come_first_and_right_answers_do_not_come() -> None:
    page, _ = page_of([1.0, 3.0, 0.0, 2.0])
    assert re.findall(r"loss ([\d.]+)", page) == ["3.00", "2.00", "1.00"]
    assert "3 of 3 mistakes on 4 images" in page
    assert re.findall(r"&lt;(\d)&gt;", page) == ["1", "3", "0"]
    assert "a&lt;b" in page


def test_the_page_holds_the_images_themselves_and_no_more_than_asked_for() -> None:
    page, data = page_of([1.0, 3.0], most=1)
    (encoded,) = re.findall(r"data:image/png;base64,([^\"]+)", page)
    with Image.open(io.BytesIO(base64.b64decode(encoded))) as image:
        assert np.array_equal(np.asarray(image), data.images[1, :, :, 0])
    assert "http" not in page
