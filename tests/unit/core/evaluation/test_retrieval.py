"""Retrieval counts what a person would who looks at the nearest images."""

import numpy as np
import pytest
from sklearn.metrics import average_precision_score
from sklearn.neighbors import NearestNeighbors

from resnet_ops.evaluation import retrieval
from resnet_ops.evaluation.retrieval import RetrievalParams, measure_retrieval, ranked

PARAMS = RetrievalParams(at=(1, 2, 3))
DRAWS = 1000


def clouds(rng: np.random.Generator, n: int, spread: float = 1.0) -> tuple[np.ndarray, np.ndarray]:
    labels = rng.integers(0, 3, n)
    return np.eye(3)[labels] * 2 + spread * rng.normal(size=(n, 3)), labels


def test_a_hand_case() -> None:
    angles = np.array([0, 10, 20, 90])
    gallery = np.stack([np.cos(np.radians(angles)), np.sin(np.radians(angles))], axis=1)
    labels = np.array([0, 1, 0, 1])
    queries = np.array([[5.0, 0.0], [0.0, 0.1]])  # lengths do not matter: 0 and 90 degrees
    found = measure_retrieval((gallery, labels), (queries, np.array([1, 1])), PARAMS, 0.95)
    # of the first query 10 and 90 degrees are right, in places 2 and 4; of the second 90 and 10, in places 1 and 3
    assert found["retrieval.recall_at_1"].value == 0.5
    assert found["retrieval.recall_at_2"].value == 1
    assert found["retrieval.map_at_r"].value == pytest.approx((1 / 2 / 2 + 1 / 2) / 2)


def test_neighbours_are_those_of_scikit_learn_and_blocks_change_nothing(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    rng = np.random.default_rng(0)
    gallery, queries = clouds(rng, 50), clouds(rng, 40)
    theirs = NearestNeighbors(n_neighbors=50, metric="cosine", algorithm="brute").fit(gallery[0])
    expected = theirs.kneighbors(queries[0], return_distance=False)
    whole = measure_retrieval(gallery, queries, PARAMS, 0.95)
    monkeypatch.setattr(retrieval, "BLOCK", 130)
    ours = np.concatenate([order for _, order in ranked(queries[0], gallery[0])])
    assert (ours == expected).all()
    assert measure_retrieval(gallery, queries, PARAMS, 0.95) == whole


def test_average_precision_is_that_of_scikit_learn_where_all_hits_are_within_r() -> None:
    rng = np.random.default_rng(1)
    gallery, queries = clouds(rng, 60, 0.05), clouds(rng, 20, 0.05)
    values = []
    for rows, order in ranked(queries[0], gallery[0]):
        for query, places in zip(queries[1][rows], order, strict=True):
            values.append(average_precision_score(gallery[1][places] == query, -np.arange(60)))
    found = measure_retrieval(gallery, queries, PARAMS, 0.95)["retrieval.map_at_r"]
    assert found.value == pytest.approx(np.mean(values))


def test_what_the_gallery_cannot_answer_is_left_out() -> None:
    gallery = np.eye(2), np.array([0, 1])
    queries = np.eye(2)[[0, 1, 0]], np.array([0, 1, 7])
    found = measure_retrieval(gallery, queries, PARAMS, 0.95)
    assert found["retrieval.recall_at_1"].n == 2
    assert found["retrieval.recall_at_1"].value == 1
    assert "retrieval.recall_at_3" not in found, "there are two images"
    assert measure_retrieval(gallery, (np.eye(2), np.array([7, 8])), PARAMS, 0.95) == {}


def test_an_embedding_without_length_is_similar_to_none() -> None:
    gallery = np.array([[0.0, 0.0], [1.0, 0.0]]), np.array([0, 1])
    found = measure_retrieval(gallery, (np.array([[1.0, 0.0]]), np.array([1])), PARAMS, 0.95)
    assert found["retrieval.recall_at_1"].value == 1


def test_intervals_cover_the_truth_of_the_gallery() -> None:
    rng = np.random.default_rng(2)
    gallery, many = clouds(rng, 40), clouds(rng, 40_000)
    truth = measure_retrieval(gallery, many, PARAMS, 0.95)
    held = dict.fromkeys(truth, 0)
    for _ in range(DRAWS):
        for name, found in measure_retrieval(gallery, clouds(rng, 80), PARAMS, 0.95).items():
            assert found.low is not None
            assert found.high is not None
            held[name] += found.low <= truth[name].value <= found.high
    assert all(0.93 <= count / DRAWS <= 0.98 for count in held.values()), held


def test_groups_widen_recall_and_take_the_interval_of_the_mean() -> None:
    rng = np.random.default_rng(3)
    gallery, (embeddings, labels) = clouds(rng, 60), clouds(rng, 40)
    alike = np.repeat(np.arange(40), 5)
    queries = embeddings[alike], labels[alike]
    plain = measure_retrieval(gallery, queries, PARAMS, 0.95)["retrieval.recall_at_1"]
    grouped = measure_retrieval(gallery, queries, PARAMS, 0.95, alike)
    recall = grouped["retrieval.recall_at_1"]
    assert plain.low is not None
    assert plain.high is not None
    assert recall.low is not None
    assert recall.high is not None
    assert recall.high - recall.low > 1.5 * (plain.high - plain.low)
    assert grouped["retrieval.map_at_r"].low is None


@pytest.mark.parametrize("at", [(), (0,), (1, 1)])
def test_numbers_that_are_none_are_refused(at: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match="at is"):
        RetrievalParams(at=at)
