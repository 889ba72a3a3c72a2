"""What shifted most: window and reference on shared axes, by signal."""

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from resnet_ops_monitoring.drift.reference import Reference
from resnet_ops_monitoring.drift.verdict import Finding, Verdict
from resnet_ops_monitoring.drift.words import capital, number
from resnet_ops_monitoring.inference_log.frames import matrix
from resnet_ops_monitoring.report.charts import bars, histogram, legend

__all__ = ["shifted_section"]


def shifted_section(verdict: Verdict, usable: pd.DataFrame, reference: Reference) -> str:
    """Small charts, the strongest of each signal. usable: the window's rows whose numbers are finite."""
    before, now = reference.rows, usable
    shares = [
        np.array([(rows["predicted"] == name).mean() for name in reference.classes], dtype=np.float64)
        for rows in (before, now)
    ]
    by_signal = {
        signal: _strongest(verdict, signal)
        for signal in ("classes", "embeddings", "softmax", "scalars", "image")
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
    for finding in by_signal["scalars"]:
        k = reference.schema.scalars.index(finding.column)
        columns = [matrix(rows, "probabilities")[:, k].astype(np.float64) for rows in (before, now)]
        charts.append(histogram(capital(finding.column), columns[0], columns[1], _note(finding)))
    for finding in by_signal["image"][:3]:
        columns = [rows[finding.column].to_numpy(dtype=float) for rows in (before, now)]
        columns = [values[np.isfinite(values)] for values in columns]
        charts.append(histogram(f"Image {finding.column}", columns[0], columns[1], _note(finding)))
    return f'<h2>What shifted most</h2>{legend(verdict.compared_with)}<div class="charts">{"".join(charts)}</div>'


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
    outcome = "shifted, but suppressed: accuracy holds" if finding.suppressed else "as before"
    if finding.fired:
        outcome = "shifted (information)" if finding.signal == "image" else "shifted"
    return f"{outcome}: effect {number(finding.effect)}{p_value}"


def _p(value: float) -> str:
    return "< 0.0001" if value < 1e-4 else f"= {value:.2g}"
