"""Requests share the model's time: none waits without need, none waits without end, and each gets its own answer."""

import asyncio
from collections.abc import Callable, Coroutine, Iterator
from functools import wraps
from typing import Any

import numpy as np
import pytest

from resnet_ops_monitoring.serving import batching
from resnet_ops_monitoring.serving.batching import Batcher, QueueFull
from resnet_ops_monitoring.serving.serving_metrics import ServingMetrics
from tests.unit.monitoring.serving.fake_model import FakeModel, image

MakeBatcher = Callable[..., Batcher]


@pytest.fixture
def model() -> Iterator[FakeModel]:
    made = FakeModel(answering=False)
    yield made
    made.go.set()


@pytest.fixture
def make(model: FakeModel) -> Iterator[MakeBatcher]:
    made: list[Batcher] = []

    def batcher(max_batch: int = 4, gather: float = 0.0, most_waiting: int = 8) -> Batcher:
        made.append(
            Batcher(max_batch=max_batch, gather=gather, most_waiting=most_waiting, metrics=ServingMetrics())
        )
        return made[-1]

    yield batcher
    model.go.set()
    for each in made:
        each.close()


async def asked(model: FakeModel) -> None:
    """Until the model is at work."""
    await asyncio.to_thread(model.begun.wait)


async def settled() -> None:
    """Until every task that can go on has done so."""
    for _ in range(10):
        await asyncio.sleep(0)


def in_a_loop(test: Callable[..., Coroutine[Any, Any, None]]) -> Callable[..., None]:
    @wraps(test)
    def run(**fixtures: Any) -> None:
        asyncio.run(test(**fixtures))

    return run


@in_a_loop
async def test_each_request_gets_the_answer_to_its_own_images(model: FakeModel, make: MakeBatcher) -> None:
    batcher = make(max_batch=64, most_waiting=100)
    model.go.set()
    sizes = [1, 3, 2, 1, 5]
    answers = await asyncio.gather(
        *(batcher.ask(model, image(level, count)) for level, count in enumerate(sizes))
    )
    for level, (count, answer) in enumerate(zip(sizes, answers, strict=True)):
        assert answer.predictions.predicted.tolist() == [level] * count
        assert answer.predictions.embeddings[:, 0].tolist() == [level] * count
        assert answer.statistics["brightness"] == pytest.approx(np.full(count, level / 255), abs=1e-6)


@in_a_loop
async def test_what_arrives_while_the_model_is_busy_is_answered_at_once_up_to_the_largest_batch(
    model: FakeModel, make: MakeBatcher
) -> None:
    batcher = make(max_batch=4)
    first = asyncio.create_task(batcher.ask(model, image(0)))
    await asked(model)
    others = [asyncio.create_task(batcher.ask(model, image(level))) for level in range(1, 7)]
    await settled()
    assert batcher.waiting == 6
    model.go.set()
    await asyncio.gather(first, *others)
    assert model.asked == [[0], [1, 2, 3, 4], [5, 6]]


@in_a_loop
async def test_an_idle_model_is_asked_at_once_however_long_it_may_gather(
    model: FakeModel, make: MakeBatcher
) -> None:
    batcher = make(gather=3600.0)
    model.go.set()
    for level in range(3):  # the last one was alone, so nobody else is expected
        await batcher.ask(model, image(level))
    assert model.asked == [[0], [1], [2]]


@in_a_loop
async def test_a_busy_model_waits_for_as_many_images_as_it_answered_last(
    model: FakeModel, make: MakeBatcher
) -> None:
    batcher = make(gather=3600.0)
    model.go.set()
    await batcher.ask(model, image(1, 3))
    first = asyncio.create_task(batcher.ask(model, image(2)))
    await settled()
    assert model.asked == [[1, 1, 1]]
    await asyncio.gather(first, batcher.ask(model, image(3)), batcher.ask(model, image(4)))
    assert model.asked == [[1, 1, 1], [2, 3, 4]]


@in_a_loop
async def test_beyond_the_queue_nothing_is_taken_and_nothing_is_kept(
    model: FakeModel, make: MakeBatcher
) -> None:
    batcher = make(most_waiting=8)
    first = asyncio.create_task(batcher.ask(model, image(0)))
    await asked(model)
    tasks = [asyncio.create_task(batcher.ask(model, image(1))) for _ in range(500)]
    await settled()
    assert batcher.waiting == 8
    refused = [task for task in tasks if task.done()]
    assert len(refused) == 492
    assert all(isinstance(task.exception(), QueueFull) for task in refused)
    model.go.set()
    await asyncio.gather(first, *(task for task in tasks if task not in refused))
    assert batcher.waiting == 0
    await batcher.ask(model, image(2))
    assert sum(map(len, model.asked)) == 10


