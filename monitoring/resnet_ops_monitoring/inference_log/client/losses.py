"""Rows that are lost, counted where they are lost, until the gap that they leave is written down."""

import logging
from collections import Counter
from datetime import datetime
from threading import Lock

from resnet_ops_monitoring.inference_log.columns import Route
from resnet_ops_monitoring.inference_log.gaps import Gap
from resnet_ops_monitoring.inference_log.identity import ModelIdentity

__all__ = ["Losses"]

_logger = logging.getLogger(__name__)
_MOST = 200  # gaps in memory at once, and reasons that are told; beyond, they are one


class Losses:
    """What one process lost. kinds: `dropped` for want of room, `refused` because the log cannot take it, `damaged`."""

    def __init__(self) -> None:
        self._lock, self._gaps = Lock(), dict[tuple[ModelIdentity, str | None, Route, str], Gap]()
        self._said = set[str]()
        self.counts = Counter[str]()

    def add(
        self,
        kind: str,
        identity: ModelIdentity,
        source: str | None,
        since: datetime,
        until: datetime,
        reason: str,
        rows: int = 1,
        route: Route = "champion",
    ) -> None:
        """Count rows of a source and route as lost. The first for a reason is told in the program's own log."""
        with self._lock:
            self.counts[kind] += rows
            key = (identity, source, route, reason)
            if key not in self._gaps and len(self._gaps) >= _MOST:
                key = (identity, None, route, "various reasons")
            gap = Gap(identity, key[1], since, until, key[3], lost=rows, route=route)
            self._gaps[key] = self._gaps[key].joined(gap) if key in self._gaps else gap
            new = key[3] not in self._said and len(self._said) < _MOST
            self._said.add(key[3])
        if new:
            _logger.warning("A row of %s is lost to the inference log, and counted: %s", identity, reason)

    def take(self) -> list[Gap]:
        """The gaps since this was asked last."""
        with self._lock:
            found, self._gaps = list(self._gaps.values()), {}
        for gap in found:
            _logger.info(
                "%d rows of %s are lost to the inference log: %s", gap.lost, gap.identity, gap.reason
            )
        return found
