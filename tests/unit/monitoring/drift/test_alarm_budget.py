"""A budget of false alarms per day, turned into the level of one window, and kept."""

from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta

import numpy as np
import pandas as pd
import pytest

from benchmarks.false_alarms import simulated
from resnet_ops.errors import DataError
from resnet_ops_monitoring.drift.budget import (
    alarms_per_day,
    k_of_n,
    reference_correlation,
    window_alpha,
    window_level,
)
from resnet_ops_monitoring.drift.reference import build_reference
from resnet_ops_monitoring.inference_log.identity import ModelIdentity
from resnet_ops_monitoring.settings.drift import DriftParams
from tests.unit.monitoring.conftest import HOURLY

Frames = Callable[..., pd.DataFrame]


def test_an_alarm_needs_enough_of_the_last_windows() -> None:
    assert not k_of_n([True], 2, 3)
    assert k_of_n([True, False, True], 2, 3)
    assert not k_of_n([True, False, False, True], 2, 3)
    assert k_of_n([True], 1, 1)
    assert not k_of_n([], 1, 3)


def test_a_window_that_was_not_judged_neither_fires_nor_clears() -> None:
    assert k_of_n([True, True, None, None, None], 2, 3)
    assert not k_of_n([False, None, True, None], 2, 3)
    assert not k_of_n([None, None, None], 1, 3)


def test_with_one_window_for_an_alarm_the_budget_is_shared_out_evenly() -> None:
    assert window_alpha(0.1, 24, 1, 1, 0.0) == pytest.approx(0.1 / 24, rel=1e-3)
    assert window_alpha(0.1, 24, 1, 1, 0.4) == pytest.approx(0.1 / 24, rel=1e-3)


def test_independent_windows_follow_the_binomial() -> None:
    assert alarms_per_day(0.05, 10, 2, 3, 0.0) == pytest.approx(10 * (3 * 0.05**2 * 0.95 + 0.05**3), rel=1e-6)


def test_one_reference_for_all_windows_lowers_the_level() -> None:
    assert reference_correlation(500, 500) == 0.5
    levels = [window_alpha(0.1, 24, 2, 3, reference_correlation(n, 1000)) for n in (1, 100, 1000, 10_000)]
    assert levels == sorted(levels, reverse=True)
    assert levels[0] > 2 * levels[-1]


def test_memory_allows_a_higher_level_for_each_window() -> None:
    assert window_alpha(0.1, 24, 2, 3, 0.2) > 3 * window_alpha(0.1, 24, 1, 1, 0.2)


def test_a_budget_that_no_level_keeps_says_what_to_do() -> None:
    with pytest.raises(DataError, match="Judge longer windows"):
        window_alpha(1e-6, 1440, 1, 1, 0.5)


def test_the_level_is_at_most_one_half() -> None:
    assert window_alpha(100.0, 1, 2, 3, 0.2) == 0.5


def test_a_budget_is_kept_over_simulated_months_that_share_their_reference() -> None:
    """Two-sided z tests of window means against one reference mean, 24 windows a day, 400 months."""
    rng = np.random.default_rng(0)
    per_day, n, m, needed, kept = 0.1, 300, 1000, 2, 3
    alpha = window_alpha(per_day, 24, needed, kept, reference_correlation(n, m))
    limit = -np.sqrt(1 / n + 1 / m) * float(_normal_quantile(alpha / 2))
    reference = rng.normal(0, 1 / np.sqrt(m), (400, 1))
    fired = np.abs(rng.normal(0, 1 / np.sqrt(n), (400, 720)) - reference) > limit
    recent = np.lib.stride_tricks.sliding_window_view(np.pad(fired, ((0, 0), (kept - 1, 0))), kept, axis=1)
    alarms = sum(
        k_of_n(fired[month, max(0, t - kept + 1) : t + 1].tolist(), needed, kept)
        for month, t in np.argwhere(recent.sum(axis=2) >= needed)
    )
    per_day_seen = alarms / 400 / 30
    assert 0.2 * per_day < per_day_seen <= per_day


def test_the_level_is_of_what_is_tested_and_not_of_all_that_was_seen(
    made_up: Frames, params: DriftParams
) -> None:
    run = replace(HOURLY, false_alarms_per_day=0.1, min_alarms=2, windows=3)
    settings = replace(params, alpha=0.2, test_rows=500)
    frame, identity = made_up(np.random.default_rng(0), 3000), ModelIdentity("made-up", "1", "d" * 64)
    classes = tuple("0123456789")
    levels = [
        window_level(
            run,
            settings,
            timedelta(hours=1),
            100_000,
            build_reference(frame[:rows], identity, classes, rows=600, seed=0),
        )
        for rows in (600, 3000)
    ]
    assert levels[0] == levels[1]
    assert levels[0] < window_alpha(0.1, 24, 2, 3, reference_correlation(500, 600))
    reference = build_reference(frame, identity, classes, rows=600, seed=0)
    assert (
        window_level(
            run, replace(settings, alpha=0.002, permutations=4999), timedelta(hours=1), 500, reference
        )
        == 0.002
    )


@pytest.mark.slow
def test_false_alarms_keep_the_budget_in_simulated_days_of_the_real_detector(params: DriftParams) -> None:
    """A small version of benchmarks/false_alarms.py, at a budget that a few days can measure."""
    run = replace(HOURLY, false_alarms_per_day=2.0, min_alarms=2, windows=3)
    settings = replace(params, alpha=0.5, test_rows=60, permutations=99)
    found = simulated(np.random.default_rng(0), 1000, 120, 60, (run, settings), references=5, days=1)
    assert found.alarms <= 2.0 + 2 * found.error
    assert found.fired > 0


def _normal_quantile(p: float) -> float:
    from scipy import special

    return float(special.ndtri(p))
