"""The version that answers, and the thread that follows the alias: the next one is ready before it takes over."""

import logging
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from threading import Condition, Event, Thread

from resnet_ops.errors import ConfigError, ResnetOpsError
from resnet_ops_monitoring.serving.serving_metrics import ServingMetrics
from resnet_ops_monitoring.serving.source import Alias, Place
from resnet_ops_monitoring.serving.version import Version

__all__ = ["Swap"]

_logger = logging.getLogger(__name__)
_LONGEST_WAIT = 64
"""Looks at the registry between two tries of a version that was refused, at most."""
_PATIENCE = 5.0  # seconds that a look may go on after a stop


class Swap:
    """The current version. With an alias, `start` follows it.

    trouble: why the alias's version does not answer, or that nobody knows where the alias is; empty if all is well.
    swaps: versions that took over. prepare: makes a version that was loaded ready to answer.
    """

    def __init__(
        self,
        first: Version,
        alias: Alias | None,
        *,
        prepare: Callable[[Version], None],
        every: float,
        metrics: ServingMetrics,
    ) -> None:
        self.trouble, self.swaps = "", 0
        self._current, self._alias, self._prepare = first, alias, prepare
        self._every, self._metrics = every, metrics
        self._unused, self._stop = Condition(), Event()
        self._seen = time.monotonic()  # when the alias was last at the version that answers
        self._refused: tuple[Place, int, str] | None = None
        self._looks_to_skip = 0
        self._thread = Thread(target=self._follow, name="alias", daemon=True)
        metrics.version.labels(**first.named).set(1)
        metrics.registry_answers.set(1)

    @property
    def current(self) -> Version:
        """The version that answers."""
        return self._current

    @contextmanager
    def using(self) -> Iterator[Version]:
        """The current version, whose log stays open as long as it is used."""
        with self._unused:
            version = self._current
            version.users += 1
        try:
            yield version
        finally:
            with self._unused:
                version.users -= 1
                self._unused.notify_all()

    def start(self) -> None:
        """Follow the alias, if there is one."""
        if self._alias is not None:
            self._thread.start()

    def stop(self) -> None:
        """Stop following, and close the current version's log."""
        self._stop.set()
        if self._thread.is_alive():
            self._thread.join(_PATIENCE)
        self._current.close()

    def _follow(self) -> None:
        assert self._alias is not None
        while not self._stop.wait(self._every):
            try:
                self._look(self._alias)
            except Exception:
                _logger.exception("looking at the alias failed")

    def _look(self, alias: Alias) -> None:
        """One look at the registry, and what follows from it."""
        looked = time.monotonic()
        try:
            place = alias.place()
        except ResnetOpsError as error:
            self._metrics.registry_answers.set(isinstance(error, ConfigError))
            self._tell(str(error))
            return
        self._metrics.registry_answers.set(1)
        if place == Place(int(self._current.identity.version), self._current.created):
            self._seen, self._refused = looked, None
            self._metrics.refused.set(0)
            self._tell("")
        elif self._refused is None or self._refused[0] != place:
            self._try(alias, place)
        else:  # one that was refused is tried again, ever more seldom
            self._looks_to_skip -= 1
            if self._looks_to_skip < 0:
                self._try(alias, place)
            else:
                self._tell(self._refused[2])

    def _try(self, alias: Alias, place: Place) -> None:
        try:
            version = alias.load(place)
            self._prepare(version)
        except Exception as error:  # noqa: BLE001 -- whatever is wrong with the new version, the old one goes on
            tries = self._refused[1] + 1 if self._refused and self._refused[0] == place else 0
            self._metrics.swaps.labels("refused").inc()
            self._metrics.refused.set(1)
            why = str(error) if isinstance(error, ResnetOpsError) else f"{type(error).__name__}: {error}"
            trouble = f"v{place.version} does not take over: {why}"
            self._refused, self._looks_to_skip = (place, tries, trouble), min(2**tries, _LONGEST_WAIT) - 1
            self._tell(trouble)
            return
        self._take_over(version)

    def _take_over(self, version: Version) -> None:
        with self._unused:
            old, self._current = self._current, version
        seconds = time.monotonic() - self._seen
        self.swaps += 1
        self._seen, self._refused = time.monotonic(), None
        self._metrics.swaps.labels("took over").inc()
        self._metrics.refused.set(0)
        self._metrics.to_traffic.set(seconds)
        self._metrics.version.remove(*old.named.values())
        self._metrics.version.labels(**version.named).set(1)
        _logger.info(
            "swapped", extra={"fields": {"from": old.named, "to": version.named, "seconds": seconds}}
        )
        self._tell("")
        with self._unused:
            self._unused.wait_for(lambda: not old.users)
        old.close()

    def _tell(self, trouble: str) -> None:
        if trouble and trouble != self.trouble:
            _logger.error("trouble", extra={"fields": {"trouble": trouble, "answering": self._current.named}})
        elif self.trouble and not trouble:
            _logger.info("trouble is over", extra={"fields": {"answering": self._current.named}})
        self.trouble = trouble
