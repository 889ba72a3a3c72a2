"""One training, as it is to be done."""

from dataclasses import dataclass

from resnet_ops.families.any_member import AnyMember
from resnet_ops.training.engine import Engine
from resnet_ops.training.recipe import Recipe

__all__ = ["Plan"]


@dataclass(frozen=True, kw_only=True)
class Plan:
    """Together with the images, all that the weights depend on."""

    name: str
    """The member's name, such as `resnet20`."""
    member: AnyMember
    recipe: Recipe
    engine: Engine
    seed: int
