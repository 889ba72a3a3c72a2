"""Evidence: what the evaluation pipeline found about one model, as it is signed."""

import base64
import binascii
import hashlib
from collections.abc import Mapping
from dataclasses import asdict
from datetime import datetime
from typing import Any

from pydantic import (
    AwareDatetime,
    Field,
    FiniteFloat,
    PositiveInt,
    ValidationError,
    field_serializer,
    field_validator,
    model_validator,
)

from resnet_ops.errors import EvidenceError
from resnet_ops.evaluation.operating_point import OperatingPoint
from resnet_ops.files import canonical_json
from resnet_ops.measurement import Measurement
from resnet_ops.tasks.task import Headline as TaskHeadline
from resnet_ops_registry.common.frozen import Frozen, Sha256

__all__ = [
    "EVIDENCE_TYPE",
    "EVIDENCE_TYPE_2",
    "MAX_OUTCOMES",
    "MAX_SCORES",
    "MLFLOW",
    "REFUSED",
    "SCORE_STEPS",
    "TOP1",
    "Evidence",
    "Headline",
    "Metric",
    "Outcomes",
    "Source",
    "metrics_from",
    "read_evidence",
    "show_metric",
    "show_number",
]

EVIDENCE_TYPE = "https://resnet-ops.dev/evidence/v1"
EVIDENCE_TYPE_2 = "https://resnet-ops.dev/evidence/v2"
"""With a task, its headline metric, or scores instead of bits."""
REFUSED = "refused"
"""How `Evidence.exports` begins where an export was not written."""
MLFLOW = "mlflow"
"""`Evidence.format` of any other MLflow model, of which its team signed what it measured itself."""
MAX_OUTCOMES = 2_000_000
"""A signed statement holds at most 2 MB; so many outcomes take 0.45 of them, 1.8 with groups and an operating point."""
MAX_SCORES = 500_000
"""Likewise: they take 1.3 MB."""
SCORE_STEPS = 65_535
"""Steps of a score from 0 to 1."""


class Metric(Frozen):
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


class Outcomes(Frozen):
    """How each image of a split came out, for a comparison image by image: right or not, or with which score."""

    images: Sha256 = Field(
        description="over the images and their true classes, in order: `outcomes.images_digest`"
    )
    n: int = Field(gt=0, le=MAX_OUTCOMES)
    right: str | None = Field(
        default=None,
        max_length=(MAX_OUTCOMES + 7) // 8 * 4 // 3 + 4,
        description="base64 of one bit an image, 1 for right, the first image highest; padded with 0",
    )
    scores: str | None = Field(
        default=None,
        max_length=MAX_SCORES * 2 // 3 * 4 + 8,
        description="instead of `right`: base64 of 16 bits an image, the higher byte first, 65535 for a score of 1",
    )
    starts: str | None = Field(
        default=None,
        max_length=(MAX_OUTCOMES + 7) // 8 * 4 // 3 + 4,
        description="where images come in groups, which stand together then: 1 for the first of each, packed likewise",
    )

    @model_validator(mode="after")
    def _one_bit_an_image(self) -> "Outcomes":
        if (self.right is None) == (self.scores is None):
            raise ValueError("outcomes must have right or scores, and not both")
        if self.scores is not None:
            _check_length("scores", self.scores, 2 * self.n)
            if self.starts is not None:
                raise ValueError("scores have no starts: each image stands for itself")
        if self.right is not None:
            _check_bits("right", self.right, self.n)
        if self.starts is not None:
            _check_bits("starts", self.starts, self.n)
            if not base64.b64decode(self.starts)[0] & 0x80:
                raise ValueError("starts must begin with 1: the first image begins a group")
        return self

    def bits(self) -> bytes:
        """The packed bits, `numpy.unpackbits` makes them an array of n; none where there are scores."""
        return base64.b64decode(self.right or "")

    def score_bytes(self) -> bytes | None:
        """The scores as `>u2` in SCORE_STEPS; None where there are bits."""
        return None if self.scores is None else base64.b64decode(self.scores)

    def start_bits(self) -> bytes | None:
        """Likewise, of where groups begin; None where each image stands for itself."""
        return None if self.starts is None else base64.b64decode(self.starts)


