"""`resnet-ops log serve`: from a database's URL to a sink that takes rows, and to its end."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from sqlalchemy.engine import URL

from resnet_ops.console import console
from resnet_ops_monitoring.inference_log.client.delivery import LIMITS as QUEUE
from resnet_ops_monitoring.inference_log.client.delivery import Delivery
from resnet_ops_monitoring.inference_log.client.spool import spool_root
from resnet_ops_monitoring.inference_log.client.writer import CLOSE_WITHIN
from resnet_ops_monitoring.inference_log.database import make_engine, parse
from resnet_ops_monitoring.sink.application import make_sink
from resnet_ops_monitoring.sink.limits import LIMITS
from resnet_ops_monitoring.web.log_lines import tell_in_json
from resnet_ops_monitoring.web.running import configuration, listening, run
from resnet_ops_monitoring.web.token import Token
from resnet_ops_registry.common.settings import mask_password

__all__ = ["TOKEN", "Sink"]

TOKEN = Token("RESNET_OPS_LOG_TOKEN")


@dataclass(frozen=True)
class Sink:
    """Where it listens, and the log's database, which may be away."""

    host: str
    port: int
    log: str

    def run(self) -> None:
        """Take rows until SIGTERM or Ctrl+C; then flush.

        Raises ConfigError for an address that cannot be listened on, and a URL that is none.
        """
        url, token = parse(self.log), TOKEN.read()
        make_engine(url).dispose()  # says now what it could only say in a thread
        with (
            listening(self.host, self.port, LIMITS.max_connections, TOKEN, "--port") as listener,
            _delivering(url) as delivery,
        ):
            config = configuration(
                make_sink(url, delivery, token, LIMITS),
                receive_seconds=LIMITS.receive_seconds,
                max_connections=LIMITS.max_connections,
                drain_seconds=LIMITS.drain_seconds,
            )
            host, port = listener.getsockname()[:2]
            place = mask_password(url.render_as_string())
            console.print(f"Rows for {place} are taken on http://{host}:{port}/v1/inferences")
            tell_in_json()
            run(config, listener)
        console.print("Stopped.")


@contextmanager
def _delivering(url: URL) -> Iterator[Delivery]:
    delivery = Delivery(url, spool_root(), QUEUE)
    try:
        yield delivery
    finally:
        delivery.close(CLOSE_WITHIN)
