"""Threads that work ahead: order, bounds, errors and an early end."""

import threading
import time
from collections.abc import Iterator

import pytest

from resnet_ops.threads import mapped


def test_results_come_in_the_order_of_the_items_whatever_each_takes() -> None:
    def slow_at_first(item: int) -> int:
        time.sleep(0.01 if item < 3 else 0)
        return item * item

    assert list(mapped(slow_at_first, range(20), 5)) == [item * item for item in range(20)]
    assert list(mapped(slow_at_first, [], 5)) == []


def test_no_more_items_are_taken_than_are_to_be_worked_on_ahead() -> None:
    taken: list[int] = []

    def items() -> Iterator[int]:
        for item in range(100):
            taken.append(item)
            yield item

    results = mapped(lambda item: item, items(), 4)
    for done in range(10):
        assert next(results) == done
        assert len(taken) == done + 5
    results.close()
    assert len(taken) == 14


def test_an_error_comes_when_its_turn_does_and_an_early_end_leaves_no_thread() -> None:
    before = threading.active_count()
    results = mapped(lambda item: 1 // (item - 2), range(100), 8)
    assert [next(results), next(results)] == [-1, -1]
    with pytest.raises(ZeroDivisionError):
        next(results)
    assert threading.active_count() == before
