"""ResNet families: the architectures a member can have."""

from resnet_ops.families.cifar import Member, ResNet, build_member

__all__ = ["Member", "ResNet", "build_member"]
