"""What is answered: as OpenAPI describes it, and as it is made from what the model said."""

import base64
from datetime import datetime
from typing import Any
from urllib.parse import quote

import numpy as np
from pydantic import BaseModel, Field

from resnet_ops.predictions import Predictions
from resnet_ops.tasks.watching.watching import watching_of
from resnet_ops_monitoring.serving.scorer import Scored
from resnet_ops_monitoring.serving.version import Version
from resnet_ops_monitoring.web.refusal import Refusal

__all__ = [
    "CanaryStatus",
    "Scores",
    "ShadowStatus",
    "Status",
    "as_mlflow",
    "as_picture",
    "as_scores",
    "headers_of",
]


class Decision(BaseModel):
    """Where the version has an operating point in its signed evidence: what it decides."""

    positive: bool
    score: float = Field(description="sum of the probabilities of the positive classes")
    threshold: float = Field(description="positive from this score on")
    classes: list[str] = Field(description="that count as positive")


class Prediction(BaseModel):
    """Of one image."""

    predicted: str = Field(alias="class", description="the most probable class")
    probabilities: dict[str, float] = Field(description="by class; they sum to 1")
    decision: Decision | None = None
    embedding: list[float] | None = Field(None, description="before the head; with embedding=true")


class MaskPrediction(BaseModel):
    """Of one image, where the version answers with a class for each pixel."""

    mask: str = Field(
        description="PNG as base64, of the side that the model takes: the palette's index of a pixel is its class, by "
        "its place in `shares`"
    )
    shares: dict[str, float] = Field(
        description="by class, of the pixels that show the image, which are all of an array; they sum to 1"
    )
    confidence: float = Field(description="mean over these pixels of the highest probability")
    drawn: str | None = Field(None, description="the mask on the image, PNG as base64; with drawn=true")
    embedding: list[float] | None = Field(None, description="before the head; with embedding=true")


class FoundObject(BaseModel):
    """One of those that a version with boxes found in an image."""

    kind: str = Field(alias="class")
    score: float = Field(description="in [0, 1]")
    box: tuple[float, float, float, float] = Field(
        description="left, top, right, bottom in pixels of the square that the model takes"
    )
    image_box: tuple[float, float, float, float] | None = Field(
        None,
        description="likewise in pixels of the image file that was sent, as a viewer shows it (turned by its EXIF "
        "orientation); of an array there is none",
    )


class BoxPrediction(BaseModel):
    """Of one image, where the version answers with boxes."""

    objects: list[FoundObject] = Field(description="those that count, by falling score")
    threshold: float = Field(
        description="the score from which they count: by the version's signed evidence, or 0.5"
    )
    side: int = Field(description="of the square that the model takes, in pixels")
    drawn: str | None = Field(None, description="the boxes on that square, PNG as base64; with drawn=true")
    embedding: list[float] | None = Field(None, description="before the head; with embedding=true")


class Scores(BaseModel):
    """The answer to one request."""

    request_id: str
    model: str
    version: str
    digest: str = Field(description="sha256 of the version's files, as the inference log has it")
    gate: str = Field(description="`passed` and the alias, or `ungated`")
    predictions: list[Prediction] | list[MaskPrediction] | list[BoxPrediction] = Field(
        description="in the order of the images; what they are is the version's task"
    )


class Beside(BaseModel):
    """A version beside the one that answers."""

    version: dict[str, str] | None = Field(
        description="model, version, digest and gate; null while there is none"
    )
    trouble: str = Field(description="why the version of the alias is not asked; empty if all is well")
    log: dict[str, float] | None = Field(description="as that of the server")


class ShadowStatus(Beside):
    """Who is asked the same requests, and nobody is given it."""

    waiting: int = Field(description="requests that wait for it")
    requests: dict[str, int] = Field(description="by what became of them: answered, dropped, failed")


class CanaryStatus(Beside):
    """Who has a share of the requests."""

    share: float
    since: datetime | None = Field(description="when these counts began")
    requests: dict[str, dict[str, int]] = Field(
        description="of canary and champion: answered, and with a fault: failed, unread, slow, wrong by labels"
    )


class Status(BaseModel):
    """What the server does now."""

    model: str
    version: str
    digest: str
    gate: str
    trouble: str = Field(
        description="why the version of the alias does not answer, or the registry; empty if all is well"
    )
    swaps: int = Field(description="versions that took over since the start")
    waiting: int = Field(description="images that wait for the model")
    under_way: int = Field(description="requests that were taken and not answered yet")
    log: dict[str, float] | None = Field(
        description="what became of the rows for the inference log; null without one"
    )
    shadow: ShadowStatus | None = Field(description="null where none is wanted")
    canary: CanaryStatus | None = Field(description="null where none is wanted")


def as_scores(
    version: Version, scored: Scored, request_id: str, embedding: bool, drawn: bool = False
) -> dict[str, Any]:
    """The content of `Scores`, ready for JSON."""
    return {
        "request_id": request_id,
        **version.named,
        "predictions": [
            _prediction(version, scored, row, embedding, drawn)
            for row in range(len(scored.predictions.predicted))
        ],
    }


def as_mlflow(said: Predictions) -> Any:
    """As `mlflow models serve` answers, ready for JSON: probabilities, or all boxes with their scores and classes."""
    if said.boxes is None:
        return said.probabilities.tolist()
    parts = {"boxes": said.boxes, "scores": said.probabilities, "classes": said.predicted}
    return {name: part.tolist() for name, part in parts.items()}


def as_picture(version: Version, scored: Scored, drawn: bool) -> bytes:
    """The answer to one image as a PNG; drawn: on the image. Raises Refusal where there is none."""
    count = len(scored.predictions.predicted)
    picture = _picture(version, scored, 0, drawn)
    if picture is None or count > 1:
        why = f"{count} images have one picture each" if picture else "the version's answers have no picture"
        raise Refusal(406, f"image/png is an answer to one image, but {why}. Ask for application/json.")
    return picture


def _picture(version: Version, scored: Scored, row: int, drawn: bool) -> bytes | None:
    image = scored.images[row] if drawn and scored.images is not None else None
    return watching_of(version.model).picture(scored.predictions, row, image)


def _prediction(version: Version, scored: Scored, row: int, embedding: bool, drawn: bool) -> dict[str, Any]:
    said = scored.predictions
    content = watching_of(version.model).answer(said, row, version.model.classes, scored.placed)
    if version.operating is not None:
        content["decision"] = _decision(version, said.probabilities[row : row + 1])
    if drawn and (picture := _picture(version, scored, row, True)) is not None:
        content["drawn"] = base64.b64encode(picture).decode("ascii")
    if embedding:
        content["embedding"] = said.embeddings[row].tolist()
    return content


def _decision(version: Version, probabilities: np.ndarray) -> dict[str, Any]:
    point = version.operating
    assert point is not None
    return {
        "positive": bool(point.called(probabilities, version.model.classes)[0]),
        "score": float(point.scores(probabilities, version.model.classes)[0]),
        "threshold": point.threshold,
        "classes": list(point.positive),
    }


def headers_of(version: Version) -> dict[str, str]:
    """Who answered, for clients whose body has no place for it."""
    return {f"X-Model-{name.title()}": quote(value, safe=" @.:+-") for name, value in version.named.items()}
