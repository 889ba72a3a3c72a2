"""The review page of one window: what happened, what to do, and what that rests on."""

from collections.abc import Sequence
from dataclasses import dataclass
from html import escape
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from resnet_ops.data.depth import Pixels
from resnet_ops.errors import DataError
from resnet_ops.files import write_text
from resnet_ops.page import Tone, document, facts, pill
from resnet_ops_monitoring.drift.reference import Reference
from resnet_ops_monitoring.drift.verdict import Verdict
from resnet_ops_monitoring.drift.words import advice, capital, headline, percent
from resnet_ops_monitoring.inference_log.frames import matrix
from resnet_ops_monitoring.report.breakdown import label_shift_section, operating_section, sources_section
from resnet_ops_monitoring.report.evidently_page import evidently_snapshot, write_evidently_report
from resnet_ops_monitoring.report.evidently_workspace import add_snapshot
from resnet_ops_monitoring.report.findings_table import findings_section
from resnet_ops_monitoring.report.most_novel import most_novel_section
from resnet_ops_monitoring.report.over_time import over_time_section, versions_section
from resnet_ops_monitoring.report.review_lines import reviews_section
from resnet_ops_monitoring.report.shifted import shifted_section
from resnet_ops_monitoring.settings.drift import DriftParams
from resnet_ops_monitoring.statistics.accuracy import (
    ACCURACY,
    BLIND_SPOT,
    BLIND_SPOT_OF_SCORES,
    Accuracy,
)

__all__ = ["EVIDENTLY", "PAGE", "VERDICT", "PageContext", "review_page", "write_window"]

PAGE, EVIDENTLY, VERDICT = "review.html", "evidently.html", "verdict.json"

_TONES: dict[str, Tone] = {"ok": "good", "alarm": "bad"}


@dataclass(frozen=True, kw_only=True)
class PageContext:
    """What the page says beside the verdict.

    role: what the version was when it scored, such as "champion". simulated: a sentence where the traffic is not
    real. images: (N, H, W, C), one for each row of the frame. usual_images: the same of the reference's split,
    for comparison, any number. history: earlier verdicts, also those of other versions of the model. reviews: what
    people said of the window, as `resnet_ops_registry.gate.reviews.reviews_of` gives it.
    """

    role: str | None
    simulated: str | None = None
    images: Pixels | None = None
    reference_images: Pixels | None = None
    history: Sequence[Verdict] = ()
    reviews: Sequence[str] = ()


def write_window(
    folder: Path,
    verdict: Verdict,
    frame: pd.DataFrame,
    reference: Reference,
    params: DriftParams,
    context: PageContext,
    *,
    workspace: Path | None = None,
) -> None:
    """Write a judged window's folder: evidently.html (where there is something to draw), review.html, verdict.json.

    Each file is written atomically, verdict.json last, so that a folder with a verdict is complete. workspace:
    Evidently's, which then keeps the window too.
    """
    snapshot = evidently_snapshot(verdict, frame, reference, params)
    if snapshot is None:
        (folder / EVIDENTLY).unlink(missing_ok=True)
    else:
        write_evidently_report(folder / EVIDENTLY, snapshot)
        if workspace is not None:
            add_snapshot(workspace, snapshot, verdict)
    page = review_page(verdict, frame, reference, params, context, drawn=snapshot is not None)
    write_text(folder / PAGE, page)
    verdict.save(folder / VERDICT)


def review_page(
    verdict: Verdict,
    frame: pd.DataFrame,
    reference: Reference,
    params: DriftParams,
    context: PageContext,
    *,
    drawn: bool = False,
) -> str:
    """The whole page as HTML. frame: the window's rows, as they were judged. drawn: evidently.html lies beside it.

    Equal input gives an equal page. Raises DataError when there is not one image for each row.
    """
    if context.images is not None and len(context.images) != len(frame):
        raise DataError(f"{len(context.images)} images for {len(frame)} rows of window {verdict.window}.")
    parts = [_top(verdict, params, context), _facts(verdict, context), operating_section(verdict)]
    parts.append(over_time_section(verdict, context.history))
    if verdict.findings:
        usable = _usable(frame)
        parts += [sources_section(verdict), shifted_section(verdict, frame[usable], reference)]
        if context.images is not None:
            parts.append(
                most_novel_section(frame, usable, reference, context.images, context.reference_images)
            )
        parts.append(label_shift_section(verdict))
    parts += [versions_section(verdict, context.history), reviews_section(verdict, context.reviews)]
    if verdict.findings:
        parts.append(findings_section(verdict))
    parts.append(_beside(drawn))
    return document(f"{verdict.window}: {verdict.headline}", "\n".join(filter(None, parts)))


