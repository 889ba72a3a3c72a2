"""Which images an epoch draws: how often each class and image, and the same ones again."""

import numpy as np
import pytest
import torch
from scipy.stats import chisquare

from resnet_ops.training.rare_classes.imbalance import Sampling
from resnet_ops.training.rare_classes.sampler import ClassSampler, drawn_shares, sampler_of
from tests.unit.core.makers import make_imbalance

JUST_BELOW_1 = float(np.nextafter(1.0, 0.0))
COUNTS = torch.tensor([400, 90, 10])
LABELS = torch.repeat_interleave(torch.arange(3), COUNTS)[
    torch.randperm(500, generator=torch.Generator().manual_seed(7))
]


def sampler(sampling: Sampling) -> ClassSampler:
    made = sampler_of(make_imbalance(sampling=sampling), LABELS, 3)
    assert made is not None
    return made


def test_natural_sampling_takes_each_image_once_as_without_the_setting() -> None:
    assert sampler_of(None, LABELS, 3) is None
    assert sampler_of(make_imbalance(), LABELS, 3) is None


def test_shares_are_equal_by_roots_or_as_the_images_are() -> None:
    roots = [20, 90**0.5, 10**0.5]
    assert drawn_shares(COUNTS, "natural").tolist() == pytest.approx([0.8, 0.18, 0.02])
    assert drawn_shares(COUNTS, "square_root").tolist() == pytest.approx([r / sum(roots) for r in roots])
    assert drawn_shares(COUNTS, "balanced").tolist() == pytest.approx([1 / 3] * 3)


@pytest.mark.parametrize("sampling", ["balanced", "square_root"])
def test_classes_and_their_images_are_drawn_as_often_as_their_shares_say(sampling: Sampling) -> None:
    """At p = 0.001, with a fixed seed."""
    made = sampler(sampling)
    rows = made.draw(50_000, torch.Generator().manual_seed(0))
    assert rows.shape == (50_000,)
    expected = (drawn_shares(COUNTS, sampling) / COUNTS)[LABELS] * 50_000
    drawn = rows.bincount(minlength=500)
    assert chisquare(drawn.numpy(), expected.numpy()).pvalue > 0.001
    of_class = LABELS[rows].bincount(minlength=3)
    assert chisquare(of_class.numpy(), (drawn_shares(COUNTS, sampling) * 50_000).numpy()).pvalue > 0.001


def test_the_test_of_frequencies_notices_another_share() -> None:
    rows = sampler("square_root").draw(50_000, torch.Generator().manual_seed(0))
    of_class = LABELS[rows].bincount(minlength=3)
    assert chisquare(of_class.numpy(), np.full(3, 50_000 / 3)).pvalue < 1e-6


@pytest.mark.parametrize(
    ("chance", "place", "label", "position"),
    [
        (0.0, 0.0, 0, 0),
        (JUST_BELOW_1, JUST_BELOW_1, 2, -1),
        (0.0, JUST_BELOW_1, 0, -1),
        (1 / 3 + 1e-9, 0.0, 1, 0),
    ],
)
def test_the_ends_of_chance_draw_the_first_and_the_last_image_of_a_class(
    chance: float, place: float, label: int, position: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    drawn = torch.tensor([[chance], [place]], dtype=torch.float64)
    monkeypatch.setattr(torch, "rand", lambda *_, **__: drawn)
    row = sampler("balanced").draw(1, torch.Generator())
    assert row.tolist() == [np.flatnonzero(LABELS.numpy() == label)[position]]


def test_the_same_generator_draws_the_same_images() -> None:
    made = sampler("balanced")
    first, again, other = (made.draw(100, torch.Generator().manual_seed(seed)) for seed in (3, 3, 4))
    assert torch.equal(first, again)
    assert not torch.equal(first, other)
