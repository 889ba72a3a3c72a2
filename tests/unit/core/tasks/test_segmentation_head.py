"""The heads are torchvision's, or a U-Net's, on any member."""

from typing import Any

import pytest
import torch

from resnet_ops.errors import ConfigError
from resnet_ops.families.any_member import AnyMember
from resnet_ops.families.preactivation_member import PreActivationMember
from resnet_ops.tasks.heads.head import head_of
from tests.unit.core.makers import TINY, make_imagenet_member
from tests.unit.core.tasks.masks import make_segmentation

RESNET50 = make_imagenet_member(layers=(3, 4, 6, 3), width=64, stem="standard")
VOC = {str(index): index for index in range(21)}
PREACTIVATION = PreActivationMember(
    family="preactivation", block="basic", depth=8, widths=(4, 8, 8), checkpointing=False
)


@pytest.mark.parametrize(("head", "parameters"), [("fcn", 35_322_218), ("deeplabv3", 42_004_074)])
def test_parameters_are_torchvisions_to_the_digit(head: str, parameters: int) -> None:
    settings = make_segmentation(classes=VOC, head=head, dilated=2)
    with torch.device("meta"):
        network = head_of(settings).network(RESNET50, 3, 21)
    assert sum(each.numel() for each in network.parameters()) == parameters


def test_a_unets_parameters_are_those_of_its_steps() -> None:
    """A step from below to width, joined by a map: 9 (below + joined) width + 9 width^2, and two norms of 2 width."""
    with torch.device("meta"):
        settings = make_segmentation(classes=VOC, head="unet", dilated=0, auxiliary=False)
        network = head_of(settings).network(RESNET50, 3, 21)
    steps = [(2048, 1024, 256), (256, 512, 128), (128, 256, 64), (64, 64, 64)]
    decoder = sum(9 * (below + joined) * width + 9 * width**2 + 4 * width for below, joined, width in steps)
    resnet50, its_classifier, last = 25_557_032, 2048 * 1000 + 1000, 64 * 21 + 21
    assert sum(each.numel() for each in network.parameters()) == resnet50 - its_classifier + decoder + last


@pytest.mark.parametrize("member", [TINY, PREACTIVATION, make_imagenet_member(stem="standard")])
def test_a_unet_sees_every_map_and_any_size(member: AnyMember) -> None:
    network = head_of(make_segmentation(head="unet", dilated=0, auxiliary=False)).network(member, 1, 2).eval()
    images = torch.randn(1, 1, 37, 45)
    maps = network.stage_features(images)
    with torch.no_grad():
        plain = network(images)
        assert plain.shape == (1, 2, 37, 45)
        for name in maps:
            changed = network.classifier(maps | {name: maps[name] + 1})
            assert (changed != network.classifier(maps)).any(), name


@pytest.mark.slow
def test_a_unet_compiles_as_one_graph() -> None:
    network = head_of(make_segmentation(head="unet", auxiliary=False)).network(TINY, 1, 2)
    images = torch.randn(2, 1, 32, 32)
    compiled: Any = torch.compile(network, backend="eager", fullgraph=True)
    torch.testing.assert_close(compiled(images), network(images))


@pytest.mark.slow
@pytest.mark.parametrize("head", ["fcn", "deeplabv3"])
def test_outputs_are_torchvisions_with_its_weights(head: str) -> None:
    models = pytest.importorskip("torchvision.models.segmentation")
    theirs = getattr(models, f"{head}_resnet50")(
        weights=None, weights_backbone=None, num_classes=21, aux_loss=True
    ).eval()
    network = head_of(make_segmentation(classes=VOC, head=head, dilated=2)).network(RESNET50, 3, 21).eval()
    network.load_state_dict(theirs.state_dict())
    images = torch.randn(1, 3, 65, 81, generator=torch.Generator().manual_seed(0))
    with torch.inference_mode():
        torch.testing.assert_close(network(images), theirs(images)["out"], atol=1e-5, rtol=0)
        both = network.stage_features(images)
        auxiliary = network.aux_classifier(both["stage3"])
        torch.testing.assert_close(
            torch.nn.functional.interpolate(auxiliary, size=images.shape[-2:], mode="bilinear"),
            theirs(images)["aux"],
            atol=1e-5,
            rtol=0,
        )


@pytest.mark.parametrize("member", [TINY, PREACTIVATION, make_imagenet_member(downsample="average")])
@pytest.mark.parametrize("head", ["fcn", "deeplabv3", "unet"])
@pytest.mark.parametrize("dilated", [0, 2])
def test_every_family_gets_a_head_and_finer_maps_on_demand(
    member: AnyMember, head: str, dilated: int
) -> None:
    side = head_of(make_segmentation(head=head, dilated=dilated))
    network = side.network(member, 1, 2)
    images = torch.randn(2, 1, 32, 32)
    assert [each.shape for each in network(images)] == [(2, 2, 32, 32)] * 2
    logits, embeddings = side.answer(network.eval(), images)
    *_, last = network.stage_features(images).values()
    assert logits.shape == (2, 2, 32, 32)
    assert embeddings.shape == last.shape[:2]
    strides = 3 if hasattr(member, "layers") else 2
    assert last.shape[-1] == 32 // 2 ** (strides - dilated)
    torch.testing.assert_close(network(images), logits)
    torch.testing.assert_close(side.deployable(network, images), (logits, embeddings))


@pytest.mark.parametrize("head", ["fcn", "unet"])
def test_every_weight_is_in_a_named_part(head: str) -> None:
    network = head_of(make_segmentation(head=head)).network(make_imagenet_member(), 1, 2)
    named = [
        each
        for part in network.PARTS.values()
        for name in part
        for each in network.get_submodule(name).parameters()
    ]
    assert {id(each) for each in named} == {id(each) for each in network.parameters()}


def test_self_attention_has_no_finer_maps() -> None:
    member = make_imagenet_member(attention=4)
    with pytest.raises(ConfigError, match="attention"):
        head_of(make_segmentation(dilated=2)).network(member, 1, 2)
