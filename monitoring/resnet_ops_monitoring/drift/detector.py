"""The judge of a window: ours, because a share of drifted columns is no alarm that holds its rate.

Four signals raise the alarm: softmax rows, or else the task's numbers of an image (MMD by permutation), predicted
classes (largest deviance of a class, by permutation), embeddings (Mahalanobis distance of their means, by permutation),
and images that repeat each other. Where the model was calibrated, changed images alarm only if the estimated accuracy
fell by more than the estimate's own noise. They share alpha (`ALARM_SHARES`), so that windows without drift alarm at
most alpha of the time, however many classes there are.

Where the window has several sources, half of alpha is theirs, in equal parts, and half the whole window's.
Image statistics are tested beside that, at their own alpha, and reported as information: a darker picture that the
model reads as well as before hurts nobody.
"""

from collections.abc import Iterable, Mapping
from datetime import datetime

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from resnet_ops.errors import DataError
from resnet_ops_monitoring.drift.accuracy_calibration import Harm
from resnet_ops_monitoring.drift.operating_verdict import fallen_words, operating_verdict
from resnet_ops_monitoring.drift.reference import Reference
from resnet_ops_monitoring.drift.signals import Comparison
from resnet_ops_monitoring.drift.unspent import Guarded
from resnet_ops_monitoring.drift.verdict import ClassShare, Finding, SourceVerdict, Status, Verdict
from resnet_ops_monitoring.drift.words import explain, percent, perturbation
from resnet_ops_monitoring.inference_log.frames import COLUMNS, InvalidRows, check_columns
from resnet_ops_monitoring.inference_log.gaps import Gap, gap_words
from resnet_ops_monitoring.inference_log.log import Outcomes
from resnet_ops_monitoring.settings.drift import DriftParams
from resnet_ops_monitoring.statistics.accuracy import Accuracy, Estimate, counted_accuracy, estimated_accuracy
from resnet_ops_monitoring.statistics.label_shift import estimate_label_shift
from resnet_ops_monitoring.statistics.reservoir import hash_priority
from resnet_ops_monitoring.statistics.summary import WindowSummary, by_source, summarise

__all__ = ["invalid", "judge", "judge_summary"]

ANSWERED = Outcomes()
"""All requests, and each was drawn."""
UNGROUPED = (
    "The reference knows no groups: if its images come in groups too, name their column and make it again."
)


def judge(
    frame: pd.DataFrame, reference: Reference, params: DriftParams, *, window: str, alpha: float | None = None
) -> Verdict:
    """Judge the rows of `frame` (columns of `resnet_ops_monitoring.inference_log.frames`) against `reference`.

    Rows whose embedding or probabilities are not finite are counted and left out. Rows that cannot be compared (of
    other model files, unknown classes, repeated request ids) give the verdict "invalid data". alpha: as in
    `judge_summary`.
    """
    check_columns(frame, COLUMNS, f"Window {window}")
    try:
        priorities = hash_priority(frame["request_id"], reference.schema.seed)
        _check_ids(frame, priorities)
        summary = summarise(frame, reference.schema, priorities)
        sources = by_source(frame, reference.schema, params.max_sources)
    except InvalidRows as error:
        start, end = (frame["time"].min(), frame["time"].max()) if len(frame) else (pd.NaT, pd.NaT)
        return invalid(
            reference,
            window=window,
            reason=str(error),
            rows=len(frame),
            start=None if pd.isna(start) else start.to_pydatetime(),
            end=None if pd.isna(end) else end.to_pydatetime(),
            params=params,
        )
    return judge_summary(summary, reference, params, window=window, alpha=alpha, sources=sources)


def _check_ids(frame: pd.DataFrame, priorities: NDArray[np.uint64]) -> None:
    ordered = np.sort(priorities)
    if not (ordered[1:] == ordered[:-1]).any():  # equal ids have equal priorities
        return
    repeated = frame["request_id"].duplicated()
    if repeated.any():
        raise InvalidRows(
            f"{int(repeated.sum())} of {len(frame)} rows repeat a request id, the first is "
            f"{frame['request_id'][repeated].iloc[0]!r}: counted twice they would make chance look like drift."
        )


