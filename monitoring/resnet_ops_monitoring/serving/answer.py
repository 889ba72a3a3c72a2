"""What is answered: as OpenAPI describes it, and as it is made from what the model said."""

from datetime import datetime
from typing import Any
from urllib.parse import quote

import numpy as np
from pydantic import BaseModel, Field

from resnet_ops_monitoring.serving.scorer import Scored
from resnet_ops_monitoring.serving.version import Version

__all__ = ["CanaryStatus", "Scores", "ShadowStatus", "Status", "as_scores", "headers_of"]


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


class Scores(BaseModel):
    """The answer to one request."""

    request_id: str
    model: str
    version: str
    digest: str = Field(description="sha256 of the version's files, as the inference log has it")
    gate: str = Field(description="`passed` and the alias, or `ungated`")
    predictions: list[Prediction] = Field(description="in the order of the images")


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


def as_scores(version: Version, scored: Scored, request_id: str, embedding: bool) -> dict[str, Any]:
    """The content of `Scores`, ready for JSON."""
    return {
        "request_id": request_id,
        **version.named,
        "predictions": [
            _prediction(version, scored, row, embedding) for row in range(len(scored.predictions.predicted))
        ],
    }


def _prediction(version: Version, scored: Scored, row: int, embedding: bool) -> dict[str, Any]:
    said = scored.predictions
    content: dict[str, Any] = {
        "class": version.model.classes[int(said.predicted[row])],
        "probabilities": dict(zip(version.model.classes, said.probabilities[row].tolist(), strict=True)),
    }
    if version.operating is not None:
        content["decision"] = _decision(version, said.probabilities[row : row + 1])
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
