"""A writer's numbers for Prometheus, read when they are asked for."""

from collections.abc import Iterator
from dataclasses import asdict

from prometheus_client import CollectorRegistry
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily
from prometheus_client.registry import Collector

from resnet_ops_monitoring.inference_log.client.writer import Writer

__all__ = ["export_metrics"]

_COUNTERS = {
    "recorded": "rows that record took",
    "left_out": "rows that the sampling does not keep",
    "written": "rows that are new in the database",
    "spilled": "rows that were put by in a segment first",
    "dropped": "rows that found no room, and are lost",
    "refused": "rows that the log cannot hold, and are lost",
    "damaged": "records of segments that are lost",
}
_GAUGES = {
    "depth": "rows in memory",
    "depth_bytes": "bytes of the rows in memory",
    "disk_bytes": "bytes in segments, of all processes",
    "oldest_seconds": "time that the oldest row waits for the database",
    "delay_seconds": "time from record to the database, of the batch that was written last",
}


def export_metrics(writer: Writer, registry: CollectorRegistry) -> None:
    """Have `resnet_ops_inference_log_...` of this process in a registry, such as `prometheus_client.REGISTRY`."""
    registry.register(_WriterMetrics(writer))


class _WriterMetrics(Collector):
    def __init__(self, writer: Writer) -> None:
        self._writer = writer

    def collect(self) -> Iterator[CounterMetricFamily | GaugeMetricFamily]:
        who, labels = ("model", "version"), (self._writer.identity.name, self._writer.identity.version)
        numbers = asdict(self._writer.stats())
        for kinds, family in ((_COUNTERS, CounterMetricFamily), (_GAUGES, GaugeMetricFamily)):
            for name, words in kinds.items():
                metric = family(f"resnet_ops_inference_log_{name}", words, labels=who)
                metric.add_metric(labels, numbers[name])
                yield metric
