"""A server that is asked too much answers those it takes as soon as ever, and refuses the others at once."""

import asyncio
import random
import socket
import sys
import time
from collections import deque
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, ExitStack, suppress
from dataclasses import dataclass, replace
from pathlib import Path
from types import SimpleNamespace
from typing import cast

import pytest

from resnet_ops_monitoring.serving.pace import Pace
from resnet_ops_monitoring.web import connection_guard
from tests.unit.monitoring.serving.fake_alias import FakeAlias, other_version
from tests.unit.monitoring.serving.fake_model import FakeModel, image
from tests.unit.monitoring.serving.live import SETTINGS, fake_version, serving, until


class Clock:
    """Stands where it is put."""

    now = 0.0

    def __call__(self) -> float:
        return self.now


Waiting = tuple[float, AbstractContextManager[Callable[[int], None]]]
"""When it came, and its time under way."""


@dataclass(frozen=True)
class Service:
    """A model that takes `batch` seconds, and `image` more for each, of which 64 go together."""

    batch: float
    image: float

    @property
    def capacity(self) -> float:
        return 64 / (self.batch + 64 * self.image)

    def answers(
        self, load: float, longest_wait: float, requests: int, no_images: float = 0
    ) -> tuple[float, float]:
        """At a load as a share of the capacity: p99 in seconds, and answers as a share of the capacity.

        no_images: share of requests beside these whose bodies nobody can read.
        """
        chance, others, clock = random.Random(0), random.Random(1), Clock()
        pace = Pace(clock)
        waiting, taken = deque[Waiting](), list[float]()
        batch, due = list[Waiting](), float("inf")
        arrival = 0.0
        while requests:
            arrival += chance.expovariate(load * self.capacity)
            requests -= 1
            while due <= arrival:
                clock.now = due
                for came, request in batch:
                    request.__exit__(None, None, None)
                    taken.append(clock.now - came)
                batch, due = self._next(waiting, clock.now, chance)
            clock.now = arrival
            while others.random() < no_images:
                refused(pace)
            if pace.wait <= longest_wait:
                waiting.append((arrival, pace.under_way()))
                waiting[-1][1].__enter__()(1)
                if not batch:
                    batch, due = self._next(waiting, clock.now, chance)
        with ExitStack() as left:
            for _, request in (*batch, *waiting):
                left.push(request)
        return sorted(taken)[int(0.99 * len(taken))], len(taken) / arrival / self.capacity

    def _next(
        self, waiting: deque[Waiting], now: float, chance: random.Random
    ) -> tuple[list[Waiting], float]:
        batch = [waiting.popleft() for _ in range(min(64, len(waiting)))]
        seconds = (self.batch + len(batch) * self.image) * chance.lognormvariate(0, 0.3)
        return batch, now + seconds if batch else float("inf")


def clock_of(pace: Pace) -> Clock:
    assert isinstance(pace._clock, Clock)
    return pace._clock


def refused(pace: Pace, seconds: float = 0) -> None:
    """A body that is no image, which is known after so many seconds."""
    with suppress(ValueError), pace.under_way():
        clock_of(pace).now += seconds
        raise ValueError


def measured(*seconds: float) -> Pace:
    """Of requests that were there together, with so many seconds from the end of one to that of the next."""
    pace = Pace(Clock())
    with ExitStack() as requests:
        for each in (1e6, *reversed(seconds), 0.0):  # the first and the last are not with others all the time
            holds = requests.enter_context(pace.under_way())
            requests.callback(_pass, pace, each)
        holds(0)
    return pace


def _pass(pace: Pace, seconds: float) -> None:
    clock_of(pace).now += seconds


@pytest.mark.parametrize(
    "service",
    [Service(0.001, 0.0005), Service(0.003, 0.00005), Service(0.02, 0.08)],
    ids=["small on a CPU", "on a GPU", "large on a CPU"],
)
def test_twice_the_capacity_makes_no_answer_late_and_leaves_the_model_at_work(service: Service) -> None:
    nominal, _ = service.answers(0.7, float("inf"), 6000)
    longest_wait = 0.85 * nominal
    overloaded, accepted = service.answers(2, longest_wait, 12_000)
    assert overloaded <= 1.5 * nominal
    assert accepted > 0.85
    _, calm = service.answers(0.7, longest_wait, 6000)
    assert calm > 0.9 * 0.7
    unbounded, _ = service.answers(2, float("inf"), 12_000)
    assert unbounded > 10 * nominal


def test_bodies_that_are_no_images_do_not_make_the_model_look_quick() -> None:
    service = Service(0.001, 0.0005)
    nominal, _ = service.answers(0.7, float("inf"), 6000)
    overloaded, accepted = service.answers(2, 0.85 * nominal, 12_000, no_images=0.75)
    assert overloaded <= 1.5 * nominal
    assert accepted > 0.85


def test_nor_do_they_make_it_look_slow() -> None:
    pace = measured(0.5, 0.5)
    with pace.under_way():  # one that is still read, so that there is always something to do
        for _ in range(1000):
            refused(pace, 0.1)
        with pace.under_way() as holds:
            holds(1)
            clock_of(pace).now += 0.3
        assert pace.wait <= 0.5


