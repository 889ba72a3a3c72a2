"""Frames of answers as rows of the log's table, and back."""

from typing import Any

import numpy as np
import pandas as pd

from resnet_ops.errors import DataError
from resnet_ops_monitoring.inference_log.appending import VECTORS
from resnet_ops_monitoring.inference_log.columns import ANSWERED, Row
from resnet_ops_monitoring.inference_log.frames import COLUMNS, GROUP, LOGGED, STATISTICS, vectors
from resnet_ops_monitoring.inference_log.incoming import as_text
from resnet_ops_monitoring.inference_log.rows import NUMBERS

__all__ = ["to_frame", "to_rows"]

_PLAIN = {
    "route": "champion",
    "status": ANSWERED,
    "kept": 1.0,
    "drawn": 1.0,
    GROUP: None,
    "queue_ms": None,
    "total_ms": None,
}
"""What a row is whose frame does not say so."""
_TIME = LOGGED.index("time")


def to_rows(frame: pd.DataFrame) -> list[Row]:
    """Rows as the table takes them; an empty group is none.

    Raises DataError for an id that occurs twice, times without a zone and groups that are no texts.
    """
    repeated = frame["request_id"][frame["request_id"].duplicated()]
    if len(repeated):
        raise DataError(
            f"Request id {repeated.iloc[0]!r} occurs twice in the frame to log; ids must be unique."
        )
    times = _in_utc(frame["time"])
    rows = []
    more = [name for name in _PLAIN if name in frame.columns and name != "status"]
    for given, time in zip(frame[[*COLUMNS, *more]].to_dict("records"), times, strict=True):
        record: dict[str, Any] = dict(_PLAIN)
        record.update((str(name), None if _missing(value) else value) for name, value in given.items())
        record["time"] = time.floor("us").to_pydatetime()
        for name in VECTORS:
            record[name] = np.asarray(given[name], dtype="<f4").tobytes()
        record[GROUP] = as_text(GROUP, record[GROUP]) if record[GROUP] not in (None, "") else None
        for name in NUMBERS:
            record[name] = None if record[name] is None else float(record[name])
        rows.append(Row(**record))
    return rows


def _in_utc(times: "pd.Series[Any]") -> "pd.Series[pd.Timestamp]":
    """The same moments in UTC. Raises DataError for a time without a zone, which may be any of 24 or more."""
    if not isinstance(times.dtype, pd.DatetimeTZDtype):
        naive = [str(time) for time in times if not _missing(time) and pd.Timestamp(time).tzinfo is None]
        if naive:
            raise DataError(
                f"{len(naive)} of {len(times)} times to log have no time zone, the first is {naive[0]}. Nothing was "
                "added. Log moments with a zone, such as 2026-01-31T08:00Z."
            )
    return pd.to_datetime(times, utc=True)


def _missing(value: Any) -> bool:
    return value is None or value is pd.NaT or (isinstance(value, float) and np.isnan(value))


def _unpacked(packed: list[bytes]) -> "pd.Series[Any]":
    """One vector for each; each in its own piece where they are of several models, or there are none."""
    if len(set(map(len, packed))) == 1 and packed[0]:
        return vectors(np.frombuffer(b"".join(packed), "<f4").reshape(len(packed), -1))
    return pd.Series([np.frombuffer(each, "<f4") for each in packed], dtype=object)


def to_frame(found: list[tuple[Any, ...]]) -> pd.DataFrame:
    """Rows of the table, in the order of LOGGED, as a frame."""
    frame = pd.DataFrame(found, columns=pd.Index(LOGGED))
    # not in nanoseconds, which end in 2262: a clock may be centuries wrong
    frame["time"] = pd.Series([row[_TIME] for row in found], dtype="datetime64[us, UTC]")
    for name in VECTORS:
        frame[name] = _unpacked(frame[name].tolist())
    for name in (*STATISTICS, "latency_ms"):
        frame[name] = frame[name].astype(float)
    for name in ("source", "window", "label", GROUP):
        frame[name] = frame[name].astype(object)
    return frame
