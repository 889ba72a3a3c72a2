"""Policies: what must hold before a version may carry an alias or a stage."""

from fnmatch import fnmatchcase
from typing import Literal

from pydantic import Field, InstanceOf, SerializeAsAny, model_validator

from resnet_ops_registry.common.frozen import Frozen
from resnet_ops_registry.common.target import Target, canonical_name
from resnet_ops_registry.rules import Rule

__all__ = ["Guard", "Policy", "Target", "Waivers", "canonical_name"]


class Waivers(Frozen):
    """Which rules may be waived, by whom, and for how long at most."""

    roles: list[str] = Field(min_length=1, description="roles of the keys whose waivers count")
    rules: list[str] = Field(min_length=1, description="ids of the rules")
    max_days: float = Field(gt=0, le=366, allow_inf_nan=False)


class Guard(Frozen):
    """Aliases and stages that ask for the same rules. All rules must hold."""

    aliases: list[str] = Field(default_factory=list)
    stages: list[Literal["Staging", "Production"]] = Field(default_factory=list)
    rules: list[SerializeAsAny[InstanceOf[Rule]]] = Field(min_length=1)

    @model_validator(mode="after")
    def _guards_something(self) -> "Guard":
        if not self.aliases and not self.stages:
            raise ValueError("give aliases, stages or both")
        return self

    @model_validator(mode="after")
    def _each_id_once(self) -> "Guard":
        seen: set[str] = set()
        for each in (rule.id for rule in self.rules if rule.id is not None):
            if each in seen:
                raise ValueError(f"two rules have the id {each!r}")
            seen.add(each)
        return self

    def targets(self) -> list[Target]:
        aliases = [Target(kind="alias", name=name) for name in self.aliases]
        return aliases + [Target(kind="stage", name=name) for name in self.stages]


class Policy(Frozen):
    """The rules of one registered model, or of all whose name matches a pattern such as `digits-*`."""

    model: str = Field(min_length=1, max_length=250)
    mode: Literal["enforce", "observe"] = Field(
        default="enforce",
        description="whether what the gate would refuse is refused, or only recorded and shown",
    )
    evidence_roles: list[str] = Field(min_length=1, description="roles of the keys whose evidence counts")
    waivers: Waivers | None = None
    guards: list[Guard]

    @model_validator(mode="after")
    def _each_target_once(self) -> "Policy":
        seen: set[tuple[str, str]] = set()
        for target in self.targets():
            if target.key in seen:
                raise ValueError(f"{target.label} is guarded twice")
            seen.add(target.key)
        return self

    @model_validator(mode="after")
    def _waived_rules_are_there(self) -> "Policy":
        known = {rule.id for guard in self.guards for rule in guard.rules}
        for each in self.waivers.rules if self.waivers else []:
            if each not in known:
                raise ValueError(f"waivers.rules names {each!r}, but no rule has that id")
        return self

    @property
    def observes(self) -> bool:
        return self.mode == "observe"

    def targets(self) -> list[Target]:
        return [target for guard in self.guards for target in guard.targets()]

    def guard_of(self, target: Target) -> Guard | None:
        """The guard in front of an alias or stage, or None where anybody may set it."""
        wanted = canonical_name(target.name)
        for guard in self.guards:
            names = guard.aliases if target.kind == "alias" else guard.stages
            if any(canonical_name(name) == wanted for name in names):
                return guard
        return None

    def governs(self, model: str) -> bool:
        """Whether its name is the model's, or a pattern that matches: `scan[v2]` is both."""
        return model == self.model or fnmatchcase(model, self.model)
