"""Evidently's report of a window, for people to look at; the verdict stays ours."""

import os
import re
import warnings
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from resnet_ops.errors import DataError
from resnet_ops.extras import require
from resnet_ops.files import write_path
from resnet_ops_monitoring.drift.reference import Reference
from resnet_ops_monitoring.drift.verdict import Verdict
from resnet_ops_monitoring.inference_log.frames import STATISTICS, matrix
from resnet_ops_monitoring.settings.drift import ALARM_SHARES, DriftParams

if TYPE_CHECKING:
    from evidently.core.report import Snapshot

__all__ = ["ALARM", "ESTIMATED", "drawn_columns", "evidently_snapshot", "write_evidently_report"]

ALARM, ESTIMATED = "alarm", "estimated accuracy"
"""Columns that hold one number each, so that Evidently can draw our verdicts over time."""
_ROWS = 2000


def evidently_snapshot(
    verdict: Verdict, frame: pd.DataFrame, reference: Reference, params: DriftParams
) -> "Snapshot | None":
    """Evidently's look at a window, one drift drawing a column; None where the window was not judged.

    Each column has its method and our threshold; there is no share rule. Both sides hold at most 2000 rows, drawn
    with the seed. Columns without two different finite values are left out. Named and dated after the window.
    """
    if not verdict.findings:
        return None
    require("The report of a window", "evidently")
    os.environ.setdefault("DO_NOT_TRACK", "true")
    current, before = (
        drawn_columns(frame, reference, params.seed),
        drawn_columns(reference.rows, reference, params.seed),
    )
    current[ALARM], before[ALARM] = float(verdict.status == "alarm"), 0.0
    if verdict.estimated_accuracy is not None:
        current[ESTIMATED], before[ESTIMATED] = verdict.estimated_accuracy, verdict.reference_accuracy.value
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # Evidently's own, about numpy and pandas
        from evidently import DataDefinition, Dataset, Report
        from evidently.metrics import MeanValue, ValueDrift

        softmax, classes = (params.alpha * ALARM_SHARES[signal] for signal in ("softmax", "classes"))
        ours = [name for name in (ALARM, ESTIMATED) if name in current.columns]
        numbers = [
            name
            for name in current.columns
            if name not in ("predicted", *ours) and _drawable(current, before, name)
        ]
        thresholds = {
            name: params.alpha / len(STATISTICS) if name in STATISTICS else softmax / reference.schema.numbers
            for name in numbers
        }
        metrics = [
            ValueDrift(column="predicted", method="chisquare", threshold=classes),
            *(ValueDrift(column=name, method="ks", threshold=thresholds[name]) for name in numbers),
            *(MeanValue(column=name) for name in ours),
        ]
        definition = DataDefinition(numerical_columns=[*ours, *numbers], categorical_columns=["predicted"])
        both = [Dataset.from_pandas(rows, data_definition=definition) for rows in (current, before)]
        about = {
            "window": verdict.window,
            "verdict": verdict.headline,
            "model": verdict.identity.name,
            "version": verdict.identity.version,
            "files": verdict.identity.digest,
        }
        try:
            return Report(metrics).run(
                both[0],
                both[1],
                timestamp=verdict.end,
                metadata=dict(about),
                tags=[verdict.window, verdict.headline],
                name=f"{verdict.window}: {verdict.headline}",
            )
        except ValueError as error:
            raise DataError(
                f"Evidently could not draw window {verdict.window}: {error}. The verdict stands."
            ) from error


def write_evidently_report(path: Path, snapshot: "Snapshot") -> None:
    """Write a snapshot as HTML (3.6 to 5 MB) that needs nothing from outside."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        with write_path(path) as temporary:
            temporary.write_text(_closed(snapshot.get_html_str(as_iframe=False)), encoding="utf-8")


def _closed(page: str) -> str:
    """Evidently's page with its data so written that no name in them, like `</script>`, ends the script they stand in.

    They are the first two variables, each JSON on one line.
    """
    return re.sub(r"(?m)^ *var \w+ = .*;$", lambda line: line[0].replace("<", r"\u003c"), page, count=2)


def drawn_columns(frame: pd.DataFrame, reference: Reference, seed: int) -> pd.DataFrame:
    """What Evidently draws of rows: the predicted class, image statistics, and the model's numbers by name."""
    if not len(frame):
        return pd.DataFrame()
    probabilities = matrix(frame, "probabilities")
    columns: dict[str, object] = {"predicted": frame["predicted"].to_numpy()}
    columns |= {name: frame[name].to_numpy(dtype=float) for name in STATISTICS}
    scalars = reference.schema.scalars
    names = scalars or [f"probability of {name}" for name in reference.classes]
    columns |= {name: probabilities[:, k] for k, name in enumerate(names)}
    whole = pd.DataFrame(columns).iloc[np.flatnonzero(np.isfinite(probabilities).all(axis=1))]
    return whole.sample(_ROWS, random_state=seed) if len(whole) > _ROWS else whole.copy()


def _drawable(current: pd.DataFrame, before: pd.DataFrame, name: str) -> bool:
    return all(rows[name].replace([np.inf, -np.inf], np.nan).nunique() > 1 for rows in (current, before))
