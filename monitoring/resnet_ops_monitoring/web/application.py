"""What is the same about every application: no scripts from elsewhere, every error a `Problem`, all in one envelope."""

from collections.abc import Callable, Mapping
from contextlib import AbstractAsyncContextManager
from typing import Any

from fastapi import FastAPI
from starlette.types import ASGIApp

from resnet_ops_monitoring.web.envelope import Envelope, Problem, explain_errors
from resnet_ops_monitoring.web.request_metrics import RequestMetrics

__all__ = ["enveloped", "new_app", "problems", "takes"]


def new_app(
    title: str, description: str, lifespan: Callable[[FastAPI], AbstractAsyncContextManager[None]]
) -> FastAPI:
    """Without routes. lifespan: what holds while it answers."""
    app = FastAPI(
        title=title,
        version="1",
        description=description,
        lifespan=lifespan,
        docs_url=None,  # they load their scripts from elsewhere
        redoc_url=None,
    )
    explain_errors(app)

    @app.get("/healthz")
    async def healthz() -> dict[str, str]:
        """Whether the process answers."""
        return {"status": "ok"}

    return app


def enveloped(app: FastAPI, metrics: RequestMetrics, seconds: float, front: ASGIApp | None = None) -> ASGIApp:
    """The application with all its routes, as it is served.

    seconds: that a request may take. front: what is asked before the application, and asks it.
    """
    routes = [str(getattr(route, "path", "")) for route in app.routes]
    # outermost, so that answers to what fails unexpectedly are like all others
    return Envelope(front or app, metrics, seconds, routes)


def problems(words: Mapping[int, str]) -> dict[int | str, dict[str, Any]]:
    """Statuses with what they mean, as OpenAPI has them."""
    return {status: {"model": Problem, "description": each} for status, each in words.items()}


def takes(content: dict[str, Any]) -> dict[str, Any]:
    """A body that a route needs, by content type, as OpenAPI has it."""
    return {"requestBody": {"required": True, "content": content}}
