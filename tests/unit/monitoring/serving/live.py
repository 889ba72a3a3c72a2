"""A server that really listens, in a thread of this process, in front of a fake model."""

import socket
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from threading import Thread
from typing import Any

import numpy as np
import requests
import uvicorn

from resnet_ops.data.opening import quiet_decoders
from resnet_ops.evaluation.operating_point import OperatingPoint
from resnet_ops_monitoring.inference_log.identity import ModelIdentity
from resnet_ops_monitoring.serving.application import make_app
from resnet_ops_monitoring.serving.canary import Canary
from resnet_ops_monitoring.serving.scoring import Scoring
from resnet_ops_monitoring.serving.serving_metrics import ServingMetrics
from resnet_ops_monitoring.serving.source import Alias
from resnet_ops_monitoring.serving.swap import Follower, Swap
from resnet_ops_monitoring.serving.version import Version
from resnet_ops_monitoring.settings.serving import (
    CanaryParams,
    ServingParams,
    ShadowParams,
    read_serving_settings,
)
from resnet_ops_monitoring.web.running import configuration

__all__ = ["DATA", "SETTINGS", "Live", "answering", "fake_version", "serving", "until"]


def until(holds: Callable[[], bool]) -> None:
    """Wait, and let the other threads work meanwhile; who waits for ever is ended by the test's time limit."""
    while not holds():
        time.sleep(0.005)


AS_SHIPPED, DATA = read_serving_settings(Path(__file__).resolve().parents[4] / "params.yaml")
SETTINGS = replace(AS_SHIPPED, max_wait_ms=60_000)
"""A machine that is busy with other tests answers late, which is not what most of them are about."""


def fake_version(model: Any, operating: OperatingPoint | None = None) -> Version:
    """As the gate would have let it pass."""
    return Version(ModelIdentity("digits-classifier", "3", "d" * 64), model, operating, "passed @champion", 1)


class Live:
    """How a client sees it."""

    def __init__(self, port: int, scoring: Scoring) -> None:
        self.port, self.url, self.scoring = port, f"http://127.0.0.1:{port}", scoring

    def post(self, path: str = "/v1/score", **more: Any) -> requests.Response:
        return requests.post(self.url + path, timeout=60, **more)

    def get(self, path: str, **more: Any) -> requests.Response:
        return requests.get(self.url + path, timeout=60, **more)

    def score(self, images: np.ndarray, path: str = "/v1/score", **more: Any) -> requests.Response:
        """Send an array."""
        return self.post(path, json={"images": images.tolist()}, **more)


@contextmanager
def answering(config: uvicorn.Config) -> Iterator[int]:
    """A server in a thread; gives its port."""
    server = uvicorn.Server(config)
    with socket.create_server(("127.0.0.1", 0)) as listener:
        thread = Thread(target=server.run, kwargs={"sockets": [listener]})
        thread.start()
        try:
            yield listener.getsockname()[1]
        finally:
            server.should_exit = True
            thread.join()


@contextmanager
def serving(
    version: Version,
    *,
    token: str | None = None,
    alias: Alias | None = None,
    prepare: Any = lambda version: None,
    canary: Alias | None = None,
    shadow: Alias | None = None,
    log: str | None = None,
    shadow_params: ShadowParams = SETTINGS.shadow,
    canary_params: CanaryParams = SETTINGS.canary,
    **changes: Any,
) -> Iterator[Live]:
    """A server of this version; log: whose labels judge the canary; changes: of the settings in params.yaml."""
    settings: ServingParams = replace(SETTINGS, shadow=shadow_params, canary=canary_params, **changes)
    metrics = ServingMetrics()
    swap = Swap(version, alias, prepare=prepare, every=settings.poll_seconds, metrics=metrics)
    about: dict[str, Any] = {"prepare": prepare, "every": settings.poll_seconds, "metrics": metrics}
    tried = None if canary is None else Canary(canary, settings.canary, log=log, **about)
    shadowed = None if shadow is None else Follower(None, shadow, **about)
    scoring = Scoring(swap, settings, DATA, metrics, tried, shadowed)
    config = configuration(
        make_app(scoring, token),
        receive_seconds=settings.receive_seconds,
        max_connections=settings.max_connections,
        drain_seconds=settings.drain_seconds,
    )
    with quiet_decoders(), answering(config) as port:
        yield Live(port, scoring)
