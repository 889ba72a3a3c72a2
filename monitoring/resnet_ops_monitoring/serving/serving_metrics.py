"""A server's numbers for Prometheus."""

from prometheus_client import Histogram

from resnet_ops_monitoring.web.request_metrics import RequestMetrics

__all__ = ["ServingMetrics"]

_PREFIX = "resnet_ops_serving_"
_IMAGES = (1, 2, 4, 8, 16, 32, 64, 128, 256, 512)
_WHO = ("model", "version", "digest", "gate")


class ServingMetrics(RequestMetrics):
    """Numbers of this process, named `resnet_ops_serving_...`."""

    def __init__(self) -> None:
        super().__init__(_PREFIX)
        self.waited = self.seconds("queue_seconds", "that images waited for the model")
        self.inference = self.seconds("inference_seconds", "forward pass of a batch, with its preprocessing")
        self.batch_images = Histogram(
            f"{_PREFIX}batch_images", "images of a batch", buckets=_IMAGES, registry=self.registry
        )
        self.queue = self.gauge("queue_images", "images that wait for the model")
        self.version = self.gauge("version", "1 for the versions that are asked, by route", "route", *_WHO)
        self.swaps = self.counter(
            "swaps", "versions that took over, and that were refused", "route", "outcome"
        )
        self.to_traffic = self.gauge(
            "alias_to_traffic_seconds",
            "from when the alias moved, at the earliest, until the version answered, at the last swap",
            "route",
        )
        self.registry_answers = self.gauge(
            "registry_answers", "1 where the registry answered when it was asked last"
        )
        self.refused = self.gauge(
            "newest_refused", "1 while the alias is at a version that may not answer", "route"
        )
        self.shadowed = self.counter(
            "shadow_requests", "requests that were answered, by what became of them in shadow", "outcome"
        )
        self.canary_requests = self.counter(
            "canary_requests",
            "requests since the canary began, by who had them, and what of them counts against it",
            "route",
            "event",
        )
        self.canary_stopped = self.gauge(
            "canary_stopped", "1 while the canary's version was proven worse, and stopped"
        )
