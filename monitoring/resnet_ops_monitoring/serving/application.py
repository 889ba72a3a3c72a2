"""The routes: what can be asked over HTTP."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Annotated, Any

from fastapi import Depends, FastAPI, Query, Request, Response
from prometheus_client import CONTENT_TYPE_LATEST
from starlette.types import ASGIApp

from resnet_ops_monitoring.serving.answer import Scores, Status, as_scores, headers_of
from resnet_ops_monitoring.serving.body import ARRAY_TYPES, read_body, read_inputs
from resnet_ops_monitoring.serving.scoring import Scoring
from resnet_ops_monitoring.serving.status import log_metrics, status_of
from resnet_ops_monitoring.web.admission import token_check
from resnet_ops_monitoring.web.envelope import Envelope, Problem, explain_errors
from resnet_ops_monitoring.web.refusal import Refusal

__all__ = ["make_app"]

_BINARY = {"schema": {"type": "string", "format": "binary"}}
_ARRAY = {"type": "array", "items": {}, "minItems": 1}
_PROBLEMS: dict[int | str, dict[str, Any]] = {
    status: {"model": Problem, "description": words}
    for status, words in {
        400: "the body is no image or array that the model takes",
        401: "the token is missing or wrong",
        408: "the body came too slowly",
        413: "the body is too large",
        415: "the content type is none that is taken",
        500: "the model failed",
        503: "too much is under way: come back after Retry-After seconds",
        504: "no answer in time",
    }.items()
}


def make_app(scoring: Scoring, token: str | None) -> ASGIApp:
    """The application that answers with `scoring`. token: that clients must send; None for none."""

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        scoring.start()
        yield
        await asyncio.to_thread(scoring.close)

    app = FastAPI(
        title="resnet-ops serve",
        version="1",
        description="Scores images with a registered version that the gate let pass.",
        lifespan=lifespan,
        docs_url=None,  # they load their scripts from elsewhere
        redoc_url=None,
    )
    explain_errors(app)
    _add_scoring(app, scoring, [Depends(token_check(token))])
    _add_state(app, scoring, [Depends(token_check(token))])
    routes = [str(getattr(route, "path", "")) for route in app.routes]
    # outermost, so that answers to what fails unexpectedly are like all others
    return Envelope(app, scoring.metrics, scoring.settings.answer_seconds, routes)


def _add_scoring(app: FastAPI, scoring: Scoring, guarded: list[Any]) -> None:
    content = {"image/jpeg": _BINARY, "image/png": _BINARY, "image/webp": _BINARY, ARRAY_TYPES[1]: _BINARY}
    images = {"type": "object", "required": ["images"], "properties": {"images": _ARRAY}}
    inputs = {
        "type": "object",
        "required": ["inputs"],
        "properties": {"inputs": _ARRAY, "params": {"type": "object"}},
    }

    @app.post(
        "/v1/score",
        response_model=Scores,
        responses=_PROBLEMS,
        dependencies=guarded,
        openapi_extra=_takes({**content, ARRAY_TYPES[0]: {"schema": images}}),
    )
    async def score(
        request: Request,
        embedding: Annotated[
            bool, Query(description="also answer with the features before the head")
        ] = False,
        source: Annotated[str | None, _named("camera or line, for the inference log")] = None,
        group: Annotated[
            str | None,
            _named("what the images are alike by, such as a part; a pseudonym, for the inference log"),
        ] = None,
    ) -> Response:
        """Score one image, or an array of them."""
        version, scored = await scoring.answer(request, read_body, source, group)
        said = as_scores(version, scored, request.state.request_id, embedding)
        return _json_response(said, headers_of(version))

    @app.post(
        "/invocations",
        responses=_PROBLEMS,
        dependencies=guarded,
        openapi_extra=_takes({ARRAY_TYPES[0]: {"schema": inputs}}),
    )
    async def invocations(request: Request) -> Response:
        """Score as `mlflow models serve` does: arrays in, probabilities out, in the order of the model's classes."""
        version, scored = await scoring.answer(request, read_inputs, None, None)
        return _json_response({"predictions": scored.predictions.probabilities.tolist()}, headers_of(version))


def _named(words: str) -> Any:
    return Query(min_length=1, max_length=200, pattern=r"^[^\x00]+$", description=words)


def _takes(content: dict[str, Any]) -> dict[str, Any]:
    return {"requestBody": {"required": True, "content": content}}


def _json_response(content: dict[str, Any], headers: dict[str, str]) -> Response:
    try:
        text = json.dumps(content, allow_nan=False, ensure_ascii=False, separators=(",", ":"))
    except ValueError:
        raise Refusal(500, "The model answered with numbers that are not finite.") from None
    return Response(text.encode(), media_type="application/json", headers=headers)


def _add_state(app: FastAPI, scoring: Scoring, guarded: list[Any]) -> None:
    @app.get("/healthz")
    @app.get("/ping", include_in_schema=False)
    @app.get("/health", include_in_schema=False)
    async def healthz() -> dict[str, str]:
        """Whether the process answers."""
        return {"status": "ok"}

    @app.get("/readyz")
    async def readyz() -> dict[str, str]:
        """Whether a version answers, which one, and what keeps the alias's version from it."""
        return {"status": "ready", **scoring.swap.current.named, "trouble": scoring.swap.trouble}

    @app.get("/v1/status", response_model=Status, dependencies=guarded, responses={401: _PROBLEMS[401]})
    async def status() -> Status:
        """What the server does now."""
        return status_of(scoring)

    @app.get("/metrics", dependencies=guarded, responses={401: _PROBLEMS[401]}, response_class=Response)
    async def metrics() -> Response:
        """For Prometheus."""
        text = scoring.metrics.text() + log_metrics(scoring)
        return Response(text, media_type=CONTENT_TYPE_LATEST)
