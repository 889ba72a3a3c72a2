"""Exported rows, one parquet file for each hour, and their summaries, made on as many machines as there are."""

import multiprocessing
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from resnet_ops.errors import DataError
from resnet_ops.files import write_path
from resnet_ops_monitoring.drift.time_ranges import hours
from resnet_ops_monitoring.inference_log.frames import GROUP, LOGGED, STATISTICS, vectors
from resnet_ops_monitoring.inference_log.log import InferenceLog
from resnet_ops_monitoring.statistics.summary import SummarySchema, WindowSummary, merge, summarise

__all__ = ["export_log", "frame_of", "summarise_partition", "summarise_partitions", "summarise_table"]

_VECTORS = ("embedding", "probabilities")
_TYPES: dict[str, Any] = {
    "time": pa.timestamp("us", tz="UTC"),
    **dict.fromkeys((*STATISTICS, "latency_ms"), pa.float64()),
    **dict.fromkeys(_VECTORS, pa.list_(pa.float32())),
}
_SCHEMA = pa.schema([(name, _TYPES.get(name, pa.string())) for name in LOGGED])
_BATCH = 20_000  # rows in memory at once


def export_log(
    log: InferenceLog, folder: Path, model: str, *, start: datetime | None, end: datetime | None
) -> dict[Path, int]:
    """Write the rows of `model` with start <= time < end to `folder`/hour=.../rows.parquet; returns rows by file.

    Each file is written atomically; a repeat writes the same rows. Takes memory for some ten thousand rows.
    """
    written: dict[Path, int] = {}
    for begin, until in hours(log, model, None, start, end):
        path = folder / f"hour={begin:%Y-%m-%dT%H}Z" / "rows.parquet"
        with write_path(path) as temporary, pq.ParquetWriter(temporary, _SCHEMA) as writer:
            for rows in log.stream(model, start=begin, end=until):
                writer.write_table(pa.Table.from_pandas(rows, schema=_SCHEMA, preserve_index=False))
                written[path] = written.get(path, 0) + len(rows)
    return written


def frame_of(table: pa.Table) -> pd.DataFrame:
    """The exported rows in `table` as a frame of `resnet_ops_monitoring.inference_log.frames`."""
    frame: pd.DataFrame = table.drop_columns(list(_VECTORS)).to_pandas()
    for name in _VECTORS:
        column = table.column(name).combine_chunks()
        values, lengths = column.flatten().to_numpy(zero_copy_only=False), column.value_lengths().to_numpy()
        if len(np.unique(lengths)) == 1 and lengths[0]:
            frame[name] = vectors(values.reshape(len(lengths), -1))
        else:  # of several models, or none
            frame[name] = pd.Series(
                np.split(values, lengths.cumsum()[:-1]) if len(lengths) else [], dtype=object
            )
    return frame[[name for name in LOGGED if name in frame.columns]]


def summarise_table(table: pa.Table, schema: SummarySchema) -> WindowSummary:
    """The summary of those exported rows that the schema's model files made."""
    return summarise(
        frame_of(table.filter(pa.compute.equal(table["digest"], schema.identity.digest))), schema
    )


def summarise_partition(path: Path, schema: SummarySchema) -> WindowSummary:
    """The same of one file, in memory that does not grow with its rows."""
    return merge(schema, (summarise_table(table, schema) for table in _tables(path)))


def _tables(path: Path) -> Iterator[pa.Table]:
    try:
        with pq.ParquetFile(path) as file:
            there = [name for name in LOGGED if name != GROUP or name in file.schema_arrow.names]
            for group in range(file.num_row_groups):  # all at once would be read ahead of what is used
                for batch in file.iter_batches(_BATCH, row_groups=[group], columns=there):
                    yield pa.Table.from_batches([batch])
    except (pa.ArrowException, OSError) as error:
        raise DataError(
            f"{path} is not a readable export ({error}). Write it again: resnet-ops log export"
        ) from error


def summarise_partitions(folder: Path, schema: SummarySchema, workers: int) -> WindowSummary:
    """The summary of all files that `export_log` wrote, by so many processes; the same numbers for any number."""
    paths = sorted(folder.glob("hour=*/rows.parquet"))
    if not paths:
        raise DataError(f"{folder} holds no exported hours. Run: resnet-ops log export {folder} --model NAME")
    work = partial(summarise_partition, schema=schema)
    if workers == 1:
        return merge(schema, map(work, paths))
    with ProcessPoolExecutor(workers, mp_context=multiprocessing.get_context("spawn")) as pool:
        return merge(schema, pool.map(work, paths))
