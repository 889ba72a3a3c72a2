"""Command of `resnet-ops log` for servers that are not Python: serve."""

from typing import Annotated

import typer

from resnet_ops.console import report_errors
from resnet_ops.extras import require
from resnet_ops_monitoring.cli.log_url import Log, log_url

__all__ = ["serve_log"]


def serve_log(
    host: Annotated[str, typer.Option(help="Address to listen on.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(help="To listen on; 0 for one that is free.")] = 8081,
    log: Log = "",
) -> None:
    """Take rows for the log over HTTP, from servers in any language, until told to stop."""
    with report_errors("log serve"):
        require("log serve", "fastapi", "httptools", "uvicorn")
        from resnet_ops_monitoring.sink.server import Sink

        Sink(host, port, log_url(log)).run()