def judge_summary(
    summary: WindowSummary,
    reference: Reference,
    params: DriftParams,
    *,
    window: str,
    alpha: float | None = None,
    sources: Mapping[str, WindowSummary] | None = None,
    seasonal: WindowSummary | None = None,
    lost: Mapping[str, Gap] | None = None,
    outcomes: Outcomes = ANSWERED,
) -> Verdict:
    """Judge a window by its summary, made with `reference.schema`.

    alpha: share of windows without drift that may alarm; None: the one of `params`. sources: the parts of the window
    by source, to be judged one by one where there are two or more. seasonal: what the window is compared with instead
    of the reference's own rows, such as the same hours of earlier weeks; accuracies stay the reference's. lost: what
    writers lost of the window, by source ("" for none): above `params.max_lost` it is not judged. outcomes: of all its
    requests; where their rates differ it is not judged either. Raises DataError for summaries of another schema.
    """
    before = reference.summary if seasonal is None else seasonal
    for each in (summary, before, *(sources or {}).values()):
        if each.schema != reference.schema.digest:
            raise DataError(
                f"Window {window} was summarised with another reference than this one of {reference.identity}. "
                "Summarise it again."
            )
    alpha = params.alpha if alpha is None else alpha
    gaps = lost or {}
    too_many_lost = _too_many_lost(gaps.values(), summary.rows, params)
    if summary.independent < params.min_rows or too_many_lost or len(outcomes.rates) > 1:
        return _verdict(summary, reference, params, window, "insufficient data", (), alpha, gaps, outcomes)
    parts = _judge_sources(sources or {}, before, reference, params, alpha / 2, gaps)
    whole = alpha / 2 if any(part.status != "insufficient data" for part in parts) else alpha
    known, harm, scalars = reference.accuracy_calibration, _harm(summary, reference), reference.schema.scalars
    guarded = Guarded.of(reference, before)
    comparison = Comparison(before, summary, reference.classes, params, whole, harm, scalars, guarded)
    findings = comparison.findings()
    changed = any(each.fired or each.suppressed for each in findings if each.signal == "embeddings")
    likely = comparison.likely_reason(known) if changed and known is not None else None
    fired = any(finding.fired for finding in findings if finding.signal != "image") or any(
        part.status == "alarm" for part in parts
    )
    status: Status = "alarm" if fired else "ok"
    by_season = seasonal is not None
    return _verdict(
        summary, reference, params, window, status, findings, alpha, gaps, outcomes, parts, by_season, likely
    )


def invalid(
    reference: Reference,
    params: DriftParams,
    *,
    window: str,
    reason: str,
    rows: int,
    start: datetime | None = None,
    end: datetime | None = None,
) -> Verdict:
    """The verdict on rows that cannot be believed, and why."""
    return Verdict(
        window=window,
        identity=reference.identity,
        status="invalid data",
        input_drift=False,
        reason=reason,
        rows=rows,
        unusable=0,
        start=start,
        end=end,
        reference_rows=reference.seen,
        reference_accuracy=reference.accuracy(params.confidence),
        estimated_accuracy=None,
        real_accuracy=None,
        findings=(),
        compared_with=_compared_with(reference, False),
        measured=reference.measured,
    )


def _judge_sources(
    sources: Mapping[str, WindowSummary],
    before: WindowSummary,
    reference: Reference,
    params: DriftParams,
    alpha: float,
    lost: Mapping[str, Gap],
) -> tuple[SourceVerdict, ...]:
    if len(sources) < 2:
        return ()
    unjudged = {name: _unjudged(name, part, lost, params) for name, part in sources.items()}
    level = alpha / max(sum(not reason for reason in unjudged.values()), 1)
    return tuple(
        SourceVerdict(name, part.rows, "insufficient data", unjudged[name])
        if unjudged[name]
        else _judge_source(name, part, before, reference, params, level)
        for name, part in sorted(sources.items())
    )


