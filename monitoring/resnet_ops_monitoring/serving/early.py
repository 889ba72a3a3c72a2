"""An answer before the routes, whose work costs several times as much: who would wait too long is told so."""

from fastapi import Request
from starlette.types import ASGIApp, Receive, Scope, Send

from resnet_ops_monitoring.serving.scoring import Scoring
from resnet_ops_monitoring.web.admission import sends_token
from resnet_ops_monitoring.web.envelope import path_of, problem
from resnet_ops_monitoring.web.refusal import Refusal

__all__ = ["Early"]

_ROUTES = ("/v1/score", "/invocations")
_SMALL = 64 * 2**10
"""Bytes of a body: one that is larger would still be coming when its connection is wanted for the next request."""


class Early:
    """Around the application, within its envelope."""

    def __init__(self, app: ASGIApp, scoring: Scoring, token: str | None) -> None:
        self._app, self._scoring, self._token = app, scoring, token

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """One request."""
        refusal = self._refusal(Request(scope)) if scope["type"] == "http" else None
        if refusal is None:
            await self._app(scope, receive, send)
            return
        while (await receive()).get("more_body"):
            pass
        await problem(refusal, scope["state"]["request_id"])(scope, receive, send)

    def _refusal(self, request: Request) -> Refusal | None:
        length = request.headers.get("content-length", "")
        if request.method != "POST" or path_of(request.scope) not in _ROUTES:
            return None
        if not length.isdecimal() or int(length) > _SMALL or not sends_token(request, self._token):
            return None
        return self._scoring.refusal_of(request)
