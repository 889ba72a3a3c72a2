"""Policies: what must hold before a version may carry an alias or a stage, written as YAML."""

from collections.abc import Iterator
from fnmatch import fnmatchcase
from typing import Any, Literal

import yaml
from pydantic import BaseModel, ConfigDict, Field, FiniteFloat, ValidationError, model_validator

from resnet_ops.errors import ConfigError
from resnet_ops_registry.names import skeleton

__all__ = ["Guard", "Policy", "Rule", "Target", "Threshold", "canonical_name", "read_policy"]

MAX_BYTES = 200_000


def canonical_name(name: str) -> str:
    """An alias or stage as the gate compares it: what a person could take for it is the same."""
    return skeleton(name)


class _Frozen(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Target(_Frozen):
    """What somebody wants to give a version: an alias, or a stage."""

    kind: Literal["alias", "stage"]
    name: str

    @property
    def label(self) -> str:
        return f"@{self.name}" if self.kind == "alias" else f"stage {self.name}"

    def same_as(self, other: "Target") -> bool:
        return self.kind == other.kind and canonical_name(self.name) == canonical_name(other.name)


class Threshold(_Frozen):
    """A metric, or a bound of its interval, must not be below `min` nor above `max`."""

    rule: Literal["threshold"]
    metric: str = Field(min_length=1)
    bound: Literal["value", "low", "high"] = Field(
        description="the number itself, or the bound of its interval"
    )
    min: FiniteFloat | None = None
    max: FiniteFloat | None = None
    why: str = Field(min_length=1, max_length=300, description="for the person who is refused")

    @model_validator(mode="after")
    def _limits(self) -> "Threshold":
        if self.min is None and self.max is None:
            raise ValueError("give min, max or both")
        if self.min is not None and self.max is not None and self.min > self.max:
            raise ValueError("min must not exceed max")
        return self


Rule = Threshold


class Guard(_Frozen):
    """Aliases and stages that ask for the same rules. All rules must pass."""

    aliases: list[str] = Field(default_factory=list)
    stages: list[Literal["Staging", "Production"]] = Field(default_factory=list)
    rules: list[Rule] = Field(min_length=1)

    @model_validator(mode="after")
    def _guards_something(self) -> "Guard":
        if not self.aliases and not self.stages:
            raise ValueError("give aliases, stages or both")
        return self

    def targets(self) -> list[Target]:
        aliases = [Target(kind="alias", name=name) for name in self.aliases]
        return aliases + [Target(kind="stage", name=name) for name in self.stages]


class Policy(_Frozen):
    """The rules of one registered model, or of all whose name matches a pattern such as `digits-*`."""

    model: str = Field(min_length=1)
    evidence_roles: list[str] = Field(min_length=1, description="roles of the keys whose evidence counts")
    guards: list[Guard]

    @model_validator(mode="after")
    def _each_target_once(self) -> "Policy":
        seen: list[Target] = []
        for target in self.targets():
            if any(target.same_as(other) for other in seen):
                raise ValueError(f"{target.label} is guarded twice")
            seen.append(target)
        return self

    def targets(self) -> list[Target]:
        return [target for guard in self.guards for target in guard.targets()]

    def guard_of(self, target: Target) -> Guard | None:
        """The guard in front of an alias or stage, or None where anybody may set it."""
        for guard in self.guards:
            if any(target.same_as(guarded) for guarded in guard.targets()):
                return guard
        return None

    def governs(self, model: str) -> bool:
        return fnmatchcase(model, self.model)


def read_policy(text: str, file: str) -> Policy:
    """Parse a policy. Raises ConfigError with one `file:line: key: problem` for each thing that is wrong."""
    if len(text) > MAX_BYTES:
        raise ConfigError(f"{file}: a policy is at most {MAX_BYTES:,} characters long.")
    try:
        if any(isinstance(event, yaml.AliasEvent) for event in yaml.parse(text, Loader=yaml.SafeLoader)):
            raise ConfigError(f"{file}: a policy may not use YAML anchors; write the rules out.")
        root = yaml.compose(text, Loader=yaml.SafeLoader)
    except yaml.MarkedYAMLError as error:
        line = error.problem_mark.line + 1 if error.problem_mark else 1
        raise ConfigError(f"{file}:{line}: not YAML: {error.problem or error.context}.") from error
    except (yaml.YAMLError, RecursionError) as error:
        raise ConfigError(f"{file}: not YAML: {error}.") from error
    lines: dict[tuple[int | str, ...], int] = {}
    value = _plain(root, (), lines, file) if root is not None else None
    try:
        return Policy.model_validate(value)
    except ValidationError as error:
        raise ConfigError("\n".join(_problems(error, lines, file))) from error


def _plain(
    node: yaml.Node, path: tuple[int | str, ...], lines: dict[tuple[int | str, ...], int], file: str
) -> Any:
    """Plain values of a node tree; `lines` learns the line of every path. Refuses duplicate keys."""
    lines[path] = node.start_mark.line + 1
    if isinstance(node, yaml.SequenceNode):
        return [_plain(item, (*path, index), lines, file) for index, item in enumerate(node.value)]
    if isinstance(node, yaml.MappingNode):
        fields: dict[str, Any] = {}
        for key_node, item in node.value:
            key, line = str(key_node.value), key_node.start_mark.line + 1
            if key in fields:
                raise ConfigError(f"{file}:{line}: {key} is given twice.")
            fields[key] = _plain(item, (*path, key), lines, file)
            lines[(*path, key)] = line
        return fields
    loader = yaml.SafeLoader("")
    try:
        return loader.construct_object(node, deep=True)
    except (yaml.YAMLError, ValueError) as error:
        raise ConfigError(f"{file}:{lines[path]}: {node.value!r} cannot be read: {error}.") from error
    finally:
        loader.dispose()


def _problems(error: ValidationError, lines: dict[tuple[int | str, ...], int], file: str) -> Iterator[str]:
    for problem in error.errors():
        path = tuple(problem["loc"])
        known = path
        while known and known not in lines:
            known = known[:-1]
        key = ".".join(map(str, path)) or "policy"
        yield f"{file}:{lines.get(known, 1)}: {key}: {problem['msg']}."