def _unjudged(name: str, part: WindowSummary, lost: Mapping[str, Gap], params: DriftParams) -> str:
    """Why a source cannot be judged; empty where it can."""
    if part.independent < params.min_rows:
        return f"{_independent(part)}; at least {params.min_rows} are needed to judge it."
    gaps = {each: gap for each, gap in lost.items() if each == name}
    if _too_many_lost(gaps.values(), part.rows, params):
        return f"{gap_words(gaps, part.rows)}; {_allowed(params)}."
    return ""


def _independent(summary: WindowSummary) -> str:
    if summary.reservoir.grouped:
        return f"{summary.usable} usable rows of {summary.independent} groups"
    return f"{summary.usable} usable rows"


def _too_many_lost(gaps: Iterable[Gap], rows: int, params: DriftParams) -> bool:
    lost = sum(gap.lost for gap in gaps)
    return lost > params.max_lost * (rows + lost)


def _allowed(params: DriftParams) -> str:
    return f"at most {percent(params.max_lost)} may be, or the others need not stand for them"


def _judge_source(
    name: str,
    part: WindowSummary,
    before: WindowSummary,
    reference: Reference,
    params: DriftParams,
    alpha: float,
) -> SourceVerdict:
    harm = _harm(part, reference)
    scalars = reference.schema.scalars
    findings = Comparison(before, part, reference.classes, params, alpha, harm, scalars).of_source()
    reason = explain(findings)
    return SourceVerdict(
        name, part.rows, "alarm" if reason else "ok", reason or "Predictions and classes are as usual."
    )


def _harm(summary: WindowSummary, reference: Reference) -> Harm | None:
    calibration = reference.accuracy_calibration
    return None if calibration is None else calibration.harm(summary, reference.mix_space)


def _estimate(
    summary: WindowSummary, reference: Reference, findings: tuple[Finding, ...], confidence: float
) -> Estimate | None:
    """By the perturbations; from the model's certainty alone where nothing was.

    None where images repeat each other: how right the model is on one says nothing of others.
    """
    if not findings or any(each.fired for each in findings if each.signal == "copies"):
        return None
    if reference.accuracy_calibration is not None:
        return reference.accuracy_calibration.estimate(summary, confidence, reference.mix_space)
    right, tested = (each * reference.worth for each in (reference.right, reference.confusion.sum()))
    shifted = max(each.effect for each in findings if each.signal in ("softmax", "scalars", "embeddings"))
    confident = summary.confident * summary.worth
    return estimated_accuracy(confident, summary.independent, right, tested, shifted, confidence)


def _label_shift(
    summary: WindowSummary, reference: Reference, confidence: float
) -> tuple[ClassShare, ...] | None:
    found = estimate_label_shift(
        reference.confusion * reference.worth, summary.predicted * summary.worth, confidence
    )
    if found is None:
        return None
    before = (reference.confusion.sum(axis=0) / reference.confusion.sum()).tolist()
    return tuple(
        ClassShare(*row)
        for row in zip(reference.classes, before, found.shares, found.low, found.high, strict=True)
    )


def _verdict(
    summary: WindowSummary,
    reference: Reference,
    params: DriftParams,
    window: str,
    status: Status,
    findings: tuple[Finding, ...],
    alpha: float,
    lost: Mapping[str, Gap],
    outcomes: Outcomes,
    sources: tuple[SourceVerdict, ...] = (),
    seasonal: bool = False,
    likely: str | None = None,
) -> Verdict:
    expected = reference.accuracy(params.confidence)
    real = None
    if reference.scores is None:  # labels are classes: they tell no score
        real = counted_accuracy(summary.right, summary.labelled, params.confidence, summary.worth)
    estimate = _estimate(summary, reference, findings, params.confidence)
    at_point = None if estimate is None else operating_verdict(summary, reference, params.confidence)
    reason = _reason(status, findings, sources, summary, params, expected, real, likely, lost, outcomes)
    if status == "alarm" and summary.reservoir.grouped and not reference.summary.reservoir.grouped:
        reason += f" {UNGROUPED}"
    if status == "alarm" and at_point is not None:
        reason = " ".join((reason, *fallen_words(at_point)))
    return Verdict(
        window=window,
        identity=reference.identity,
        status=status,
        input_drift=any(finding.fired for finding in findings if finding.signal == "image"),
        reason=reason,
        rows=summary.rows,
        unusable=summary.unusable,
        groups=summary.independent if summary.reservoir.grouped else None,
        start=summary.start,
        end=summary.end,
        reference_rows=reference.seen,
        reference_accuracy=expected,
        estimated_accuracy=None if estimate is None else estimate.value,
        real_accuracy=real,
        findings=findings,
        alpha=alpha,
        estimated=estimate,
        label_shift=_label_shift(summary, reference, params.confidence) if findings else None,
        sources=sources,
        compared_with=_compared_with(reference, seasonal),
        likely_reason=likely,
        operating=at_point,
        lost=sum(gap.lost for gap in lost.values()),
        refused=outcomes.refused,
        failed=outcomes.failed,
        measured=reference.measured,
    )


