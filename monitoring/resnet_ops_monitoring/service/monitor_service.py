"""Rounds of the monitor: one for cron or a timer, or one after another as a service."""

import signal
import sys
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from threading import Event
from typing import Any

from resnet_ops.console import console
from resnet_ops.errors import ResnetOpsError
from resnet_ops.messages import plain
from resnet_ops_monitoring.drift.verdict import Verdict
from resnet_ops_monitoring.inference_log.log import InferenceLog
from resnet_ops_monitoring.service.actions import act
from resnet_ops_monitoring.service.alerts import configured_addresses
from resnet_ops_monitoring.service.monitor import INVALID, Monitor, alone
from resnet_ops_monitoring.service.run_metrics import RunMetrics
from resnet_ops_monitoring.service.watched import find_watched
from resnet_ops_monitoring.settings.service import MonitorSettings, read_monitor_settings
from resnet_ops_registry.common.connection import connect
from resnet_ops_registry.common.settings import STATE

__all__ = ["Cycle", "MonitorService"]

LOCK = "monitor.lock"


@dataclass(frozen=True)
class Cycle:
    """What one round did and found. silent: addresses that took no message. set_aside: rows from the future."""

    watched: str
    verdicts: tuple[Verdict, ...]
    pages: tuple[str, ...]
    last: Verdict | None
    alarm: bool
    actions: tuple[str, ...]
    silent: tuple[str, ...]
    set_aside: int

    @property
    def troubled(self) -> bool:
        """An alarm lasts, or the last window's data is invalid."""
        return self.alarm or (self.last is not None and self.last.status == INVALID)

    @property
    def lines(self) -> list[str]:
        """For people."""
        lines = [
            f"{verdict.window}: {verdict.headline}. {verdict.reason}\nLook at: {page}"
            for verdict, page in zip(self.verdicts, self.pages, strict=True)
        ]
        state = "An alarm lasts." if self.alarm else "No alarm."
        lines.append(f"{self.watched}: {len(self.verdicts)} windows judged. {state}")
        if self.set_aside:
            lines.append(
                f"{self.set_aside:,} rows are set aside: their times are in the future. Correct the sender's clock."
            )
        return [
            *lines,
            *self.actions,
            *(f"Not delivered yet, will be retried: {each}" for each in self.silent),
        ]

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready content."""
        return {
            "watched": self.watched,
            "alarm": self.alarm,
            "windows": [
                {**verdict.to_dict(), "page": page}
                for verdict, page in zip(self.verdicts, self.pages, strict=True)
            ],
            "actions": list(self.actions),
            "not_told": list(self.silent),
            "set_aside": self.set_aside,
        }


@dataclass(frozen=True)
class MonitorService:
    """What stays the same from one round to the next."""

    model: str
    alias: str
    settings: MonitorSettings
    reports: Path
    reference: Path
    metrics: RunMetrics = field(default_factory=RunMetrics)

    @classmethod
    def read(cls, params: Path, model: str, alias: str, reports: Path, reference: Path) -> "MonitorService":
        """From params.yaml; model and alias where they are named."""
        registered, settings = read_monitor_settings(params)
        return cls(
            model or registered, (alias or settings.run.alias).lstrip("@"), settings, reports, reference
        )

    def monitor(self) -> Monitor:
        """Of the version that has the alias now."""
        client = connect()
        watched = find_watched(client, self.model, self.alias, self.reference)
        return Monitor(InferenceLog.open(), client, watched, self.settings, self.reports)

    def once(self, now: datetime, stopping: Callable[[], bool] = lambda: False) -> Cycle | None:
        """Judge, act, tell; None when another run is at work."""
        addresses = configured_addresses()
        with alone(STATE / LOCK) as mine:
            if not mine:
                return None
            monitor = self.monitor()
            try:
                verdicts = monitor.judge_due(addresses, now, stopping)
                actions = act(monitor, now)
                silent = monitor.alerts.deliver(addresses)
                last, alarm = monitor.last(), monitor.alarm()
                until = monitor.history.judged_until(monitor.watched.identity)
                self.metrics.show(last, until, alarm, monitor.alerts.waiting(addresses), now)
                pages = tuple(str(self.reports / verdict.window / "review.html") for verdict in verdicts)
                name = f"{monitor.watched.identity} (@{self.alias})"
                told = (tuple(verdicts), pages, last, alarm, tuple(actions), tuple(silent))
                return Cycle(name, *told, monitor.set_aside(now))
            finally:
                monitor.log.close()

    def serve(self) -> None:
        """Rounds until SIGTERM or Ctrl+C; the window at hand is finished first. A round that fails is tried again."""
        stop = Event()
        before = {
            each: signal.signal(each, lambda *_: stop.set()) for each in (signal.SIGTERM, signal.SIGINT)
        }
        port = self.settings.serve.port
        server = self.metrics.serve(port)[0] if port else None
        where = f", metrics on http://127.0.0.1:{port}/metrics" if port else ""
        console.print(f"Watching {self.model} @{self.alias}{where}.")
        try:
            while not stop.is_set():
                self._round(stop)
                stop.wait(self.settings.serve.every_seconds)
        finally:
            if server is not None:
                server.shutdown()
                server.server_close()
            for each, handler in before.items():
                signal.signal(each, handler)
        console.print("Stopped.")

    def _round(self, stop: Event) -> None:
        try:
            done = self.once(datetime.now(UTC), stop.is_set)
        except (ResnetOpsError, OSError) as error:  # a disk that is full now may have room at the next round
            self.metrics.failed()
            sys.stderr.write(plain(f"monitor serve: {error}\n"))
            return
        if done is not None and (done.verdicts or done.actions or done.silent):
            for line in done.lines:
                console.print(line)
