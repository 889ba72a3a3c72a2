"""Dealing images out: stratified, seeded, and never one image in two splits."""

from collections import Counter, defaultdict
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import yaml

from resnet_ops.data import PreparedData
from resnet_ops.data.digests import pixel_digests
from resnet_ops.data.sources import RawData, SplitParams, read_digits
from resnet_ops.data.splits import split_images
from resnet_ops.errors import DataError
from tests.unit.core.makers import SHARES, random_images


def make_raw(sizes: dict[str, int], seed: int = 0) -> RawData:
    """Random 4x4 images, so many of each class, in mixed order."""
    rng = np.random.default_rng(seed)
    labels = rng.permutation(np.repeat(np.arange(len(sizes)), list(sizes.values()))).astype(np.int64)
    n = len(labels)
    images = random_images(n, size=4, seed=seed)
    return RawData(images, labels, [f"{i}.png" for i in range(n)], [(4, 4)] * n, tuple(sizes))


def splits_of(data: PreparedData) -> list[str]:
    return [row.split for row in data.rows]


def test_every_class_is_dealt_out_by_the_shares_as_chance_has_it() -> None:
    sizes = {"a": 1000, "b": 370, "c": 11}
    data = split_images(make_raw(sizes), SHARES, seed=0)
    counts = Counter((row.class_name, row.split) for row in data.rows)
    for name, size in sizes.items():
        for split, share in SHARES.as_dict().items():
            spread = (share * (1 - share) * size) ** 0.5
            assert abs(counts[name, split] - share * size) <= 4 * spread + 1
            assert counts[name, split] >= max(1, int(share / 2 * size))
        assert sum(counts[name, split] for split in SHARES.as_dict()) == size


@pytest.mark.parametrize("gone", [1, 2, 40, 300])
def test_an_image_stays_in_its_split_when_others_are_added_removed_or_relabelled(gone: int) -> None:
    raw = make_raw({"a": 300, "b": 300, "c": 300})
    labels = raw.labels.copy()
    labels[:5] = (labels[:5] + 1) % 3
    kept = np.random.default_rng(1).permutation(900)[gone:]
    fewer = replace(
        raw,
        images=raw.images[kept],
        labels=labels[kept],
        paths=[raw.paths[i] for i in kept],
        sizes=[raw.sizes[i] for i in kept],
    )
    before = splits_of(split_images(raw, SHARES, seed=0))
    after = splits_of(split_images(fewer, SHARES, seed=0))
    assert after == [before[i] for i in kept]


@pytest.mark.parametrize("size", [4, 5, 8, 20, 60])
def test_a_small_class_is_in_every_split_whatever_the_seed(size: int) -> None:
    raw = make_raw({"common": 200, "rare": size})
    for seed in range(20):
        counts = Counter(
            row.split for row in split_images(raw, SHARES, seed).rows if row.class_name == "rare"
        )
        for split, share in SHARES.as_dict().items():
            assert counts[split] >= max(1, int(share / 2 * size))


def test_the_seed_alone_decides_the_split() -> None:
    raw = make_raw({"a": 60, "b": 60})
    first, again, other = (splits_of(split_images(raw, SHARES, seed)) for seed in (1, 1, 2))
    assert first == again
    assert first != other


def test_the_split_does_not_follow_the_order_of_the_files() -> None:
    raw = make_raw({"a": 200, "b": 200})
    halves = splits_of(split_images(raw, SHARES, seed=0))
    trained_of_first_half = halves[:200].count("train")
    assert 70 < trained_of_first_half < 130


def test_equal_images_never_cross_splits() -> None:
    raw = make_raw({"a": 60, "b": 60, "c": 60})
    rng = np.random.default_rng(1)
    images = raw.images.copy()
    for _ in range(50):
        images[rng.integers(len(images))] = images[rng.integers(len(images))]
    data = split_images(replace(raw, images=images), SHARES, seed=0)
    seen = defaultdict(set)
    for image, row in zip(data.images, data.rows, strict=True):
        seen[image.tobytes()].add(row.split)
    assert len(seen) < 180
    assert all(len(splits) == 1 for splits in seen.values())


def test_an_image_that_is_in_two_classes_stays_where_the_first_class_put_it() -> None:
    raw = make_raw({"a": 40, "b": 40})
    of_a, of_b = (np.flatnonzero(raw.labels == label) for label in (0, 1))
    images = raw.images.copy()
    images[of_b[:20]] = images[of_a[:20]]
    apart, shared = (
        splits_of(split_images(replace(raw, images=each), SHARES, 0)) for each in (raw.images, images)
    )
    assert [shared[i] for i in of_a] == [apart[i] for i in of_a]
    assert [shared[i] for i in of_b[:20]] == [shared[i] for i in of_a[:20]]


