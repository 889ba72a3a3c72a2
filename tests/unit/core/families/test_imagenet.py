"""ImageNet-style networks: torchvision's names, sizes and outputs; the published sizes of the others; their parts."""

from typing import Any

import pytest
import torch
import torchvision
from torch import Tensor, nn

from resnet_ops.families.build import build_network
from resnet_ops.families.catalogue import CATALOGUE
from resnet_ops.families.imagenet import ImageNetResNet
from resnet_ops.families.imagenet_member import ImageNetMember
from resnet_ops.families.layers import SelfAttention, SqueezeExcitation
from tests.unit.core.makers import make_imagenet_member

ENTRIES = {entry.name: entry for entry in CATALOGUE}
TORCHVISIONS = [entry.name for entry in CATALOGUE if entry.accuracy_source.startswith("torchvision")]


def shapes(network: nn.Module) -> dict[str, tuple[int, ...]]:
    return {name: tuple(tensor.shape) for name, tensor in network.state_dict().items()}


@pytest.mark.slow
@pytest.mark.parametrize("name", TORCHVISIONS)
def test_names_shapes_parameters_and_published_accuracy_are_torchvisions(name: str) -> None:
    entry = ENTRIES[name]
    with torch.device("meta"):
        ours, theirs = build_network(entry.member, 3, 1000), torchvision.models.get_model(name)
    assert shapes(ours) == shapes(theirs)
    published = torchvision.models.get_model_weights(name).IMAGENET1K_V1.meta
    assert sum(parameter.numel() for parameter in ours.parameters()) == published["num_params"]
    assert entry.accuracy == published["_metrics"]["ImageNet-1K"]["acc@1"]


@pytest.mark.slow
@pytest.mark.parametrize("name", ["resnet18", "resnet50", "resnext50_32x4d", "wide_resnet50_2"])
def test_outputs_are_torchvisions_to_the_bit(name: str) -> None:
    theirs = torchvision.models.get_model(name)
    scatter_normalisation(theirs)
    ours = build_network(ENTRIES[name].member, 3, 1000)
    ours.load_state_dict(theirs.state_dict())
    assert_equal_outputs(ours, theirs)


@pytest.mark.parametrize(("name", "timms"), [("resnet50_d", "resnet50d"), ("se_resnet50", "seresnet50")])
def test_outputs_are_timms_to_the_bit_where_timm_is_installed(name: str, timms: str) -> None:
    theirs = pytest.importorskip("timm", reason="timm is not installed").create_model(timms)
    scatter_normalisation(theirs)
    ours = build_network(ENTRIES[name].member, 3, 1000)
    in_order = zip(ours.state_dict(), theirs.state_dict().values(), strict=True)
    ours.load_state_dict(dict(in_order))  # timm counts the pooling of a shortcut as a layer with a number
    assert_equal_outputs(ours, theirs)


def scatter_normalisation(network: nn.Module) -> None:
    """Statistics and scales that leave no branch without a share in the output."""
    for module in network.modules():
        if isinstance(module, nn.BatchNorm2d):
            assert module.running_mean is not None
            assert module.running_var is not None
            module.running_mean.normal_(std=0.1)
            module.running_var.uniform_(0.5, 2)
            module.weight.data.uniform_(0.5, 1)


def assert_equal_outputs(ours: nn.Module, theirs: nn.Module) -> None:
    x = torch.randn(2, 3, 64, 64)
    for training in (False, True):
        with torch.no_grad():
            expected = theirs.train(training)(x)
            assert expected.std() > 0
            assert torch.equal(ours.train(training)(x), expected)


@pytest.mark.parametrize(
    ("name", "parameters"),
    [
        ("resnet50_d", 25_576_264),  # as timm 1.0.31's resnet50d
        ("se_resnet50", 28_088_024),  # as timm 1.0.31's seresnet50
        ("separable_resnet18", 1_961_960),
    ],
)
def test_other_families_have_their_number_of_parameters(name: str, parameters: int) -> None:
    with torch.device("meta"):
        network = build_network(ENTRIES[name].member, 3, 1000)
    assert sum(parameter.numel() for parameter in network.parameters()) == parameters


