"""The review page of one window: what happened, what to do, and what that rests on."""

import base64
import io
from dataclasses import dataclass
from html import escape
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from PIL import Image

from resnet_ops.errors import DataError
from resnet_ops.files import write_text
from resnet_ops_monitoring.accuracy import BLIND_SPOT, Accuracy
from resnet_ops_monitoring.charts import bars, histogram, legend
from resnet_ops_monitoring.evidently_page import write_evidently_report
from resnet_ops_monitoring.frames import matrix
from resnet_ops_monitoring.page import Tone, document, facts, pill, table
from resnet_ops_monitoring.params import DriftParams
from resnet_ops_monitoring.reference import Reference
from resnet_ops_monitoring.two_sample import embedding_distances
from resnet_ops_monitoring.verdict import Finding, Verdict
from resnet_ops_monitoring.words import advice, headline, number, percent

__all__ = ["EVIDENTLY", "PAGE", "VERDICT", "PageContext", "review_page", "write_window"]

PAGE, EVIDENTLY, VERDICT = "review.html", "evidently.html", "verdict.json"

_TONES: dict[str, Tone] = {
    "ok": "good",
    "watch": "unknown",
    "alarm": "bad",
    "insufficient data": "unknown",
    "invalid data": "unknown",
}
_SOFTMAX_ROWS = 20
_SIGNALS = {
    "unusable": "Output",
    "softmax": "Probability of class",
    "classes": "Predicted classes",
    "embeddings": "Embeddings",
    "image": "Image",
}


@dataclass(frozen=True, kw_only=True)
class PageContext:
    """What the page says beside the verdict.

    role: what the version was when it scored, such as "champion". simulated: a sentence where the traffic is not
    real. images: (N, H, W, C) uint8, one for each row of the frame. usual_images: the same of the reference's split,
    for comparison, any number.
    """

    role: str | None
    simulated: str | None = None
    images: NDArray[np.uint8] | None = None
    usual_images: NDArray[np.uint8] | None = None


def write_window(
    folder: Path,
    verdict: Verdict,
    frame: pd.DataFrame,
    reference: Reference,
    params: DriftParams,
    context: PageContext,
) -> None:
    """Write a judged window's folder: evidently.html (where there is something to draw), review.html, verdict.json.

    Each file is written atomically, verdict.json last, so that a folder with a verdict is complete.
    """
    if verdict.findings:
        write_evidently_report(folder / EVIDENTLY, frame, reference, params)
    write_text(folder / PAGE, review_page(verdict, frame, reference, params, context))
    verdict.save(folder / VERDICT)


def review_page(
    verdict: Verdict, frame: pd.DataFrame, reference: Reference, params: DriftParams, context: PageContext
) -> str:
    """The whole page as HTML. frame: the window's rows, as they were judged.

    Equal input gives an equal page. Raises DataError when there is not one image for each row.
    """
    if context.images is not None and len(context.images) != len(frame):
        raise DataError(f"{len(context.images)} images for {len(frame)} rows of window {verdict.window}.")
    usable = _usable(frame) if verdict.findings else np.zeros(len(frame), dtype=bool)
    parts = [_top(verdict, params, context), _facts(verdict, context)]
    if verdict.findings:
        parts += [
            _moved(verdict, frame[usable], reference),
            _thumbnails(verdict, frame, usable, reference, context),
            _tests(verdict),
        ]
        parts.append(
            '<p class="soft small">Beside this page: <b>evidently.html</b>, Evidently’s drawings of the same window on '
            "at most 2000 rows, with our thresholds; and <b>verdict.json</b>, the numbers. The verdict above is ours, "
            "not Evidently’s.</p>"
        )
    return document(f"{verdict.window}: {verdict.headline}", "\n".join(parts))


def _usable(frame: pd.DataFrame) -> NDArray[np.bool_]:
    if not len(frame):
        return np.zeros(0, dtype=bool)
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
    return "unknown" if verdict.status == "ok" and verdict.labels_contradict else _TONES[verdict.status]


