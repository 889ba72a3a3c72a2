"""One row as it is sent."""

from datetime import UTC, datetime
from typing import Annotated, Any

from pydantic import AfterValidator, AwareDatetime, BaseModel, ConfigDict, Field, model_validator

from resnet_ops.tasks.task import CONFIDENCE
from resnet_ops_monitoring.inference_log.columns import Route, Status

__all__ = ["Inference", "Statistics", "Strict"]

_FIRST, _LAST = datetime(1970, 1, 2, tzinfo=UTC), datetime(9000, 1, 1, tzinfo=UTC)
_Number = Annotated[float | None, Field(description="null: not a number")]
_Vector = Annotated[list[float | None], Field(fail_fast=True)]
_Names = Annotated[list[str], Field(fail_fast=True)]
"""One fault is named; a list of all would take two hundred times the body's memory, as would that of unknown names."""


def _in_range(moment: datetime) -> datetime:
    if not _FIRST <= moment < _LAST:
        raise ValueError("a time lies between 1970 and 9000")
    return moment


class Strict(BaseModel):
    """Of these names alone, and of these types."""

    model_config = ConfigDict(extra="forbid", strict=True)

    @model_validator(mode="before")
    @classmethod
    def _known(cls, sent: Any) -> Any:
        names = sent if isinstance(sent, dict) else {}
        if unknown := next((name for name in names if name not in cls.model_fields), None):
            raise ValueError(f"{unknown[:50]} is none of its names")
        return sent


class Statistics(Strict):
    """Of the image as the network takes it, as docs/inference-log.md defines them."""

    brightness: _Number
    contrast: _Number
    sharpness: _Number
    saturation: _Number
    entropy: _Number


class Inference(Strict):
    """A request to a version and what it answered; or, with status refused or failed, that it did not."""

    request_id: str = Field(
        description="the same for the same request, which is logged once for each version"
    )
    model: str
    version: str
    digest: str = Field(description="sha256 of the version's files, as the registry has it")
    status: Status = "ok"
    route: Route = Field("champion", description="shadow: nobody was given the answer")
    time: Annotated[AwareDatetime, Field(strict=False), AfterValidator(_in_range)] | None = Field(
        None, description="when the request came, with its zone; now where there is none"
    )
    classes: _Names | None = Field(
        None,
        description="in the order of the probabilities, or what an image can be predicted as; of an answer",
    )
    probabilities: _Vector | None = Field(None, description="null in it: not a number; of an answer")
    scalars: _Names | None = Field(
        None,
        description=f"of masks and boxes: names of the numbers that are in the place of probabilities, {CONFIDENCE} "
        "among them",
    )
    predicted: str | None = Field(None, description="of the classes; where there are scalars, and only there")
    embedding: _Vector | None = Field(None, description="before the head; of an answer")
    statistics: Statistics | None = Field(None, description="of an answer")
    source: str | None = Field(None, description="camera or line")
    group: str | None = Field(None, description="what images are alike by; a pseudonym")
    label: str | None = Field(None, description="the true class, where the request was drawn at random")
    queue_ms: float | None = None
    latency_ms: float | None = None
    total_ms: float | None = None
