"""A server's numbers for Prometheus."""

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest

__all__ = ["ServingMetrics"]

_PREFIX = "resnet_ops_serving_"
_SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10)
_IMAGES = (1, 2, 4, 8, 16, 32, 64, 128, 256, 512)
_WHO = ("model", "version", "digest", "gate")


class ServingMetrics:
    """Numbers of this process, named `resnet_ops_serving_...`."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()

        def seconds(name: str, words: str, *labels: str) -> Histogram:
            return Histogram(f"{_PREFIX}{name}", words, labels, buckets=_SECONDS, registry=self.registry)

        def gauge(name: str, words: str, *labels: str) -> Gauge:
            return Gauge(f"{_PREFIX}{name}", words, labels, registry=self.registry)

        self.requests = Counter(
            f"{_PREFIX}requests", "answers by route and status", ("route", "status"), registry=self.registry
        )
        self.answered = seconds("request_seconds", "from a request's headers to its answer", "route")
        self.waited = seconds("queue_seconds", "that images waited for the model")
        self.inference = seconds("inference_seconds", "forward pass of a batch, with its preprocessing")
        self.batch_images = Histogram(
            f"{_PREFIX}batch_images", "images of a batch", buckets=_IMAGES, registry=self.registry
        )
        self.queue = gauge("queue_images", "images that wait for the model")
        self.under_way = gauge("requests_under_way", "requests that were taken and not answered yet")
        self.version = gauge("version", "1 for the versions that are asked, by route", "route", *_WHO)
        self.swaps = Counter(
            f"{_PREFIX}swaps",
            "versions that took over, and that were refused",
            ("route", "outcome"),
            registry=self.registry,
        )
        self.to_traffic = gauge(
            "alias_to_traffic_seconds",
            "from when the alias moved, at the earliest, until the version answered, at the last swap",
            "route",
        )
        self.registry_answers = gauge(
            "registry_answers", "1 where the registry answered when it was asked last"
        )
        self.refused = gauge(
            "newest_refused", "1 while the alias is at a version that may not answer", "route"
        )
        self.shadowed = Counter(
            f"{_PREFIX}shadow_requests",
            "requests that were answered, by what became of them in shadow",
            ("outcome",),
            registry=self.registry,
        )
        self.canary_requests = Counter(
            f"{_PREFIX}canary_requests",
            "requests since the canary began, by who had them, and what of them counts against it",
            ("route", "event"),
            registry=self.registry,
        )
        self.canary_stopped = gauge(
            "canary_stopped", "1 while the canary's version was proven worse, and stopped"
        )

    def text(self) -> bytes:
        """All of them, as Prometheus reads them."""
        return generate_latest(self.registry)
