"""Who is let in: with which token, how many at once, and with how much of a body."""

import asyncio
import hmac
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from fastapi import Request
from starlette.requests import ClientDisconnect

from resnet_ops_monitoring.web.refusal import Refusal

__all__ = ["BUSY", "Admission", "sends_token", "token_check"]

_BUSY, BUSY = "The server is busy", 503
_Receive = Callable[[Request], Awaitable[bytes]]


@dataclass(kw_only=True)
class Admission:
    """For one event loop. Beyond these bounds clients are told to come back."""

    max_requests: int
    """Under way at once."""
    max_bytes: int
    """Of a body."""
    max_bytes_in_all: int
    """Of the bodies of all requests under way."""
    receive_seconds: float
    """That a body may take to come."""
    under_way: int = 0
    """Requests that were taken and not answered yet."""
    _received: int = 0

    @contextmanager
    def admit(self) -> Iterator[_Receive]:
        """What receives a request's body, whose bytes count as held until the request ends. Both raise Refusal."""
        if self.under_way >= self.max_requests:
            raise Refusal(BUSY, f"{_BUSY} with {self.under_way} requests. Come back later.", 1)
        self.under_way += 1
        try:
            with self._receiving() as receive:
                yield receive
        finally:
            self.under_way -= 1

    @contextmanager
    def _receiving(self) -> Iterator[_Receive]:
        held = 0
        most = self.max_bytes

        async def receive(request: Request) -> bytes:
            nonlocal held
            parts: list[bytes] = []
            if int(request.headers.get("content-length", 0)) > most:
                raise Refusal(413, f"The body is larger than {most} bytes.")
            try:
                async with asyncio.timeout(self.receive_seconds):
                    async for part in request.stream():
                        held += len(part)
                        self._received += len(part)
                        if held > most:
                            raise Refusal(413, f"The body is larger than {most} bytes.")
                        if self._received > self.max_bytes_in_all:
                            raise Refusal(BUSY, f"{_BUSY} with {self._received} bytes. Come back later.", 1)
                        parts.append(part)
            except TimeoutError:
                raise Refusal(
                    408, f"The body did not come within {self.receive_seconds:g} seconds."
                ) from None
            except ClientDisconnect:
                raise Refusal(400, "The client hung up before its body was complete.") from None
            return b"".join(parts)

        try:
            yield receive
        finally:
            self._received -= held


def sends_token(request: Request, token: str | None) -> bool:
    """Whether a request may be answered. token: that it must send; None for none."""
    given = request.headers.get("authorization", "").encode()
    return token is None or hmac.compare_digest(given, f"Bearer {token}".encode())


def token_check(token: str | None) -> Callable[[Request], Awaitable[None]]:
    """A dependency of routes that refuses whoever does not send it. None: nobody is asked for one."""

    async def check(request: Request) -> None:
        if not sends_token(request, token):
            raise Refusal(401, "The token is missing or wrong. Send the header Authorization: Bearer TOKEN.")

    return check
