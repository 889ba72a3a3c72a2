"""An alias without a registry: it is where the test puts it."""

from typing import Any, cast

from resnet_ops.errors import ConfigError
from resnet_ops_monitoring.inference_log.columns import Route
from resnet_ops_monitoring.inference_log.identity import ModelIdentity
from resnet_ops_monitoring.serving.source import Alias, Place
from resnet_ops_monitoring.serving.version import Version

__all__ = ["FakeAlias", "other_version"]


def other_version(model: Any, number: int = 4, digest: str = "e", route: Route = "champion") -> Version:
    """A version beside that of `fake_version`; digest: one character."""
    who = ModelIdentity("digits-classifier", str(number), digest * 64)
    return Version(who, model, None, "passed @champion", number, route)


class FakeAlias:
    """at: the version where it is, or None for nowhere. looks: how often somebody looked."""

    def __init__(self, at: Version | None, route: Route) -> None:
        self.at, self.route, self.looks = at, route, 0

    @property
    def as_alias(self) -> Alias:
        return cast(Alias, self)

    def place(self) -> Place:
        self.looks += 1
        if self.at is None:
            raise ConfigError("The alias is nowhere.")
        return Place.of(self.at)

    def load(self, place: Place) -> Version:
        assert self.at is not None
        assert Place.of(self.at) == place
        return self.at
