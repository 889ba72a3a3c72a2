"""The routes: what can be asked over HTTP."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Annotated, Any

from fastapi import Depends, FastAPI, Query, Request, Response
from prometheus_client import CONTENT_TYPE_LATEST
from starlette.types import ASGIApp

from resnet_ops_monitoring.serving.answer import (
    Scores,
    Status,
    as_mlflow,
    as_picture,
    as_scores,
    headers_of,
)
from resnet_ops_monitoring.serving.body import ARRAY_TYPES, read_body, read_inputs
from resnet_ops_monitoring.serving.early import Early
from resnet_ops_monitoring.serving.scoring import LONGEST_NAME, Scoring
from resnet_ops_monitoring.serving.status import log_metrics, status_of
from resnet_ops_monitoring.web.admission import token_check
from resnet_ops_monitoring.web.application import enveloped, new_app, problems, takes
from resnet_ops_monitoring.web.refusal import Refusal

__all__ = ["make_app"]

PNG = "image/png"
_PICTURED = "Scores; or, of one image and with `Accept: image/png`, a picture of it"
_BINARY = {"schema": {"type": "string", "format": "binary"}}
_ARRAY = {"type": "array", "items": {}, "minItems": 1}
_PROBLEMS = problems(
    {
        400: "the body is no image or array that the model takes",
        401: "the token is missing or wrong",
        406: "no picture of this answer can be given",
        408: "the body came too slowly",
        413: "the body is too large",
        415: "the content type is none that is taken",
        500: "the model failed",
        503: "too much is under way: come back after Retry-After seconds",
        504: "no answer in time",
    }
)


def make_app(scoring: Scoring, token: str | None) -> ASGIApp:
    """The application that answers with `scoring`. token: that clients must send; None for none."""

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        scoring.start()
        yield
        await asyncio.to_thread(scoring.close)

    app = new_app(
        "resnet-ops serve", "Scores images with a registered version that the gate let pass.", lifespan
    )
    _add_scoring(app, scoring, [Depends(token_check(token))])
    _add_state(app, scoring, [Depends(token_check(token))])
    return enveloped(app, scoring.metrics, scoring.settings.answer_seconds, front=Early(app, scoring, token))


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
        responses={**_PROBLEMS, 200: {"content": {PNG: _BINARY}, "description": _PICTURED}},
        dependencies=guarded,
        openapi_extra=takes({**content, ARRAY_TYPES[0]: {"schema": images}}),
    )
    async def score(
        request: Request,
        embedding: Annotated[
            bool, Query(description="also answer with the features before the head")
        ] = False,
        drawn: Annotated[
            bool,
            Query(description="also draw the answers on the images, where the version gives masks or boxes"),
        ] = False,
        source: Annotated[str | None, _named("camera or line, for the inference log")] = None,
        group: Annotated[
            str | None,
            _named("what the images are alike by, such as a part; a pseudonym, for the inference log"),
        ] = None,
    ) -> Response:
        """Score one image, or an array of them."""
        version, scored = await scoring.answer(request, read_body, source, group)
        if _only_a_picture(request):
            picture = await asyncio.to_thread(as_picture, version, scored, drawn)
            return Response(picture, media_type=PNG, headers=headers_of(version))

        def answer() -> Response:
            said = as_scores(version, scored, request.state.request_id, embedding, drawn)
            return _json_response(said, headers_of(version))

        return await asyncio.to_thread(answer) if version.is_large else answer()

    @app.post(
        "/invocations",
        responses=_PROBLEMS,
        dependencies=guarded,
        openapi_extra=takes({ARRAY_TYPES[0]: {"schema": inputs}}),
    )
    async def invocations(request: Request) -> Response:
        """Score as `mlflow models serve` does: arrays in; probabilities in the order of the classes out, or boxes."""
        version, scored = await scoring.answer(request, read_inputs, None, None)

        def answer() -> Response:
            said = {"predictions": as_mlflow(scored.predictions)}
            return _json_response(said, headers_of(version))

        return await asyncio.to_thread(answer) if version.is_large else answer()


def _only_a_picture(request: Request) -> bool:
    """Whether the client names PNG and not JSON as what it takes."""
    named = {each.partition(";")[0].strip().lower() for each in request.headers.get("accept", "").split(",")}
    return PNG in named and ARRAY_TYPES[0] not in named


def _named(words: str) -> Any:
    return Query(min_length=1, max_length=LONGEST_NAME, pattern=r"^[^\x00]+$", description=words)


def _json_response(content: dict[str, Any], headers: dict[str, str]) -> Response:
    try:
        text = json.dumps(content, allow_nan=False, ensure_ascii=False, separators=(",", ":"))
    except ValueError:
        raise Refusal(500, "The model answered with numbers that are not finite.") from None
    return Response(text.encode(), media_type="application/json", headers=headers)


def _add_state(app: FastAPI, scoring: Scoring, guarded: list[Any]) -> None:
    @app.get("/ping", include_in_schema=False)
    @app.get("/health", include_in_schema=False)
    async def ping() -> dict[str, str]:
        """As MLflow's servers say that they answer."""
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
