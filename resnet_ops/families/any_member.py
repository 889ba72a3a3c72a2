"""The settings that a member can have, and reading them back from a model's description."""

from collections.abc import Callable, Mapping
from typing import Any

from resnet_ops.families.imagenet_member import ImageNetMember
from resnet_ops.families.member import Member
from resnet_ops.families.preactivation_member import PreActivationMember

__all__ = ["FAMILIES", "AnyMember", "family_of", "member_from_json"]

AnyMember = Member | PreActivationMember | ImageNetMember

FAMILIES: dict[str, Callable[..., AnyMember]] = {
    "cifar": Member,
    "preactivation": PreActivationMember,
    "imagenet": ImageNetMember,
}


def family_of(settings: Mapping[str, Any]) -> str:
    """The family that a member's settings name; CIFAR-style ones, which came first, need not name theirs."""
    return str(settings.get("family", "cifar"))


def member_from_json(settings: Mapping[str, Any]) -> AnyMember:
    """A member from a model's description. Raises KeyError, TypeError or ValueError when it is none."""
    values = {name: tuple(value) if isinstance(value, list) else value for name, value in settings.items()}
    return FAMILIES[family_of(settings)](**values)
