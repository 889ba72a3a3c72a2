"""Evidence: what the evaluation pipeline found about one model, as it is signed."""

import hashlib
from collections.abc import Mapping
from dataclasses import asdict
from datetime import datetime
from typing import Annotated, Any

from pydantic import (
    AwareDatetime,
    BaseModel,
    ConfigDict,
    Field,
    FiniteFloat,
    PositiveInt,
    ValidationError,
    field_serializer,
    model_validator,
)

from resnet_ops.errors import EvidenceError
from resnet_ops.files import canonical_json
from resnet_ops.measurement import Measurement

__all__ = ["EVIDENCE_TYPE", "Evidence", "Metric", "Source", "metrics_from", "read_evidence"]

EVIDENCE_TYPE = "https://resnet-ops.dev/evidence/v1"

Sha256 = Annotated[str, Field(pattern="^[0-9a-f]{64}$")]


class _Frozen(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, strict=False)


class Metric(_Frozen):
    """One number. `low` and `high` bound the interval that `method` names; both are None where there is none."""

    value: FiniteFloat
    n: PositiveInt = Field(description="how many images, runs or items the number rests on")
    low: FiniteFloat | None = None
    high: FiniteFloat | None = None
    method: str | None = None
    unit: str | None = None

    @model_validator(mode="after")
    def _bounds_in_order(self) -> "Metric":
        if self.low is not None and self.high is not None and not self.low <= self.high:
            raise ValueError("low must not exceed high")
        return self


class Source(_Frozen):
    """The code and the pipeline that made the model."""

    commit: str = Field(description="git commit, 40 hexadecimal digits, or empty outside of git")
    dirty: bool = Field(description="whether tracked files differed from the commit")
    dvc_lock: Sha256 | None = Field(description="sha256 of dvc.lock")


class Evidence(_Frozen):
    """The predicate of an evidence statement. Field names are part of the signed format."""

    member: str
    weights_digest: Sha256 = Field(description="resnet_ops.model.model_digest of the two model files")
    metrics: dict[str, Metric] = Field(min_length=1)
    data: dict[str, str] = Field(description="digest of each data set, such as prepared, test")
    source: Source
    environment: dict[str, str] = Field(description="versions: python, torch, ...")
    hardware: dict[str, dict[str, str | int | float | bool | None]] = Field(
        description="by device profile (server-cpu, edge-cpu) or by step (training)"
    )
    seeds: dict[str, int]
    created: AwareDatetime

    @field_serializer("created")
    def _as_iso(self, created: datetime) -> str:
        return created.isoformat()

    def predicate(self) -> dict[str, Any]:
        """As it is signed."""
        return self.model_dump(mode="json")

    def digest(self) -> str:
        """The sha256 of everything but `created`: two runs that found the same have the same."""
        found = self.predicate()
        del found["created"]
        return hashlib.sha256(canonical_json(found)).hexdigest()


def metrics_from(measurements: Mapping[str, Measurement]) -> dict[str, Metric]:
    """The core's measurements as metrics."""
    return {name: Metric(**asdict(measurement)) for name, measurement in measurements.items()}


def read_evidence(predicate: Mapping[str, Any]) -> Evidence:
    """Parse a predicate. Raises EvidenceError naming the first field that is wrong."""
    try:
        return Evidence.model_validate(predicate)
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(map(str, first["loc"]))
        raise EvidenceError(f"The evidence is malformed at {where}: {first['msg']}.") from error
