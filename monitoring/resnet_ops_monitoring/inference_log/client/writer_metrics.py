"""A writer's numbers for Prometheus, read when they are asked for."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict

from prometheus_client import CollectorRegistry
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily
from prometheus_client.registry import Collector

from resnet_ops_monitoring.inference_log.client.delivery import Delivery, WriterStats
from resnet_ops_monitoring.inference_log.client.writer import Writer

__all__ = ["export_delivery", "export_metrics"]

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
    writers = (writer, *others)
    told = [((each.identity.name, each.identity.version), each.stats) for each in writers]
    registry.register(_Numbers(("model", "version"), told))


def export_delivery(delivery: Delivery, registry: CollectorRegistry) -> None:
    """The same, without labels, of one that carries the rows of many versions."""
    registry.register(_Numbers((), [((), delivery.stats)]))


class _Numbers(Collector):
    def __init__(
        self,
        labels: Sequence[str],
        told: Sequence[tuple[tuple[str, ...], Callable[[], WriterStats]]],
    ) -> None:
        self._labels, self._told = labels, told

    def collect(self) -> Iterator[CounterMetricFamily | GaugeMetricFamily]:
        numbers: dict[tuple[str, ...], list[dict[str, float]]] = {}
        for labels, stats in self._told:
            numbers.setdefault(labels, []).append(asdict(stats()))
        kinds = ((_COUNTERS, CounterMetricFamily, sum), (_GAUGES, GaugeMetricFamily, max))
        for names, family, joined in kinds:
            for name, words in names.items():
                metric = family(f"resnet_ops_inference_log_{name}", words, labels=self._labels)
                for labels, found in numbers.items():
                    metric.add_metric(labels, joined([each[name] for each in found]))
                yield metric