def test_botnet_replaces_three_convolutions_by_attention_and_has_the_papers_20_8_million_parameters() -> None:
    with torch.device("meta"):
        bot, plain = (build_network(ENTRIES[name].member, 3, 1000) for name in ("botnet50", "resnet50"))
    counts = [sum(parameter.numel() for parameter in network.parameters()) for network in (bot, plain)]
    positions = 2 * 128 * (27 + 13 + 13)
    assert counts[0] == counts[1] - 3 * 9 * 512**2 + 3 * 3 * 512**2 + positions
    assert counts[0] // 10**5 == 208


def plain_attention(layer: SelfAttention, x: Tensor) -> Tensor:
    """Pixel by pixel, head by head."""
    n, channels, height, width = x.shape
    size, side = channels // layer.HEADS, layer.side
    query, key, value = layer.qkv(x).chunk(3, dim=1)
    places = [(row, column) for row in range(height) for column in range(width)]
    out = torch.empty_like(x)
    for image in range(n):
        for head in range(layer.HEADS):
            part = slice(head * size, (head + 1) * size)
            for here in places:
                q = query[image, part, *here]
                scores = []
                for there in places:
                    down, right = there[0] - here[0], there[1] - here[1]
                    way = layer.rows[down + side - 1] + layer.columns[right + side - 1]
                    scores.append(q @ key[image, part, *there] + q @ way)
                weights = (torch.stack(scores) * size**-0.5).softmax(0)
                seen = torch.stack([value[image, part, *there] for there in places])
                out[image, part, *here] = weights @ seen
    return out


@pytest.mark.parametrize("size", [(4, 4), (3, 2)])
def test_attention_equals_a_plain_computation_of_every_pair_of_pixels(size: tuple[int, int]) -> None:
    layer = SelfAttention(16, 4)
    x = torch.randn(2, 16, *size)
    with torch.no_grad():
        torch.testing.assert_close(layer(x), plain_attention(layer, x), rtol=1e-4, atol=1e-5)


def test_attention_refuses_a_map_larger_than_its_positions() -> None:
    with pytest.raises(ValueError, match=r"map of 5x4 .* allows: 4"):
        SelfAttention(16, 4)(torch.zeros(1, 16, 5, 4))


def test_squeeze_and_excitation_is_torchvisions() -> None:
    ours, theirs = SqueezeExcitation(32, 4), torchvision.ops.SqueezeExcitation(32, 8)
    theirs.load_state_dict(ours.state_dict())
    x = torch.randn(2, 32, 5, 6)
    torch.testing.assert_close(ours(x), theirs(x))


def test_zero_init_makes_every_block_start_as_its_shortcut() -> None:
    network = build_network(make_imagenet_member(zero_init=True, layers=(2, 1, 1, 1)), 3, 5)
    assert isinstance(network, ImageNetResNet)
    x = torch.randn(2, 32, 8, 8).relu()
    second = network.get_submodule("layer1.1")
    assert torch.equal(second(x), x)
    other = build_network(make_imagenet_member(zero_init=False, layers=(2, 1, 1, 1)), 3, 5)
    assert not torch.equal(other.get_submodule("layer1.1")(x), x)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"layers": (2, 2, 0, 2)}, r"layers are \[2, 2, 0, 2\], but each stage needs"),
        ({"width": 0}, "width is 0, but must be at least 1"),
        ({"block": "basic", "groups": 2}, "groups must be 1 and width_per_group 64 where block is basic"),
        ({"block": "separable", "width_per_group": 4}, "where block is separable"),
        ({"width": 8, "width_per_group": 4}, "width 8 leaves nothing of width_per_group 4"),
        ({"squeeze": -1}, "squeeze is -1"),
        ({"squeeze": 16}, "squeeze is 16, but must be at least 0 and at most width 8"),
        ({"attention": 7}, "attention needs an even side"),
        ({"attention": 4, "block": "basic"}, "attention needs an even side, block bottleneck"),
        ({"attention": -2}, "attention must not be negative"),
    ],
)
def test_impossible_settings_are_refused_by_name(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        make_imagenet_member(**changes)


@pytest.mark.parametrize(("stem", "side"), [("standard", 7), ("deep", 7), ("small", 28)])
def test_the_stem_decides_the_resolution(stem: Any, side: int) -> None:
    member: ImageNetMember = make_imagenet_member(stem=stem)
    maps = build_network(member, 3, 5).eval().stage_features(torch.zeros(1, 3, 28, 28))
    assert maps["stage1"].shape == (1, 32, side, side)
