"""Simulated requests: others when the images are, so that a log takes both, and enough of them for windows."""

from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from resnet_ops.data import PreparedData
from resnet_ops.params import parse_params
from resnet_ops_monitoring.drift.budget import k_of_n
from resnet_ops_monitoring.drift.detector import judge
from resnet_ops_monitoring.drift.held_out import held_out_reference
from resnet_ops_monitoring.inference_log.identity import ModelIdentity
from resnet_ops_monitoring.inference_log.log import InferenceLog
from resnet_ops_monitoring.settings.drift import ReferenceParams
from resnet_ops_pipelines.project_params import Params, TrafficWindow
from resnet_ops_pipelines.replay_order import request_times, requested, shortage
from resnet_ops_pipelines.traffic import replay
from tests.unit.core.makers import make_data, take
from tests.unit.monitoring.conftest import Served
from tests.unit.project_imports import ROOT

START = datetime(2026, 1, 5, 8, tzinfo=UTC)
WINDOW = TrafficWindow(camera="as_recorded", start=START, hours=2)
PARAMS = parse_params(ROOT / "params.yaml", Params)
MONITOR = PARAMS.monitor


def windowed(*names: str) -> Params:
    """The project's settings with this traffic under a few names."""
    windows = dict.fromkeys(names or ("calm",), WINDOW)
    return replace(PARAMS, monitor=replace(MONITOR, windows=windows))


def some(data: PreparedData, *numbers: int) -> PreparedData:
    """These images of the production split."""
    part, places = data.split("production"), list(numbers)
    rows = [part.rows[place] for place in places]
    return replace(part, images=part.images[places], labels=part.labels[places], rows=rows)


def test_images_that_come_later_or_go_are_logged_beside_those_of_before(
    served: Served, tmp_path: Path
) -> None:
    log = InferenceLog(f"sqlite:///{tmp_path}/log.db")

    def replayed(*numbers: int) -> list[str]:
        sent = replay("calm", windowed(), some(served.data, *numbers), served.identity)
        log.append(served.scorer.score(sent.images, sent.ids, sent.times, window="calm"))
        return sent.ids

    before = replayed(0, 1, 2, 3)
    assert replayed(0, 1, 2, 3) == before
    more, fewer = replayed(0, 9, 1, 2, 3), replayed(1, 3)
    assert len({*before, *more, *fewer}) == 11
    for ids in (before, more, fewer):
        found = log.rows_of(ids, served.identity.digest)["request_id"].tolist()
        assert found == ids, "what is judged are today's requests, in order"
    assert len(log.read(served.identity.name, window="calm")) == 11
    log.close()


def test_of_replays_only_the_requests_of_today_stay(served: Served, tmp_path: Path) -> None:
    log = InferenceLog(f"sqlite:///{tmp_path}/log.db")

    def sent(window: str | None, numbers: tuple[int, ...], source: str = "simulated") -> list[str]:
        name = f"{window} {source}"
        found = replay(name, windowed(name), some(served.data, *numbers), served.identity)
        log.append(served.scorer.score(found.images, found.ids, found.times, source=source, window=window))
        return found.ids

    sent("calm", (0, 1, 2))
    sent("by its old name", (4, 5))
    production, other = sent(None, (0, 1)), sent("calm", (6,), "a camera")
    today = sent("calm", (0, 1, 2, 3))
    assert (
        log.drop_replays(["another camera", "simulated"], replace(served.identity, digest="e" * 64), today)
        == 0
    )
    assert log.drop_replays(["another camera", "simulated"], served.identity, today) == 5
    assert log.drop_replays(["another camera", "simulated"], served.identity, today) == 0
    left = set(log.read(served.identity.name)["request_id"])
    assert left == {*production, *other, *today}
    log.close()


@pytest.mark.parametrize("change", [{"version": "2"}, {"digest": "e" * 64}, {"name": "other"}])
def test_another_model_has_other_requests_and_so_has_one_that_was_registered_anew(
    served: Served, change: dict[str, str]
) -> None:
    known, data = ModelIdentity("digits", "1", "d" * 64), some(served.data, 0, 1)
    params = windowed("calm", "dirty")
    first = replay("calm", params, data, known).ids
    assert {*first}.isdisjoint(replay("calm", params, data, replace(known, **change)).ids)
    assert {*first}.isdisjoint(replay("dirty", params, data, known).ids)


def test_images_that_a_camera_changes_by_another_seed_are_other_requests(
    served: Served, tmp_path: Path
) -> None:
    log = InferenceLog(f"sqlite:///{tmp_path}/log.db")

    def replayed(camera: str, seed: int) -> list[str]:
        window = replace(WINDOW, camera=camera)
        params = replace(PARAMS, seed=seed, monitor=replace(MONITOR, windows={"calm": window}))
        sent = replay("calm", params, some(served.data, 0, 1), served.identity)
        log.append(served.scorer.score(sent.images, sent.ids, sent.times, source=camera, window="calm"))
        return sent.ids

    for camera in ("dirty", "gaussian_noise 5"):
        assert {*replayed(camera, 0)}.isdisjoint(replayed(camera, 1))
    assert replayed("as_recorded", 0) == replayed("as_recorded", 1)
    log.close()


