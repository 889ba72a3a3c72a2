"""What holds for members of every family: shapes, learning, features, saving, training, activation checkpointing."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from resnet_ops.data import PreparedData
from resnet_ops.errors import DataError
from resnet_ops.families.any_member import AnyMember
from resnet_ops.families.build import Network, build_network
from resnet_ops.families.catalogue import CATALOGUE
from resnet_ops.families.preactivation_member import PreActivationMember
from resnet_ops.model import load_model, save_model
from resnet_ops.training.loop import fit
from tests.unit.core.makers import TINY, make_imagenet_member, make_plan, random_images, take, untrained


def preactivation(block: Any = "basic", depth: int = 8, checkpointing: bool = False) -> PreActivationMember:
    return PreActivationMember(
        family="preactivation", block=block, depth=depth, widths=(8, 16, 32), checkpointing=checkpointing
    )


MEMBERS: dict[str, AnyMember] = {
    "cifar": TINY,
    "preactivation": preactivation(),
    "preactivation-bottleneck": preactivation("bottleneck", 11),
    "basic": make_imagenet_member(block="basic"),
    "bottleneck": make_imagenet_member(),
    "resnext": make_imagenet_member(width=16, groups=4, width_per_group=16),
    "wide": make_imagenet_member(width_per_group=128),
    "d": make_imagenet_member(downsample="average", block="basic"),
    "se": make_imagenet_member(squeeze=4),
    "bot": make_imagenet_member(attention=2),
    "separable": make_imagenet_member(block="separable"),
}


@pytest.mark.parametrize("name", MEMBERS)
def test_a_network_gives_logits_embeddings_and_named_maps(name: str) -> None:
    network = build_network(MEMBERS[name], 3, 5).eval()
    x = torch.randn(2, 3, 8, 8)
    with torch.no_grad():
        maps, features = network.stage_features(x), network.features(x)
        assert list(maps) == ["stem", *(f"stage{number}" for number in range(1, len(maps)))]
        assert [tuple(each.shape[2:]) for each in maps.values()][:4] == [(8, 8), (8, 8), (4, 4), (2, 2)]
        last = list(maps.values())[-1]
        assert features.shape == (2, network.head.in_features)
        assert torch.equal(F.adaptive_avg_pool2d(last, 1).flatten(1), features)
        assert torch.equal(network.head(features), network(x))


@pytest.mark.slow
@pytest.mark.parametrize("name", [*MEMBERS, "cifar-projection"])
def test_a_member_overfits_32_images(name: str, digits: PreparedData) -> None:
    x = torch.from_numpy(digits.images[:32].copy()).permute(0, 3, 1, 2).float() / 128 - 1
    labels = torch.from_numpy(digits.labels[:32])
    network = build_network(
        {**MEMBERS, "cifar-projection": replace(TINY, shortcut="projection")}[name], 1, 10
    )
    optimiser = torch.optim.SGD(network.parameters(), lr=0.05, momentum=0.9)
    for _ in range(80):
        loss = F.cross_entropy(network(x), labels)
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    assert loss.item() < 0.05
    assert (network.eval()(x).argmax(1) == labels).all()
    assert all(parameter.grad is not None and parameter.grad.any() for parameter in network.parameters())


@pytest.mark.parametrize("name", MEMBERS)
def test_a_saved_member_of_any_family_predicts_the_same(name: str, tmp_path: Path) -> None:
    model = untrained(MEMBERS[name])
    save_model(model, tmp_path)
    loaded, images = load_model(tmp_path), random_images(4)
    assert loaded.member == model.member
    assert (loaded.predict(images).logits == model.predict(images).logits).all()


def test_a_model_of_an_unknown_family_is_no_usable_model(tmp_path: Path) -> None:
    save_model(untrained(MEMBERS["basic"]), tmp_path)
    path = tmp_path / "member.json"
    path.write_text(path.read_text().replace('"imagenet"', '"transformer"'))
    with pytest.raises(DataError, match="holds no usable model"):
        load_model(tmp_path)


@pytest.mark.parametrize("name", ["preactivation", "bot"])
def test_any_family_trains(name: str, digits: PreparedData) -> None:
    small = take(digits, train=96, validation=40)
    first, second = (fit(make_plan(member=MEMBERS[name]), small).network for _ in range(2))
    for one, other in zip(first.state_dict().values(), second.state_dict().values(), strict=True):
        assert torch.equal(one, other)


def step_and_saved_bytes(network: nn.Module, x: Tensor) -> tuple[dict[str, Tensor], int]:
    """Gradients and buffers after a step, and the bytes that were kept for the way back."""
    saved = 0

    def pack(tensor: Tensor) -> Tensor:
        nonlocal saved
        saved += tensor.nbytes
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
        loss = network(x).square().sum()
    loss.backward()
    gradients = {name: p.grad for name, p in network.named_parameters() if p.grad is not None}
    return gradients | dict(network.named_buffers()), saved


@pytest.mark.parametrize(
    "make",
    [
        lambda on: preactivation("basic", 20, checkpointing=on),
        lambda on: make_imagenet_member(layers=(3, 3, 3, 3), checkpointing=on),
    ],
)
def test_activation_checkpointing_keeps_the_bits_and_saves_memory(make: Callable[[bool], AnyMember]) -> None:
    results = []
    for on in (False, True):
        torch.manual_seed(0)
        network: Network = build_network(make(on), 3, 5)
        results.append(step_and_saved_bytes(network, torch.randn(4, 3, 16, 16)))
    (plain, plain_bytes), (checkpointed, checkpointed_bytes) = results
    assert plain.keys() == checkpointed.keys()
    assert all(torch.equal(plain[name], checkpointed[name]) for name in plain)
    assert checkpointed_bytes < plain_bytes / 2


@pytest.mark.slow
def test_1001_layers_train() -> None:
    entry = next(entry for entry in CATALOGUE if entry.name == "preact-resnet1001")
    network = build_network(entry.member, 3, 10)
    network(torch.randn(2, 3, 8, 8)).square().sum().backward()
    first = next(network.parameters())
    assert first.grad is not None
    assert first.grad.isfinite().all()
    assert first.grad.any()


@pytest.mark.parametrize(
    ("block", "depth", "message"),
    [
        ("basic", 9, r"must be 6n\+2 where block is basic"),
        ("bottleneck", 21, r"must be 9n\+2"),
        ("basic", 2, "6n"),
    ],
)
def test_a_depth_that_does_not_fit_the_blocks_is_refused(block: str, depth: int, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        preactivation(block, depth)
