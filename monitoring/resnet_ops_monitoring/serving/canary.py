"""A version that answers a share of the requests, until it is proven worse than the champion."""

import hashlib
import logging
import math
import secrets
from collections import Counter, OrderedDict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from time import monotonic
from typing import Literal
from weakref import WeakKeyDictionary, ref

from sqlalchemy import not_, or_

from resnet_ops.errors import GateDenied, ResnetOpsError
from resnet_ops.files import write_text
from resnet_ops_monitoring.inference_log.connection import LogDatabase
from resnet_ops_monitoring.inference_log.database import answers
from resnet_ops_monitoring.inference_log.labels import count_right
from resnet_ops_monitoring.serving.serving_metrics import ServingMetrics
from resnet_ops_monitoring.serving.source import Alias
from resnet_ops_monitoring.serving.swap import Follower
from resnet_ops_monitoring.serving.version import Version
from resnet_ops_monitoring.settings.serving import CanaryParams
from resnet_ops_monitoring.statistics.mistakes import proof_of_worse
from resnet_ops_registry.common.settings import STATE

__all__ = ["COUNTED", "Canary", "Comparison", "Event", "is_drawn"]

_logger = logging.getLogger(__name__)
_REMEMBERED = 10_000  # requests with a fault whose ids are known: one that is sent again is no other request
_REST = 20  # times as long as labels were counted they are not: of a large log that takes long
Event = Literal["failed", "unread", "slow", "wrong"]
EVENTS: dict[Event, str] = {
    "failed": "failures",
    "unread": "bodies that are no image to it",
    "slow": "slow answers",
    "wrong": "wrong answers by labels",
}
Counted = Event | Literal["answered"]
COUNTED: tuple[Counted, ...] = ("answered", *EVENTS)
_STOPPED = STATE / "canaries-stopped"


def is_drawn(request_id: str, digest: str, share: float, key: bytes) -> bool:
    """Whether a request is given to the version of this digest; independent for each version, and of sampling.

    key: at most 64 bytes, which nobody knows who may choose a request's id.
    """
    drawn = hashlib.blake2b(
        request_id.encode(), digest_size=8, key=key, person=b"canary", salt=digest[:16].encode()
    )
    return int.from_bytes(drawn.digest(), "little") < share * 2**64


class Comparison:
    """Faults of a canary and of the champion, since both are these versions. It keeps neither in memory."""

    def __init__(self, canary: Version, champion: Version) -> None:
        self._versions = ref(canary), ref(champion)
        self.since = datetime.now(UTC)
        self.counts = Counter[tuple[str, Counted]]()
        self._seen = OrderedDict[tuple[str, Event], None]()

    @property
    def versions(self) -> tuple[Version | None, Version | None]:
        """Canary and champion; None for what is gone."""
        canary, champion = self._versions
        return canary(), champion()

    def note(self, route: str, request_id: str, event: Event | None, *, answered: bool) -> bool:
        """Count a request; whether it is one more with a fault."""
        self.counts[route, "answered"] += answered
        if event is None or (request_id, event) in self._seen:
            return False
        self._seen[request_id, event] = None
        if len(self._seen) > _REMEMBERED:
            self._seen.popitem(last=False)
        self.counts[route, event] += 1
        return True

    def worse(self, params: CanaryParams) -> str:
        """What the canary is proven worse in, in words; empty where nothing proves that.

        Each kind of fault has an equal part of the probability with which a canary may be stopped wrongly.
        """
        needed = math.log(len(EVENTS) / params.false_stop)
        for event, words in EVENTS.items():
            tried, usual = (self.counts[route, event] for route in ("canary", "champion"))
            if proof_of_worse(tried, usual, params.share, params.tolerated) >= needed:
                return (
                    f"{tried} {words} of the canary, which had {params.share:g} of the requests, against {usual} of "
                    f"the champion; 1 in {1 / params.false_stop:g} canaries that make at most {params.tolerated:g} "
                    "times as many is ever stopped"
                )
        return ""


