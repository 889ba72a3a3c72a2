"""Evidently's report of a window, for people to look at; the verdict stays ours."""

import os
import warnings
from pathlib import Path

import numpy as np
import pandas as pd

from resnet_ops.errors import DataError
from resnet_ops.files import write_path
from resnet_ops_monitoring.frames import STATISTICS, matrix
from resnet_ops_monitoring.params import ALARM_SIGNALS, DriftParams
from resnet_ops_monitoring.reference import Reference

__all__ = ["write_evidently_report"]

_ROWS = 2000


def write_evidently_report(
    path: Path, frame: pd.DataFrame, reference: Reference, params: DriftParams
) -> bool:
    """Write Evidently's HTML (3.6 to 5 MB) with one drift drawing a column; False, and no file, with nothing to draw.

    Each column has its method and our threshold; there is no share rule. Both sides hold at most 2000 rows, drawn
    with the seed. Columns without two different finite values are left out.
    """
    os.environ.setdefault("DO_NOT_TRACK", "true")
    current, before = _table(frame, reference, params.seed), _table(reference.rows, reference, params.seed)
    if len(current) < params.min_rows:
        return False
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # Evidently's own, about numpy and pandas
        from evidently import DataDefinition, Dataset, Report
        from evidently.metrics import ValueDrift

        family = params.alpha / len(ALARM_SIGNALS)
        numbers = [
            name for name in current.columns if name != "predicted" and _drawable(current, before, name)
        ]
        thresholds = {
            name: params.alpha / len(STATISTICS) if name in STATISTICS else family / len(reference.classes)
            for name in numbers
        }
        metrics = [
            ValueDrift(column="predicted", method="chisquare", threshold=family),
            *(ValueDrift(column=name, method="ks", threshold=thresholds[name]) for name in numbers),
        ]
        definition = DataDefinition(numerical_columns=numbers, categorical_columns=["predicted"])
        both = [Dataset.from_pandas(rows, data_definition=definition) for rows in (current, before)]
        try:
            snapshot = Report(metrics).run(both[0], both[1])
        except ValueError as error:
            raise DataError(f"Evidently could not draw {path.name}: {error}. The verdict stands.") from error
        with write_path(path) as temporary:
            snapshot.save_html(str(temporary))
    return True


def _table(frame: pd.DataFrame, reference: Reference, seed: int) -> pd.DataFrame:
    if not len(frame):
        return pd.DataFrame()
    probabilities = matrix(frame, "probabilities")
    columns: dict[str, object] = {"predicted": frame["predicted"].to_numpy()}
    columns |= {name: frame[name].to_numpy(dtype=float) for name in STATISTICS}
    columns |= {f"probability of {name}": probabilities[:, k] for k, name in enumerate(reference.classes)}
    whole = pd.DataFrame(columns).iloc[np.flatnonzero(np.isfinite(probabilities).all(axis=1))]
    return whole.sample(_ROWS, random_state=seed) if len(whole) > _ROWS else whole


def _drawable(current: pd.DataFrame, before: pd.DataFrame, name: str) -> bool:
    return all(rows[name].replace([np.inf, -np.inf], np.nan).nunique() > 1 for rows in (current, before))
