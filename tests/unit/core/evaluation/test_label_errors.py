"""Labels that are probably wrong: a hand case, and known flips of the digits."""

from functools import cache

import numpy as np
import pytest

from resnet_ops.evaluation.gallery import mistakes_page
from resnet_ops.evaluation.label_errors import find_label_errors
from tests.unit.core.makers import make_data


def test_the_hand_case_is_the_confident_joint_off_its_diagonal() -> None:
    """The mean of class 0 among those labelled 0 is .625, of class 1 among those labelled 1 is .65."""
    rows = [[0.9, 0.1], [0.8, 0.2], [0.6, 0.4], [0.2, 0.8], [0.1, 0.9], [0.35, 0.65], [0.6, 0.4]]
    labels = np.array([0, 0, 0, 0, 1, 1, 1])
    probabilities = np.array(rows)
    assert probabilities[labels == 0, 0].mean() == pytest.approx(0.625)
    assert probabilities[labels == 1, 1].mean() == pytest.approx(0.65)
    places, seems = find_label_errors(probabilities, labels)
    # the last is more probably 0 than 1, yet not as surely as those labelled 0 are
    assert (places.tolist(), seems.tolist()) == ([3], [1])


def test_the_surest_come_first_and_a_class_without_images_is_never_the_answer() -> None:
    rows = [
        [0.6, 0.3, 0.1],
        [0.7, 0.2, 0.1],
        [0.1, 0.8, 0.1],
        [0.1, 0.1, 0.8],
        [0.1, 0.85, 0.05],
        [0.9, 0.1, 0.0],
    ]
    places, seems = find_label_errors(np.array(rows), np.array([0, 0, 1, 1, 0, 1]))
    assert places.tolist() == [5, 4]
    assert seems.tolist() == [0, 1]


@cache
def digits() -> tuple[np.ndarray, np.ndarray]:
    from sklearn.datasets import load_digits

    images, labels = load_digits(return_X_y=True)
    return images / 16, labels


def unseen(share: float, seed: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Probabilities of the second half by a linear model of the first; its labels, and which are flipped in both."""
    from sklearn.linear_model import LogisticRegression

    images, labels = digits()
    rng = np.random.default_rng(seed)
    order, flipped = rng.permutation(len(labels)), rng.random(len(labels)) < share
    said = np.where(flipped, (labels + rng.integers(1, 10, len(labels))) % 10, labels)
    learned, test = order[:898], order[898:]
    model = LogisticRegression(C=0.3, max_iter=2000).fit(images[learned], said[learned])
    return model.predict_proba(images[test]), said[test], flipped[test]


@pytest.mark.parametrize("seed", [0, 1])
@pytest.mark.parametrize("share", [0.05, 0.1])
def test_flipped_labels_are_found_though_the_model_learned_from_flipped_ones_too(
    share: float, seed: int
) -> None:
    probabilities, labels, flipped = unseen(share, seed)
    places, _ = find_label_errors(probabilities, labels)
    recall, precision = flipped[places].sum() / flipped.sum(), flipped[places].mean()
    assert recall > 0.5
    assert precision > 0.8
    assert flipped[places[: len(places) // 2]].mean() > 0.95, "the surest are nearly all wrong"


def test_without_flips_few_labels_are_doubted() -> None:
    probabilities, labels, _ = unseen(0.0, 0)
    assert len(find_label_errors(probabilities, labels)[0]) < 0.03 * len(labels)


def test_the_page_shows_what_is_doubted_and_says_what_it_can_not_show() -> None:
    data = make_data({"test": [0, 0, 0, 1, 1, 1]}, ("a<b", "c"))
    shares = np.array([[0.9, 0.1], [0.8, 0.2], [0.05, 0.95], [0.1, 0.9], [0.2, 0.8], [0.3, 0.7]])
    page = mistakes_page("worst", data, np.log(shares), 5)
    mistakes, doubted = page.split("Labels that are probably wrong")
    assert (mistakes.count("<figure>"), doubted.count("<figure>")) == (1, 1)
    assert "labelled <b>a&lt;b</b> 0.050, probably c 0.950" in doubted
    assert "1 of 6 labels" in doubted
    assert "what it has learned wrong is not found" in doubted
    assert mistakes_page("worst", data, np.log(shares), 0).count("<figure>") == 0
