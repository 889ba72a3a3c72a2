"""What is wrong with the alias is told for as long as it is."""

from threading import Event
from typing import Any, cast

from resnet_ops.errors import EvidenceError, ServiceError
from resnet_ops_monitoring.serving.serving_metrics import ServingMetrics
from resnet_ops_monitoring.serving.source import Alias, Place
from resnet_ops_monitoring.serving.swap import Swap
from tests.unit.monitoring.serving.fake_model import FakeModel
from tests.unit.monitoring.serving.live import fake_version, until


class Unsigned:
    """An alias at a version that nobody signed; its registry goes away once it was loaded four times."""

    route = "champion"

    def __init__(self) -> None:
        self.away, self.loads = False, 0
        self.never = Event()

    def place(self) -> Place:
        if self.away:
            raise ServiceError("The registry is away.")
        return Place(9, 1)

    def load(self, place: Place) -> Any:
        self.loads += 1
        if self.loads > 4:
            self.never.wait()
        self.away = self.loads == 4
        raise EvidenceError("Nobody signed it.")


def test_a_refusal_is_told_again_once_the_registry_is_back_without_another_try() -> None:
    alias = Unsigned()
    swap = Swap(
        fake_version(FakeModel()),
        cast(Alias, alias),
        prepare=lambda version: None,
        every=0.001,
        metrics=ServingMetrics(),
    )
    swap.start()
    until(lambda: "away" in swap.trouble)
    alias.away = False
    until(lambda: "Nobody signed it" in swap.trouble)
    alias.never.set()
    swap.stop()
