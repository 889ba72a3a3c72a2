"""A sink that really listens, and rows to send."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import requests

from resnet_ops_monitoring.inference_log.client.delivery import LIMITS as QUEUE
from resnet_ops_monitoring.inference_log.client.delivery import Delivery, Limits
from resnet_ops_monitoring.inference_log.client.writer import CLOSE_WITHIN
from resnet_ops_monitoring.inference_log.database import parse
from resnet_ops_monitoring.sink.application import make_sink
from resnet_ops_monitoring.sink.limits import LIMITS
from resnet_ops_monitoring.web.running import configuration
from tests.unit.monitoring.inference_log.writing import CLASSES, DIGEST, answer
from tests.unit.monitoring.serving.live import answering

__all__ = ["LiveSink", "row", "sinking"]


def row(number: int, name: str = "r", **changes: Any) -> dict[str, Any]:
    """As a client sends it."""
    probabilities, embedding, statistics = answer(number)
    return {
        "request_id": f"{name}-{number}",
        "model": "made-up",
        "version": "1",
        "digest": DIGEST,
        "classes": list(CLASSES),
        "probabilities": probabilities.tolist(),
        "embedding": embedding.tolist(),
        "statistics": statistics,
        **changes,
    }


class LiveSink:
    """How a client sees it."""

    def __init__(self, port: int, delivery: Delivery) -> None:
        self.port, self.url, self.delivery = port, f"http://127.0.0.1:{port}", delivery

    def send(self, rows: Any, **more: Any) -> requests.Response:
        return requests.post(f"{self.url}/v1/inferences", json=rows, timeout=60, **more)

    def label(
        self, labels: dict[str, str], by: str = "ada", origin: str = "random", **more: Any
    ) -> requests.Response:
        pairs = [{"request_id": name, "label": label} for name, label in labels.items()]
        content: dict[str, Any] = {"labels": pairs, "by": by, "origin": origin}
        return requests.post(f"{self.url}/v1/labels", json=content, timeout=60, **more)

    def send_bytes(
        self, body: bytes, kind: str = "application/json", to: str = "inferences", **more: str
    ) -> requests.Response:
        headers = {"Content-Type": kind, **more}
        return requests.post(f"{self.url}/v1/{to}", data=body, headers=headers, timeout=60)

    def get(self, path: str) -> requests.Response:
        return requests.get(self.url + path, timeout=60)


@contextmanager
def sinking(
    folder: Path, *, token: str | None = None, queue: Limits = QUEUE, **changes: Any
) -> Iterator[LiveSink]:
    """Into the log of `writing` in this folder. changes: of the limits."""
    limits = replace(LIMITS, **changes)
    url = parse(f"sqlite:///{folder}/log.db")
    delivery = Delivery(url, folder / "spool", queue)
    config = configuration(
        make_sink(url, delivery, token, limits),
        receive_seconds=limits.receive_seconds,
        max_connections=limits.max_connections,
        drain_seconds=limits.drain_seconds,
    )
    try:
        with answering(config) as port:
            yield LiveSink(port, delivery)
    finally:
        delivery.close(CLOSE_WITHIN)
