"""Soft labels: votes as targets, exact by hand, and learned as such."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from resnet_ops.data import PreparedData
from resnet_ops.data.digests import pixel_digests
from resnet_ops.data.votes import vote_shares
from resnet_ops.errors import ConfigError
from resnet_ops.training.augmentation.draws import Draws
from resnet_ops.training.augmentation.mixing import Targets, mix
from resnet_ops.training.identity import training_key
from resnet_ops.training.loop import fit
from tests.unit.core.makers import make_data, make_imbalance, make_plan, make_recipe

TWO = ("a", "b")
SOFT = make_recipe(soft_labels=True)


def rated(data: PreparedData, *ratings: list[str]) -> PreparedData:
    extra = {f"label_{n}": np.array(each, dtype=object) for n, each in enumerate(ratings, 1)}
    return replace(data, extra=extra)


def test_votes_are_shares_of_the_ratings_that_name_a_class() -> None:
    data = make_data({"train": [0, 1, 1, 0, 1]}, TWO)
    found = vote_shares(
        rated(data, ["a", "b", "", "c", "b"], ["a", "a", "", "c", "c"], ["b", "b", "", "", "b"])
    )
    shares = np.array([[2 / 3, 1 / 3], [1 / 3, 2 / 3], [0.0, 1.0], [1.0, 0.0], [0.0, 1.0]])
    assert np.allclose(found, shares)
    assert found.dtype == np.float32


def test_the_loss_is_the_cross_entropy_with_the_votes_and_follows_mixed_images() -> None:
    logits = torch.tensor([[1.0, 0.0], [0.5, 2.0]])
    votes = torch.tensor([[0.75, 0.25], [0.4, 0.6]])
    logs = logits.log_softmax(1)
    targets = Targets(votes, votes, 1.0)
    assert torch.allclose(targets.loss(logits, "cross_entropy", 0.0), -(votes * logs).sum(1).mean())
    assert int(targets.hits(logits)) == 2
    assert int(targets.of(slice(1, 2)).hits(logits[1:].flip(1))) == 0
    draws = Draws(torch.Generator().manual_seed(0), 2, slice(None))
    _, mixed = mix(torch.zeros(2, 1, 4, 4), votes, 1.0, 0.0, draws)
    both = mixed.share * votes + (1 - mixed.share) * votes.roll(1, 0)
    smooth = both * 0.9 + 0.1 / 2
    assert torch.allclose(mixed.loss(logits, "cross_entropy", 0.1), -(smooth * logs).sum(1).mean())


def test_votes_of_raters_who_agree_are_the_labels() -> None:
    labels = torch.tensor([0, 1, 1])
    logits = torch.randn(3, 2, generator=torch.Generator().manual_seed(0))
    votes = torch.eye(2)[labels]
    hard, soft = Targets(labels, labels, 1.0), Targets(votes, votes, 1.0)
    for smoothing in (0.0, 0.1):
        one, other = (each.loss(logits, "cross_entropy", smoothing) for each in (hard, soft))
        assert torch.allclose(one, other)
    assert hard.hits(logits) == soft.hits(logits)


def test_without_the_setting_votes_change_nothing_and_with_it_they_are_part_of_the_trainings_key() -> None:
    data = make_data({"train": [0, 1, 1], "validation": [0, 1]}, TWO)
    one, other = (rated(data, ["a", "b", third, "a", "b"], ["a", "b", "b", "a", "b"]) for third in "ab")
    plain, soft = make_plan(), make_plan(SOFT)
    assert training_key(plain, one) == training_key(plain, other) == training_key(plain, data)
    assert training_key(soft, one) != training_key(soft, other)
    assert "soft_labels" not in plain.recipe.as_dict()


def test_what_votes_cannot_be_had_with_is_refused() -> None:
    with pytest.raises(ConfigError, match="soft_labels takes classes that several people gave"):
        fit(make_plan(SOFT), make_data({"train": [0, 1], "validation": [0, 1]}, TWO))
    for changes in ({"loss": "binary"}, {"imbalance": make_imbalance(focal=2.0)}):
        with pytest.raises(ValueError, match="soft_labels is true"):
            make_recipe(soft_labels=True, **changes)
    make_recipe(soft_labels=True, imbalance=make_imbalance(logit_adjustment=1.0))


def shades() -> PreparedData:
    """Dark, bright and grey images; of the grey ones three of five people say b."""
    data = make_data({"train": [0, 1, 1] * 80, "validation": [0, 1, 1] * 10, "test": [0, 1, 1] * 20}, TWO)
    grey = np.arange(len(data)) % 3 == 2
    level = np.where(grey, 128, np.where(data.labels == 1, 220, 30))[:, None, None, None]
    noise = np.random.default_rng(0).normal(0, 10, data.images.shape)
    images = np.rint((level + noise).clip(0, 255)).astype(np.uint8)
    rows = [replace(row, sha256=each) for row, each in zip(data.rows, pixel_digests(images), strict=True)]
    own = [TWO[label] for label in data.labels]
    some = ["a" if each else name for name, each in zip(own, grey, strict=True)]
    return rated(replace(data, images=images, rows=rows), own, own, own, some, some)


@pytest.mark.slow
def test_a_network_that_learns_votes_says_how_far_people_agree() -> None:
    data, said = shades(), {}
    for soft in (False, True):
        recipe = make_recipe(epochs=10, label_smoothing=0.0, crop_padding=0, soft_labels=soft, batch_size=24)
        test = data.split("test")
        found = fit(make_plan(recipe), data).predict(test.images).probabilities[:, 1]
        said[soft] = float(found[2::3].mean())
        assert found[0::3].mean() < 0.2
    assert said[True] == pytest.approx(0.6, abs=0.1)
    assert said[False] > 0.8
