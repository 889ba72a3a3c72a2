"""What the guard leaves of the probabilities' part of alpha is the test of predicted classes', and no more."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import pytest

from resnet_ops_monitoring.drift.accuracy_calibration import Harm
from resnet_ops_monitoring.drift.detector import judge
from resnet_ops_monitoring.drift.reference import accept_window, build_reference
from resnet_ops_monitoring.drift.signals import Comparison
from resnet_ops_monitoring.drift.unspent import Guarded
from resnet_ops_monitoring.inference_log.identity import ModelIdentity
from resnet_ops_monitoring.settings.drift import ALARM_SHARES
from resnet_ops_monitoring.statistics.summary import summarise

if TYPE_CHECKING:
    from collections.abc import Callable

    import pandas as pd

    from resnet_ops_monitoring.drift.reference import Reference
    from resnet_ops_monitoring.settings.drift import DriftParams
    from resnet_ops_monitoring.statistics.reservoir import Reservoir
    from resnet_ops_monitoring.statistics.summary import WindowSummary
    from tests.unit.monitoring.conftest import Served

CLASSES = tuple("0123456789")
OWN, MORE = ALARM_SHARES["classes"], ALARM_SHARES["softmax"]


@pytest.fixture
def window(served: Served) -> pd.DataFrame:
    """Another mix of classes."""
    frame = served.score(served.unseen)
    fewer = frame[frame["predicted"].isin(list("012"))].iloc[::3]
    return frame.drop(index=fewer.index)


def guarded_at(reference: Reference, guard: float) -> Reference:
    known = reference.accuracy_calibration
    assert known is not None
    assert known.calibration is not None
    calibration = replace(known.calibration, guards=np.full_like(known.calibration.guards, guard))
    return replace(reference, accuracy_calibration=replace(known, calibration=calibration))


def classes_tested(frame: pd.DataFrame, reference: Reference, params: DriftParams) -> tuple[float, float]:
    """The p value; and the level, as a share of an alpha at which what is unspent decides."""
    p_value, _ = of_classes(frame, reference, params, 0.05)
    alpha = min(p_value / (OWN + MORE / 2), 0.9)
    return p_value, of_classes(frame, reference, params, alpha)[1] / alpha


def of_classes(
    frame: pd.DataFrame, reference: Reference, params: DriftParams, alpha: float
) -> tuple[float, float]:
    verdict = judge(frame, reference, params, window="w", alpha=alpha)
    found = next(each for each in verdict.findings if each.signal == "classes")
    assert found.p_value is not None
    assert found.threshold is not None
    return found.p_value, found.threshold


@pytest.fixture
def for_classes(monkeypatch: pytest.MonkeyPatch) -> None:
    """As if the probabilities were a task's numbers."""

    def of(reference: Reference, before: WindowSummary) -> Guarded:
        assert reference.accuracy_calibration is not None
        return Guarded(reference.schema, reference.accuracy_calibration, reference.mix_space)

    monkeypatch.setattr(Guarded, "of", of)


@pytest.mark.usefixtures("for_classes")
def test_classes_take_what_a_guard_that_nothing_reaches_leaves(
    window: pd.DataFrame, calibrated_accuracy: Reference, params: DriftParams
) -> None:
    p_value, level = classes_tested(window, guarded_at(calibrated_accuracy, 1.0), params)
    assert 0.01 < p_value < 0.5
    assert OWN + 0.9 * MORE < level <= OWN + MORE


@pytest.mark.usefixtures("for_classes")
def test_a_guard_that_all_windows_reach_leaves_nothing(
    window: pd.DataFrame, calibrated_accuracy: Reference, params: DriftParams
) -> None:
    _, level = classes_tested(window, guarded_at(calibrated_accuracy, -1.0), params)
    assert level == pytest.approx(OWN, abs=0.01)


def test_it_is_for_the_numbers_of_a_task_and_its_own_reference(
    window: pd.DataFrame, calibrated_accuracy: Reference
) -> None:
    schema = replace(calibrated_accuracy.schema, scalars=("confidence",))
    numbers = replace(calibrated_accuracy, schema=schema)
    assert Guarded.of(numbers, numbers.summary) is not None
    assert Guarded.of(calibrated_accuracy, calibrated_accuracy.summary) is None
    at = window["time"].iloc[0].to_pydatetime()
    accepted = accept_window(calibrated_accuracy, window, by="me", why="new camera", at=at)
    other = replace(accepted, schema=schema)
    assert Guarded.of(other, other.summary) is None
    assert Guarded.of(numbers, other.summary) is None


def test_how_often_relabelled_rows_reach_the_guard_is_between_none_and_all(
    calibrated_accuracy: Reference, window: pd.DataFrame
) -> None:
    rows = calibrated_accuracy.summary.reservoir
    spent = [
        Guarded(calibrated_accuracy.schema, known, calibrated_accuracy.mix_space).spent(
            rows, rows.first(100), 0.2, 199, 0
        )
        for guard in (-1.0, 0.0, 1.0)
        if (known := guarded_at(calibrated_accuracy, guard).accuracy_calibration) is not None
    ]
    assert spent[0] == pytest.approx(0.2 + 1 / 200, abs=1e-9)
    assert spent[2] == 1 / 200
    assert spent[2] < spent[1] < spent[0]


class NothingSpent(Guarded):
    """A guard that is never reached."""

    def spent(self, before: Reservoir, now: Reservoir, alpha: float, permutations: int, seed: int) -> float:
        return 0.0


@pytest.mark.parametrize(("shift", "fired"), [(0.0, True), (0.5, False)])
def test_it_is_not_for_changed_images_that_cost_nothing(
    made_up: Callable[..., pd.DataFrame],
    calibrated_accuracy: Reference,
    params: DriftParams,
    shift: float,
    fired: bool,
) -> None:
    known = calibrated_accuracy.accuracy_calibration
    assert known is not None
    rng = np.random.default_rng(0)
    identity = ModelIdentity("made-up", "1", "d" * 64)
    reference = build_reference(made_up(rng, 1000), identity, CLASSES, rows=1000, seed=0)
    now = summarise(made_up(rng, 400, shift=shift, weights=[0.06] + [0.1] * 8 + [0.14]), reference.schema)
    harm = Harm(-0.1, guard=0.02, classes_shifted=True)
    comparison = Comparison(reference.summary, now, CLASSES, params, 0.9, harm)
    p_value = next(each.p_value for each in comparison.findings() if each.signal == "classes")
    assert p_value is not None
    decided = replace(
        comparison, alpha=p_value / (OWN + MORE / 2), guarded=NothingSpent(reference.schema, known, None)
    )
    found = next(each for each in decided.findings() if each.signal == "classes")
    assert found.threshold == pytest.approx((OWN + MORE) * decided.alpha)
    assert found.fired == fired
