"""Members of the literature, each with its paper and what it reached there: the table that docs and command print."""

from dataclasses import dataclass
from typing import Any

from resnet_ops.families.any_member import AnyMember
from resnet_ops.families.imagenet_member import ImageNetMember
from resnet_ops.families.member import Member
from resnet_ops.families.preactivation_member import PreActivationMember

__all__ = ["CATALOGUE", "Entry"]

HE, IDENTITY = "He et al. 2015, arXiv:1512.03385", "He et al. 2016, arXiv:1603.05027"


@dataclass(frozen=True, kw_only=True)
class Entry:
    """One member as its paper has it. Ten classes and images of 32 are CIFAR-10, 1,000 and 224 ImageNet."""

    name: str
    member: AnyMember
    image_size: int
    classes: int
    paper: str
    accuracy: float | None
    """Top-1 in per cent, from `accuracy_source`; None where nobody published one for these settings."""
    accuracy_source: str


def _cifar(depth: int, accuracy: float) -> Entry:
    member = Member(depth=depth, widths=(16, 32, 64), stem_kernel=3, stem_stride=1, shortcut="identity")
    return Entry(
        name=f"cifar-resnet{depth}",
        member=member,
        image_size=32,
        classes=10,
        paper=HE,
        accuracy=accuracy,
        accuracy_source="the paper, CIFAR-10",
    )


def _preactivation(depth: int, block: Any, accuracy: float | None) -> Entry:
    member = PreActivationMember(
        family="preactivation",
        block=block,
        depth=depth,
        widths=(16, 32, 64),
        checkpointing=depth > 1000,
    )
    return Entry(
        name=f"preact-resnet{depth}",
        member=member,
        image_size=32,
        classes=10,
        paper=IDENTITY,
        accuracy=accuracy,
        accuracy_source="the paper, CIFAR-10" if accuracy else "",
    )


def _imagenet(
    name: str,
    block: Any,
    layers: tuple[int, int, int, int],
    paper: str,
    accuracy: float | None,
    source: str,
    **changes: Any,
) -> Entry:
    settings: dict[str, Any] = {
        "width": 64,
        "groups": 1,
        "width_per_group": 64,
        "stem": "standard",
        "downsample": "convolution",
        "squeeze": 0,
        "attention": 0,
        "zero_init": True,
        "checkpointing": False,
    }
    member = ImageNetMember(family="imagenet", block=block, layers=layers, **{**settings, **changes})
    return Entry(
        name=name,
        member=member,
        image_size=224,
        classes=1000,
        paper=paper,
        accuracy=accuracy,
        accuracy_source=source,
    )


R18, R50, R101, R152 = (2, 2, 2, 2), (3, 4, 6, 3), (3, 4, 23, 3), (3, 8, 36, 3)
TORCHVISION = "torchvision's IMAGENET1K_V1"
XIE, WIDE = "Xie et al. 2016, arXiv:1611.05431", "Zagoruyko & Komodakis 2016, arXiv:1605.07146"

CATALOGUE: tuple[Entry, ...] = (
    _cifar(20, 91.25),
    _cifar(32, 92.49),
    _cifar(44, 92.83),
    _cifar(56, 93.03),
    _cifar(110, 93.57),
    _cifar(1202, 92.07),
    _preactivation(110, "basic", 93.63),
    _preactivation(164, "bottleneck", 94.54),
    _preactivation(1001, "bottleneck", 95.08),
    _preactivation(1202, "basic", None),
    _imagenet("resnet18", "basic", R18, HE, 69.758, TORCHVISION),
    _imagenet("resnet34", "basic", R50, HE, 73.314, TORCHVISION),
    _imagenet("resnet50", "bottleneck", R50, HE, 76.13, TORCHVISION),
    _imagenet("resnet101", "bottleneck", R101, HE, 77.374, TORCHVISION),
    _imagenet("resnet152", "bottleneck", R152, HE, 78.312, TORCHVISION),
    _imagenet("resnext50_32x4d", "bottleneck", R50, XIE, 77.618, TORCHVISION, groups=32, width_per_group=4),
    _imagenet("resnext101_32x8d", "bottleneck", R101, XIE, 79.312, TORCHVISION, groups=32, width_per_group=8),
    _imagenet("resnext101_64x4d", "bottleneck", R101, XIE, 83.246, TORCHVISION, groups=64, width_per_group=4),
    _imagenet("wide_resnet50_2", "bottleneck", R50, WIDE, 78.468, TORCHVISION, width_per_group=128),
    _imagenet("wide_resnet101_2", "bottleneck", R101, WIDE, 78.848, TORCHVISION, width_per_group=128),
    _imagenet(
        "resnet50_d",
        "bottleneck",
        R50,
        "He et al. 2018, arXiv:1812.01187",
        77.16,
        "the paper",
        stem="deep",
        downsample="average",
    ),
    _imagenet(
        "se_resnet50", "bottleneck", R50, "Hu et al. 2017, arXiv:1709.01507", 76.71, "the paper", squeeze=16
    ),
    _imagenet(
        "botnet50", "bottleneck", R50, "Srinivas et al. 2021, arXiv:2101.11605", None, "", attention=14
    ),
    _imagenet("separable_resnet18", "separable", R18, "Howard et al. 2017, arXiv:1704.04861", None, ""),
)
