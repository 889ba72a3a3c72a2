"""Detectors on any member: torchvision's heads on a feature pyramid (Lin et al. 2017) of the member's stages."""

from collections import OrderedDict
from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

from resnet_ops.errors import ConfigError
from resnet_ops.families.any_member import AnyMember
from resnet_ops.families.build import Network, build_network
from resnet_ops.tasks.task import Detector

__all__ = ["Pyramid", "build_detector"]

WIDTH = 256
"""Channels of a pyramid's maps, as in torchvision."""
SIDE = 128
"""Of the image by which a member's strides are found: the coarsest that any has."""
RATIOS = (0.5, 1.0, 2.0)


class Pyramid(nn.Module):
    """A member without its head, and maps of one width from its stages; torchvision's names `body` and `fpn`."""

    def __init__(
        self, body: Network, stages: Sequence[str], width: int, extra: nn.Module, norm: Any = None
    ) -> None:
        super().__init__()
        from torchvision.ops import FeaturePyramidNetwork

        self.body, self.stages, self.out_channels = body, tuple(stages), width
        widths = [each.shape[1] for each in _maps(body, self.stages)]
        self.fpn = FeaturePyramidNetwork(widths, width, extra, norm)

    def forward(self, x: Tensor) -> "OrderedDict[str, Tensor]":
        return self.joined(self.body.stage_features(x))

    def joined(self, maps: Mapping[str, Tensor]) -> "OrderedDict[str, Tensor]":
        """The pyramid of the body's maps, by stage."""
        found: OrderedDict[str, Tensor] = self.fpn(
            OrderedDict((str(place), maps[stage]) for place, stage in enumerate(self.stages))
        )
        return found

    def strides(self) -> list[int]:
        """How many pixels of an image are one of each map, the finest first."""
        was = self.training
        with torch.no_grad():
            maps = self.eval()(_image(self.body))
        self.train(was)
        return [round(SIDE / each.shape[-1]) for each in maps.values()]


def build_detector(
    member: AnyMember,
    kind: Detector,
    classes: int,
    *,
    mean: Sequence[float],
    std: Sequence[float],
    shortest: int,
    longest: int,
    frozen_norms: bool,
    width: int = WIDTH,
) -> nn.Module:
    """A detector with fresh weights, drawn from torch's global random state.

    It takes and gives what torchvision's do: a list of (C, H, W) images in [0, 1], and in training of targets with
    `boxes` (M, 4) and `labels` (M,) from 1 to `classes`. mean, std: of the C channels. shortest, longest: to which
    sides in pixels images are scaled. frozen_norms: whether the member's batch norms keep their statistics and weights,
    as with weights that were trained before and few images a batch. width: channels of the pyramid's maps, a multiple
    of 32. Boxes of the finest maps are as large by their stride as those of torchvision's detectors on ResNet-50, whose
    weights fit a member of its names. Raises ConfigError for a member with self-attention, which takes images of one
    size.
    """
    if getattr(member, "attention", 0):
        raise ConfigError(
            "Detectors take images of any size, but this member has self-attention for maps of one size. Set the "
            "member's attention to 0, or take another member."
        )
    body = build_network(member, len(mean), 1)
    (head,) = body.PARTS["head"]
    channels = body.head.in_features
    setattr(body, head, nn.Identity())
    if frozen_norms:
        _freeze_norms(body)
    stages = [part for part in body.PARTS if part.startswith("stage")]
    about = {"image_mean": list(mean), "image_std": list(std), "min_size": shortest, "max_size": longest}
    make = _faster_rcnn if kind.startswith("fasterrcnn") else _one_stage
    return make(body, stages, kind, classes + 1, channels, width, about)