def _usable(frame: pd.DataFrame) -> NDArray[np.bool_]:
    finite = [np.isfinite(matrix(frame, name)).all(axis=1) for name in ("embedding", "probabilities")]
    return np.asarray(finite[0] & finite[1])


def _top(verdict: Verdict, params: DriftParams, context: PageContext) -> str:
    steps = advice(verdict, params.min_rows)
    todo = (
        f"<p><b>What to do:</b> {escape(steps[0])}</p>"
        if len(steps) == 1
        else f"<p><b>What to do</b></p><ol>{''.join(f'<li>{escape(step)}</li>' for step in steps)}</ol>"
    )
    notice = f"<p>{pill(context.simulated, 'unknown')}</p>" if context.simulated else ""
    return (
        f'{notice}<section class="verdict {_tone(verdict)}"><h1>{escape(headline(verdict))}</h1>'
        f"<p><b>What happened:</b> {escape(verdict.reason)}</p>{todo}</section>"
    )


def _tone(verdict: Verdict) -> Tone:
    contradicted = verdict.status == "ok" and verdict.labels_contradict
    return "unknown" if contradicted else _TONES.get(verdict.status, "unknown")


def _facts(verdict: Verdict, context: PageContext) -> str:
    period = "no rows"
    if verdict.start and verdict.end:
        period = f"{verdict.start:%Y-%m-%d %H:%M} – {verdict.end:%Y-%m-%d %H:%M} UTC"
    real = _share(verdict.real_accuracy) if verdict.real_accuracy else ("unknown", "no labels yet")
    unusable = f"{verdict.unusable} unusable" if verdict.unusable else "all usable" if verdict.rows else ""
    unusable += "" if verdict.groups is None else f", one of each of {verdict.groups:,} groups tested"
    judged = f"; judged against {verdict.compared_with}" if verdict.findings else ""
    items = [
        (f"{capital(verdict.measured)} when tested", *_share(verdict.reference_accuracy)),
        (f"Estimated {verdict.measured} now", *_estimate(verdict)),
        *([(f"Real {verdict.measured} now", *real)] if verdict.measured == ACCURACY else []),
        (
            "Model",
            str(verdict.identity),
            f"{context.role or 'no alias'} · files {verdict.identity.digest[:12]}",
        ),
        ("Window", verdict.window, period),
        ("Images", f"{verdict.rows:,}", f"{unusable}{judged}"),
    ]
    if verdict.estimated_accuracy is None:
        return facts(items)
    blind = BLIND_SPOT if verdict.measured == ACCURACY else BLIND_SPOT_OF_SCORES
    note = f"Estimated {verdict.measured}: {blind}"
    return f'{facts(items)}<p class="soft small" style="margin-top:1rem">{escape(note)}</p>'


def _share(accuracy: Accuracy) -> tuple[str, str]:
    interval = f"{percent(accuracy.low)} to {percent(accuracy.high)}"
    return percent(accuracy.value), f"{interval}, {accuracy.n} labelled images"


def _estimate(verdict: Verdict) -> tuple[str, str]:
    if verdict.estimated_accuracy is None:
        return "unknown", "too little to go by"
    if verdict.estimated is None:
        return percent(verdict.estimated_accuracy), "without labels; see the note"
    interval = f"{percent(verdict.estimated.low)} to {percent(verdict.estimated.high)}"
    return percent(verdict.estimated_accuracy), f"{interval}, without labels; see the note"


def _beside(drawn: bool) -> str:
    report = (
        f'<a href="{EVIDENTLY}">{EVIDENTLY}</a>, Evidently’s drawings of the same window on at most 2000 rows, with '
        "our thresholds; and "
        if drawn
        else ""
    )
    return (
        f'<p class="soft small" style="margin-top:2rem">Beside this page: {report}<a href="{VERDICT}">{VERDICT}</a>, '
        "the numbers. The verdict above is ours, not Evidently’s.</p>"
    )
