"""What rare classes weigh in the loss: by hand, and against torch, torchvision and scikit-learn where they have it."""

import math
from typing import Any

import numpy as np
import pytest
import torch
from sklearn.utils.class_weight import compute_class_weight
from torch import Tensor
from torch.nn import functional as F

from resnet_ops.training.augmentation.mixing import Targets
from resnet_ops.training.rare_classes.imbalance import Weights
from resnet_ops.training.rare_classes.loss import TrainingLoss, class_weights, loss_of
from resnet_ops.training.recipe import Loss
from tests.unit.core.makers import make_imbalance, make_recipe

CPU = torch.device("cpu")
LABELS, OTHERS = torch.tensor([0, 1, 2, 0, 0, 1]), torch.tensor([1, 0, 0, 2, 0, 2])
COUNTS = torch.tensor([80, 15, 5])
LOSSES: list[Loss] = ["cross_entropy", "binary"]


def logits(scale: float = 2.0) -> Tensor:
    drawn = torch.randn(6, 3, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    return drawn * scale


def whole(labels: Tensor = LABELS) -> Targets:
    return Targets(labels, labels, 1.0)


def loss_with(
    counts: Tensor = COUNTS, loss: Loss = "cross_entropy", smoothing: float = 0.0, **of: Any
) -> Any:
    recipe = make_recipe(loss=loss, label_smoothing=smoothing, imbalance=make_imbalance(**of))
    return loss_of(recipe, counts, CPU)


def test_balanced_weights_are_those_of_scikit_learn_and_one_on_average() -> None:
    weights = class_weights(COUNTS, "balanced")
    assert weights is not None
    labels = np.repeat([0, 1, 2], COUNTS.tolist())
    expected = compute_class_weight("balanced", classes=np.arange(3), y=labels)
    np.testing.assert_allclose(weights.numpy(), expected)
    assert (weights * COUNTS).sum().item() == pytest.approx(100)


def test_effective_weights_are_inverse_to_the_number_of_cui_and_one_on_average() -> None:
    weights = class_weights(COUNTS, "effective")
    assert weights is not None
    beta = 1 - 3 / 100
    numbers = [(1 - beta**count) / (1 - beta) for count in (80, 15, 5)]
    assert (weights * torch.tensor(numbers)).tolist() == pytest.approx([float(weights[0]) * numbers[0]] * 3)
    assert (weights * COUNTS).sum().item() == pytest.approx(100)
    balanced = class_weights(COUNTS, "balanced")
    assert balanced is not None
    assert weights[2] / weights[0] < balanced[2] / balanced[0], "they go less far"


@pytest.mark.parametrize("weights", ["balanced", "effective"])
@pytest.mark.parametrize("images", [1, 7, 10**7])
def test_equal_classes_weigh_one(weights: Weights, images: int) -> None:
    found = class_weights(torch.full((4,), images), weights)
    assert found is not None
    assert found.tolist() == pytest.approx([1] * 4)


@pytest.mark.parametrize("kind", LOSSES)
@pytest.mark.parametrize("weights", ["balanced", "effective"])
def test_weights_on_a_balanced_set_change_nothing_but_rounding(kind: Loss, weights: Weights) -> None:
    for targets in (whole(), Targets(LABELS, OTHERS, 0.7)):
        loss = loss_with(torch.full((3,), 9), kind, 0.1, weights=weights).of(targets, logits())
        torch.testing.assert_close(loss.float(), targets.loss(logits(), kind, 0.1).float())


def test_a_weighted_loss_is_torchs_but_divided_by_the_number_of_images() -> None:
    weights = torch.tensor([0.5, 2.0, 4.0])
    found = TrainingLoss("cross_entropy", 0.0, 0.0, weights).of(whole(), logits())
    torchs = F.cross_entropy(logits(), LABELS, weight=weights.double())
    torch.testing.assert_close(found, torchs * weights[LABELS].sum() / 6)
    by_hand = sum(
        float(weights[label]) * -math.log(row.softmax(0)[label])
        for row, label in zip(logits(), LABELS, strict=True)
    )
    assert found.item() == pytest.approx(by_hand / 6, rel=1e-6)


def test_a_smoothed_loss_is_weighed_by_the_class_of_the_image() -> None:
    weights = torch.tensor([0.5, 2.0, 4.0])
    found = TrainingLoss("cross_entropy", 0.1, 0.0, weights).of(whole(), logits())
    each = F.cross_entropy(logits(), LABELS, reduction="none", label_smoothing=0.1)
    torch.testing.assert_close(found, (each * weights[LABELS]).mean())


@pytest.mark.parametrize("kind", LOSSES)
def test_weighing_is_expecting_as_many_images_more(kind: Loss) -> None:
    """A class of weight 3 counts as if each of its images were there three times."""
    weights = torch.tensor([1.0, 3.0, 2.0])
    times = weights.long()[LABELS]
    found = TrainingLoss(kind, 0.1, 0.0, weights).of(whole(), logits())
    repeated = whole(LABELS.repeat_interleave(times)).loss(logits().repeat_interleave(times, 0), kind, 0.1)
    torch.testing.assert_close(found, repeated * times.sum() / 6)


@pytest.mark.parametrize("kind", LOSSES)
@pytest.mark.parametrize(
    "setting", [{"focal": 2.0}, {"weights": "balanced"}, {"weights": "effective", "focal": 0.5}]
)
def test_each_label_of_a_mixed_image_counts_by_its_share(kind: Loss, setting: dict[str, Any]) -> None:
    loss = loss_with(loss=kind, smoothing=0.1, **setting)
    mixed = loss.of(Targets(LABELS, OTHERS, 0.7), logits())
    if kind == "cross_entropy":
        expected = 0.7 * loss.of(whole(), logits()) + 0.3 * loss.of(whole(OTHERS), logits())
    else:  # both classes are present: the row is one loss, of which the weights are mixed
        weights = 1 if loss.weights is None else 0.7 * loss.weights[LABELS] + 0.3 * loss.weights[OTHERS]
        rows = [
            TrainingLoss("binary", 0.1, loss.focal).of(Targets(LABELS[[i]], OTHERS[[i]], 0.7), logits()[[i]])
            for i in range(6)
        ]
        expected = (torch.stack(rows) * weights).mean()
    torch.testing.assert_close(mixed, expected)


@pytest.mark.parametrize("kind", LOSSES)
@pytest.mark.parametrize("share", [1.0, 0.7])
def test_an_imbalance_that_does_nothing_gives_the_same_bits(kind: Loss, share: float) -> None:
    targets = Targets(LABELS, OTHERS, share)
    settings: list[dict[str, Any]] = [{}, {"sampling": "square_root"}]
    for setting in settings:
        found = loss_with(loss=kind, smoothing=0.1, **setting).of(targets, logits())
        assert torch.equal(found, targets.loss(logits(), kind, 0.1))


def test_the_focal_loss_by_hand() -> None:
    """One image of two classes at probability 0.8: (1 - 0.8)^2 times -log 0.8."""
    row = torch.tensor([[math.log(0.8), math.log(0.2)]])
    found = TrainingLoss("cross_entropy", 0.0, 2.0).of(whole(torch.tensor([0])), row)
    assert found.item() == pytest.approx(0.2**2 * -math.log(0.8))
    smoothed = TrainingLoss("cross_entropy", 0.1, 2.0).of(whole(torch.tensor([0])), row)
    assert smoothed.item() == pytest.approx(0.95 * 0.2**2 * -math.log(0.8) + 0.05 * 0.8**2 * -math.log(0.2))


@pytest.mark.parametrize("kind", LOSSES)
@pytest.mark.parametrize("smoothing", [0.0, 0.1])
def test_the_focal_loss_comes_to_cross_entropy_as_gamma_falls(kind: Loss, smoothing: float) -> None:
    found = TrainingLoss(kind, smoothing, 1e-9).of(whole(), logits())
    torch.testing.assert_close(found.float(), whole().loss(logits(), kind, smoothing).float())


@pytest.mark.parametrize("gamma", [0.5, 2.0])
def test_the_binary_focal_loss_is_torchvisions(gamma: float) -> None:
    focal_loss = pytest.importorskip("torchvision.ops").sigmoid_focal_loss
    wanted = F.one_hot(LABELS, 3).double()
    expected = focal_loss(logits(), wanted, alpha=-1, gamma=gamma, reduction="mean")
    torch.testing.assert_close(TrainingLoss("binary", 0.0, gamma).of(whole(), logits()), expected)


@pytest.mark.parametrize("kind", LOSSES)
@pytest.mark.parametrize("gamma", [0.3, 1.0, 2.0])
@pytest.mark.parametrize("smoothing", [0.0, 0.1])
def test_the_focal_loss_has_a_gradient_where_all_is_certain(
    kind: Loss, gamma: float, smoothing: float
) -> None:
    certain = (F.one_hot(LABELS, 3).float() * 400 - 200).requires_grad_()
    for targets in (whole(), whole(OTHERS)):
        loss = TrainingLoss(kind, smoothing, gamma).of(targets, certain)
        (slope,) = torch.autograd.grad(loss, certain)
        assert loss.isfinite()
        assert slope.isfinite().all()


@pytest.mark.parametrize("kind", LOSSES)
@pytest.mark.parametrize("gamma", [0.5, 2.0])
def test_the_gradient_of_the_focal_loss_is_that_of_its_differences(kind: Loss, gamma: float) -> None:
    loss = TrainingLoss(kind, 0.1, gamma, torch.tensor([0.5, 2.0, 4.0]))
    assert torch.autograd.gradcheck(lambda each: loss.of(whole(), each), logits().requires_grad_())


def test_the_adjustment_adds_the_logarithm_of_the_class_shares() -> None:
    shares = COUNTS / 100
    found = loss_with(logit_adjustment=1.5).of(whole(), logits())
    torch.testing.assert_close(found, F.cross_entropy(logits() + 1.5 * shares.log(), LABELS))
    hits = whole().hits(logits())
    assert hits == (logits().argmax(1) == LABELS).sum(), "answers are those without it"


def test_weights_and_adjustment_make_up_for_what_sampling_left() -> None:
    root = COUNTS.double().sqrt() / COUNTS.double().sqrt().sum()
    adjusted = loss_with(sampling="square_root", logit_adjustment=1.0)
    torch.testing.assert_close(adjusted.adjustment, root.log().float())
    weighed = loss_with(sampling="square_root", weights="balanced")
    torch.testing.assert_close(weighed.weights, (1 / (3 * root)).float())


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"focal": -1.0}, "focal is -1.0, but must be at least 0 and finite"),
        ({"focal": math.nan}, "focal is nan, but must be"),
        ({"logit_adjustment": math.inf}, "logit_adjustment is inf, but must be"),
        ({"weights": "inverse"}, "weights is 'inverse', but must be none, balanced, effective"),
        ({"sampling": "root"}, "sampling is 'root', but must be natural, balanced, square_root"),
        ({"weights": "balanced", "logit_adjustment": 1.0}, "Set weights to none or logit_adjustment to 0"),
        (
            {"sampling": "balanced", "weights": "effective"},
            "leaves nothing to make up for. Set weights to none",
        ),
        ({"sampling": "balanced", "logit_adjustment": 1.0}, "Set logit_adjustment to 0, or sampling"),
    ],
)
def test_what_makes_no_sense_is_refused_with_the_setting_to_change(
    changes: dict[str, Any], message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        make_imbalance(**changes)


def test_an_adjustment_of_the_binary_loss_is_refused() -> None:
    with pytest.raises(ValueError, match="cross_entropy, but loss is binary"):
        make_recipe(loss="binary", imbalance=make_imbalance(logit_adjustment=1.0))