@in_a_loop
async def test_large_images_fill_the_queue_by_their_bytes(
    model: FakeModel, make: MakeBatcher, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(batching, "_MOST_BYTES", 3 * image(0).nbytes)
    batcher = make(most_waiting=8)
    for _ in range(2):  # what was answered and who gave up leave room
        model.go.clear()
        model.begun.clear()
        first = asyncio.create_task(batcher.ask(model, image(0)))
        await asked(model)
        tasks = [asyncio.create_task(batcher.ask(model, image(1))) for _ in range(5)]
        await settled()
        assert batcher.waiting == 3
        assert [task.done() for task in tasks] == [False, False, False, True, True]
        tasks[0].cancel()
        await settled()
        model.go.set()
        await asyncio.gather(first, *tasks[1:3])
        assert all(isinstance(task.exception(), QueueFull) for task in tasks[3:])


@in_a_loop
async def test_a_batch_larger_than_the_queue_is_taken_where_nobody_waits(
    model: FakeModel, make: MakeBatcher
) -> None:
    batcher = make(most_waiting=8)
    model.go.set()
    assert len((await batcher.ask(model, image(7, 20))).predictions.predicted) == 20


@in_a_loop
async def test_who_gives_up_takes_their_images_out_of_the_queue(model: FakeModel, make: MakeBatcher) -> None:
    batcher = make()
    first = asyncio.create_task(batcher.ask(model, image(0)))
    await asked(model)
    gone, stays = (asyncio.create_task(batcher.ask(model, image(level))) for level in (1, 2))
    await settled()
    gone.cancel()
    await settled()
    assert batcher.waiting == 1
    model.go.set()
    await asyncio.gather(first, stays)
    assert model.asked == [[0], [2]]


@in_a_loop
async def test_images_of_two_versions_are_never_in_one_batch(model: FakeModel, make: MakeBatcher) -> None:
    batcher, other = make(max_batch=64), FakeModel()
    first = asyncio.create_task(batcher.ask(model, image(0)))
    await asked(model)
    tasks = [asyncio.create_task(batcher.ask(each, image(1))) for each in (model, other, other, model)]
    await settled()
    model.go.set()
    await asyncio.gather(first, *tasks)
    assert model.asked == [[0], [1], [1]]
    assert other.asked == [[1, 1]]


@in_a_loop
async def test_statistics_are_for_the_log_alone(model: FakeModel, make: MakeBatcher) -> None:
    batcher = make()
    model.go.set()
    assert (await batcher.ask(model, image(1))).statistics
    assert not (await batcher.ask(model, image(1), logged=False)).statistics


@in_a_loop
async def test_a_model_that_fails_fails_this_batch_alone(model: FakeModel, make: MakeBatcher) -> None:
    batcher = make()
    model.go.set()
    model.fault = RuntimeError("out of memory")
    with pytest.raises(RuntimeError, match="out of memory"):
        await batcher.ask(model, image(1))
    model.fault = None
    assert (await batcher.ask(model, image(2))).predictions.predicted.tolist() == [2]


@in_a_loop
async def test_closing_answers_what_was_taken_and_takes_no_more(model: FakeModel, make: MakeBatcher) -> None:
    batcher = make()
    taken = [asyncio.create_task(batcher.ask(model, image(level))) for level in range(5)]
    await asked(model)
    await settled()
    closing = asyncio.create_task(asyncio.to_thread(batcher.close))
    await settled()
    model.go.set()
    await asyncio.gather(closing, *taken)
    with pytest.raises(QueueFull):
        await batcher.ask(model, image(9))


@in_a_loop
async def test_a_model_that_hangs_does_not_keep_the_server_from_its_end(
    model: FakeModel, make: MakeBatcher
) -> None:
    batcher = make()
    answer = asyncio.create_task(batcher.ask(model, image(1)))
    await asked(model)
    await asyncio.to_thread(batcher.close, 0)
    assert batcher.busy
    model.go.set()
    await answer
