"""Reading `params.yaml` into typed objects. Every value lives there; none has a default in code."""

from pathlib import Path
from typing import Any, ClassVar, TypeVar

import yaml

from resnet_ops.errors import ConfigError

__all__ = ["Settings", "parse_params"]

T = TypeVar("T")


class Settings:
    """Base of dataclasses whose keys are all known: one that is no field is refused, so that no setting is misspelt."""

    __pydantic_config__: ClassVar[dict[str, Any]] = {"extra": "forbid"}


def parse_params(path: Path, shape: type[T]) -> T:
    """Read a YAML file as `shape`, a dataclass or pydantic model.

    Raises ConfigError that names every wrong key with its value and what it should be.
    """
    from pydantic import TypeAdapter, ValidationError

    try:
        content = yaml.safe_load(path.read_text())
    except FileNotFoundError:
        raise ConfigError(f"{path} is missing. Restore it with: git checkout -- {path}") from None
    except OSError as error:
        raise ConfigError(f"{path} cannot be read: {error.strerror}. Name another.") from error
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        raise ConfigError(
            f"{path} is not valid YAML: {error}\nCorrect it there, or restore it with: git checkout -- {path}"
        ) from error
    try:
        return TypeAdapter(shape).validate_python(content)
    except ValidationError as error:
        wrong = [_explain(dict(problem)) for problem in error.errors(include_url=False)]
        raise ConfigError(f"{path}: " + "; ".join(wrong)) from error


def _explain(problem: dict[str, Any]) -> str:
    parts = [str(part) for part in problem["loc"] if not str(part).startswith("(")]  # "(cifar)" is no key
    key = ".".join(parts) or "the file"
    match problem["type"]:
        case "missing":
            return f"{key} is missing"
        case "unexpected_keyword_argument" | "extra_forbidden":
            return f"{key} is not a known setting (check the spelling, or remove it)"
        case "value_error":
            message = str(problem["ctx"]["error"])
            field = message.partition(" ")[0]
            if isinstance(problem["input"], dict) and field in problem["input"]:
                return ".".join([*parts, message])
            return f"{key}: {message}"
        case _:
            return f"{key}: {problem['msg'][0].lower()}{problem['msg'][1:]}, got {problem['input']!r}"
