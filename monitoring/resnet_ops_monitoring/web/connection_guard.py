"""Connections that must not hold a place for ever: headers have a time and a size."""

import asyncio
import socket
import sys
import time
from contextlib import suppress
from typing import Any, ClassVar

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

__all__ = ["ARRIVED", "CROWDED", "guarded"]

ARRIVED, CROWDED = "arrived", "crowded"
_TCP_INFO, _UNREAD = getattr(socket, "TCP_INFO", None), slice(52, 56)
"""Where the system says for how many ms the last bytes have been there: `tcpi_last_data_recv` of Linux's tcp_info."""

_MOST_HEADER_BYTES = 32 * 2**10


def guarded(seconds: float, most: int) -> type[HttpToolsProtocol]:
    """uvicorn's protocol, which hangs up on a client whose headers take longer, or more than 32 KiB.

    The same holds for what comes after an answer and begins no request, and for the trailers of a body in chunks.
    Requests while there are `most` connections are marked CROWDED in the state of their scope. ARRIVED in it is when
    their bytes came, by `time.perf_counter`: a server that is behind reads them later.
    """
    return type("Guarded", (_Guarded,), {"seconds": seconds, "most": most})


class _Guarded(HttpToolsProtocol):
    seconds: ClassVar[float]
    most: ClassVar[int]

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        self._trailing = False
        super().connection_made(transport)
        self._await_headers()

    def data_received(self, data: bytes) -> None:
        if self._headers_due is not None:
            self._header_bytes += len(data)
        super().data_received(data)
        if self._headers_due is None and self._answered():  # bytes have taken uvicorn's own time limit off
            self._await_headers()
        if self._header_bytes > _MOST_HEADER_BYTES:
            self.transport.close()

    def on_message_begin(self) -> None:
        self._trailing, self._arrived = False, time.perf_counter() - _unread(self.transport)
        super().on_message_begin()
        if self._headers_due is None:  # another request of the same connection
            self._await_headers()

    def on_header(self, name: bytes, value: bytes) -> None:
        if self._trailing:  # nobody reads these, and uvicorn would keep them
            self._header_bytes += len(name) + len(value)
        else:
            super().on_header(name, value)

    def on_headers_complete(self) -> None:
        self._let_go()
        self._trailing, self._header_bytes = True, 0
        self.scope["state"][ARRIVED] = self._arrived
        self.scope["state"][CROWDED] = len(self.connections) >= self.most
        super().on_headers_complete()

    def connection_lost(self, exc: Exception | None) -> None:
        self._let_go()
        super().connection_lost(exc)

    def _answered(self) -> bool:
        return self.cycle is None or self.cycle.response_complete

    def _await_headers(self) -> None:
        self._header_bytes = 0
        self._headers_due: Any = self.loop.call_later(self.seconds, self.transport.close)

    def _let_go(self) -> None:
        if self._headers_due is not None:
            self._headers_due.cancel()
            self._headers_due = None


def _unread(transport: asyncio.Transport) -> float:
    """Seconds; 0 where nobody knows."""
    if _TCP_INFO is not None:
        with suppress(AttributeError, OSError):
            found = transport.get_extra_info("socket").getsockopt(socket.IPPROTO_TCP, _TCP_INFO, _UNREAD.stop)
            return int.from_bytes(found[_UNREAD], sys.byteorder) / 1000
    return 0.0
