"""Which image each simulated request shows, so that the monitor can judge the windows also where images are few."""

import hashlib
import math
from collections import defaultdict
from collections.abc import Hashable, Sequence
from datetime import UTC, datetime, timedelta

import numpy as np

from resnet_ops.data import PreparedData
from resnet_ops_pipelines.project_params import MonitorParams, TrafficWindow

__all__ = ["request_times", "requested", "shortage", "shuffled"]

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
Groups = Sequence[Hashable] | np.ndarray | None
"""Of each image the group whose images are alike; None where all differ."""


def request_times(window: TrafficWindow, count: int) -> list[datetime]:
    """When each of `count` requests came in."""
    return [window.start + timedelta(hours=window.hours * index / count) for index in range(count)]


def requested(
    order: Sequence[int], groups: Groups, window: TrafficWindow, monitor: MonitorParams
) -> list[int]:
    """The images of `order` once, or as often as it takes for the monitor to judge as many windows as it can cut.

    A window shows no image twice, but several show the same ones where there are few, and then are not independent of
    each other. Where not even all images are enough for a window, each is requested once.
    """
    run = monitor.run
    # more times than whole windows would put an image twice into one
    whole = math.floor(window.hours * 60 / run.minutes + 1e-9) if run.minutes else run.min_alarms
    wanted = max(whole, 1)
    best, most = list(order), -1
    for rounds in range(1, wanted + 1):
        places = [*order] * rounds
        judged = _judged(places, groups, window, monitor)
        if judged > most:
            best, most = places, judged
        if most >= wanted or _too_few(order, groups, monitor):
            break
    return best


def shortage(data: PreparedData, group: str | None, monitor: MonitorParams) -> str | None:
    """A sentence where there are too few images for any window; None where there are enough.

    data: of the production split. group: its column of groups.
    """
    groups = data.groups(group)
    if not _too_few(range(len(data)), groups, monitor):
        return None
    many = f"{len(data)} images" if groups is None else f"{len(data)} images in {len({*groups})} groups"
    needed = f"{monitor.run.rows} rows (monitor.run.rows), " * bool(monitor.run.rows)
    return (
        f"The production split has {many}, but a window needs {needed}{monitor.drift.min_rows} that are independent "
        "(monitor.drift.min_rows): its simulated traffic gets no verdict on drift. Add images, or raise "
        "data.split.production."
    )


def shuffled(data: PreparedData, groups: Groups) -> list[int]:
    """Places in an order of hashes, since files lie in order of their classes; those of a group follow each other."""

    def key(place: int) -> tuple[str, int]:
        own = data.rows[place].sha256 if groups is None else str(groups[place])
        return hashlib.sha256(own.encode()).hexdigest(), place

    return sorted(range(len(data)), key=key)


def _too_few(places: Sequence[int], groups: Groups, monitor: MonitorParams) -> bool:
    return len(places) < monitor.run.rows or _independent(places, groups) < monitor.drift.min_rows


def _independent(places: Sequence[int], groups: Groups) -> int:
    return len(places) if groups is None else len({groups[place] for place in places})


def _judged(places: Sequence[int], groups: Groups, window: TrafficWindow, monitor: MonitorParams) -> int:
    """How many of the windows that the monitor cuts have enough rows."""
    cut: dict[int, list[int]] = defaultdict(list)
    length = timedelta(minutes=monitor.run.minutes)
    for number, (place, time) in enumerate(zip(places, request_times(window, len(places)), strict=True)):
        cut[(time - _EPOCH) // length if length else number // monitor.run.rows].append(place)
    return sum(not _too_few(each, groups, monitor) for each in cut.values())