def test_what_is_done_side_by_side_counts_once() -> None:
    pace = measured(0.5, 0.0, 0.0, 0.0)
    with pace.under_way() as holds:
        holds(6)
        assert pace.wait == pytest.approx(6 * 0.5 / 4)
    assert pace.ahead == pace.wait == 0


def test_those_who_always_come_and_go_together_count_with_the_time_that_they_take() -> None:
    pace = Pace(clock := Clock())
    for _ in range(20):
        with ExitStack() as clients:
            for _ in range(8):
                clients.enter_context(pace.under_way())
            clock.now += 8 * 0.02
    with pace.under_way():
        assert pace.wait == pytest.approx(0.02)


def test_an_idle_time_or_a_lone_request_makes_nobody_wait() -> None:
    clock = Clock()
    pace = Pace(clock)
    for _ in range(5):
        clock.now += 1000
        with pace.under_way():
            clock.now += 3
    with pace.under_way():
        assert pace.wait == 0


def test_a_model_that_was_slow_once_is_not_taken_for_slow_for_ever() -> None:
    pace = measured(60.0)
    for _ in range(200):
        with pace.under_way():
            clock_of(pace).now += 0.1
    with pace.under_way():
        assert pace.wait == pytest.approx(0.1, rel=0.01)


def test_who_would_wait_too_long_is_told_at_once_when_to_come_back() -> None:
    model = FakeModel(answering=False)
    with serving(fake_version(model), max_wait_ms=1000) as live, ThreadPoolExecutor(1) as clients:
        live.scoring.batcher.pace = measured(4.2)
        first = clients.submit(live.score, image(0))
        assert model.begun.wait(60)
        answer = live.score(image(1))
        assert (answer.status_code, answer.headers["Retry-After"]) == (503, "5")
        model.go.set()
        assert first.result().status_code == 200
        assert live.score(image(1)).status_code == 200  # whoever is alone is taken
    assert model.asked == [[0], [1]]


def test_who_finds_no_room_does_not_count_as_one_that_took_no_time() -> None:
    model = FakeModel(answering=False)
    with serving(fake_version(model), max_waiting=8) as live, ThreadPoolExecutor(2) as clients:
        live.scoring.batcher.pace = pace = measured(0.5, 0.5)
        taken = [clients.submit(live.score, image(0))]
        assert model.begun.wait(60)
        taken.append(clients.submit(live.score, image(1, 8)))
        until(lambda: live.scoring.waiting == 8)
        assert live.score(image(2, 8)).status_code == 503
        assert pace.wait == pytest.approx(9 * 0.5)
        model.go.set()
        assert [each.result().status_code for each in taken] == [200, 200]


def test_what_lay_unread_counts_as_waited_and_whoever_is_alone_is_taken_nonetheless(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(connection_guard, "_unread", lambda transport: 7.0)
    model = FakeModel(answering=False)
    with serving(fake_version(model), max_wait_ms=6000) as live, ThreadPoolExecutor(1) as clients:
        first = clients.submit(live.score, image(0))
        assert model.begun.wait(60)
        answer = live.score(image(1))
        assert answer.status_code == 503
        assert int(answer.headers["Retry-After"]) >= 7
        model.go.set()
        assert first.result().status_code == 200


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="only Linux says how long bytes lay unread")
def test_how_long_bytes_lay_unread_is_known() -> None:
    with (
        socket.create_server(("127.0.0.1", 0)) as server,
        socket.create_connection(server.getsockname()) as client,
    ):
        accepted, _ = server.accept()
        with accepted:
            transport = cast(asyncio.Transport, SimpleNamespace(get_extra_info=lambda name: accepted))
            client.sendall(b"x")
            time.sleep(0.05)
            assert connection_guard._unread(transport) >= 0.04


def test_a_canary_that_cannot_keep_up_is_slow_and_its_queue_is_its_own(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)  # where it is remembered what was stopped
    stuck = FakeModel(answering=False)
    alias = FakeAlias(other_version(stuck, route="canary"), "canary")
    params = replace(SETTINGS.canary, share=0.999, slow_ms=60_000)
    with (
        serving(
            fake_version(FakeModel()),
            canary=alias.as_alias,
            canary_params=params,
            poll_seconds=0.01,
            max_wait_ms=1000,
        ) as live,
        ThreadPoolExecutor(1) as clients,
    ):
        canary = live.scoring.canary
        assert canary is not None
        until(lambda: canary.follower.current is not None)
        first = clients.submit(live.score, image(0))
        assert stuck.begun.wait(60)
        live.scoring._canarys.pace._seconds, live.scoring._canarys.pace._images = 5.0, 1.0  # measured before
        assert live.score(image(1)).status_code == 503
        assert live.scoring.batcher.pace.wait == 0
        comparison = canary.comparison
        assert comparison is not None
        assert (comparison.counts["canary", "slow"], comparison.counts["canary", "answered"]) == (1, 0)
        stuck.go.set()
        assert first.result().status_code == 200