def _facts(verdict: Verdict, context: PageContext) -> str:
    expected = verdict.reference_accuracy
    period = "no rows"
    if verdict.start and verdict.end:
        period = f"{verdict.start:%Y-%m-%d %H:%M} – {verdict.end:%Y-%m-%d %H:%M}"
    estimate = "unknown" if verdict.estimated_accuracy is None else percent(verdict.estimated_accuracy)
    real = _share(verdict.real_accuracy) if verdict.real_accuracy else ("unknown", "no labels yet")
    items = [
        (
            "Model",
            str(verdict.identity),
            f"{context.role or 'no alias'} · files {verdict.identity.digest[:12]}",
        ),
        ("Window", verdict.window, f"{period} UTC" if verdict.start else period),
        ("Images", f"{verdict.rows:,}", f"{verdict.unusable} unusable" if verdict.unusable else "all usable"),
        ("Accuracy when tested", *_share(expected)),
        (
            "Estimated accuracy now",
            estimate,
            "without labels" if verdict.estimated_accuracy is None else "without labels; see the note",
        ),
        ("Real accuracy now", *real),
    ]
    if verdict.estimated_accuracy is None:
        return facts(items)
    return f'{facts(items)}<p class="soft small" style="margin-top:1rem">Estimated accuracy: {escape(BLIND_SPOT)}</p>'


def _share(accuracy: Accuracy) -> tuple[str, str]:
    interval = f"{percent(accuracy.low)} to {percent(accuracy.high)}"
    return percent(accuracy.value), f"{interval}, {accuracy.n} labelled images"


def _moved(verdict: Verdict, usable: pd.DataFrame, reference: Reference) -> str:
    before, now = reference.rows, usable
    shares = [
        np.array([(rows["predicted"] == name).mean() for name in reference.classes], dtype=np.float64)
        for rows in (before, now)
    ]
    by_signal = {
        signal: _strongest(verdict, signal) for signal in ("classes", "embeddings", "softmax", "image")
    }
    charts = [
        bars("Predicted classes", reference.classes, shares[0], shares[1], _note(by_signal["classes"][0]))
    ]
    left, right = _direction(matrix(before, "embedding"), matrix(now, "embedding"))
    charts.append(histogram("Embeddings (main change)", left, right, _note(by_signal["embeddings"][0])))
    for finding in by_signal["softmax"][:1]:
        k = reference.classes.index(finding.column)
        columns = [matrix(rows, "probabilities")[:, k].astype(np.float64) for rows in (before, now)]
        charts.append(
            histogram(f"Probability of class {finding.column}", columns[0], columns[1], _note(finding))
        )
    for finding in by_signal["image"][:3]:
        columns = [rows[finding.column].to_numpy(dtype=float) for rows in (before, now)]
        columns = [values[np.isfinite(values)] for values in columns]
        charts.append(histogram(f"Image {finding.column}", columns[0], columns[1], _note(finding)))
    return f'<h2>What moved most</h2>{legend()}<div class="charts">{"".join(charts)}</div>'


def _strongest(verdict: Verdict, signal: str) -> list[Finding]:
    mine = [finding for finding in verdict.findings if finding.signal == signal]
    return sorted(mine, key=lambda finding: -finding.statistic)