def _compared_with(reference: Reference, seasonal: bool) -> str:
    if seasonal:
        return "the same hours of earlier weeks"
    if reference.accepted is not None:
        return (
            f"the production of {reference.accepted.start:%Y-%m-%d %H:%M} to {reference.accepted.end:%Y-%m-%d %H:%M} "
            f"UTC, accepted by {reference.accepted.by}"
        )
    return "the labelled reference"


def _reason(
    status: Status,
    findings: tuple[Finding, ...],
    sources: tuple[SourceVerdict, ...],
    summary: WindowSummary,
    params: DriftParams,
    expected: Accuracy,
    real: Accuracy | None,
    likely: str | None,
    lost: Mapping[str, Gap],
    outcomes: Outcomes,
) -> str:
    gap = gap_words(lost, summary.rows) if lost else ""
    if status == "insufficient data" and _too_many_lost(lost.values(), summary.rows, params):
        sentence = f"{gap}; {_allowed(params)}."
    elif status == "insufficient data" and len(outcomes.rates) > 1:
        rates = f"{percent(outcomes.rates[0])} to {percent(outcomes.rates[-1])}"
        sentence = (
            f"Rows were drawn at rates of {rates}, so they do not stand for the traffic alike. Use one rate."
        )
    elif status == "insufficient data":
        unusable = f", of which {summary.unusable} are not finite" if summary.unusable else ""
        of = f" of {summary.independent} groups" if summary.reservoir.grouped else ""
        needed = f"at least {params.min_rows} usable ones{', of as many groups,' if of else ''} are needed to judge it"
        sentence = f"The window holds {summary.rows} rows{of}{unusable}; {needed}."
    else:
        changes = explain(findings)
        suppressed = {finding.signal for finding in findings if finding.suppressed}
        calm = "Predictions, classes and embeddings are as in the reference."
        if suppressed:
            numbers = suppressed & {"softmax", "scalars"}
            calm = f"Predict{'ed' if numbers else 'ions and'} classes are as in the reference."
        if "classes" in suppressed:
            calm = ""
        like = (
            ""
            if likely is None
            else f'Of all perturbations tried, this looks most like "{perturbation(likely)}".'
        )
        sentence = " ".join(filter(None, (calm, changes, like) if status == "ok" else (like, changes)))
    alarming = [source for source in sources if source.status == "alarm"]
    for source in alarming[:3]:
        named = f"Source {source.source}" if source.source else "Rows without a source"
        sentence += f" {named} ({source.rows} rows): {source.reason}"
    if len(alarming) > 3:
        sentence += f" {len(alarming) - 3} more sources alarm."
    if gap and gap not in sentence:
        sentence += f" {gap}."
    sentence += _unanswered(outcomes, summary.rows)
    if real is not None and real.high < expected.low:
        sentence += (
            f" Labels show {percent(real.value)} right ({percent(real.low)} to {percent(real.high)}, n = {real.n}) "
            f"instead of {percent(expected.value)}."
        )
    return sentence.strip()


def _unanswered(outcomes: Outcomes, rows: int) -> str:
    """Counts and no share: a request may hold many images, and each of those that were answered is a row."""
    if not outcomes.refused + outcomes.failed:
        return ""
    return (
        f" Requests without an answer, beside {rows:,} answered images: {outcomes.refused:,} refused, "
        f"{outcomes.failed:,} failed."
    )
