"""What is the same about every answer: its id, trace, time limit, line in the log and count, and how it says no."""

import asyncio
import logging
import re
import time
import uuid
from collections.abc import Iterable
from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from pydantic import BaseModel, Field
from starlette.exceptions import HTTPException
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from resnet_ops_monitoring.web.connection_guard import ARRIVED, CROWDED
from resnet_ops_monitoring.web.refusal import Refusal
from resnet_ops_monitoring.web.request_metrics import RequestMetrics

__all__ = ["Envelope", "Problem", "explain_errors", "path_of", "problem"]

_logger = logging.getLogger(__name__)
_ID = re.compile(rb"[A-Za-z0-9][A-Za-z0-9._:/@+=-]{0,127}")
_TRACE = re.compile(rb"(?!ff)[0-9a-f]{2}-(?!0{32})[0-9a-f]{32}-(?!0{16})[0-9a-f]{16}-[0-9a-f]{2}")
_CODES = {400: "BAD_REQUEST", 401: "UNAUTHENTICATED", 404: "ENDPOINT_NOT_FOUND", 405: "METHOD_NOT_ALLOWED"}
_CODES |= {408: "REQUEST_TIMEOUT", 413: "REQUEST_TOO_LARGE", 415: "UNSUPPORTED_MEDIA_TYPE"}
_CODES |= {500: "INTERNAL_ERROR", 503: "TEMPORARILY_UNAVAILABLE", 504: "DEADLINE_EXCEEDED"}


class Problem(BaseModel):
    """Why there is no answer."""

    error_code: str = Field(description="as MLflow's clients expect it")
    message: str = Field(description="one line")
    request_id: str


def problem(refusal: Refusal, request_id: str, **more: Any) -> JSONResponse:
    """The answer to a request that is refused, in the words of MLflow's clients. more: content beside these."""
    code = _CODES.get(refusal.status, "BAD_REQUEST")
    content = {"error_code": code, "message": str(refusal), "request_id": request_id, **more}
    headers = {} if refusal.retry_after is None else {"Retry-After": str(refusal.retry_after)}
    if refusal.status == 401:
        headers["WWW-Authenticate"] = "Bearer"
    return JSONResponse(content, refusal.status, headers)


def explain_errors(app: FastAPI) -> None:
    """Have every refusal and error of the application answered as a `Problem`."""

    def answer(request: Request, refusal: Refusal) -> JSONResponse:
        return problem(refusal, request.state.request_id)

    @app.exception_handler(Refusal)
    async def refused(request: Request, error: Refusal) -> JSONResponse:
        return answer(request, error)

    @app.exception_handler(RequestValidationError)
    async def invalid(request: Request, error: RequestValidationError) -> JSONResponse:
        first = error.errors()[0]
        return answer(request, Refusal(400, f"{first['loc'][-1]}: {first['msg']}"))

    @app.exception_handler(HTTPException)
    async def elsewhere(request: Request, error: HTTPException) -> JSONResponse:
        found = answer(
            request, Refusal(error.status_code, f"{request.method} {request.url.path}: {error.detail}")
        )
        found.headers.update(error.headers or {})
        return found

    @app.exception_handler(Exception)
    async def failed(request: Request, error: Exception) -> JSONResponse:
        return answer(request, Refusal(500, f"The server failed ({type(error).__name__})."))


class Envelope:
    """Around the application. Nothing of a body comes into a log."""

    def __init__(self, app: ASGIApp, metrics: RequestMetrics, seconds: float, routes: Iterable[str]) -> None:
        self._app, self._metrics, self._seconds, self._routes = app, metrics, seconds, frozenset(routes)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """One request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        now, status = time.perf_counter(), 0
        begin = scope["state"].get(ARRIVED, now)
        headers = dict(scope["headers"])
        request_id = _asked_for(headers) or uuid.uuid4().hex
        scope["state"].update(request_id=request_id, begun=begin, unread=now - begin)
        trace = headers.get(b"traceparent", b"")
        passed_on = [(b"x-request-id", request_id.encode())]
        passed_on += [(b"traceparent", trace)] if _TRACE.fullmatch(trace) else []

        async def send_on(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                message = {**message, "headers": [*message["headers"], *passed_on]}
            await send(message)

        app = _turn_away if scope["state"].get(CROWDED) else self._app
        try:
            async with asyncio.timeout(self._seconds):
                await app(scope, receive, send_on)
        except TimeoutError:
            if status:
                return  # who does not take the answer is hung up on
            late = Refusal(504, f"There was no answer within {self._seconds:g} seconds.", 1)
            await problem(late, request_id)(scope, receive, send_on)
        finally:
            self._note(scope, status, time.perf_counter() - begin, request_id, passed_on[1:])

    def _note(
        self, scope: Scope, status: int, seconds: float, request_id: str, trace: list[tuple[bytes, bytes]]
    ) -> None:
        path = path_of(scope)
        route = path if path in self._routes else "other"
        self._metrics.requests.labels(route, str(status)).inc()
        self._metrics.answered.labels(route).observe(seconds)
        fields = {"route": route, "status": status, "ms": round(1000 * seconds, 2), "request_id": request_id}
        fields |= {name.decode(): value.decode() for name, value in trace}
        _logger.info("answered", extra={"fields": fields | scope["state"].get("told", {})})


def path_of(scope: Scope) -> str:
    """Of a request, below where the application is put, as by Ray's `route_prefix`."""
    path: str = scope["path"]
    return path.removeprefix(scope.get("root_path", ""))


async def _turn_away(scope: Scope, receive: Receive, send: Send) -> None:
    crowded = Refusal(503, "The server has as many connections as it takes. Come back later.", 1)
    answer = problem(crowded, scope["state"]["request_id"])
    answer.headers["Connection"] = "close"
    await answer(scope, receive, send)


def _asked_for(headers: dict[bytes, bytes]) -> str | None:
    found = headers.get(b"x-request-id", b"")
    return found.decode() if _ID.fullmatch(found) else None
