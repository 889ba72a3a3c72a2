"""The application of `resnet-ops serve` in replicas of Ray Serve, each in a process of its own.

Needs the extra `scale` beside `serve`. For `serve run` and Serve's config files:
`resnet_ops_monitoring.serving.ray_deployment:build`.
"""

import os
import time
import warnings
from collections.abc import Callable
from pathlib import Path
from threading import Thread
from typing import TYPE_CHECKING, Any

from prometheus_client.parser import text_string_to_metric_families
from pydantic import BaseModel, ConfigDict, Field, PositiveInt
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from resnet_ops.errors import ConfigError
from resnet_ops.extras import require
from resnet_ops_monitoring.inference_log.database import configured_url
from resnet_ops_monitoring.serving.server import TOKEN, Server
from resnet_ops_monitoring.settings.serving import read_serving_settings

if TYPE_CHECKING:
    from ray.serve import Application

__all__ = ["Arguments", "build"]

_FLUSH = 30
"""Seconds that the log may take once the requests are answered."""
_TELL = 5.0  # seconds between two looks at a replica's numbers


class Arguments(BaseModel):
    """What is served, and by how many."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    uri: str = Field(description="models:/NAME@ALIAS")
    folder: Path = Field(
        description="the project's on every machine: it holds params.yaml, and var with what waits"
    )
    params: Path = Field(Path("params.yaml"), description="the settings, in that folder")
    log: bool = Field(True, description="whether answers are logged")
    ungated: bool = Field(False, description="also what the gate never let pass; every answer says so")
    min_replicas: PositiveInt = 1
    max_replicas: PositiveInt = 1
    autoscaling: dict[str, Any] = Field({}, description="more of Ray's autoscaling_config")


def build(args: Arguments) -> "Application":
    """What Ray Serve deploys: replicas that verify, answer, log and follow the alias as `resnet-ops serve` does.

    Ray adds replicas while more than its `target_ongoing_requests` are under way in each. Raises ConfigError for
    settings that are wrong.
    """
    require("Replicas by Ray Serve", "ray")
    from ray import serve

    settings, _ = read_serving_settings(args.folder / args.params)
    between = {"min_replicas": args.min_replicas, "max_replicas": args.max_replicas}
    graphics: dict[str, Any] = {"num_gpus": 1} if settings.device == "cuda" else {}

    def application() -> ASGIApp:
        return _application(args)

    deployment = serve.deployment(
        serve.ingress(application)(),
        name="scorer",
        # each replica refuses by itself what is too much, and logs that; Ray's own queue is for while none is there yet
        max_ongoing_requests=settings.max_connections,
        max_queued_requests=settings.max_requests,
        autoscaling_config=between | args.autoscaling,
        graceful_shutdown_timeout_s=settings.drain_seconds + _FLUSH,
        ray_actor_options={"num_cpus": settings.threads, **graphics},
    )
    return deployment.bind()


def _application(args: Arguments) -> ASGIApp:
    """In a replica, whose process does nothing else and ends with it.

    Raises ConfigError without a token, since Ray decides where others reach it; whatever `Server.scoring` raises.
    """
    os.chdir(args.folder)
    token = TOKEN.read()
    if token is None:
        raise ConfigError(f"No token is set for this replica. Set {TOKEN.variable} or {TOKEN.file_variable}.")
    warnings.simplefilter("ignore")  # of decoders, which name no file
    settings, data = read_serving_settings(args.params)
    scoring = Server(args.uri, args.params, configured_url() if args.log else None, args.ungated).scoring(
        settings, data
    )
    from resnet_ops_monitoring.serving.application import make_app
    from resnet_ops_monitoring.serving.status import log_metrics
    from resnet_ops_monitoring.web.running import keep_what_is_loaded

    numbers = _Numbers(lambda: scoring.metrics.text() + log_metrics(scoring))
    Thread(target=numbers.tell_for_ever, name="numbers for Ray", daemon=True).start()
    keep_what_is_loaded()
    return _OneId(make_app(scoring, token))


class _OneId:
    """The application without its own header of a request's id: Ray's proxy adds the same."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def send_on(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = [each for each in message["headers"] if each[0] != b"x-request-id"]
                message = {**message, "headers": headers}
            await send(message)

        await self._app(scope, receive, send_on)


class _Numbers:
    """A replica's numbers among Ray's own, where each is known by the replica's tag. text: as Prometheus reads them."""

    def __init__(self, text: Callable[[], bytes]) -> None:
        self._text, self._gauges = text, dict[str, Any]()
        self._told = set[tuple[str, tuple[tuple[str, str], ...]]]()

    def tell_for_ever(self) -> None:
        while True:
            self._tell()
            time.sleep(_TELL)

    def _tell(self) -> None:
        from ray.serve.metrics import Gauge

        found = dict.fromkeys(self._told, 0.0)  # of what is gone, such as a version that answered
        for family in text_string_to_metric_families(self._text().decode()):
            for sample in family.samples:
                found[sample.name, tuple(sample.labels.items())] = sample.value
        for (name, labels), value in found.items():
            if name not in self._gauges:
                self._gauges[name] = Gauge(name, tag_keys=tuple(dict(labels)))
            self._gauges[name].set(value, tags=dict(labels))
        self._told = set(found)
