"""The monitor's state for Prometheus: as a page of `monitor serve`, or as a text file for the node exporter."""

from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, get_args

from prometheus_client import CollectorRegistry, Gauge, generate_latest, start_http_server

from resnet_ops.errors import ConfigError
from resnet_ops.files import write_bytes
from resnet_ops_monitoring.drift.verdict import State, Verdict
from resnet_ops_monitoring.statistics.accuracy import Estimate
from resnet_ops_monitoring.statistics.operating_estimate import SIDES

if TYPE_CHECKING:
    from threading import Thread
    from wsgiref.simple_server import WSGIServer

__all__ = ["RunMetrics"]

_WHO = ("model", "version")


class RunMetrics:
    """Gauges named `resnet_ops_monitor_...`, of the version that is watched now."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()

        def gauge(name: str, words: str, *more: str) -> Gauge:
            return Gauge(f"resnet_ops_monitor_{name}", words, (*_WHO, *more), registry=self.registry)

        self._verdict = gauge("verdict", "1 for the last window's verdict, 0 for the others", "verdict")
        self._alarm = gauge("alarm", "1 while an alarm lasts")
        self._rows = gauge("window_rows", "rows of the last window")
        self._end = gauge("window_end_timestamp_seconds", "end of the last window; time() - this is its age")
        self._estimated = gauge("estimated_accuracy", "share of right answers, estimated without labels")
        self._low = gauge("estimated_accuracy_low", "lower bound of the estimate")
        self._high = gauge("estimated_accuracy_high", "upper bound of the estimate")
        self._tested = gauge("tested_accuracy", "share of right answers when the version was tested")
        self._labelled = gauge(
            "labelled_accuracy", "share of right answers among the last window's labelled rows"
        )
        self._side = gauge(
            "estimated_at_operating_point",
            "sensitivity and specificity, estimated without labels",
            "side",
            "bound",
        )
        self._called = gauge("called_positive", "share of images called positive at the operating point")
        self._waiting = gauge("alerts_waiting", "alerts that have not arrived")
        self._of_version = [each for each in vars(self).values() if isinstance(each, Gauge)]
        self._ran = Gauge(
            "resnet_ops_monitor_run_timestamp_seconds",
            "last run that came to its end",
            registry=self.registry,
        )
        self._failed = Gauge(
            "resnet_ops_monitor_failed", "1 when the last run failed", registry=self.registry
        )

    def show(
        self, verdict: Verdict | None, until: datetime | None, alarm: bool, waiting: int, now: datetime
    ) -> None:
        """A run came to its end; verdict: of the last window, None before the first."""
        self._ran.set(now.timestamp())
        self._failed.set(0)
        for each in self._of_version:
            each.clear()
        if verdict is None:
            return
        who = (verdict.identity.name, verdict.identity.version)
        for status in get_args(State):
            self._verdict.labels(*who, status).set(status == verdict.status)
        self._alarm.labels(*who).set(alarm)
        self._waiting.labels(*who).set(waiting)
        self._rows.labels(*who).set(verdict.rows)
        self._tested.labels(*who).set(verdict.reference_accuracy.value)
        ends = until or verdict.end
        numbers = [
            (self._end, ends.timestamp() if ends else None),
            (self._estimated, verdict.estimated_accuracy),
            (self._low, verdict.estimated.low if verdict.estimated else None),
            (self._high, verdict.estimated.high if verdict.estimated else None),
            (self._labelled, verdict.real_accuracy.value if verdict.real_accuracy else None),
        ]
        numbers.append((self._called, verdict.operating.called if verdict.operating else None))
        for gauge, value in numbers:
            if value is not None:
                gauge.labels(*who).set(value)
        for side in SIDES if verdict.operating else ():
            estimate: Estimate = getattr(verdict.operating, side).estimated
            for bound in ("value", "low", "high"):
                self._side.labels(*who, side, bound).set(getattr(estimate, bound))

    def failed(self) -> None:
        """A run did not come to its end."""
        self._failed.set(1)

    def write(self, path: Path) -> None:
        """For the node exporter's textfile collector, atomically; the name must end in .prom."""
        write_bytes(path, generate_latest(self.registry))

    def serve(self, port: int) -> "tuple[WSGIServer, Thread]":
        """Answer on 127.0.0.1 until the server is shut down. Raises ConfigError when the port is taken."""
        try:
            return start_http_server(port, addr="127.0.0.1", registry=self.registry)
        except OSError as error:
            raise ConfigError(
                f"Cannot listen on 127.0.0.1:{port}: {error.strerror}. Choose another port: "
                "monitor.serve.port in params.yaml."
            ) from None