def _check_bits(name: str, text: str, n: int) -> None:
    packed = _check_length(name, text, (n + 7) // 8)
    if n % 8 and packed[-1] & (0xFF >> n % 8):
        raise ValueError(f"{name} must hold {n} bits, then zeros to the end of the byte")


def _check_length(name: str, text: str, length: int) -> bytes:
    try:
        packed = base64.b64decode(text, validate=True)
    except (ValueError, binascii.Error) as error:
        raise ValueError(f"{name} must be base64") from error
    if base64.b64encode(packed).decode() != text:
        raise ValueError(f"{name} must be base64 in its only form")
    if len(packed) != length:
        raise ValueError(f"{name} must hold {length} bytes")
    return packed


class Headline(Frozen):
    """The metric by which models of a task are compared first."""

    metric: str = Field(min_length=1, max_length=100, description="on the test split, such as test.miou")
    chosen_by: str = Field(min_length=1, max_length=100, description="the same on the validation split")
    label: str = Field(min_length=1, max_length=40)
    higher_is_better: bool = True

    @classmethod
    def of(cls, by: "TaskHeadline") -> "Headline":
        """That of a task, on the splits by which models are judged and chosen."""
        return cls(
            metric=f"test.{by.name}",
            chosen_by=f"validation.{by.name}",
            label=by.label,
            higher_is_better=by.higher_is_better,
        )


TOP1 = Headline(metric="test.top1", chosen_by="validation.top1", label="top-1")
"""Of version 1, which was of classification alone."""


class Source(Frozen):
    """The code and the pipeline that made the model."""

    commit: str = Field(
        description="git commit when the training began, 40 hexadecimal digits, or empty outside of git"
    )
    dirty: bool = Field(description="whether tracked files differed from that commit")
    dvc_lock: Sha256 | None = Field(description="sha256 of dvc.lock")


class Evidence(Frozen):
    """The predicate of an evidence statement. Field names are part of the signed format."""

    member: str = Field(description="the network's name; empty for a model of another kind")
    weights_digest: Sha256 = Field(
        description="resnet_ops.model_files.model_digest of the two model files; of a model of another kind, the "
        "digest of all of its files"
    )
    format: str = Field(
        default="weights",
        description="what was measured: trained weights, an export of them, or `mlflow` for a model of another kind",
    )
    exported_from: Sha256 | None = Field(
        default=None, description="of an export: the weights_digest of the trained model"
    )
    metrics: dict[str, Metric] = Field(min_length=1)
    data: dict[str, str] = Field(
        description="digest of each data set, such as prepared, test; or of the file that was signed"
    )
    source: Source
    environment: dict[str, str] = Field(description="versions: python, torch, ...")
    hardware: dict[str, dict[str, str | int | float | bool | None]] = Field(
        description="by device profile (server-cpu, edge-cpu) or by step (training, evaluation, export)"
    )
    seeds: dict[str, int]
    outcomes: dict[str, Outcomes] = Field(
        default_factory=dict,
        description="by split, such as test; `operating.sensitivity` are the positive images of test at the operating "
        "point, `operating.specificity` all others",
    )
    positive: tuple[str, ...] = Field(
        default=(), description="the classes that are looked for, positive from `operating.threshold` on"
    )
    checks: dict[str, bool] = Field(
        default_factory=dict, description="what was checked and whether it held, such as data_validation"
    )
    exports: dict[str, str] = Field(
        default_factory=dict,
        description="by format, whether its export was written or refused, in words; of an export: its own alone",
    )
    replaces: Sha256 | None = Field(
        default=None,
        description="digest of the pipeline's findings that it was measured again from; what was not, is theirs",
    )
    task: str | None = Field(
        default=None, max_length=40, description="what the model answers with; nothing said: classification"
    )
    headline: Headline | None = Field(default=None, description="nothing said: test.top1")
    created: AwareDatetime

    @field_serializer("created")
    def _as_iso(self, created: datetime) -> str:
        return created.isoformat()

    @field_validator("positive")
    @classmethod
    def _each_once(cls, positive: tuple[str, ...]) -> tuple[str, ...]:
        if len(set(positive)) < len(positive):
            raise ValueError("positive must name each class once")
        return positive

    @property
    def operating_point(self) -> OperatingPoint | None:
        """Where the version decides; None where it was measured without one."""
        threshold = self.metrics.get("operating.threshold")
        return OperatingPoint(self.positive, threshold.value) if self.positive and threshold else None

    @property
    def score_threshold(self) -> float | None:
        """The score from which boxes count; None where the version was measured without one."""
        threshold = self.metrics.get("test.threshold")
        return None if threshold is None else threshold.value

    @property
    def compared_by(self) -> Headline:
        """The metric that counts first."""
        return self.headline or TOP1

    @property
    def statement_type(self) -> str:
        """The URI of its kind: version 1 for all that version 1 could say."""
        scored = any(each.scores is not None for each in self.outcomes.values())
        return EVIDENCE_TYPE_2 if self.task or self.headline or scored else EVIDENCE_TYPE

    def as_signed(self) -> dict[str, Any]:
        """As it is signed."""
        content = self.model_dump(mode="json")
        # so that releases which do not know these fields can read it
        for name in ("replaces", "task", "headline"):
            if content[name] is None:
                del content[name]
        if not self.positive:
            del content["positive"]
        for outcomes in content["outcomes"].values():
            for name in ("starts", "scores", "right"):
                if outcomes[name] is None:
                    del outcomes[name]
        return content

    def digest(self) -> str:
        """The sha256 of what was found: another day or another commit that found the same has the same."""
        found = self.as_signed()
        del found["created"], found["source"]["commit"], found["source"]["dirty"]
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


def show_metric(metric: Metric) -> str:
    """Such as `0.951 (0.929-0.967, n=360)`, with the unit where there is one; n only where it is not 1."""
    unit = f" {metric.unit}" if metric.unit and metric.unit not in ("fraction", "1") else ""
    notes = []
    if metric.low is not None and metric.high is not None:
        notes.append(f"{show_number(metric.low)}-{show_number(metric.high)}")
    if metric.n != 1:
        notes.append(f"n={metric.n}")
    return f"{show_number(metric.value)}{unit}" + (f" ({', '.join(notes)})" if notes else "")


def show_number(value: float) -> str:
    """Three or four significant digits, thousands set apart; whole numbers where there are five digits or more."""
    if 1e4 <= abs(value) < 1e15:
        return f"{value:,.0f}"
    if value == int(value) and abs(value) < 1e15:
        return f"{int(value):,}" if abs(value) >= 10 else f"{value:.4g}"
    return f"{value:.3f}" if abs(value) < 1 else f"{value:.4g}"
