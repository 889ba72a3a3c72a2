"""From a member's settings to its network, whatever its family."""

from resnet_ops.families.any_member import AnyMember
from resnet_ops.families.cifar import ResNet, build_member
from resnet_ops.families.imagenet import ImageNetResNet
from resnet_ops.families.imagenet_member import ImageNetMember
from resnet_ops.families.preactivation import PreActivationResNet
from resnet_ops.families.preactivation_member import PreActivationMember

__all__ = ["Network", "build_network"]

Network = ResNet | PreActivationResNet | ImageNetResNet
"""All have `forward`, `features`, `head` and `stage_features`."""


def build_network(member: AnyMember, in_channels: int, classes: int) -> Network:
    """A network with fresh weights, drawn from torch's global random state."""
    match member:
        case ImageNetMember():
            return ImageNetResNet(member, in_channels, classes)
        case PreActivationMember():
            return PreActivationResNet(member, in_channels, classes)
        case _:
            return build_member(member, in_channels, classes)
