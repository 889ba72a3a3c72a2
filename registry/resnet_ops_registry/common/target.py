"""What somebody wants to give a version: an alias, or a stage."""

from typing import Literal

from pydantic import Field, ValidationError

from resnet_ops.errors import ConfigError
from resnet_ops_registry.common.frozen import Frozen
from resnet_ops_registry.common.names import skeleton

__all__ = ["Target", "canonical_name"]

_STAGE = "stage "


def canonical_name(name: str) -> str:
    """An alias or stage as the gate compares it: what a person could take for it is the same.

    Without spaces, of which some are too thin to be seen.
    """
    return "".join(skeleton(name).split())


class Target(Frozen):
    """An alias, or a stage."""

    kind: Literal["alias", "stage"]
    name: str = Field(max_length=300)

    @staticmethod
    def named(name: str, kind: Literal["alias", "stage"] = "alias") -> "Target":
        """What a person means by `champion` or `@champion`. Raises ConfigError for what is no name."""
        try:
            return Target(kind=kind, name=name.removeprefix("@"))
        except ValidationError as error:
            raise ConfigError(
                f"{name[:60]!r} cannot name an alias or a stage ({error.errors()[0]['msg'].lower()})."
            ) from error

    @property
    def label(self) -> str:
        return f"@{self.name}" if self.kind == "alias" else f"{_STAGE}{self.name}"

    @staticmethod
    def from_label(label: str) -> "Target":
        """The inverse of `label`, as the ledger holds it."""
        if label.startswith("@"):
            return Target(kind="alias", name=label[1:])
        return Target(kind="stage", name=label.removeprefix(_STAGE))

    @property
    def key(self) -> tuple[str, str]:
        """Equal for what a person could take for the same."""
        return self.kind, canonical_name(self.name)

    def same_as(self, other: "Target") -> bool:
        return self.key == other.key
