"""The architectures: sizes of the paper, shortcuts, shapes, and that they learn."""

import pytest
import torch
from torch import nn
from torch.nn import functional as F
from torch.utils.flop_counter import FlopCounterMode

from resnet_ops.families.cifar import ZeroPadShortcut, build_member
from resnet_ops.families.member import Member, Shortcut


def make_member(
    depth: int = 8,
    widths: tuple[int, int, int] = (16, 32, 64),
    stem_kernel: int = 3,
    stem_stride: int = 1,
    shortcut: Shortcut = "identity",
) -> Member:
    return Member(
        depth=depth, widths=widths, stem_kernel=stem_kernel, stem_stride=stem_stride, shortcut=shortcut
    )


def count_parameters(network: nn.Module) -> int:
    return sum(parameter.numel() for parameter in network.parameters())


@pytest.mark.parametrize(
    ("depth", "parameters"),
    [(20, 269_722), (32, 464_154), (44, 658_586), (56, 853_018), (110, 1_727_962)],
)
def test_each_depth_of_the_paper_has_its_published_number_of_parameters(depth: int, parameters: int) -> None:
    assert count_parameters(build_member(make_member(depth), 3, 10)) == parameters


def test_projection_adds_two_convolutions_with_their_normalisation() -> None:
    identity = count_parameters(build_member(make_member(20), 3, 10))
    projection = count_parameters(build_member(make_member(20, shortcut="projection"), 3, 10))
    assert projection - identity == (16 * 32 + 2 * 32) + (32 * 64 + 2 * 64)


def test_resnet20_takes_81_million_operations_for_a_cifar_image() -> None:
    stem = 3 * 16 * 9 * 32**2
    first_stage = 6 * 16 * 16 * 9 * 32**2
    second_stage = (16 * 32 + 5 * 32 * 32) * 9 * 16**2
    third_stage = (32 * 64 + 5 * 64 * 64) * 9 * 8**2
    multiply_adds = stem + first_stage + second_stage + third_stage + 64 * 10
    counter = FlopCounterMode(display=False)
    with counter, torch.inference_mode():
        build_member(make_member(20), 3, 10)(torch.zeros(1, 3, 32, 32))
    assert counter.get_total_flops() == 2 * multiply_adds == 81_102_080


@pytest.mark.parametrize("size", [(8, 8), (7, 9)])
@pytest.mark.parametrize("stride", [1, 2])
@pytest.mark.parametrize("added", [0, 3, 4])
def test_the_identity_shortcut_is_a_strided_convolution_with_fixed_weights(
    added: int, stride: int, size: tuple[int, int]
) -> None:
    channels = 4
    weight = torch.zeros(channels + added, channels, 1, 1)
    for channel in range(channels):
        weight[channel + added // 2, channel] = 1
    x = torch.randn(2, channels, *size)
    expected = F.conv2d(x, weight, stride=stride)
    assert torch.equal(ZeroPadShortcut(added, stride)(x), expected)


@pytest.mark.parametrize("depth", [-4, 2, 7, 9, 18, 21])
def test_a_depth_that_is_not_6n_plus_2_is_refused_with_the_depths_that_are(depth: int) -> None:
    with pytest.raises(ValueError, match=rf"depth is {depth}, but must be 6n\+2: 8, 14, 20"):
        make_member(depth)


@pytest.mark.parametrize("widths", [(0, 8, 16), (-1, 8, 16), (16, 8, 32), (16, 32, 31)])
def test_widths_that_fall_or_are_not_positive_are_refused(widths: tuple[int, int, int]) -> None:
    with pytest.raises(ValueError, match=r"widths are \[.*\], but must"):
        make_member(widths=widths)


@pytest.mark.parametrize(
    ("kernel", "stride", "message"),
    [(2, 1, "stem_kernel is 2, but must be odd"), (3, 3, "stem_stride is 3, but must be 1, 2 or 4")],
)
def test_an_impossible_stem_is_refused(kernel: int, stride: int, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        make_member(stem_kernel=kernel, stem_stride=stride)


@pytest.mark.parametrize("shortcut", ["identity", "projection"])
@pytest.mark.parametrize("widths", [(4, 4, 4), (3, 6, 9), (16, 32, 64)])
@pytest.mark.parametrize(("kernel", "stride"), [(3, 1), (7, 2)])
def test_every_shortcut_width_and_stem_gives_logits_and_embeddings(
    shortcut: Shortcut, widths: tuple[int, int, int], kernel: int, stride: int
) -> None:
    network = build_member(make_member(8, widths, kernel, stride, shortcut), 3, 5).eval()
    x = torch.randn(2, 3, 32, 32)
    features = network.features(x)
    assert features.shape == (2, widths[2])
    assert torch.equal(network.head(features), network(x))
    assert network(x).shape == (2, 5)


def test_the_first_stage_keeps_the_resolution_and_the_others_halve_it() -> None:
    network = build_member(make_member(14), 1, 10).eval()
    x = network.stem(torch.zeros(1, 1, 32, 32))
    shapes = []
    for stage in network.stages:
        x = stage(x)
        shapes.append(tuple(x.shape[1:]))
    assert shapes == [(16, 32, 32), (32, 16, 16), (64, 8, 8)]


@pytest.mark.parametrize("shortcut", ["identity", "projection"])
def test_every_parameter_takes_part_in_learning(shortcut: Shortcut) -> None:
    network = build_member(make_member(14, shortcut=shortcut), 1, 10)
    F.cross_entropy(network(torch.randn(8, 1, 8, 8)), torch.arange(8)).backward()
    idle = [
        name
        for name, parameter in network.named_parameters()
        if parameter.grad is None or not parameter.grad.any()
    ]
    assert idle == []


def test_weights_come_from_the_global_seed() -> None:
    first, again, other = (
        (torch.manual_seed(seed), build_member(make_member(), 1, 10).state_dict())[1] for seed in (5, 5, 6)
    )
    assert all(torch.equal(first[name], again[name]) for name in first)
    assert not torch.equal(first["stem.0.weight"], other["stem.0.weight"])