def test_files_in_order_of_their_classes_are_not_requested_in_that_order() -> None:
    data = make_data({"production": [0] * 100 + [1] * 100}, ("a", "b"))
    labels = data.labels[[int(each) for each in order_of(data)]]
    assert 35 < labels[:100].sum() < 65


def order_of(data: PreparedData) -> list[int]:
    """Which image each request shows, found by its pixels."""
    sent = replay("calm", windowed(), data, ModelIdentity("digits", "1", "d" * 64))
    known = {np.asarray(image).tobytes(): place for place, image in enumerate(data.images)}
    return [known[np.asarray(image).tobytes()] for image in sent.images]


def by_hour(count: int, groups: list[int] | None = None, **changes: Any) -> list[list[int]]:
    """The images of each hour of WINDOW. changes: of the traffic."""
    window = replace(WINDOW, **changes)
    places = requested(range(count), groups, window, MONITOR)
    hours: dict[datetime, list[int]] = {}
    for place, time in zip(places, request_times(window, len(places)), strict=True):
        hours.setdefault(time.replace(minute=0, second=0, microsecond=0), []).append(place)
    return list(hours.values())


def test_where_images_are_enough_each_is_requested_once() -> None:
    assert by_hour(100) == [list(range(50)), list(range(50, 100))]


@pytest.mark.parametrize("count", [50, 68, 99])
@pytest.mark.parametrize("hours", [1, 2, 3])
def test_few_images_are_in_several_windows_so_that_each_can_be_judged(count: int, hours: int) -> None:
    found = by_hour(count, hours=hours)
    assert len(found) == hours
    for each in found:
        assert len(each) >= MONITOR.drift.min_rows
        assert len({*each}) == len(each), "an image twice would be a frozen camera"


@pytest.mark.parametrize("hours", [0.7, 1.5, 1.9, 2.6])
def test_a_part_of_an_hour_puts_no_image_twice_into_a_window(hours: float) -> None:
    for each in by_hour(100, hours=hours):
        assert len({*each}) == len(each)


def test_groups_are_counted_where_images_have_them() -> None:
    once = by_hour(400, groups=[place // 4 for place in range(400)])
    assert [len(each) for each in once] == [200, 200]
    twice = by_hour(240, groups=[place // 4 for place in range(240)])
    assert [len(each) for each in twice] == [240, 240]


def test_a_window_that_begins_within_an_hour_is_filled_all_the_same() -> None:
    first, middle, last = by_hour(68, start=START.replace(minute=30))
    assert len(middle) == 68
    assert len(first) + len(last) == 68


def test_windows_counted_in_rows_are_filled_too() -> None:
    monitor = replace(MONITOR, run=replace(MONITOR.run, minutes=0, rows=60))
    assert len(requested(range(68), None, WINDOW, monitor)) == 136
    assert len(requested(range(400), None, WINDOW, monitor)) == 400
    assert len(requested(range(55), None, WINDOW, monitor)) == 55, "a window would show an image twice"


def test_too_few_images_for_any_window_are_told_before_training() -> None:
    data = make_data({"production": [0, 1] * 25}, ("a", "b"))
    assert shortage(data, None, MONITOR) is None
    few = make_data({"production": [0, 1] * 20}, ("a", "b"))
    told = shortage(few, None, MONITOR) or ""
    assert "40 images" in told
    assert "data.split.production" in told
    assert len(by_hour(40)) == 2
    assert sum(map(len, by_hour(40))) == 40
    assert "2 groups" in (shortage(data, "class_name", MONITOR) or "")


@pytest.mark.slow
def test_a_set_of_a_few_images_gets_its_verdicts_with_the_likely_reason(served: Served) -> None:
    few = take(served.data, test=76, production=68)
    made = ReferenceParams(reference_rows=2000, perturbed_images=60)
    model, identity = served.scorer.model, served.identity
    reference = held_out_reference(model, identity, few.split("test"), made, 0, lambda done, total: None)
    fired, reasons = {}, set()
    for name, window in MONITOR.windows.items():
        sent = replay(name, PARAMS, few.split("production"), identity)
        frame = served.scorer.score(sent.images, sent.ids, sent.times)
        hours = [part for _, part in frame.groupby(frame["time"].dt.hour)]
        verdicts = [judge(part, reference, MONITOR.drift, window=name) for part in hours]
        fired[window.camera] = [each.status == "alarm" for each in verdicts]
        reasons |= {each.likely_reason for each in verdicts}
    run = MONITOR.run
    assert not any(fired["as_recorded"])
    assert k_of_n(fired["dirty"], run.min_alarms, run.windows)
    assert reasons - {None}
