"""`resnet-ops serve`: from a name to a server that answers, and to its end."""

import logging
import os
import signal
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from resnet_ops.console import console
from resnet_ops.data.opening import quiet_decoders
from resnet_ops.errors import ConfigError
from resnet_ops_monitoring.settings.serving import ServingParams, read_serving_settings

if TYPE_CHECKING:
    from resnet_ops_monitoring.serving.canary import Canary
    from resnet_ops_monitoring.serving.serving_metrics import ServingMetrics
    from resnet_ops_monitoring.serving.swap import Follower, Swap
    from resnet_ops_monitoring.serving.version import Version

__all__ = ["TOKEN", "TOKEN_FILE", "Server", "read_token"]

TOKEN, TOKEN_FILE = "RESNET_OPS_SERVE_TOKEN", "RESNET_OPS_SERVE_TOKEN_FILE"
_SHORTEST = 16
_logger = logging.getLogger(__name__)


def read_token() -> str | None:
    """What clients must send, from the environment or a file that it names; None where neither is set.

    Raises ConfigError for one that is short, or a file that cannot be read.
    """
    token, file = os.environ.get(TOKEN), os.environ.get(TOKEN_FILE)
    if token is None and file is not None:
        try:
            token = Path(file).read_text(encoding="utf-8").strip()
        except (OSError, UnicodeDecodeError) as error:
            raise ConfigError(
                f"{TOKEN_FILE} names {file}, which cannot be read ({type(error).__name__})."
            ) from None
    if token is not None and (len(token) < _SHORTEST or not token.isascii() or not token.isprintable()):
        raise ConfigError(
            f"The token of {TOKEN if file is None else TOKEN_FILE} must have at least {_SHORTEST} plain characters. "
            "Make one: python -c 'import secrets; print(secrets.token_urlsafe())'"
        )
    return token


@dataclass(frozen=True)
class Server:
    """What is served, and where. log: the inference log's URL; None for none."""

    uri: str
    params: Path
    host: str
    port: int | None
    log: str | None
    ungated: bool

    def run(self) -> None:
        """Answer until SIGTERM or Ctrl+C; then finish what was taken.

        Raises ConfigError for settings that are wrong, a port that is taken and what must not be served; whatever
        `Alias.load` raises.
        """
        settings, data = read_serving_settings(self.params)
        token = read_token()
        os.environ["OMP_NUM_THREADS"] = str(settings.threads)  # before torch is imported
        with quiet_decoders(), self._listening(settings) as listener:
            import uvicorn

            from resnet_ops_monitoring.serving.application import make_app
            from resnet_ops_monitoring.serving.connection_guard import guarded
            from resnet_ops_monitoring.serving.log_lines import tell_in_json
            from resnet_ops_monitoring.serving.scoring import Scoring
            from resnet_ops_monitoring.serving.serving_metrics import ServingMetrics

            metrics = ServingMetrics()
            swap, canary, shadowed = self._versions(settings, metrics)
            app = make_app(Scoring(swap, settings, data, metrics, canary, shadowed), token)
            config = uvicorn.Config(
                app,
                log_config=None,
                access_log=False,
                server_header=False,
                ws="none",
                http=guarded(settings.receive_seconds, settings.max_connections),
                timeout_graceful_shutdown=max(1, round(settings.drain_seconds)),
            )
            host, port = listener.getsockname()[:2]
            console.print(
                f"{swap.current.identity} ({swap.current.gate}) answers on http://{host}:{port}/v1/score"
            )
            tell_in_json()
            self._warn(swap.current)
            with _stops_quietly():
                uvicorn.Server(config).run(sockets=[listener])
        console.print("Stopped.")

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

        alias = named_alias(self.uri, self.ungated, settings.threads)
        first = fixed_version(self.uri, settings.threads) if alias is None else alias.load(alias.place())
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

    @contextmanager
    def _listening(self, settings: ServingParams) -> Iterator[socket.socket]:
        """A port of our own before anything is loaded."""
        port = settings.port if self.port is None else self.port
        try:
            listener = socket.create_server((self.host, port), backlog=settings.max_connections)
        except (OSError, OverflowError) as error:
            why = getattr(error, "strerror", None) or error
            raise ConfigError(
                f"Cannot listen on {self.host}:{port}: {why}. Choose another: --port, or serve.port in {self.params}."
            ) from None
        with listener:
            yield listener


@contextmanager
def _stops_quietly() -> Iterator[None]:
    """Without the end by signal that uvicorn adds to its own: a server that was told to stop has not failed."""
    before = {each: signal.signal(each, lambda *_: None) for each in (signal.SIGTERM, signal.SIGINT)}
    try:
        yield
    finally:
        for each, handler in before.items():
            signal.signal(each, handler)
