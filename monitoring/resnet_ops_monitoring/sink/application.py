"""The routes of the sink."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from typing import Any

from fastapi import Depends, FastAPI, Request, Response
from fastapi.responses import JSONResponse
from prometheus_client import CONTENT_TYPE_LATEST
from pydantic import BaseModel, Field
from sqlalchemy.engine import URL
from starlette.types import ASGIApp

from resnet_ops_monitoring.inference_log.client.delivery import Delivery
from resnet_ops_monitoring.inference_log.client.writer_metrics import export_delivery
from resnet_ops_monitoring.sink.arrow import ARROW_TYPE
from resnet_ops_monitoring.sink.inference import Inference
from resnet_ops_monitoring.sink.intake import Intake
from resnet_ops_monitoring.sink.labelling import Labelling, labels_schema
from resnet_ops_monitoring.sink.limits import SinkLimits
from resnet_ops_monitoring.sink.reading import JSON_TYPE, Read, Reader
from resnet_ops_monitoring.web.admission import Admission, token_check
from resnet_ops_monitoring.web.application import enveloped, new_app, problems, takes
from resnet_ops_monitoring.web.envelope import Problem, problem
from resnet_ops_monitoring.web.refusal import Refusal
from resnet_ops_monitoring.web.request_metrics import RequestMetrics

__all__ = ["make_sink"]

_KINDS = (JSON_TYPE, ARROW_TYPE)
_MOST_NAMED = 20  # refused rows in an answer
_REASON = "a row that came over HTTP is none of the log's"


class Taken(BaseModel):
    """Rows that are in the log, or will be whatever happens to this process."""

    request_id: str
    taken: int


class RefusedRow(BaseModel):
    """One that the log cannot hold."""

    row: int = Field(description="its place in the array, from 0")
    reason: str


class PartlyTaken(Problem):
    """The rows that are not named are taken, as with status 200."""

    taken: int = 0
    refused: list[RefusedRow] = Field([], description=f"the first {_MOST_NAMED}")


class Labelled(BaseModel):
    """Labels that are in the log. changed: those that are new, or others than those before them."""

    request_id: str
    labels: int
    changed: int


_PROBLEMS = problems(
    {
        401: "the token is missing or wrong",
        408: "the body came too slowly",
        413: "the body is too large, or has too many rows",
        415: "the body is neither JSON nor Arrow by its content type, or is compressed",
        503: "the rows find no place, or too much is under way: send them again after Retry-After seconds",
        504: "no answer in time",
    }
)
_PROBLEMS[400] = {
    "model": PartlyTaken,
    "description": "the body is no array of rows; or rows are refused, and the others are taken",
}
_LABEL_PROBLEMS = problems(
    {
        400: "the body is none, a request has no answer in the log, or a label is no class: nothing is labelled",
        401: "the token is missing or wrong",
        408: "the body came too slowly",
        413: "the body is too large, or has too many labels",
        415: "the body is not JSON by its content type, or is compressed",
        503: "the log cannot be written to, or too much is under way: send them again after Retry-After seconds",
        504: "no answer in time: the labels may be written nonetheless, and can be sent again",
    }
)


def make_sink(log: URL, delivery: Delivery, token: str | None, limits: SinkLimits) -> ASGIApp:
    """The application that brings rows to `delivery`, and labels into the same log.

    token: that clients must send; None for none.
    """
    intake, metrics = Intake(delivery, limits.safe_seconds), RequestMetrics("resnet_ops_sink_")
    export_delivery(delivery, metrics.registry)
    reading = ThreadPoolExecutor(1, thread_name_prefix="reader")
    reader = Reader(limits.max_rows)
    labelling = Labelling(log.render_as_string(hide_password=False), limits.max_rows, reader.classes_of)
    writing = ThreadPoolExecutor(1, thread_name_prefix="labeller")  # which may wait for the database

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        intake.start()
        yield
        reading.shutdown()
        writing.shutdown()
        labelling.close()

    app = new_app("resnet-ops log serve", "Takes rows of the inference log, and labels.", lifespan)
    admission = Admission(
        max_requests=limits.max_requests,
        max_bytes=limits.max_bytes,
        max_bytes_in_all=limits.max_bytes_in_all,
        receive_seconds=limits.receive_seconds,
    )
    metrics.under_way.set_function(lambda: admission.under_way)
    guarded = [Depends(token_check(token))]
    _add_intake(app, intake, admission, reader, reading, guarded)
    _add_labels(app, labelling, admission, writing, guarded)
    _add_state(app, delivery, metrics, guarded)
    return enveloped(app, metrics, limits.answer_seconds)


def _add_intake(
    app: FastAPI,
    intake: Intake,
    admission: Admission,
    reader: Reader,
    reading: ThreadPoolExecutor,
    guarded: list[Any],
) -> None:
    rows = {"type": "array", "minItems": 1, "items": _row_schema()}

    @app.post(
        "/v1/inferences",
        response_model=Taken,
        responses=_PROBLEMS,
        dependencies=guarded,
        openapi_extra=takes(
            {JSON_TYPE: {"schema": rows}, ARROW_TYPE: {"schema": {"type": "string", "format": "binary"}}}
        ),
    )
    async def inferences(request: Request) -> Response:
        """Log rows, each once for its request id, digest and status however often it is sent."""
        with admission.admit() as receive:
            kind = _kind(request, _KINDS)
            body = await receive(request)
            found = await asyncio.get_running_loop().run_in_executor(reading, reader.read, kind, body)
            if found.rows:
                await intake.store(found.rows)
        request.state.told = {"rows": len(found.rows), "refused": len(found.refused)}
        return _answer(request.state.request_id, found, intake.delivery)


def _add_labels(
    app: FastAPI,
    labelling: Labelling,
    admission: Admission,
    writing: ThreadPoolExecutor,
    guarded: list[Any],
) -> None:
    @app.post(
        "/v1/labels",
        response_model=Labelled,
        responses=_LABEL_PROBLEMS,
        dependencies=guarded,
        openapi_extra=takes({JSON_TYPE: {"schema": labels_schema()}}),
    )
    async def labels(request: Request) -> dict[str, Any]:
        """Write down true classes of logged requests, all or none. The latest of a request counts, all are kept."""
        with admission.admit() as receive:
            _kind(request, (JSON_TYPE,))
            body = await receive(request)
            given, changed = await asyncio.get_running_loop().run_in_executor(writing, labelling.write, body)
        request.state.told = {"labels": given, "changed": changed}
        return {"request_id": request.state.request_id, "labels": given, "changed": changed}


def _kind(request: Request, known: Sequence[str]) -> str:
    """The body's content type. Raises Refusal for another, and where it is compressed."""
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind not in known:
        raise Refusal(415, f"The content type is not {' or '.join(known)}.")
    if request.headers.get("content-encoding", "identity") != "identity":
        raise Refusal(415, "The body is compressed. Send it as it is.")
    return kind


