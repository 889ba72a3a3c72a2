"""A server's numbers for Prometheus that every server has."""

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest

__all__ = ["RequestMetrics"]

_SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10)


class RequestMetrics:
    """Numbers of this process, in a registry of its own. prefix: of their names."""

    def __init__(self, prefix: str) -> None:
        self.registry, self._prefix = CollectorRegistry(), prefix
        self.requests = self.counter("requests", "answers by route and status", "route", "status")
        self.answered = self.seconds("request_seconds", "from a request's headers to its answer", "route")
        self.under_way = self.gauge("requests_under_way", "requests that were taken and not answered yet")

    def counter(self, name: str, words: str, *labels: str) -> Counter:
        """One that counts."""
        return Counter(f"{self._prefix}{name}", words, labels, registry=self.registry)

    def seconds(self, name: str, words: str, *labels: str) -> Histogram:
        """One of times."""
        return Histogram(f"{self._prefix}{name}", words, labels, buckets=_SECONDS, registry=self.registry)

    def gauge(self, name: str, words: str, *labels: str) -> Gauge:
        """One that rises and falls."""
        return Gauge(f"{self._prefix}{name}", words, labels, registry=self.registry)

    def text(self) -> bytes:
        """All of them, as Prometheus reads them."""
        return generate_latest(self.registry)
