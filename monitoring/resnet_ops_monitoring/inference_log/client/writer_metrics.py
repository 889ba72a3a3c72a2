"""A writer's numbers for Prometheus, read when they are asked for."""

from collections.abc import Iterator, Sequence
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


def export_metrics(writer: Writer, registry: CollectorRegistry, *others: Writer) -> None:
    """Have `resnet_ops_inference_log_...` of this process in a registry, such as `prometheus_client.REGISTRY`.

    others: more writers of the process; of several for one version, counters are sums and gauges the highest.
    """
    registry.register(_WriterMetrics((writer, *others)))


class _WriterMetrics(Collector):
    def __init__(self, writers: Sequence[Writer]) -> None:
        self._writers = writers

    def collect(self) -> Iterator[CounterMetricFamily | GaugeMetricFamily]:
        numbers: dict[tuple[str, str], list[dict[str, float]]] = {}
        for writer in self._writers:
            labels = (writer.identity.name, writer.identity.version)
            numbers.setdefault(labels, []).append(asdict(writer.stats()))
        kinds = ((_COUNTERS, CounterMetricFamily, sum), (_GAUGES, GaugeMetricFamily, max))
        for names, family, joined in kinds:
            for name, words in names.items():
                metric = family(f"resnet_ops_inference_log_{name}", words, labels=("model", "version"))
                for labels, found in numbers.items():
                    metric.add_metric(labels, joined([each[name] for each in found]))
                yield metric