def _row_schema() -> dict[str, Any]:
    """Of one row, in one piece: references would be looked for at the document's root."""
    schema = Inference.model_json_schema()
    parts = schema.pop("$defs")
    schema["properties"]["statistics"]["anyOf"] = [parts["Statistics"], {"type": "null"}]
    return schema


def _answer(request_id: str, found: Read, delivery: Delivery) -> JSONResponse:
    taken = len(found.rows)
    if not found.refused:
        return JSONResponse({"request_id": request_id, "taken": taken})
    for each in found.lost:
        delivery.losses.add(
            "refused", each.identity, each.source, each.time, each.time, _REASON, route=each.route
        )
    named = [{"row": row, "reason": why} for row, why in list(found.refused.items())[:_MOST_NAMED]]
    words = f"{len(found.refused)} of {taken + len(found.refused)} rows are refused, {taken} are taken."
    return problem(Refusal(400, words), request_id, taken=taken, refused=named)


def _add_state(app: FastAPI, delivery: Delivery, metrics: RequestMetrics, guarded: list[Any]) -> None:
    @app.get("/readyz", responses=problems({503: "rows find no place"}))
    async def readyz() -> dict[str, str]:
        """Whether rows find a place."""
        if delivery.trouble and delivery.queue.rows:
            raise Refusal(503, f"Rows find no place: {delivery.trouble}.", 1)
        return {"status": "ready"}

    @app.get(
        "/metrics",
        dependencies=guarded,
        responses=problems({401: _PROBLEMS[401]["description"]}),
        response_class=Response,
    )
    async def numbers() -> Response:
        """For Prometheus."""
        return Response(await asyncio.to_thread(metrics.text), media_type=CONTENT_TYPE_LATEST)
