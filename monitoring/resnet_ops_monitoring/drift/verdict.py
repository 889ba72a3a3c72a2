"""A verdict: what a window's tests found, whether that is an alarm, and why in words."""

import re
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, TypeAdapter, ValidationError

from resnet_ops.errors import DataError
from resnet_ops.files import read_json, write_json
from resnet_ops_monitoring.inference_log.identity import ModelIdentity
from resnet_ops_monitoring.statistics.accuracy import ACCURACY, Accuracy, Estimate

__all__ = [
    "ClassShare",
    "Finding",
    "OperatingVerdict",
    "SideVerdict",
    "Signal",
    "SourceVerdict",
    "State",
    "Status",
    "Verdict",
    "check_window_name",
    "load_verdict",
]


_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}")
State = Literal["ok", "warning", "alarm", "insufficient data", "invalid data"]
Status = Annotated[
    State,
    BeforeValidator(lambda state: "warning" if state == "watch" else state),  # the word of earlier releases
]
"""warning: tests fired, but an alarm needs more such windows. invalid data: the rows cannot be believed."""
Signal = Literal["softmax", "scalars", "classes", "embeddings", "copies", "image", "unusable"]
"""scalars: the task's numbers of an image, in the place of softmax where there are no probabilities of classes."""


@dataclass(frozen=True)
class Finding:
    """One test. It fired when p_value <= threshold and effect >= floor, unless it was suppressed.

    reference, window: the same quantity before and now, for people: a mean probability, the share of the class
    that shifted most (`column`), the mean of an image statistic; None where there is no such number.
    """

    signal: Signal
    column: str
    method: str
    statistic: float
    p_value: float | None
    threshold: float | None
    effect: float
    floor: float
    reference: float | None
    window: float | None
    fired: bool

    @property
    def suppressed(self) -> bool:
        """Whether it shifted, and no alarm came of it because the model does about as well by the estimate."""
        shifted = self.p_value is not None and self.threshold is not None and self.p_value <= self.threshold
        return not self.fired and shifted and self.effect >= self.floor


@dataclass(frozen=True)
class ClassShare:
    """How often a class truly occurs, before and now (with interval): sound while only the mix shifts."""

    name: str
    before: float
    now: float
    low: float
    high: float


@dataclass(frozen=True)
class SourceVerdict:
    """The judgement of one source's rows in a window; `reason` in words."""

    source: str
    rows: int
    status: Literal["ok", "alarm", "insufficient data"]
    reason: str


@dataclass(frozen=True)
class SideVerdict:
    """Sensitivity or specificity at the operating point: when it was tested, estimated now, counted where labels are
    known. fell: whether the estimate is lower by as much as may alarm.
    """

    tested: Accuracy
    estimated: Estimate
    real: Accuracy | None
    fell: bool


@dataclass(frozen=True)
class OperatingVerdict:
    """What the window comes to where the version decides. called, called_before: share of images called positive."""

    positive: tuple[str, ...]
    threshold: float
    called: float
    called_before: float
    sensitivity: SideVerdict
    specificity: SideVerdict


@dataclass(frozen=True)
class Verdict:
    """The judgement of one window of one model version.

    findings: all tests, alarm signals first. input_drift: image statistics shifted; information, never an alarm.
    estimated_accuracy, real_accuracy: None where they cannot be known; `estimated` has the former's
    interval. reason: whole sentences for a person. alpha: the share of windows without drift that may fire.
    label_shift: how often each class truly occurs, None where that cannot be told. sources: one judgement each where
    the window has several. compared_with: which reference, in words. likely_reason: the kind of
    `perturbations.PERTURBATIONS` that changes images most alike, None where none does. operating: at the version's
    operating point, None where it has none or nothing can be estimated. lost: rows that, as their writers say, never
    came into the log. refused, failed: requests without an answer.
    groups: of the usable rows, of which one each was tested, at most as many as a reservoir keeps; None where rows have
    none. measured: what the accuracies are: a share of right images, or the mean of their scores.
    """

    window: str
    identity: ModelIdentity
    status: Status
    input_drift: bool
    reason: str
    rows: int
    unusable: int
    start: datetime | None
    end: datetime | None
    reference_rows: int
    reference_accuracy: Accuracy
    estimated_accuracy: float | None
    real_accuracy: Accuracy | None
    findings: tuple[Finding, ...]
    alpha: float | None = None
    estimated: Estimate | None = None
    label_shift: tuple[ClassShare, ...] | None = None
    sources: tuple[SourceVerdict, ...] = ()
    compared_with: str = "the labelled reference"
    likely_reason: str | None = None
    operating: OperatingVerdict | None = None
    lost: int = 0
    refused: int = 0
    failed: int = 0
    groups: int | None = None
    measured: str = ACCURACY

    @property
    def fired(self) -> bool:
        """Whether a test that can alarm fired, of the whole window or of a source."""
        return any(finding.fired for finding in self.findings if finding.signal != "image") or any(
            source.status == "alarm" for source in self.sources
        )

    @property
    def headline(self) -> str:
        """The status, or "ok, input drift"."""
        return f"{self.status}, input drift" if self.status == "ok" and self.input_drift else self.status

    @property
    def passed(self) -> bool:
        """Only "ok" passes: a window that could not be judged does not."""
        return self.status == "ok"

    @property
    def labels_contradict(self) -> bool:
        """Whether labels prove more mistakes than when tested: the intervals do not touch.

        No alarm by itself, since who labels rarely draws at random.
        """
        return self.real_accuracy is not None and self.real_accuracy.high < self.reference_accuracy.low

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready content."""
        content: dict[str, Any] = _adapter.dump_python(self, mode="json")
        if self.measured == ACCURACY:  # as releases before wrote it
            del content["measured"]
        return content

    def save(self, path: Path) -> None:
        """Write verdict.json atomically."""
        write_json(path, self.to_dict())


def check_window_name(name: str) -> None:
    """Raise DataError for a window's name that is no folder's: its pages go into one of that name."""
    if not _NAME.fullmatch(name):
        raise DataError(
            f"Window {name[:100]!r} must be named by letters, digits, dots, dashes and underscores: at most 100, "
            "the first a letter or a digit."
        )


_adapter = TypeAdapter(Verdict)


def load_verdict(path: Path) -> Verdict:
    """Read a saved verdict. Raises DataError when it is missing or not one."""
    try:
        return _adapter.validate_python(read_json(path))
    except ValidationError as error:
        raise DataError(
            f"{path} is not a verdict ({error.error_count()} faults). Judge the window again."
        ) from None
