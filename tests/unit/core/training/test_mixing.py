"""Mixing and hiding: each against what its paper says, image by image."""

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from resnet_ops.training.augmentation.draws import Draws
from resnet_ops.training.augmentation.mixing import Targets, erase, mix


def draws(seed: int = 0, size: int = 6) -> Draws:
    return Draws(torch.Generator().manual_seed(seed), size, slice(None))


def coloured(count: int, side: int = 8) -> Tensor:
    """Images of one value each: 1, 2, 3, ..."""
    return torch.arange(1.0, count + 1).view(-1, 1, 1, 1).expand(count, 3, side, side).contiguous()


LABELS = torch.arange(6)


def test_mixup_averages_each_image_with_its_neighbour_by_the_share_of_its_label() -> None:
    shares = set()
    for seed in range(20):
        mixed, targets = mix(coloured(6), LABELS, 0.4, 0, draws(seed))
        expected = targets.share * coloured(6) + (1 - targets.share) * coloured(6).roll(1, 0)
        torch.testing.assert_close(mixed, expected)
        assert torch.equal(targets.second, LABELS.roll(1))
        shares.add(targets.share)
    assert len(shares) == 20
    assert all(0 <= share <= 1 for share in shares)


def test_cutmix_replaces_one_rectangle_and_its_area_is_the_neighbours_share() -> None:
    areas = set()
    for seed in range(20):
        images = coloured(6)
        mixed, targets = mix(images, LABELS, 0, 1.0, draws(seed))
        foreign = mixed != images
        assert torch.equal(mixed[foreign], images.roll(1, 0)[foreign])
        assert torch.equal(foreign, foreign[:1, :1].expand_as(foreign)), "the same place in every image"
        rows, columns = foreign[0, 0].any(1), foreign[0, 0].any(0)
        assert foreign[0, 0].sum() == rows.sum() * columns.sum(), "a rectangle"
        assert targets.share == pytest.approx(1 - foreign[0, 0].float().mean().item())
        assert torch.equal(images, coloured(6)), "what was given stays as it was"
        areas.add(int(foreign[0, 0].sum()))
    assert len(areas) > 5


def test_with_both_on_each_batch_gets_one_of_them_by_chance() -> None:
    averaged = 0
    for seed in range(40):
        mixed, targets = mix(coloured(6), LABELS, 1.0, 1.0, draws(seed))
        averaged += bool((mixed != mixed.round()).any()) and 0 < targets.share < 1
    assert 8 < averaged < 32


def test_with_both_off_nothing_is_mixed_and_nothing_drawn() -> None:
    source, images = draws(), coloured(6)
    mixed, targets = mix(images, LABELS, 0, 0, source)
    assert mixed is images
    assert targets.share == 1
    assert erase(images, 0, source) is images
    assert torch.equal(source.generator.get_state(), draws().generator.get_state())


def test_the_loss_of_mixed_targets_is_that_of_soft_labels() -> None:
    logits, labels = torch.randn(6, 10), LABELS
    targets = Targets(labels, labels.roll(1), 0.3)
    soft = 0.3 * F.one_hot(labels, 10) + 0.7 * F.one_hot(labels.roll(1), 10)
    expected = F.cross_entropy(logits, soft, label_smoothing=0.1)
    torch.testing.assert_close(targets.loss(logits, "cross_entropy", 0.1), expected)
    assert targets.hits(F.one_hot(labels.roll(1), 10).float()) == 6
    assert Targets(labels, labels.roll(1), 0.7).hits(F.one_hot(labels, 10).float()) == 6


@pytest.mark.parametrize(
    ("share", "first", "second"),
    [(1.0, 1, 0), (0.85, 1, 0), (0.75, 1, 1), (0.5, 1, 1), (0.25, 1, 1), (0.15, 0, 1), (0.0, 0, 1)],
)
@pytest.mark.parametrize("smoothing", [0.0, 0.1])
def test_the_binary_loss_takes_a_class_for_present_that_has_more_than_a_fifth(
    share: float, first: int, second: int, smoothing: float
) -> None:
    logits, other = torch.randn(6, 10), torch.tensor([0, 5, 3, 3, 2, 1])  # two images of one class
    present = torch.zeros(6, 10)
    for row in range(6):
        present[row, other[row]] = second
        present[row, LABELS[row]] = max(first, float(present[row, LABELS[row]]))
    wanted = torch.where(present == 1, 1 - smoothing + smoothing / 10, smoothing / 10)
    expected = F.binary_cross_entropy_with_logits(logits, wanted)
    torch.testing.assert_close(Targets(LABELS, other, share).loss(logits, "binary", smoothing), expected)


def test_erasing_hides_one_rectangle_of_about_the_wanted_share_of_images() -> None:
    images = coloured(400, 16)
    hidden = erase(images, 0.25, draws(size=400)) == 0
    touched = hidden.flatten(1).any(1)
    assert 0.19 < touched.float().mean() < 0.31
    assert torch.equal(erase(images, 0.25, draws(size=400))[~hidden], images[~hidden])
    sizes = []
    for mask in hidden[touched]:
        rows, columns = mask[0].any(1), mask[0].any(0)
        assert mask.sum() == 3 * rows.sum() * columns.sum(), "a rectangle through all channels"
        sizes.append(int(mask[0].sum()) / 256)
    assert min(sizes) < 0.08
    assert 0.25 < max(sizes) < 0.4
    assert (
        len({(int(m[0].any(1).int().argmax()), int(m[0].any(0).int().argmax())) for m in hidden[touched]})
        > 30
    )


@pytest.mark.parametrize(("tall", "wide"), [(8, 8), (21, 32)])
def test_each_image_loses_the_rectangle_that_was_drawn_for_it(tall: int, wide: int) -> None:
    images = torch.randn(30, 3, tall, wide, generator=torch.Generator().manual_seed(1))
    for seed in range(5):
        expected = images.clone()
        drawn = torch.rand(5, 30, generator=torch.Generator().manual_seed(seed)).T
        for image, (chance, area, aspect, down, right) in zip(expected, drawn, strict=True):
            size = (0.02 + (1 / 3 - 0.02) * area) * tall * wide
            ratio = torch.exp(float(np.log(0.3)) + (float(np.log(3.3)) - float(np.log(0.3))) * aspect)
            height = torch.sqrt(size * ratio).round().clamp(1, tall)
            width = torch.sqrt(size / ratio).round().clamp(1, wide)
            top, left = int((tall - height + 1) * down), int((wide - width + 1) * right)
            if chance < 0.6:
                image[:, top : top + int(height), left : left + int(width)] = 0
        assert torch.equal(erase(images, 0.6, draws(seed, 30)), expected)


def test_everything_random_comes_from_the_generator() -> None:
    images = torch.randn(6, 3, 8, 8)
    for _ in range(2):
        torch.manual_seed(_)
        first, _targets = mix(erase(images, 0.5, draws(1)), LABELS, 0.4, 1.0, draws(2))
        again, _targets = mix(erase(images, 0.5, draws(1)), LABELS, 0.4, 1.0, draws(2))
        assert torch.equal(first, again)
