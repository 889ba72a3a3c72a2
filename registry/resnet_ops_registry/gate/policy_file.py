"""A policy's YAML, read so that every mistake is told with its line."""

import difflib
import pathlib
from typing import Any, TypeVar

import yaml
from pydantic import BaseModel, ValidationError

from resnet_ops.errors import ConfigError
from resnet_ops_registry.gate.policy import Guard, Policy, Waivers
from resnet_ops_registry.rules import Case, Rule, RuleResult, rule_kind, rule_names

__all__ = ["policy_text", "read_policy"]

MAX_CHARACTERS = 200_000
MAX_DEPTH = 20
MAX_SCALAR = 4_000
"""Characters of one value: YAML reads `1:1:1...` as a number to the base 60, in time that grows with its square."""
Path = tuple[int | str, ...]
_M = TypeVar("_M", bound=BaseModel)


def policy_text(file: pathlib.Path) -> str:
    """The text of a policy's file. Raises ConfigError that names it when it cannot be read."""
    try:
        return file.read_text(encoding="utf-8-sig")
    except OSError as error:
        raise ConfigError(
            f"The policy {file} cannot be read: {error.strerror}. Change its permissions."
        ) from error
    except UnicodeDecodeError as error:
        raise ConfigError(f"The policy {file} cannot be read: {error}. Save it as UTF-8.") from error


class _Unread(Rule):
    """Stands for a rule that is wrong, so that what else is wrong is told too."""

    def judge(self, case: Case) -> RuleResult:
        raise AssertionError("a wrong policy is never judged")


def _unread(name: object = None) -> Rule:
    known = name if isinstance(name, str) else None
    return _Unread.model_construct(rule="", id=known, why="")


class _Reader:
    """Reads one file and gathers its problems."""

    def __init__(self, file: str) -> None:
        self.file = file
        self.lines: dict[Path, int] = {}
        self.problems: list[tuple[int, str]] = []

    def read(self, text: str) -> Policy:
        value = self._load(text)
        for index, guard in enumerate(_items(value, "guards")):
            rules = _items(guard, "rules")
            for number, rule in enumerate(rules):
                rules[number] = self._rule(rule, ("guards", index, "rules", number))
        policy = self._validate(Policy, value, ())
        if self.problems or policy is None:
            told = dict.fromkeys(sorted(self.problems))
            raise ConfigError("\n".join(f"{self.file}:{line}: {problem}." for line, problem in told))
        return policy

    def _load(self, text: str) -> Any:
        if len(text) > MAX_CHARACTERS:
            raise ConfigError(f"{self.file}: a policy is at most {MAX_CHARACTERS:,} characters long.")
        try:
            depth = 0
            for event in yaml.parse(text, Loader=yaml.SafeLoader):
                depth += isinstance(event, yaml.CollectionStartEvent)
                depth -= isinstance(event, yaml.CollectionEndEvent)
                if depth > MAX_DEPTH:
                    raise ConfigError(f"{self.file}: not YAML: nested deeper than {MAX_DEPTH} levels.")
                if isinstance(event, yaml.AliasEvent):
                    line = event.start_mark.line + 1 if event.start_mark else 1
                    raise ConfigError(
                        f"{self.file}:{line}: a policy may not use YAML anchors; write the rules out."
                    )
            root = yaml.compose(text, Loader=yaml.SafeLoader)
            return None if root is None else self._plain(root, ())
        except yaml.MarkedYAMLError as error:
            line = error.problem_mark.line + 1 if error.problem_mark else 1
            raise ConfigError(f"{self.file}:{line}: not YAML: {error.problem or error.context}.") from error
        except yaml.YAMLError as error:
            raise ConfigError(f"{self.file}: not YAML: {error}.") from error
        except RecursionError as error:
            raise ConfigError(f"{self.file}: not YAML: nested too deep.") from error

    def _plain(self, node: yaml.Node, path: Path) -> Any:
        """Plain values of a node tree; learns the line of every path. Refuses duplicate keys."""
        self.lines[path] = node.start_mark.line + 1
        if isinstance(node, yaml.SequenceNode):
            return [self._plain(item, (*path, index)) for index, item in enumerate(node.value)]
        if isinstance(node, yaml.MappingNode):
            fields: dict[str, Any] = {}
            for key_node, item in node.value:
                key, line = str(key_node.value), key_node.start_mark.line + 1
                if key in fields:
                    raise ConfigError(f"{self.file}:{line}: {key} is given twice.")
                fields[key] = self._plain(item, (*path, key))
                self.lines[(*path, key)] = line
            return fields
        if len(node.value) > MAX_SCALAR:
            raise ConfigError(
                f"{self.file}:{self.lines[path]}: a value is at most {MAX_SCALAR:,} characters long."
            )
        loader = yaml.SafeLoader("")
        try:
            return loader.construct_object(node, deep=True)
        except (yaml.YAMLError, ValueError, OverflowError) as error:
            found, problem = str(node.value)[:100], getattr(error, "problem", None) or error
            raise ConfigError(
                f"{self.file}:{self.lines[path]}: {found!r} cannot be read: {problem}."
            ) from error
        finally:
            loader.dispose()

    def _rule(self, value: Any, path: Path) -> Rule:
        name = value.get("rule") if isinstance(value, dict) else None
        try:
            kind = rule_kind(name) if isinstance(name, str) else None
        except ConfigError as error:
            self._tell(path, str(error))
            return _unread()
        if kind is None:
            known = ", ".join(rule_names())
            self._tell((*path, "rule"), f"{name!r} is not a rule; known here: {known}. Name one of these")
            return _unread()
        rule = self._validate(kind, value, path)
        return rule or _unread(value.get("id"))

    def _validate(self, kind: type[_M], value: Any, path: Path) -> _M | None:
        try:
            return kind.model_validate(value)
        except ValidationError as error:
            for problem in error.errors():
                loc = tuple(problem["loc"])
                words = problem["msg"].removeprefix("Value error, ")
                if problem["type"] == "extra_forbidden":
                    words = _unknown(str(loc[-1]), _at(kind, loc))
                self._tell((*path, *loc), words)
            return None

    def _tell(self, path: Path, problem: str) -> None:
        known = path
        while known and known not in self.lines:
            known = known[:-1]
        key = ".".join(ascii(part) if not str(part).isprintable() else str(part) for part in path) or "policy"
        self.problems.append((self.lines.get(known, 1), f"{key}: {problem}"))


def read_policy(text: str, file: str) -> Policy:
    """Parse a policy. Raises ConfigError with one `file:line: key: problem` for each thing that is wrong."""
    return _Reader(file).read(text)


def _items(value: Any, key: str) -> list[Any]:
    found = value.get(key) if isinstance(value, dict) else None
    return found if isinstance(found, list) else []


def _at(kind: type[BaseModel], loc: Path) -> type[BaseModel]:
    """The model whose field an error is about."""
    if kind is Policy and len(loc) > 1:
        return Guard if loc[0] == "guards" else Waivers
    return kind


def _unknown(key: str, kind: type[BaseModel]) -> str:
    known = list(kind.model_fields)
    close = difflib.get_close_matches(key, known, n=1)
    return (
        f"is not known here; did you mean {close[0]}"
        if close
        else f"is not known here; known: {', '.join(known)}"
    )
