"""Simulated requests are others when the images are, so that a log takes both."""

from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest

from resnet_ops.data import ManifestRow
from resnet_ops_monitoring.inference_log.identity import ModelIdentity
from resnet_ops_monitoring.inference_log.log import InferenceLog
from resnet_ops_pipelines.project_params import TrafficWindow
from resnet_ops_pipelines.traffic import request_ids, request_times
from tests.unit.monitoring.conftest import Served

WINDOW = TrafficWindow(camera="as_recorded", start=datetime(2026, 1, 5, 8, tzinfo=UTC), hours=1)


def rows(*numbers: int) -> list[ManifestRow]:
    return [
        ManifestRow(
            index=number,
            path=f"{number}.png",
            label=0,
            class_name="0",
            split="production",
            sha256=f"{number:064x}",
            width=8,
            height=8,
        )
        for number in numbers
    ]


def test_images_that_come_later_or_go_are_logged_beside_those_of_before(
    served: Served, tmp_path: Path
) -> None:
    log = InferenceLog(f"sqlite:///{tmp_path}/log.db")

    def replay(*numbers: int) -> list[str]:
        ids = request_ids("calm", WINDOW, served.identity, rows(*numbers))
        images = served.unseen[list(numbers)]
        log.append(served.scorer.score(images, ids, request_times(WINDOW, len(ids)), window="calm"))
        return ids

    before = replay(0, 1, 2, 3)
    assert replay(0, 1, 2, 3) == before
    more, fewer = replay(0, 9, 1, 2, 3), replay(1, 3)
    assert len({*before, *more, *fewer}) == 11
    for ids in (before, more, fewer):
        found = log.rows_of(ids, served.identity.digest)["request_id"].tolist()
        assert found == ids, "what is judged are today's requests, in order"
    assert len(log.read(served.identity.name, window="calm")) == 11
    log.close()


def test_of_replays_only_the_requests_of_today_stay(served: Served, tmp_path: Path) -> None:
    log = InferenceLog(f"sqlite:///{tmp_path}/log.db")

    def sent(window: str | None, numbers: tuple[int, ...], source: str = "simulated") -> list[str]:
        ids = request_ids(f"{window} {source}", WINDOW, served.identity, rows(*numbers))
        images, times = served.unseen[list(numbers)], request_times(WINDOW, len(ids))
        log.append(served.scorer.score(images, ids, times, source=source, window=window))
        return ids

    sent("calm", (0, 1, 2))
    sent("by its old name", (4, 5))
    production, other = sent(None, (0, 1)), sent("calm", (6,), "a camera")
    today = sent("calm", (0, 1, 2, 3))
    assert log.drop_replays("simulated", replace(served.identity, digest="e" * 64), today) == 0
    assert log.drop_replays("simulated", served.identity, today) == 5
    assert log.drop_replays("simulated", served.identity, today) == 0
    left = set(log.read(served.identity.name)["request_id"])
    assert left == {*production, *other, *today}
    log.close()


@pytest.mark.parametrize("change", [{"version": "2"}, {"digest": "e" * 64}, {"name": "other"}])
def test_another_model_has_other_requests_and_so_has_one_that_was_registered_anew(
    change: dict[str, str],
) -> None:
    known = ModelIdentity("digits", "1", "d" * 64)
    first = request_ids("calm", WINDOW, known, rows(0, 1))
    assert {*first}.isdisjoint(request_ids("calm", WINDOW, replace(known, **change), rows(0, 1)))
    assert {*first}.isdisjoint(request_ids("dirty", WINDOW, known, rows(0, 1)))
