"""What the tests of the writer share: answers to record, a database that is away, and waiting for threads."""

import sqlite3
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from resnet_ops_monitoring.inference_log.client.delivery import Limits
from resnet_ops_monitoring.inference_log.client.writer import Writer, open_writer
from resnet_ops_monitoring.inference_log.columns import STATISTICS
from resnet_ops_monitoring.inference_log.connection import LogDatabase
from resnet_ops_monitoring.inference_log.gaps import Gap, list_gaps
from resnet_ops_monitoring.inference_log.labels import Origin, give_labels
from resnet_ops_monitoring.inference_log.log import InferenceLog

CLASSES = ("NA", "EU", "größer", "7")
FEATURES = 6
DIGEST = "d" * 64
SMALL = Limits(rows=40, bytes=2**20, disk_bytes=2**20, segment_bytes=4000, batch=10)
"""Limits that a test reaches."""


def answer(seed: int) -> tuple[NDArray[np.float32], NDArray[np.float32], dict[str, float]]:
    """Probabilities, embedding and statistics of an answer."""
    rng = np.random.default_rng(seed)
    raw = rng.random(len(CLASSES), dtype=np.float32)
    return (
        (raw / raw.sum()).astype(np.float32),
        rng.normal(size=FEATURES).astype(np.float32),
        {name: float(rng.random()) for name in STATISTICS},
    )


def writer_of(folder: Path, **more: Any) -> Writer:
    """Into a log in the folder."""
    about: dict[str, Any] = {"model": "made-up", "version": "1", "digest": DIGEST, "classes": CLASSES}
    return open_writer(f"sqlite:///{folder}/log.db", **about, folder=folder / "spool", **more)


def record(writer: Writer, rows: int, name: str = "r", **more: Any) -> int:
    """Record answers; how many were taken."""
    return sum(writer.record(*answer(i), request_id=f"{name}-{i}", **more) for i in range(rows))


def label(
    log: LogDatabase, ids: Sequence[str], labels: Sequence[str], chosen: Origin = "random", **more: Any
) -> int:
    """Say the true classes of requests; how many were new or others."""
    return give_labels(log, ids, labels, by="ada", at=datetime.now(UTC), chosen=chosen, **more)


def logged(folder: Path) -> pd.DataFrame:
    """What the log holds."""
    log = InferenceLog(f"sqlite:///{folder}/log.db")
    try:
        return log.read("made-up")
    finally:
        log.close()


def segments(folder: Path) -> list[Path]:
    """What is put by, whose folders may go while one looks."""
    while True:
        try:
            return sorted((folder / "spool").rglob("*.segment"))
        except FileNotFoundError:
            continue


def eventually(condition: Callable[[], bool], what: str) -> None:
    """Wait for threads or processes: as long as a slow machine may take."""
    end = time.monotonic() + 120
    while not condition():
        assert time.monotonic() < end, f"never: {what}"
        time.sleep(0.01)


@contextmanager
def away(folder: Path) -> Iterator[None]:
    """The database cannot be opened: a folder lies where its file should be."""
    place, kept = folder / "log.db", folder / "log.db.kept"
    had = place.exists()
    if had:
        place.rename(kept)
    place.mkdir()
    try:
        yield
    finally:
        place.rmdir()
        if had:
            kept.rename(place)


@contextmanager
def locked(folder: Path) -> Iterator[None]:
    """The database is there and takes nothing: whoever writes waits."""
    connection = sqlite3.connect(folder / "log.db", isolation_level=None)
    connection.execute("BEGIN EXCLUSIVE")
    try:
        yield
    finally:
        connection.rollback()
        connection.close()


def gaps_of(folder: Path) -> list[Gap]:
    log = InferenceLog(f"sqlite:///{folder}/log.db")
    try:
        return list_gaps(log)
    finally:
        log.close()
