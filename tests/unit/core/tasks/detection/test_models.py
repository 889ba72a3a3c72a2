"""Detectors are torchvision's, on any member."""

from typing import Any, get_args

import pytest
import torch

from resnet_ops.errors import ConfigError
from resnet_ops.families.any_member import AnyMember
from resnet_ops.families.preactivation_member import PreActivationMember
from resnet_ops.tasks.detection.models import build_detector
from resnet_ops.tasks.task import Detector
from tests.unit.core.makers import TINY, make_imagenet_member

models = pytest.importorskip("torchvision.models.detection")

RESNET50 = make_imagenet_member(layers=(3, 4, 6, 3), width=64, stem="standard")
PREACTIVATION = PreActivationMember(
    family="preactivation", block="basic", depth=8, widths=(4, 8, 8), checkpointing=False
)
THEIRS = {
    "fasterrcnn": "fasterrcnn_resnet50_fpn",
    "fasterrcnn_v2": "fasterrcnn_resnet50_fpn_v2",
    "retinanet": "retinanet_resnet50_fpn",
    "retinanet_v2": "retinanet_resnet50_fpn_v2",
    "fcos": "fcos_resnet50_fpn",
}


def build(
    member: AnyMember, kind: Detector, classes: int = 3, *, channels: int = 3, frozen: bool = False
) -> Any:
    mean, std = ([0.485, 0.456, 0.406], [0.229, 0.224, 0.225]) if channels == 3 else ([0.5], [0.25])
    return build_detector(
        member, kind, classes, mean=mean, std=std, shortest=64, longest=96, frozen_norms=frozen
    )


def few_proposals(network: Any) -> Any:
    """The same, with less for a test to compute in the second stage, where there is one."""
    if hasattr(network, "rpn"):
        network.rpn._post_nms_top_n = {"training": 20, "testing": 20}
        network.roi_heads.batch_size_per_image = 16
    return network


@pytest.mark.parametrize(
    ("kind", "parameters"),
    [
        ("fasterrcnn", 41_755_286),
        ("fasterrcnn_v2", 43_712_278),
        ("retinanet", 34_014_999),
        ("retinanet_v2", 38_198_935),
        ("fcos", 32_269_600),
    ],
)
def test_parameters_are_torchvisions_to_the_digit(kind: Detector, parameters: int) -> None:
    with torch.device("meta"):
        network = build(RESNET50, kind, 90, frozen=not kind.endswith("v2"))
    assert sum(each.numel() for each in network.parameters()) == parameters


@pytest.mark.slow
@pytest.mark.parametrize("kind", get_args(Detector))
def test_outputs_are_torchvisions_with_its_weights(kind: Detector) -> None:
    theirs = getattr(models, THEIRS[kind])(
        weights=None, weights_backbone=None, num_classes=4, min_size=64, max_size=96
    )
    mine = build(RESNET50, kind, frozen=False)
    mine.load_state_dict(theirs.state_dict())
    generator = torch.Generator().manual_seed(0)
    images = [torch.rand(3, 64, 80, generator=generator), torch.rand(3, 50, 64, generator=generator)]
    for network in (few_proposals(mine.eval()), few_proposals(theirs.eval())):
        (network.roi_heads if kind.startswith("faster") else network).score_thresh = 0.0
    with torch.inference_mode():
        for found, expected in zip(mine(images), theirs(images), strict=True):
            assert len(expected["boxes"])
            for name, values in expected.items():
                torch.testing.assert_close(found[name], values, atol=1e-5, rtol=0)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("member", "kind"),
    [
        *[(TINY, kind) for kind in get_args(Detector)],
        (PREACTIVATION, "fasterrcnn"),
        (make_imagenet_member(downsample="average"), "fcos"),
    ],
)
def test_every_family_learns_boxes_and_answers_with_them(member: AnyMember, kind: Detector) -> None:
    torch.manual_seed(0)
    network = few_proposals(build(member, kind, channels=1, frozen=True))
    target = {"boxes": torch.tensor([[8.0, 8.0, 40.0, 40.0]]), "labels": torch.tensor([2])}
    losses = network([torch.rand(1, 64, 64)], [target])
    sum(losses.values()).backward()
    assert all(torch.isfinite(each) for each in losses.values())
    first = next(network.backbone.body.parameters())
    assert first.grad is not None
    assert not [
        name for name, _ in network.backbone.body.named_parameters() if "bn" in name or "norm" in name
    ]
    with torch.inference_mode():
        (found,) = network.eval()([torch.rand(1, 64, 64)])
    assert found["boxes"].shape[1:] == (4,)


def test_strides_of_a_member_scale_its_anchors() -> None:
    with torch.device("meta"):
        small = build(TINY, "fasterrcnn", channels=1)
        assert small.rpn.anchor_generator.sizes == tuple((8 * each,) for each in small.backbone.strides())
        assert build(RESNET50, "fasterrcnn").backbone.strides() == [4, 8, 16, 32, 64]
        assert build(RESNET50, "fcos").backbone.strides() == [8, 16, 32, 64, 128]


def test_a_member_with_self_attention_is_refused() -> None:
    with pytest.raises(ConfigError, match="attention"):
        build(make_imagenet_member(block="bottleneck", attention=8), "fcos")