def _faster_rcnn(
    body: Network, stages: list[str], kind: Detector, outputs: int, _: int, width: int, about: dict[str, Any]
) -> nn.Module:
    from torchvision.models.detection import FasterRCNN
    from torchvision.models.detection.anchor_utils import AnchorGenerator
    from torchvision.models.detection.faster_rcnn import FastRCNNConvFCHead
    from torchvision.models.detection.rpn import RPNHead
    from torchvision.ops import MultiScaleRoIAlign
    from torchvision.ops.feature_pyramid_network import LastLevelMaxPool

    second = kind == "fasterrcnn_v2"
    pyramid = Pyramid(body, stages, width, LastLevelMaxPool(), nn.BatchNorm2d if second else None)
    sizes = tuple((8 * stride,) for stride in pyramid.strides())
    anchors = AnchorGenerator(sizes, (RATIOS,) * len(sizes))
    pool = MultiScaleRoIAlign([str(place) for place in range(len(stages))], output_size=7, sampling_ratio=2)
    parts: dict[str, Any] = {"rpn_anchor_generator": anchors, "box_roi_pool": pool}
    if second:
        parts["rpn_head"] = RPNHead(width, anchors.num_anchors_per_location()[0], conv_depth=2)
        parts["box_head"] = FastRCNNConvFCHead((width, 7, 7), [width] * 4, [1024], norm_layer=nn.BatchNorm2d)
    return FasterRCNN(pyramid, outputs, **parts, **about)  # type: ignore[no-any-return]


def _one_stage(
    body: Network,
    stages: list[str],
    kind: Detector,
    outputs: int,
    channels: int,
    width: int,
    about: dict[str, Any],
) -> nn.Module:
    """On all stages but the first, and two coarser maps."""
    from torchvision.models.detection import FCOS, RetinaNet
    from torchvision.models.detection.anchor_utils import AnchorGenerator
    from torchvision.models.detection.retinanet import RetinaNetHead
    from torchvision.ops.feature_pyramid_network import LastLevelP6P7

    coarser = LastLevelP6P7(channels if kind == "retinanet_v2" else width, width)
    pyramid = Pyramid(body, stages[1:], width, coarser)
    strides = pyramid.strides()
    if kind == "fcos":
        anchors = AnchorGenerator(tuple((stride,) for stride in strides), ((1.0,),) * len(strides))
        return FCOS(pyramid, outputs, anchor_generator=anchors, **about)  # type: ignore[no-any-return]
    sizes = tuple(tuple(int(4 * stride * 2 ** (third / 3)) for third in range(3)) for stride in strides)
    anchors = AnchorGenerator(sizes, (RATIOS,) * len(sizes))
    parts: dict[str, Any] = {"anchor_generator": anchors}
    if kind == "retinanet_v2":
        per_place = anchors.num_anchors_per_location()[0]
        parts["head"] = RetinaNetHead(width, per_place, outputs, norm_layer=partial(nn.GroupNorm, 32))
        parts["head"].regression_head._loss_type = "giou"
    return RetinaNet(pyramid, outputs, **parts, **about)  # type: ignore[no-any-return]


def _maps(body: Network, stages: Sequence[str]) -> list[Tensor]:
    was = body.training
    with torch.no_grad():
        maps = body.eval().stage_features(_image(body))
    body.train(was)
    return [maps[stage] for stage in stages]


def _image(body: Network) -> Tensor:
    first = next(module for module in body.modules() if isinstance(module, nn.Conv2d))
    return first.weight.new_zeros(1, first.in_channels, SIDE, SIDE)


def _freeze_norms(module: nn.Module) -> None:
    """Batch norms become torchvision's frozen ones, with the same names and values."""
    from torchvision.ops import FrozenBatchNorm2d

    for name, child in module.named_children():
        if isinstance(child, nn.BatchNorm2d):
            frozen = FrozenBatchNorm2d(child.num_features, eps=child.eps)
            for each in ("weight", "bias", "running_mean", "running_var"):
                setattr(frozen, each, getattr(child, each).detach())
            setattr(module, name, frozen)
        else:
            _freeze_norms(child)
