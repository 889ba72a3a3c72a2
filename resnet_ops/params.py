"""Reading `params.yaml` into typed objects. Every value lives there; none has a default in code."""

from copy import deepcopy
from pathlib import Path
from typing import Any, ClassVar, TypeVar

from resnet_ops.errors import ConfigError

__all__ = ["Settings", "parse_params", "renamed_settings"]

RENAMED = {
    "monitor.rehearsal_images": "monitor.perturbed_images",
    "monitor.run.kept": "monitor.run.windows",
    "monitor.run.needed": "monitor.run.min_alarms",
    "monitor.watch": "monitor.serve",
}
"""Settings by the names of the release before, which count for one more, and what they are called now."""

T = TypeVar("T")


class Settings:
    """Base of dataclasses whose keys are all known: one that is no field is refused, so that no setting is misspelt."""

    __pydantic_config__: ClassVar[dict[str, Any]] = {"extra": "forbid"}


def parse_params(path: Path, shape: type[T]) -> T:
    """Read a YAML file as `shape`, a dataclass or pydantic model.

    Raises ConfigError that names every wrong key with its value and what it should be.
    """
    import yaml
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
        return TypeAdapter(shape).validate_python(_renamed(content)[0])
    except ValidationError as error:
        wrong = [_explain(dict(problem)) for problem in error.errors(include_url=False)]
        raise ConfigError(f"{path}: " + "; ".join(wrong)) from error


def renamed_settings(path: Path) -> list[str]:
    """A line for each setting in the file that is called otherwise now."""
    import yaml

    return [
        f"{path}: {old} is {RENAMED[old]} now; rename it."
        for old in _renamed(yaml.safe_load(path.read_text()))[1]
    ]


def _renamed(content: Any) -> tuple[Any, list[str]]:
    """The settings by today's names, and which had old ones. An old name counts where both are there: a person wrote
    it.
    """
    content, found = deepcopy(content), []
    for old, new in RENAMED.items():
        *groups, last = old.split(".")
        place = content
        for group in groups:
            place = place.get(group) if isinstance(place, dict) else None
        if isinstance(place, dict) and last in place:
            place[new.rpartition(".")[2]] = place.pop(last)
            found.append(old)
    return content, found


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
