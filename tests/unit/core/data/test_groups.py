"""Groups of images, such as those of a patient: never in two splits, whatever the manifest."""

from collections import defaultdict
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import event, given
from hypothesis import strategies as st

from resnet_ops.data import PreparedData
from resnet_ops.data.raw import RawData
from resnet_ops.data.splits import split_images
from resnet_ops.errors import DataError
from tests.unit.core.makers import SHARES, make_data_params, make_raw_data

SPLITS = tuple(SHARES.as_dict())


def dealt(raw: RawData, seed: int = 0) -> PreparedData:
    return split_images(raw, SHARES, seed, "patient")


def many(groups: int, images: int, classes: int = 3, seed: int = 0) -> RawData:
    rng = np.random.default_rng(seed)
    names = [f"p{number}" for number in range(groups) for _ in range(images)]
    return make_raw_data(rng.integers(0, classes, len(names)).tolist(), patient=names)


@given(
    st.lists(
        st.tuples(
            st.sampled_from(["", *(f"p{number}" for number in range(25))]),
            st.integers(0, 60),
            st.integers(0, 2),
        ),
        min_size=4,
        max_size=80,
    ),
    st.integers(0, 5),
)
def test_no_group_and_no_equal_image_is_in_two_splits(rows: list[tuple[str, int, int]], seed: int) -> None:
    groups, pixels, labels = (list(each) for each in zip(*rows, strict=True))
    raw = make_raw_data(labels, pixels, patient=groups)
    try:
        data = dealt(raw, seed)
    except DataError as error:
        refused = str(error)
    else:
        refused = ""
    if refused:
        event("refused")
        assert "groups, which cannot be in every split" in refused
        return
    found: dict[tuple[str, str], set[str]] = defaultdict(set)
    for row, group in zip(data.rows, raw.extra["patient"], strict=True):
        assert row.split in SPLITS
        found["image", row.sha256].add(row.split)
        if group:
            found["group", group].add(row.split)
    assert {key: splits for key, splits in found.items() if len(splits) > 1} == {}
    present = set(raw.labels.tolist())
    for split in SPLITS:
        assert {row.label for row in data.rows if row.split == split} == present


def test_a_group_stays_in_its_split_when_others_come_or_go() -> None:
    raw = many(200, 5)
    before = {group: row.split for group, row in zip(raw.extra["patient"], dealt(raw).rows, strict=True)}
    kept = [place for place in range(1000) if place // 5 % 3]
    fewer = replace(
        raw,
        images=raw.images[kept],
        labels=raw.labels[kept],
        paths=[raw.paths[place] for place in kept],
        sizes=[(2, 2)] * len(kept),
        digests=[raw.digests[place] for place in kept],  # type: ignore[index]
        extra={"patient": [raw.extra["patient"][place] for place in kept]},
    )
    after = {group: row.split for group, row in zip(fewer.extra["patient"], dealt(fewer).rows, strict=True)}
    assert after == {group: split for group, split in before.items() if group in after}


def test_groups_are_dealt_out_by_the_shares_as_chance_has_it() -> None:
    raw = many(1000, 3)
    of = {group: row.split for group, row in zip(raw.extra["patient"], dealt(raw, 4).rows, strict=True)}
    for split, share in SHARES.as_dict().items():
        count = sum(each == split for each in of.values())
        assert abs(count - share * 1000) < 4 * (1000 * share * (1 - share)) ** 0.5


def test_groups_that_share_an_image_are_one() -> None:
    groups = [f"p{number}" for number in range(40) for _ in range(2)]
    pixels = [number + second for number in range(40) for second in range(2)]  # each with the next: a chain
    with pytest.raises(DataError, match="is in 1 groups"):
        dealt(make_raw_data([0] * 80, pixels, patient=groups))


def test_a_class_with_few_groups_is_in_every_split_or_named() -> None:
    raw = many(60, 4, classes=1)
    labels = raw.labels.copy()
    labels[:16] = 1  # four groups
    rare = replace(raw, labels=labels, classes=("0", "1"))
    data = dealt(rare)
    assert {row.split for row in data.rows if row.label == 1} == set(SPLITS)
    labels[12:16] = 0
    with pytest.raises(DataError, match="Class 1 is in 3 groups"):
        dealt(replace(rare, labels=labels))


def test_a_group_that_the_data_set_wants_in_two_splits_is_named_with_files() -> None:
    raw = many(30, 2, classes=1)
    allowed: list[tuple[str, ...]] = [SPLITS] * 60
    allowed[0], allowed[1] = ("train",), ("test",)
    with pytest.raises(DataError, match=r"Group p0 .*0\.png and 1\.png"):
        dealt(replace(raw, allowed=allowed))


def test_where_the_data_set_says_where_a_group_goes_it_goes_there() -> None:
    raw = many(40, 2, classes=1)
    allowed: list[tuple[str, ...]] = [("test", "production") if place < 20 else SPLITS for place in range(80)]
    assert {row.split for row in dealt(replace(raw, allowed=allowed)).rows[:20]} <= {"test", "production"}


def test_a_column_that_is_not_there_is_named() -> None:
    with pytest.raises(
        DataError,
        match=r"data\.group .* 'site'; .*: patient",
    ):
        split_images(many(8, 2), SHARES, 0, "site")
    with pytest.raises(ValueError, match=r"group .* source is digits"):
        make_data_params(group="patient")
