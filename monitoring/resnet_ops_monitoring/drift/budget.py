"""From a budget of false alarms per day to the level of one window, and the memory between windows.

One window that fired is no alarm yet: `min_alarms` of the last `windows` judged ones must have fired. A finite memory
on purpose: all windows are compared with one reference, whose own luck is in every one of them, so a sum over many
windows (CUSUM, a product of e-values) grows without any drift until it alarms.
"""

from collections.abc import Sequence
from datetime import timedelta

import numpy as np
from scipy import optimize, special

from resnet_ops.errors import DataError
from resnet_ops_monitoring.drift.reference import Reference
from resnet_ops_monitoring.settings.drift import DriftParams
from resnet_ops_monitoring.settings.service import RunParams

__all__ = ["alarms_per_day", "k_of_n", "reference_correlation", "window_alpha", "window_level"]

_NODES, _WEIGHTS = np.polynomial.hermite_e.hermegauss(80)
_SMALLEST, _LARGEST = 5e-4, 0.5
"""Levels of one window between which is searched. A smaller one takes more than 12,000 relabellings."""


def k_of_n(fired: Sequence[bool | None], min_alarms: int, windows: int) -> bool:
    """Whether `min_alarms` of the last `windows` judged ones fired.

    fired: of the windows of one model, oldest first; None where a window could not be judged (insufficient or invalid
    data): such a window neither fires nor clears, it is passed over.
    """
    judged = [flag for flag in fired if flag is not None]
    return sum(judged[-windows:]) >= min_alarms


def window_level(
    run: RunParams, drift: DriftParams, length: timedelta, rows: int, reference: Reference
) -> float:
    """The level of a window of `rows` independent rows and this length: it keeps the budget; at most `drift.alpha`.

    Tests see neither all rows of the window nor all of the reference: of the window `test_rows`, of the reference what
    its reservoir holds, and for the embeddings half of that (the other half says how they vary). The smallest part
    counts, since the less is compared with, the more its luck is in every window.
    """
    tested = min(max(rows, 1), drift.test_rows)
    compared = max(len(reference.summary.reservoir) // 2, 1)
    level = window_alpha(
        run.false_alarms_per_day,
        timedelta(days=1) / length,
        run.min_alarms,
        run.windows,
        reference_correlation(tested, compared),
    )
    return min(level, drift.alpha)


def reference_correlation(window_rows: float, reference_rows: int) -> float:
    """Correlation in [0, 1) between two windows' statistics that comes from their one reference.

    The variance of a difference of means is s/n + s/m; windows share the reference's s/m of it: n / (n + m).
    """
    return float(window_rows / (window_rows + reference_rows))


def alarms_per_day(
    alpha: float, windows_per_day: float, min_alarms: int, windows: int, shared: float
) -> float:
    """Expected verdicts "alarm" per day without drift, when each window fires with probability alpha.

    Given the reference, windows are independent; how often they fire then is Gaussian in the reference's luck (a
    one-factor Gaussian copula with correlation `shared`), which is integrated out by quadrature. Tests that look both
    ways share less than this, so that the budget is kept with something to spare.
    """
    limit = special.ndtri(alpha)
    given = special.ndtr((limit + np.sqrt(shared) * _NODES) / np.sqrt(1 - shared))
    alarm = special.bdtrc(min_alarms - 1, windows, given)
    return float(windows_per_day * (alarm @ _WEIGHTS) / _WEIGHTS.sum())


def window_alpha(
    per_day: float, windows_per_day: float, min_alarms: int, windows: int, shared: float
) -> float:
    """The level of one window that keeps `per_day` false alarms a day; at most one half.

    min_alarms, windows: an alarm takes `min_alarms` of the last `windows` judged ones. shared: of
    `reference_correlation`. Raises DataError when no level that can be tested keeps the budget.
    """

    def excess(log_alpha: float) -> float:
        return (
            alarms_per_day(float(np.exp(log_alpha)), windows_per_day, min_alarms, windows, shared) - per_day
        )

    low, high = float(np.log(_SMALLEST)), float(np.log(_LARGEST))
    if excess(high) <= 0:
        return _LARGEST
    if excess(low) > 0:
        raise DataError(
            f"No level keeps {per_day:g} false alarms a day at {windows_per_day:g} windows a day and {min_alarms} of "
            f"{windows} windows for an alarm. Judge longer windows, ask for more of them, or allow more false alarms "
            "(monitor.run in params.yaml)."
        )
    return float(np.exp(optimize.brentq(excess, low, high, xtol=1e-4)))