def _direction(
    before: NDArray[np.float32], now: NDArray[np.float32]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Both samples projected on the line through their means, in standard deviations of the reference."""
    change = (now.mean(axis=0) - before.mean(axis=0)).astype(np.float64)
    length = float(np.linalg.norm(change))
    line = change / length if length > 0 else np.eye(1, len(change))[0]
    left, right = before @ line, now @ line
    spread = float(left.std()) or 1.0
    return (left - left.mean()) / spread, (right - left.mean()) / spread


def _note(finding: Finding) -> str:
    p_value = "" if finding.p_value is None else f", p {_p(finding.p_value)}"
    moved = (
        ("moved" if finding.signal != "image" else "moved (information)") if finding.fired else "as before"
    )
    return f"{moved}: effect {number(finding.effect)}{p_value}"


def _p(value: float) -> str:
    return "< 0.0001" if value < 1e-4 else f"= {value:.2g}"


def _thumbnails(
    verdict: Verdict,
    frame: pd.DataFrame,
    usable: NDArray[np.bool_],
    reference: Reference,
    context: PageContext,
) -> str:
    if context.images is None:
        return ""
    places = np.flatnonzero(usable)
    rng = np.random.default_rng(0)
    if len(places) > 2000:
        places = np.sort(rng.choice(places, 2000, replace=False))
    distance = embedding_distances(
        matrix(reference.rows, "embedding"), matrix(frame.iloc[places], "embedding")
    )
    shown = places[np.argsort(-distance, kind="stable")[:16]]
    figures = "".join(_thumbnail(context.images[i], _caption(frame.iloc[int(i)])) for i in shown)
    html = (
        "<h2>The images that are newest to the model</h2><p class='soft small'>Farthest from anything in the "
        f"reference, by embedding; 16 of {verdict.rows}.</p><div class='thumbs'>{figures}</div>"
    )
    if context.usual_images is not None and len(context.usual_images):
        usual = "".join(_thumbnail(image, "") for image in context.usual_images[:8])
        html += (
            "<p class='soft small' style='margin-top:1rem'>For comparison, images of the reference:</p>"
            f"<div class='thumbs'>{usual}</div>"
        )
    return html


def _caption(row: "pd.Series[str]") -> str:
    text = f"{row['predicted']}, {percent(float(np.max(row['probabilities'])))} sure"
    if isinstance(row["label"], str):
        text += ", right" if row["label"] == row["predicted"] else f"; truly {row['label']}"
    return text


def _thumbnail(image: NDArray[np.uint8], caption: str) -> str:
    picture = Image.fromarray(image[..., 0] if image.shape[2] == 1 else image)
    picture.thumbnail((96, 96))
    content = io.BytesIO()
    picture.save(content, "PNG")
    data = base64.b64encode(content.getvalue()).decode()
    text = f"<figcaption>{escape(caption)}</figcaption>" if caption else ""
    alternative = escape(caption or "reference image")
    return f'<figure><img alt="{alternative}" src="data:image/png;base64,{data}">{text}</figure>'


def _tests(verdict: Verdict) -> str:
    columns = [
        ("Signal", False),
        ("Test", False),
        ("Reference", True),
        ("Window", True),
        ("p value", True),
        ("fires at p ≤", True),
        ("Effect", True),
        ("and effect ≥", True),
        ("Result", False),
    ]

    def row(finding: Finding) -> tuple[str, list[str]]:
        image = finding.signal == "image"
        kind = ("note" if image else "hit") if finding.fired else ""
        result = ("information" if image else "alarm") if finding.fired else "as before"
        name = _SIGNALS[finding.signal]
        if finding.signal in ("softmax", "image", "unusable"):
            name = f"{name} {finding.column}"
        values = (
            finding.reference,
            finding.window,
            finding.p_value,
            finding.threshold,
            finding.effect,
            finding.floor,
        )
        return kind, [name, finding.method, *("" if v is None else number(v) for v in values), result]

    order = {"unusable": 0, "classes": 1, "embeddings": 2, "softmax": 3, "image": 4}
    ranked = sorted(verdict.findings, key=lambda f: (order[f.signal], not f.fired, -f.statistic))
    softmax = [finding for finding in ranked if finding.signal == "softmax"]
    rows = [row(finding) for finding in ranked if finding not in softmax[_SOFTMAX_ROWS:]]
    left_out = len(softmax) - _SOFTMAX_ROWS
    more = f" The {left_out} classes whose probability moved least are left out." if left_out > 0 else ""
    return (
        "<h2>The tests</h2><p class='soft small'>An alarm needs a signal that the model can see: predicted classes, "
        "embeddings or probabilities. Image statistics are information. Predicted classes show the class that moved "
        f"most. Compared with {verdict.reference_rows} labelled held-out images.{more}</p>{table(columns, rows)}"
    )