def test_rows_say_what_each_image_is() -> None:
    raw = make_raw({"a": 20, "b": 20})
    data = split_images(raw, SHARES, seed=0)
    assert np.array_equal(data.images, raw.images)
    assert [row.label for row in data.rows] == raw.labels.tolist() == data.labels.tolist()
    assert [row.class_name for row in data.rows] == [raw.classes[label] for label in raw.labels]
    assert [row.index for row in data.rows] == list(range(40))
    assert [row.path for row in data.rows] == raw.paths
    assert len({row.sha256 for row in data.rows}) == 40


def test_a_class_too_small_for_every_split_is_named_with_the_split_that_stays_empty() -> None:
    with pytest.raises(
        DataError,
        match=r"Class rare has only 3 .*into (\w+)\. .* data\.split\.\1",
    ):
        split_images(make_raw({"common": 50, "rare": 3}), SHARES, seed=0)


def test_copies_of_one_image_do_not_fill_a_class() -> None:
    raw = make_raw({"a": 50, "b": 50})
    images = raw.images.copy()
    images[raw.labels == 1] = images[np.flatnonzero(raw.labels == 1)[0]]
    with pytest.raises(DataError, match="Class b has only 1"):
        split_images(replace(raw, images=images), SHARES, seed=0)


def test_unequal_shares_are_followed() -> None:
    shares = SplitParams(train=0.9, validation=0.04, test=0.03, production=0.03)
    counts = Counter(splits_of(split_images(make_raw({"a": 1000, "b": 1000}), shares, seed=0)))
    for split, share in shares.as_dict().items():
        assert abs(counts[split] - 2000 * share) <= 4 * (2000 * share * (1 - share)) ** 0.5


@pytest.mark.slow
def test_no_seed_gives_a_split_fewer_of_a_digit_than_params_yaml_asks_for() -> None:
    settings = yaml.safe_load((Path(__file__).parents[4] / "params.yaml").read_text())
    shares, needed = SplitParams(**settings["data"]["split"]), settings["validate"]["min_class_rows"]
    raw = read_digits()
    raw = replace(raw, digests=pixel_digests(raw.images))
    for seed in range(25):
        counts = Counter((row.class_name, row.split) for row in split_images(raw, shares, seed).rows)
        assert len(counts) == 40
        assert min(counts.values()) >= needed, f"seed {seed}"


def test_a_class_beside_others_must_be_in_each_split_only_where_its_images_suffice() -> None:
    """Equal images are one: they go into one split."""
    pixels = np.random.default_rng(0).integers(0, 256, (24, 4, 4, 1), np.uint8)
    pixels[3] = pixels[2]
    labels = np.array([1] * 4 + [0] * 20)
    raw = RawData(
        images=pixels,
        labels=labels,
        paths=[f"{place}.png" for place in range(24)],
        sizes=[(4, 4)] * 24,
        classes=("ground", "crack"),
        targets=np.repeat(labels, 16).reshape(24, 4, 4).astype(np.uint8),
    )
    for seed in range(5):
        data = split_images(raw, SHARES, seed)
        for split in SHARES.as_dict():
            there = {row.class_name for row in data.rows if row.split == split}
            assert there >= {*data.labelled}


@pytest.mark.parametrize(("learned", "held_out", "labelled"), [(5, 1, False), (1, 5, False), (2, 2, True)])
def test_of_given_splits_a_class_beside_others_must_be_in_each_where_both_parts_have_enough(
    learned: int, held_out: int, labelled: bool
) -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (46, 4, 4, 1), np.uint8)
    few = learned + held_out
    labels = np.array([1] * few + [0] * (46 - few))
    places = [("train", "validation")] * learned + [("test", "production")] * held_out
    raw = RawData(
        images=pixels,
        labels=labels,
        paths=[f"{place}.png" for place in range(46)],
        sizes=[(4, 4)] * 46,
        classes=("ground", "crack"),
        allowed=[*places, *([("train", "validation"), ("test", "production")] * 23)[: 46 - few]],
        targets=np.repeat(labels, 16).reshape(46, 4, 4).astype(np.uint8),
    )
    data = split_images(raw, SHARES, 0)
    assert data.labelled == (("ground", "crack") if labelled else ("ground",))
    for split in SHARES.as_dict():
        assert {row.class_name for row in data.rows if row.split == split} >= {*data.labelled}
