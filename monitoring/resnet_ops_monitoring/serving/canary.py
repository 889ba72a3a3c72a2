"""A version that answers a share of the requests, until it is proven worse than the champion."""

import hashlib
import logging
import math
from collections import Counter, OrderedDict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Literal

from sqlalchemy import not_, or_

from resnet_ops.errors import GateDenied, ResnetOpsError
from resnet_ops.files import read_json, write_json
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

__all__ = ["COUNTED", "Canary", "Comparison", "is_drawn"]

_logger = logging.getLogger(__name__)
_REMEMBERED = 10_000  # requests with a fault whose ids are known: one that is sent again is no other request
Event = Literal["failed", "slow", "wrong"]
EVENTS: dict[Event, str] = {"failed": "failures", "slow": "slow answers", "wrong": "wrong answers by labels"}
Counted = Event | Literal["answered"]
COUNTED: tuple[Counted, ...] = ("answered", *EVENTS)
_STOPPED = "canaries-stopped.json"


def is_drawn(request_id: str, digest: str, share: float) -> bool:
    """Whether a request is given to the version of this digest; independent for each version, and of sampling."""
    drawn = hashlib.blake2b(request_id.encode(), digest_size=8, person=b"canary", salt=digest[:16].encode())
    return int.from_bytes(drawn.digest(), "little") < share * 2**64


class Comparison:
    """Faults of a canary and of the champion, since both are these versions."""

    def __init__(self, canary: Version, champion: Version) -> None:
        self.versions = (canary, champion)
        self.since = datetime.now(UTC)
        self.counts = Counter[tuple[str, Counted]]()
        self._seen = OrderedDict[tuple[str, Event], None]()

    def note(self, route: str, request_id: str, event: Event | None) -> bool:
        """Count a request; whether it is one more with a fault."""
        self.counts[route, "answered"] += event != "failed"
        if event is None or (request_id, event) in self._seen:
            return False
        self._seen[request_id, event] = None
        if len(self._seen) > _REMEMBERED:
            self._seen.popitem(last=False)
        self.counts[route, event] += 1
        return True

    def worse(self, params: CanaryParams) -> str:
        """What the canary is proven worse in, in words; empty where nothing proves that.

        Each kind of fault has a third of the probability with which a canary may be stopped wrongly.
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
        self.comparison: Comparison | None = None
        self.stopped = ""
        """Why the version that is still loaded has no requests any more."""
        self.follower = Follower(
            None, alias, prepare=self._prepare, every=every, metrics=metrics, also=self._judge_by_labels
        )

    @contextmanager
    def using(self, request_id: str, champion: Version) -> Iterator[Version | None]:
        """The version, where this request is given to it; None where it is the champion's."""
        with self.follower.using() as version:
            if version is None or self.stopped or version.identity.digest == champion.identity.digest:
                yield None
                return
            if self.comparison is None or self.comparison.versions != (version, champion):
                self.comparison = Comparison(version, champion)
            drawn = is_drawn(request_id, version.identity.digest, self.params.share)
            yield version if drawn else None

    def note(self, version: Version, request_id: str, *, failed: bool, milliseconds: float) -> None:
        """What became of a request to either version."""
        comparison = self.comparison
        if comparison is None or version not in comparison.versions or self.stopped:
            return
        event: Event | None = "failed" if failed else "slow" if milliseconds > self.params.slow_ms else None
        new = comparison.note(version.route, request_id, event)
        self._metrics.canary_requests.labels(version.route, event or "fine").inc()
        if new:
            self._stop_if_worse(comparison)

    def close(self) -> None:
        """Stop following, and let go of the log."""
        self.follower.stop()
        if self._log is not None:
            self._log.close()

    def _prepare(self, version: Version) -> None:
        if reason := _stopped().get(_named(version)):
            raise GateDenied(
                f"it was stopped as a canary: {reason}. To try it again all the same, delete {STATE / _STOPPED}"
            )
        self._ready(version)
        self._metrics.canary_stopped.set(0)

    def _stop_if_worse(self, comparison: Comparison) -> None:
        if why := comparison.worse(self.params):
            self.stopped = why
            self._metrics.canary_stopped.set(1)
            _logger.error("canary stopped", extra={"fields": {"why": why, **comparison.versions[0].named}})

    def _judge_by_labels(self) -> None:
        """After each look at the registry, in the follower's thread."""
        version, comparison = self.follower.current, self.comparison
        if version is None:
            return
        if comparison is not None and comparison.versions[0] is version and not self.stopped:
            self._count_mistakes(comparison)
            self._stop_if_worse(comparison)
        self.stopped = self.stopped or _stopped().get(_named(version), "")
        if self.stopped:
            write_json(STATE / _STOPPED, _stopped() | {_named(version): self.stopped})
            self.follower.let_go(f"v{version.identity.version} was stopped: {self.stopped}")
            self.stopped = ""

    def _count_mistakes(self, comparison: Comparison) -> None:
        """Each version's own answers, with labels of a random sample; the first image of a request stands for it."""
        if self._url is None:
            return
        rows, names = answers.c, answers.c.request_id
        first = or_(not_(names.contains("#", autoescape=True)), names.endswith("#0"))
        try:
            self._log = self._log or LogDatabase(self._url)
            for version in comparison.versions:
                who = (rows.model == version.identity.name, rows.digest == version.identity.digest)
                mine = (*who, rows.route == version.route, rows.time >= comparison.since, first)
                comparison.counts[version.route, "wrong"] = count_right(self._log, *mine)[1]
        except ResnetOpsError as error:
            _logger.warning("labels for the canary cannot be read: %s", error)


def _named(version: Version) -> str:
    return f"{version.identity} {version.created} {version.identity.digest}"


def _stopped() -> dict[str, str]:
    """Why versions were stopped on this machine, by name, time and digest."""
    path: Path = STATE / _STOPPED
    return dict(read_json(path)) if path.is_file() else {}
