"""The kinds of rules there are: ours, and those that installed packages offer."""

from importlib.metadata import entry_points

from resnet_ops.errors import ConfigError
from resnet_ops_registry.rules.age import Age
from resnet_ops_registry.rules.base import Rule
from resnet_ops_registry.rules.check import Check
from resnet_ops_registry.rules.comparison import Comparison
from resnet_ops_registry.rules.data import Data
from resnet_ops_registry.rules.hardware import Hardware
from resnet_ops_registry.rules.statements import Statements
from resnet_ops_registry.rules.threshold import Threshold

__all__ = ["ENTRY_POINTS", "rule_kind", "rule_names"]

ENTRY_POINTS = "resnet_ops.rules"
_OURS: dict[str, type[Rule]] = {
    "age": Age,
    "check": Check,
    "comparison": Comparison,
    "data": Data,
    "hardware": Hardware,
    "statements": Statements,
    "threshold": Threshold,
}
_FAULTS: tuple[type[Exception], ...] = (ArithmeticError, AttributeError, ImportError, LookupError, NameError)
_FAULTS += (OSError, RuntimeError)
_FAULTS += (SyntaxError, TypeError, ValueError)


def rule_names() -> list[str]:
    """Every name that `rule:` may have here. Ours come first: no package can take one away."""
    return [*_OURS, *sorted({point.name for point in entry_points(group=ENTRY_POINTS)} - set(_OURS))]


def rule_kind(name: str) -> type[Rule] | None:
    """The class of rules of this name, or None. Raises ConfigError when a package's rule cannot be used."""
    if name in _OURS:
        return _OURS[name]
    points = list(entry_points(group=ENTRY_POINTS, name=name))
    if not points:
        return None
    if len({point.value for point in points}) > 1:
        raise ConfigError(f"two packages offer a rule {name!r}: {', '.join(point.value for point in points)}")
    try:
        kind = points[0].load()
    except _FAULTS as error:
        raise ConfigError(f"the rule {name!r} cannot be loaded from {points[0].value}: {error!r}") from error
    if not (isinstance(kind, type) and issubclass(kind, Rule)):
        raise ConfigError(
            f"{points[0].value} is not a rule: make it a subclass of resnet_ops_registry.rules.Rule"
        )
    return kind
