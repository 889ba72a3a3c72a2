"""How often a canary that is no worse is stopped, and how soon one that is."""

import math

import numpy as np
import pytest

from resnet_ops_monitoring.statistics.mistakes import proof_of_worse

FALSE_STOP = 0.05


def stopped_after(
    chance: float, share: float, tolerated: float, faults: int, rng: np.random.Generator
) -> int | None:
    """After how many faults; chance: that one falls to the canary."""
    mine = np.cumsum(rng.random(faults) < chance)
    for n, tried in enumerate(mine.tolist(), 1):
        if proof_of_worse(tried, n - tried, share, tolerated) >= math.log(1 / FALSE_STOP):
            return n
    return None


def falls_to_canary(share: float, ratio: float) -> float:
    return share * ratio / (share * ratio + 1 - share)


@pytest.mark.parametrize(("share", "tolerated"), [(0.05, 1.0), (0.5, 1.0), (0.2, 1.5)])
def test_a_canary_at_the_limit_is_stopped_no_more_often_than_promised(share: float, tolerated: float) -> None:
    rng, chance = np.random.default_rng(0), falls_to_canary(share, tolerated)
    stops = sum(stopped_after(chance, share, tolerated, 100, rng) is not None for _ in range(200))
    assert stops / 200 <= FALSE_STOP + 3 * math.sqrt(FALSE_STOP * (1 - FALSE_STOP) / 200)


def test_a_canary_with_ten_times_the_faults_is_stopped_soon() -> None:
    rng, share = np.random.default_rng(1), 0.05
    found = [stopped_after(falls_to_canary(share, 10), share, 1.5, 100, rng) for _ in range(50)]
    assert all(each is not None for each in found)
    assert np.median([each for each in found if each is not None]) < 30


def test_without_faults_nothing_is_proven() -> None:
    assert proof_of_worse(0, 0, 0.05, 1.5) == 0
    assert proof_of_worse(0, 50, 0.05, 1.5) < 0
