"""Calibration: against scikit-learn, examples worked out by hand, and by how often intervals cover the truth."""

import numpy as np
import pytest
from sklearn import metrics as reference

from resnet_ops.evaluation.calibration import (
    brier_scores,
    expected_calibration_error,
    log_losses,
    measure_calibration,
    reliability,
)
from resnet_ops.evaluation.diagram import reliability_panel
from resnet_ops.evaluation.square import sheet
from resnet_ops.evaluation.temperature import fit_temperature, log_softmax


def make_logits(
    n: int, gap: float, sharpness: float = 1.0, seed: int = 0, classes: int = 4
) -> tuple[np.ndarray, np.ndarray]:
    """(n, classes) logits of a model whose probabilities are exactly right at sharpness 1, and labels."""
    rng = np.random.default_rng(seed)
    labels = rng.integers(0, classes, n)
    seen = rng.normal(size=(n, classes))
    seen[np.arange(n), labels] += gap
    return seen * gap * sharpness, labels


def two_class(confidences: list[float]) -> np.ndarray:
    """Rows that predict class 0 with these probabilities."""
    return np.array([[value, 1 - value] for value in confidences])


def test_calibration_error_of_an_example_worked_out_by_hand() -> None:
    probabilities = two_class([0.95, 0.95, 0.65, 0.55])
    labels = np.array([0, 1, 0, 1])
    # bin (.9, 1]: 2 of 4, gap |.5 - .95|; bin (.6, .7]: 1 of 4, gap |1 - .65|; bin (.5, .6]: 1 of 4, gap |0 - .55|
    expected = 2 / 4 * 0.45 + 1 / 4 * 0.35 + 1 / 4 * 0.55
    assert expected_calibration_error(probabilities, labels, bins=10) == pytest.approx(expected)


def test_a_bin_holds_its_right_edge() -> None:
    probabilities, labels = two_class([0.5, 0.75]), np.array([0, 1])
    # .5 lies in (0, .5] and .75 in (.5, 1]; in one bin their errors would cancel out to .125
    assert expected_calibration_error(probabilities, labels, bins=2) == pytest.approx((0.5 + 0.75) / 2)


def test_calibration_error_is_zero_when_certain_and_right_and_one_when_certain_and_wrong() -> None:
    probabilities = two_class([1.0] * 10)
    assert expected_calibration_error(probabilities, np.zeros(10, int)) == 0
    assert expected_calibration_error(probabilities, np.ones(10, int)) == 1


def test_brier_score_and_log_loss_are_those_of_scikit_learn() -> None:
    logits, labels = make_logits(200, 1.5)
    log_probabilities = log_softmax(logits)
    probabilities = np.exp(log_probabilities)
    expected = reference.brier_score_loss(labels, probabilities, labels=range(4), scale_by_half=False)
    assert brier_scores(probabilities, labels).mean() == pytest.approx(expected)
    assert log_losses(log_probabilities, labels).mean() == pytest.approx(
        reference.log_loss(labels, probabilities)
    )


def test_a_certain_mistake_has_a_finite_loss() -> None:
    logits, labels = np.array([[5000.0, 0.0]], np.float32), np.array([1])
    assert log_losses(log_softmax(logits), labels) == pytest.approx([5000])


def test_the_diagram_shows_every_bin_that_holds_images_and_escapes_names() -> None:
    logits, labels = make_logits(500, 1.5)
    bins = reliability(np.exp(log_softmax(logits)), labels, 10)
    drawn = sheet("<m> & co", [reliability_panel("as it is", bins, 0.95)])
    assert drawn.count("<title>") == np.count_nonzero(bins.count)
    assert "&lt;m&gt; &amp; co" in drawn
    assert bins.count.sum() == 500


