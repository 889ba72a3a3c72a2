"""`resnet-ops serve`: from a name to a server that answers, and to its end."""

import logging
import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from resnet_ops.console import console
from resnet_ops.data.opening import quiet_decoders
from resnet_ops_monitoring.settings.serving import ServingParams, read_serving_settings
from resnet_ops_monitoring.web.token import Token

if TYPE_CHECKING:
    from resnet_ops.data.params import DataParams
    from resnet_ops_monitoring.serving.canary import Canary
    from resnet_ops_monitoring.serving.scoring import Scoring
    from resnet_ops_monitoring.serving.serving_metrics import ServingMetrics
    from resnet_ops_monitoring.serving.swap import Follower, Swap
    from resnet_ops_monitoring.serving.version import Version

__all__ = ["TOKEN", "Server"]

TOKEN = Token("RESNET_OPS_SERVE_TOKEN")

_logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Server:
    """What is served. log: the inference log's URL; None for none."""

    uri: str
    params: Path
    log: str | None
    ungated: bool

    def run(self, host: str, port: int | None) -> None:
        """Answer until SIGTERM or Ctrl+C; then finish what was taken. port: instead of that of the settings.

        Raises ConfigError for settings that are wrong and a port that is taken; whatever `scoring` raises.
        """
        settings, data = read_serving_settings(self.params)
        token = TOKEN.read()
        from resnet_ops_monitoring.web.running import configuration, listening, run

        port = settings.port if port is None else port
        other = f"--port, or serve.port in {self.params}"
        with quiet_decoders(), listening(host, port, settings.max_connections, TOKEN, other) as listener:
            scoring = self.scoring(settings, data)
            from resnet_ops_monitoring.serving.application import make_app

            config = configuration(
                make_app(scoring, token),
                receive_seconds=settings.receive_seconds,
                max_connections=settings.max_connections,
                drain_seconds=settings.drain_seconds,
            )
            host, port = listener.getsockname()[:2]
            answering = scoring.swap.current
            console.print(f"{answering.identity} ({answering.gate}) answers on http://{host}:{port}/v1/score")
            run(config, listener)
        console.print("Stopped.")

    def scoring(self, settings: ServingParams, data: "DataParams") -> "Scoring":
        """What answers, with its first version ready; from then on this process tells of itself in JSON.

        torch must not have been imported before. Raises ConfigError for what must not be served; whatever `Alias.load`
        raises.
        """
        os.environ["OMP_NUM_THREADS"] = str(settings.threads)  # before torch is imported
        from resnet_ops_monitoring.serving.scoring import Scoring
        from resnet_ops_monitoring.serving.serving_metrics import ServingMetrics
        from resnet_ops_monitoring.web.log_lines import tell_in_json

        metrics = ServingMetrics()
        swap, canary, shadowed = self._versions(settings, metrics)
        tell_in_json()
        self._warn(swap.current)
        return Scoring(swap, settings, data, metrics, canary, shadowed)

    def _versions(
        self, settings: ServingParams, metrics: "ServingMetrics"
    ) -> "tuple[Swap, Canary | None, Follower | None]":
        """The first version, ready to answer, with what follows its alias, and those beside it."""
        from resnet_ops_monitoring.serving.canary import Canary
        from resnet_ops_monitoring.serving.source import fixed_version, named_alias
        from resnet_ops_monitoring.serving.swap import Follower, Swap

        def prepare(version: "Version") -> None:
            version.warm(settings.max_batch)
            if self.log is not None:
                version.open_log(self.log)

        def prepare_next(version: "Version") -> None:
            prepare(version)
            self._warn(version)

        runtime = settings.threads, settings.device
        alias = named_alias(self.uri, self.ungated, *runtime)
        first = fixed_version(self.uri, *runtime) if alias is None else alias.load(alias.place())
        prepare(first)
        swap = Swap(first, alias, prepare=prepare_next, every=settings.poll_seconds, metrics=metrics)
        canary = shadowed = None
        if alias is not None and settings.canary.alias:
            beside = alias.beside(settings.canary.alias, "canary")
            canary = Canary(
                beside,
                settings.canary,
                prepare=prepare_next,
                every=settings.poll_seconds,
                metrics=metrics,
                log=self.log,
            )
        if alias is not None and settings.shadow.alias:
            beside = alias.beside(settings.shadow.alias, "shadow")
            shadowed = Follower(
                None, beside, prepare=prepare_next, every=settings.poll_seconds, metrics=metrics
            )
        return swap, canary, shadowed

    def _warn(self, version: "Version") -> None:
        if version.preprocessing is None:
            _logger.warning(
                "%s does not say how images are read for it: as data in %s says",
                version.identity,
                self.params,
            )
