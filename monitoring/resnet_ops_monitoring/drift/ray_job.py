"""Exported rows summarised by Ray Data: on a laptop, or on a cluster that `ray.init` has joined.

Needs the extra `scale` (pip install 'resnet-ops[scale]'). Ray cuts the rows into blocks of its own; the numbers are the
same, since summaries add up to the same in any parts.
"""

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from resnet_ops.extras import require
from resnet_ops_monitoring.statistics.summary import SummarySchema, WindowSummary, load_summary, merge

__all__ = ["summarise_with_ray"]


def summarise_with_ray(folder: Path, schema: SummarySchema, rows_at_once: int) -> WindowSummary:
    """The summary of what `export_log` wrote to `folder`, which all machines must see. Ray must be up."""
    require("A summary by Ray", "ray")
    import ray.data

    rows: Any = ray.data.read_parquet(str(folder.resolve()))
    found = rows.map_batches(
        _summarise, batch_format="pyarrow", batch_size=rows_at_once, fn_kwargs={"schema": schema}
    )
    return merge(schema, (load_summary(row["summary"]) for row in found.iter_rows()))


def _summarise(table: pa.Table, schema: SummarySchema) -> dict[str, NDArray[np.object_]]:
    from resnet_ops_monitoring.drift.partitions import summarise_table

    return {"summary": np.array([summarise_table(table, schema).to_bytes()], dtype=object)}