@pytest.mark.slow
@pytest.mark.parametrize("gap", [1.5, 3.5])
@pytest.mark.parametrize("sharpness", [1.0, 1.6])
def test_the_interval_of_the_calibration_error_covers_it_where_the_plain_bootstrap_does_not(
    gap: float, sharpness: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("resnet_ops.evaluation.calibration.DRAWS", 250)
    everything, labels = make_logits(200_000, gap, sharpness, seed=1)
    log_probabilities = log_softmax(everything)
    probabilities = np.exp(log_probabilities)
    truth = expected_calibration_error(probabilities, labels, 15)
    rng = np.random.default_rng(0)
    covered, n = 0, 300
    for seed in range(1000):
        rows = rng.integers(0, len(labels), n)
        ece = measure_calibration(log_probabilities[rows], labels[rows], "t", 15, 0.95, seed)["t.ece"]
        assert ece.low is not None
        assert ece.high is not None
        covered += ece.low <= truth <= ece.high
    assert covered >= 940
    if sharpness == 1:
        assert plain_bootstrap_coverage(probabilities, labels, truth, n) < 0.5


def plain_bootstrap_coverage(probabilities: np.ndarray, labels: np.ndarray, truth: float, n: int) -> float:
    rng = np.random.default_rng(0)
    covered = []
    for _ in range(40):
        rows = rng.integers(0, len(labels), n)
        drawn = rows[rng.integers(0, n, (60, n))]
        errors = [expected_calibration_error(probabilities[each], labels[each], 15) for each in drawn]
        low, high = np.quantile(errors, [0.025, 0.975])
        covered.append(low <= truth <= high)
    return float(np.mean(covered))


@pytest.mark.slow
@pytest.mark.parametrize(("gap", "n"), [(1.5, 100), (3.0, 300)])
def test_the_intervals_of_brier_score_and_log_loss_cover_them_as_often_as_they_say(
    gap: float, n: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("resnet_ops.evaluation.calibration.DRAWS", 250)
    everything, labels = make_logits(100_000, gap, 1.3, seed=1)
    log_probabilities = log_softmax(everything)
    truth = {
        "t.brier": brier_scores(np.exp(log_probabilities), labels).mean(),
        "t.nll": log_losses(log_probabilities, labels).mean(),
    }
    rng = np.random.default_rng(0)
    covered: dict[str, list[bool]] = {name: [] for name in truth}
    for seed in range(1000):
        rows = rng.integers(0, len(labels), n)
        measured = measure_calibration(log_probabilities[rows], labels[rows], "t", 15, 0.95, seed)
        for name, expected in truth.items():
            low, high = measured[name].low, measured[name].high
            if low is not None and high is not None:
                covered[name].append(low <= expected <= high)
    assert len(covered["t.nll"]) > 300
    assert all(0.93 <= np.mean(each) <= 0.985 for each in covered.values())


def test_the_log_loss_of_a_model_that_hardly_errs_has_no_interval() -> None:
    logits, labels = make_logits(50, 6.0)
    measured = measure_calibration(log_softmax(logits), labels, "test", 15, 0.95, 0)
    assert measured["test.nll"].low is None
    assert measured["test.brier"].low is not None


@pytest.mark.parametrize("temperature", [0.5, 1.0, 3.0])
def test_the_temperature_that_made_the_logits_wrong_is_found(temperature: float) -> None:
    logits, labels = make_logits(20_000, 1.5, temperature)
    found = fit_temperature(logits, labels, 0.95)
    assert found.value == pytest.approx(temperature, rel=0.03)
    assert found.n == 20_000


def test_no_other_temperature_is_likelier() -> None:
    logits, labels = make_logits(2_000, 1.5, 2.0)
    best = fit_temperature(logits, labels, 0.95).value
    losses = [log_losses(log_softmax(logits, best * factor), labels).mean() for factor in (0.97, 1, 1.03)]
    assert losses[1] == min(losses)


def test_scaling_by_temperature_mends_calibration_and_leaves_every_prediction() -> None:
    fitted_on, truth = make_logits(2_000, 1.5, 3.0, seed=2)
    logits, labels = make_logits(2_000, 1.5, 3.0, seed=3)
    plain = log_softmax(logits)
    mended = log_softmax(logits, fit_temperature(fitted_on, truth, 0.95).value)
    assert np.array_equal(plain.argmax(1), mended.argmax(1))
    before, after = (expected_calibration_error(np.exp(each), labels) for each in (plain, mended))
    assert after < before / 3


def test_a_model_without_a_mistake_keeps_a_finite_temperature() -> None:
    logits, labels = make_logits(100, 8.0)
    assert (logits.argmax(1) == labels).all()
    found = fit_temperature(logits, labels, 0.95)
    assert 0.3 < found.value <= 1.001


@pytest.mark.slow
@pytest.mark.parametrize(("gap", "sharpness"), [(1.5, 2.0), (3.0, 1.0)])
def test_the_interval_of_the_temperature_covers_it_as_often_as_it_says(gap: float, sharpness: float) -> None:
    logits, labels = make_logits(100_000, gap, sharpness, seed=1)
    rng = np.random.default_rng(0)
    covered = 0
    for _ in range(1000):
        rows = rng.integers(0, len(labels), 150)
        found = fit_temperature(logits[rows], labels[rows], 0.95)
        assert found.low is not None
        assert found.high is not None
        covered += found.low <= sharpness <= found.high
    assert 930 <= covered <= 990
