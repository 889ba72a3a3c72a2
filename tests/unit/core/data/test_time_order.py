"""Images split by their times: the oldest into train, the newest into production, and groups in one split."""

from collections import defaultdict
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from itertools import pairwise

import pytest
from hypothesis import event, given
from hypothesis import strategies as st

from resnet_ops.data.raw import RawData
from resnet_ops.data.splits import split_images
from resnet_ops.errors import DataError
from tests.unit.core.makers import SHARES, make_raw_data

BY_TIME = replace(SHARES, by_time="taken")
ORDER = tuple(SHARES.as_dict())
START = datetime(2026, 1, 1, tzinfo=UTC)


def made(
    times: list[str], labels: list[int], groups: list[str] | None = None, pixels: list[int] | None = None
) -> RawData:
    return make_raw_data(labels, pixels, taken=times, part=groups or [""] * len(times))


def after(*minutes: int) -> list[str]:
    return [(START + timedelta(minutes=each)).isoformat() for each in minutes]


@given(
    st.lists(
        st.tuples(st.integers(0, 40), st.integers(0, 1), st.integers(0, 20), st.integers(0, 80)),
        min_size=8,
        max_size=80,
    )
)
def test_no_group_straddles_and_each_split_is_newer_than_the_one_before(
    rows: list[tuple[int, int, int, int]],
) -> None:
    minutes, labels, parts, pixels = (list(each) for each in zip(*rows, strict=True))
    groups = [f"p{number}" if number else "" for number in parts]
    raw = made(after(*minutes), labels, groups, pixels)
    try:
        data = split_images(raw, BY_TIME, 0, "part")
    except DataError as error:
        refused = str(error)
    else:
        refused = ""
    if refused:
        event("refused")
        assert "has no image in" in refused
        return
    splits, rows_of = defaultdict(set), defaultdict(list)
    for place, (row, group) in enumerate(zip(data.rows, groups, strict=True)):
        for unit in (f"image {row.sha256}", *([f"group {group}"] if group else [])):
            splits[unit].add(row.split)
            rows_of[unit].append(place)
    assert {unit: found for unit, found in splits.items() if len(found) > 1} == {}
    newest, before = minutes.copy(), list[int]()
    while newest != before:  # of all that is joined by groups and equal images
        before = newest.copy()
        for places in rows_of.values():
            latest = max(newest[place] for place in places)
            for place in places:
                newest[place] = latest
    of_split = [
        [time for row, time in zip(data.rows, newest, strict=True) if row.split == split] for split in ORDER
    ]
    assert all(max(older) < min(later) for older, later in pairwise(of_split))


@given(st.permutations(list(range(60))))
def test_single_images_are_cut_in_order_of_time_at_the_shares(minutes: list[int]) -> None:
    data = split_images(made(after(*minutes), [0] * 60), BY_TIME, seed=3)
    ordered = [row.split for _, row in sorted(zip(minutes, data.rows, strict=True), key=lambda pair: pair[0])]
    assert ordered == ["train"] * 30 + ["validation"] * 6 + ["test"] * 12 + ["production"] * 12


def test_a_group_is_as_old_as_its_newest_image_and_equal_times_stay_together() -> None:
    groups = ["p0", *([""] * 18), "p0"]
    data = split_images(made(after(*range(20)), [0] * 20, groups), BY_TIME, 0, "part")
    assert (data.rows[0].split, data.rows[19].split) == ("production", "production")
    minutes = [0] * 10 + [1, 2, 3, 4, 5, 6, 6, 6, 6, 6]
    together = split_images(made(after(*minutes), [0] * 20), BY_TIME, 0)
    assert {row.split for row in together.rows[15:]} == {"production"}


def test_zones_are_taken_into_account_and_a_date_begins_at_midnight_utc() -> None:
    times = ["2026-03-01T12:00+14:00", "2026-02-28T23:30Z", "2026-03-01", "2026-03-01T00:00-01:00"]
    data = split_images(
        made(times * 5, [0] * 20),
        replace(BY_TIME, train=0.25, validation=0.25, test=0.25, production=0.25),
        0,
    )
    assert [row.split for row in data.rows[:4]] == list(ORDER)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("2026-01-01T08:00", "'2026-01-01T08:00' has no time zone"),
        ("yesterday", "'yesterday' is not a time"),
        ("", "'' is not a time"),
        ("0001-01-01T00:00+14:00", "is not a time"),
    ],
)
def test_times_that_cannot_be_ordered_are_named_with_their_images(text: str, said: str) -> None:
    raw = made([*after(*range(19)), text], [0] * 20)
    with pytest.raises(DataError, match=r"has 1 of 20 values that cannot be ordered: 19\.png: ") as caught:
        split_images(raw, BY_TIME, 0)
    assert said in str(caught.value)


def test_a_class_that_a_split_would_lack_is_named_and_no_image_is_moved() -> None:
    raw = made(after(*range(40)), [1] * 5 + [0] * 35)
    with pytest.raises(
        DataError, match="Class 1 has no image in validation and test and production, by the times"
    ):
        split_images(raw, BY_TIME, 0)


def test_a_data_set_that_says_itself_where_images_go_and_one_without_the_column_are_refused() -> None:
    raw = made(after(*range(40)), [0] * 40)
    with pytest.raises(DataError, match="the data set says itself in which split"):
        split_images(replace(raw, allowed=[("test",)] + [ORDER] * 39), BY_TIME, 0)
    with pytest.raises(
        DataError, match=r"data\.split\.by_time in params\.yaml names column 'shot'.*taken, part"
    ):
        split_images(raw, replace(BY_TIME, by_time="shot"), 0)
    with pytest.raises(ValueError, match="by_time is empty"):
        replace(BY_TIME, by_time="")
