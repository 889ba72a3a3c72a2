"""A server from its port to its end."""

import gc
import ipaddress
import signal
import socket
from collections.abc import Iterator
from contextlib import contextmanager

import uvicorn
from starlette.types import ASGIApp

from resnet_ops.errors import ConfigError
from resnet_ops_monitoring.web.connection_guard import guarded
from resnet_ops_monitoring.web.token import Token

__all__ = ["configuration", "keep_what_is_loaded", "listening", "run"]


@contextmanager
def listening(host: str, port: int, backlog: int, token: Token, other_port: str) -> Iterator[socket.socket]:
    """A port of our own. token: without which only this machine is answered; other_port: how one names another port.

    Raises ConfigError for a port that is taken, and for an address that others reach where no token is set.
    """
    try:
        if not 0 <= port <= 65535:
            raise ValueError("a port lies between 0 and 65535")
        address = socket.gethostbyname(host)
        listener = socket.create_server((address, port), backlog=backlog)
    except (OSError, ValueError) as error:
        why = getattr(error, "strerror", None) or error
        raise ConfigError(f"Cannot listen on {host!r}:{port}: {why}. Choose another: {other_port}.") from None
    with listener:
        if not ipaddress.ip_address(address).is_loopback and token.read() is None:
            raise ConfigError(
                f"Other machines reach {address}, and no token is set. Set {token.variable} or {token.file_variable}, "
                "or listen on 127.0.0.1."
            )
        yield listener


def configuration(
    app: ASGIApp, *, receive_seconds: float, max_connections: int, drain_seconds: float
) -> uvicorn.Config:
    """uvicorn with our guard, which tells nothing by itself."""
    return uvicorn.Config(
        app,
        log_config=None,
        access_log=False,
        server_header=False,
        ws="none",
        http=guarded(receive_seconds, max_connections),
        timeout_graceful_shutdown=max(1, round(drain_seconds)),
    )


def run(config: uvicorn.Config, listener: socket.socket) -> None:
    """Answer until SIGTERM or Ctrl+C, then finish what was taken."""
    keep_what_is_loaded()
    with _stops_quietly():
        uvicorn.Server(config).run(sockets=[listener])


def keep_what_is_loaded() -> None:
    """Have the collector of cycles pass over what is in memory by now, which a server keeps: looking through all of it
    would stop all answers for some 200 ms about once in 1,500 requests.
    """
    gc.collect()
    gc.freeze()


@contextmanager
def _stops_quietly() -> Iterator[None]:
    """Without the end by signal that uvicorn adds to its own: a server that was told to stop has not failed."""
    before = {each: signal.signal(each, lambda *_: None) for each in (signal.SIGTERM, signal.SIGINT)}
    try:
        yield
    finally:
        for each, handler in before.items():
            signal.signal(each, handler)
