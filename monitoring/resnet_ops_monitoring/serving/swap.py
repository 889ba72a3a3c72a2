"""A thread that follows an alias: the next version is ready before it takes over from the one of before."""

import logging
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from threading import Condition, Event, Thread
from typing import Any

from resnet_ops.errors import ConfigError, ResnetOpsError
from resnet_ops_monitoring.serving.serving_metrics import ServingMetrics
from resnet_ops_monitoring.serving.source import Alias, Place
from resnet_ops_monitoring.serving.version import Version

__all__ = ["Follower", "Swap"]

_logger = logging.getLogger(__name__)
_LONGEST_WAIT = 64
"""Looks at the registry between two tries of a version that was refused, at most."""
_PATIENCE = 5.0  # seconds that a look may go on after a stop


class Follower:
    """The version of an alias, or none while the alias is nowhere; `start` follows it.

    trouble: why the alias's version does not answer, or that nobody knows where the alias is; empty if all is well.
    swaps: versions that took over. prepare: makes a version that was loaded ready to answer. also: done after each
    look at the registry.
    """

    needed = False
    """Whether it is wrong that the alias is nowhere; then the last version goes on."""

    def __init__(
        self,
        first: Version | None,
        alias: Alias | None,
        *,
        prepare: Callable[[Version], None],
        every: float,
        metrics: ServingMetrics,
        also: Callable[[], None] = lambda: None,
    ) -> None:
        self.trouble, self.swaps = "", 0
        self._current, self._alias, self._prepare = first, alias, prepare
        self._every, self._metrics, self._also = every, metrics, also
        self._route = "champion" if alias is None else alias.route
        self._unused, self._stop = Condition(), Event()
        self._seen = time.monotonic()  # when the alias was last at the version that answers
        self._refused: tuple[Place, int, str] | None = None
        self._looks_to_skip, self._looked = 0, False
        self._thread = Thread(target=self._follow, name=f"alias of {self._route}", daemon=True)
        if first is not None:
            metrics.version.labels(self._route, *first.named.values()).set(1)
        metrics.registry_answers.set(1)

    @property
    def current(self) -> Version | None:
        """The version of the alias."""
        return self._current

    @contextmanager
    def using(self) -> Iterator[Version | None]:
        """The current version, whose log stays open as long as it is used."""
        with self._unused:
            version = self._current
            if version is not None:
                version.users += 1
        try:
            yield version
        finally:
            with self._unused:
                if version is not None:
                    version.users -= 1
                self._unused.notify_all()

    def start(self) -> None:
        """Follow the alias, if there is one."""
        if self._alias is not None:
            self._thread.start()

    def leave(self) -> None:
        """Look at the registry no more; does not wait for a look that goes on."""
        self._stop.set()

    def stop(self) -> None:
        """Stop following, and close the current version's log."""
        self.leave()
        if self._thread.is_alive():
            self._thread.join(_PATIENCE)
        if self._current is not None:
            self._current.close()

    def let_go(self, why: str = "") -> None:
        """Have no version any more, and say why; one that is loaded later takes over all the same."""
        self._hand_over(None)
        self._tell(why)

    def _follow(self) -> None:
        assert self._alias is not None
        while not self._stop.wait(0 if self._current is None and not self._looked else self._every):
            try:
                self._looked = True
                self._look(self._alias)
                self._also()
            except Exception:
                _logger.exception("looking at the alias failed")

    def _look(self, alias: Alias) -> None:
        """One look at the registry, and what follows from it."""
        looked = time.monotonic()
        try:
            place = alias.place()
        except ResnetOpsError as error:
            nowhere = isinstance(error, ConfigError)
            self._metrics.registry_answers.set(nowhere)
            if nowhere and not self.needed:
                self._metrics.refused.labels(self._route).set(0)
                self.let_go()
            else:
                self._tell(str(error))
            return
        self._metrics.registry_answers.set(1)
        if self._current is not None and place == Place.of(self._current):
            self._seen, self._refused = looked, None
            self._metrics.refused.labels(self._route).set(0)
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
            self._metrics.swaps.labels(self._route, "refused").inc()
            self._metrics.refused.labels(self._route).set(1)
            why = str(error) if isinstance(error, ResnetOpsError) else f"{type(error).__name__}: {error}"
            trouble = f"v{place.version} does not take over: {why}"
            self._refused, self._looks_to_skip = (place, tries, trouble), min(2**tries, _LONGEST_WAIT) - 1
            if not self.needed:  # what it is compared with or tried on is another version than people think
                self._hand_over(None)
            self._tell(trouble)
            return
        self._take_over(version)

    def _take_over(self, version: Version) -> None:
        seconds = time.monotonic() - self._seen
        self.swaps += 1
        self._seen, self._refused = time.monotonic(), None
        self._metrics.swaps.labels(self._route, "took over").inc()
        self._metrics.refused.labels(self._route).set(0)
        self._metrics.to_traffic.labels(self._route).set(seconds)
        self._hand_over(version)
        self._tell("")

    def _hand_over(self, version: Version | None) -> None:
        """The old version, if there is one, ends when its last request is answered."""
        with self._unused:
            old, self._current = self._current, version
        if old is not None:
            self._metrics.version.remove(self._route, *old.named.values())
        if version is not None:
            self._metrics.version.labels(self._route, *version.named.values()).set(1)
        if old is not None or version is not None:
            names = {"from": old and old.named, "to": version and version.named, "route": self._route}
            _logger.info("swapped", extra={"fields": names})
        if old is not None:
            with self._unused:
                self._unused.wait_for(lambda: not old.users)
            old.close()

    def _tell(self, trouble: str) -> None:
        if trouble and trouble != self.trouble:
            _logger.error("trouble", extra={"fields": {"trouble": trouble, **self._answering()}})
        elif self.trouble and not trouble:
            _logger.info("trouble is over", extra={"fields": self._answering()})
        self.trouble = trouble

    def _answering(self) -> dict[str, Any]:
        return {"route": self._route, "answering": self._current and self._current.named}


class Swap(Follower):
    """The version that answers: there always is one."""

    needed = True

    @property
    def current(self) -> Version:
        """The version that answers."""
        return _there(super().current)

    @contextmanager
    def using(self) -> Iterator[Version]:
        """As `Follower.using`."""
        with super().using() as version:
            yield _there(version)


def _there(version: Version | None) -> Version:
    assert version is not None, "a Swap begins with a version and never lets go"
    return version