class Canary:
    """Follows an alias, chooses the requests for its version, and stops it. Its model has a queue of its own.

    A version that was stopped stays so on this machine, also after a restart. prepare: as for `Follower`; log: the
    inference log's URL, whose labels are looked at, or None.
    """

    def __init__(
        self,
        alias: Alias,
        params: CanaryParams,
        *,
        prepare: Callable[[Version], None],
        every: float,
        metrics: ServingMetrics,
        log: str | None,
    ) -> None:
        self.params, self._metrics, self._url = params, metrics, log
        self._ready = prepare
        self._log: LogDatabase | None = None
        self._count_after = -math.inf
        self.key = secrets.token_bytes(16)
        """By which requests are drawn."""
        self.comparison: Comparison | None = None
        self._stopped = WeakKeyDictionary[Version, str]()  # why, while they are still loaded
        self.follower = Follower(
            None, alias, prepare=self._prepare, every=every, metrics=metrics, also=self._judge_by_labels
        )

    @contextmanager
    def using(self, request_id: str, champion: Version) -> Iterator[Version | None]:
        """The version, where this request is given to it; None where it is the champion's."""
        with self.follower.using() as version:
            if version is not None and self._draws(version, request_id, champion):
                yield version
                return
        yield None

    def _draws(self, version: Version, request_id: str, champion: Version) -> bool:
        if version in self._stopped or version.identity.digest == champion.identity.digest:
            return False
        if self.comparison is None or self.comparison.versions != (version, champion):
            self.comparison = Comparison(version, champion)
        return is_drawn(request_id, version.identity.digest, self.params.share, self.key)

    def note(
        self,
        version: Version,
        request_id: str,
        *,
        fault: Event | None,
        milliseconds: float,
    ) -> None:
        """What became of a request to either version, while both are asked.

        fault: None where it was answered; an answer that came late is `slow` all the same.
        """
        comparison = self.comparison
        if comparison is None or version not in comparison.versions:
            return
        canary = comparison.versions[0]
        if canary is None or canary is not self.follower.current or canary in self._stopped:
            return
        event: Event | None = fault or ("slow" if milliseconds > self.params.slow_ms else None)
        new = comparison.note(version.route, request_id, event, answered=fault is None)
        self._metrics.canary_requests.labels(version.route, event or "fine").inc()
        if new:
            self._stop_if_worse(comparison, canary)

    def close(self) -> None:
        """Stop following, and let go of the log."""
        self.follower.stop()
        if self._log is not None:
            self._log.close()

    def _prepare(self, version: Version) -> None:
        if reason := _why_stopped(version):
            self._metrics.canary_stopped.set(1)
            raise GateDenied(
                f"it was stopped as a canary: {reason}. To try it again all the same, delete {_noted_in(version)}"
            )
        self._ready(version)
        self._metrics.canary_stopped.set(0)

    def _stop_if_worse(self, comparison: Comparison, canary: Version) -> None:
        if why := comparison.worse(self.params):
            self._stopped[canary] = why
            self._metrics.canary_stopped.set(1)
            _logger.error("canary stopped", extra={"fields": {"why": why, **canary.named}})

    def _judge_by_labels(self) -> None:
        """After each look at the registry, in the follower's thread."""
        version, comparison = self.follower.current, self.comparison
        if version is None:
            return
        if comparison is not None and comparison.versions[0] is version and version not in self._stopped:
            self._count_mistakes(comparison)
            self._stop_if_worse(comparison, version)
        if why := self._stopped.get(version) or _why_stopped(version):
            self._stopped[version] = why  # also where it cannot be noted
            self._metrics.canary_stopped.set(1)
            write_text(_noted_in(version), why)
            self.follower.let_go(f"v{version.identity.version} was stopped: {why}")

    def _count_mistakes(self, comparison: Comparison) -> None:
        """Each version's own answers, with labels of a random sample; the first image of a request stands for it."""
        canary, champion = comparison.versions
        began = monotonic()
        if self._url is None or canary is None or champion is None or began < self._count_after:
            return
        rows, names = answers.c, answers.c.request_id
        first = or_(not_(names.contains("#", autoescape=True)), names.endswith("#0"))
        try:
            self._log = self._log or LogDatabase(self._url)
            for version in (canary, champion):
                who = (rows.model == version.identity.name, rows.digest == version.identity.digest)
                mine = (*who, rows.route == version.route, rows.time >= comparison.since, first)
                comparison.counts[version.route, "wrong"] = count_right(self._log, *mine)[1]
        except ResnetOpsError as error:
            _logger.warning("labels for the canary cannot be read: %s", error)
        self._count_after = monotonic() + _REST * (monotonic() - began)


def _noted_in(version: Version) -> Path:
    """A file of its own for each version that was stopped on this machine: several servers may write at once."""
    return _STOPPED / f"{version.identity.digest}-{version.created}.txt"


def _why_stopped(version: Version) -> str:
    """Empty where it was not."""
    path = _noted_in(version)
    return (path.read_text("utf-8", "replace") or "nobody noted why") if path.is_file() else ""
