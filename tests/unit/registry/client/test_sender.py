"""Messages arrive in order, each once, whatever fails in between."""

import threading
from functools import partial

import pytest

from resnet_ops_registry.client import sender
from resnet_ops_registry.client.sender import Sender


class Line:
    """What messages go over: while it is down, they fail."""

    def __init__(self) -> None:
        self.down = threading.Event()
        self.arrived: list[int] = []
        self.said: list[str] = []
        self.sender = Sender((OSError,), lambda error: self.said.append(str(error)))

    def send(self, *numbers: int) -> None:
        for number in numbers:
            self.sender.put(partial(self._deliver, number))

    def _deliver(self, number: int) -> None:
        if self.down.is_set():
            raise OSError("the line is down")
        self.arrived.append(number)


@pytest.fixture
def line(monkeypatch: pytest.MonkeyPatch) -> Line:
    monkeypatch.setattr(sender, "RETRY_SECONDS", 0.01)
    return Line()


def test_messages_arrive_in_order_and_closing_waits_for_them(line: Line) -> None:
    line.sender.start()
    line.send(*range(1000))
    assert line.sender.close() == 0
    assert line.arrived == list(range(1000))
    assert line.said == []


def test_what_waits_at_the_start_has_arrived_when_it_returns(line: Line) -> None:
    line.send(1, 2)
    line.sender.start()
    assert line.arrived == [1, 2]
    line.sender.close()


def test_what_failed_is_tried_again_and_comes_before_what_was_put_later(line: Line) -> None:
    line.down.set()
    line.send(1)
    line.sender.start()
    line.send(2, 3)
    line.down.clear()
    while len(line.arrived) < 3:
        pass
    line.send(4)
    assert line.sender.close() == 0
    assert line.arrived == [1, 2, 3, 4]
    assert line.said == ["the line is down", "None"], "each change is said once"


def test_what_fails_to_the_end_is_counted_and_keeps_nobody_waiting(
    line: Line, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sender, "RETRY_SECONDS", 3600.0)
    line.sender.start()
    line.send(1)
    while not line.arrived:
        pass
    line.down.set()
    line.send(2, 3)
    assert line.sender.close() == 2
    assert line.arrived == [1]


def test_closing_tries_once_more(line: Line, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sender, "RETRY_SECONDS", 3600.0)
    line.down.set()
    line.send(1)
    line.sender.start()
    line.down.clear()
    assert line.sender.close() == 0
    assert line.arrived == [1]
