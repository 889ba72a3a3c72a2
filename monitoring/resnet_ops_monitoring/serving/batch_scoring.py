"""Many images asked about at once, without a server, into the log that the server writes.

One process, or Ray Data on many machines (extra `scale`): each verifies its version as a server does.
"""

import os
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from resnet_ops.data.listing.folders import find, require_most
from resnet_ops.data.streaming import images_in_memory, stream_images
from resnet_ops.errors import DataError
from resnet_ops.extras import require
from resnet_ops.messages import Progress
from resnet_ops_monitoring.inference_log.database import configured_url
from resnet_ops_monitoring.inference_log.incoming import as_text
from resnet_ops_monitoring.inference_log.log import InferenceLog
from resnet_ops_monitoring.serving.body import Reading, read_body
from resnet_ops_monitoring.serving.scorer import Scorer
from resnet_ops_monitoring.serving.source import version_of
from resnet_ops_monitoring.settings.serving import read_serving_settings
from resnet_ops_monitoring.web.refusal import Refusal

if TYPE_CHECKING:
    import pyarrow

__all__ = ["Job", "Tally", "score_with_ray"]

_AT_ONCE = 256
"""Images in memory, at most."""
_COLUMNS = {"request_id": "string", "image": "binary"}


@dataclass(frozen=True)
class Tally:
    """What became of images. new: rows that the log did not have. broken: images without a row, and why."""

    images: int = 0
    new: int = 0
    broken: tuple[str, ...] = ()

    def __add__(self, other: "Tally") -> "Tally":
        return Tally(self.images + other.images, self.new + other.new, self.broken + other.broken)


@dataclass(frozen=True)
class Job:
    """What is asked, and where the rows go."""

    uri: str
    """models:/NAME@ALIAS, or with `ungated` whatever `resnet-ops serve --ungated` takes."""
    params: Path
    log: str = ""
    """The inference log's database; else what RESNET_OPS_INFERENCE_LOG says on the machine."""
    ungated: bool = False
    source: str | None = None
    """Camera or line."""
    group: re.Pattern[str] | None = None
    """What in a request's id names its group."""

    def opened(self) -> "BatchScorer":
        """Its version, verified, and the log.

        Raises DataError for a source that the log cannot hold; ConfigError for settings that are wrong; as
        `version_of`.
        """
        if self.source is not None:
            as_text("source", self.source)
        settings, data = read_serving_settings(self.params)
        version = version_of(self.uri, self.ungated, settings.threads, settings.device)
        scorer = Scorer(version.model, version.identity, settings.max_batch)
        reading = Reading(version.reading(data), settings.max_pixels)
        return BatchScorer(self, scorer, reading, InferenceLog(self.log or configured_url()))


class BatchScorer:
    """Scores images by their names, which are the requests' ids: what is scored again adds nothing to the log."""

    def __init__(self, job: Job, scorer: Scorer, reading: Reading, log: InferenceLog) -> None:
        self._job, self._scorer, self._reading, self.log = job, scorer, reading, log
        self._at_once = images_in_memory(reading.params, _AT_ONCE)
        self.identity = scorer.identity

    def folder(self, folder: Path, progress: Progress = lambda done, total: None) -> Tally:
        """All images below a folder, by their paths below it. Raises DataError where there are none."""
        found = find(folder)
        require_most(str(folder), found)
        if not found.images:
            raise DataError(f"{folder} holds no image at any depth. Name a folder that does.")
        faults = {path: _fault(path.relative_to(folder).as_posix()) for path in found.images}
        done = Tally(broken=tuple(fault for fault in faults.values() if fault))
        paths = [path for path, fault in faults.items() if not fault]
        for batch in stream_images(paths, self._reading.params, self._at_once, progress):
            broken = tuple(f"{path.relative_to(folder)} ({why})" for path, why in batch.broken.items())
            names = [path.relative_to(folder).as_posix() for path in batch.paths]
            done += Tally(len(names), self._logged(names, batch.pixels), broken)
        return done

    def table(self, table: "pyarrow.Table") -> Tally:
        """Rows with `request_id` and `image`, what an image file holds, as the server takes it.

        Raises DataError where the table has no such columns.
        """
        types = {name: str(table.schema.field(name).type) for name in table.column_names}
        if any(types.get(name, "").removeprefix("large_") != kind for name, kind in _COLUMNS.items()):
            raise DataError(
                f"The columns are {types}; needed are request_id (string) and image (binary), what an image file holds."
            )
        starts = range(0, table.num_rows, self._at_once)
        return sum((self._rows(table.slice(start, self._at_once)) for start in starts), Tally())

    def _rows(self, table: "pyarrow.Table") -> Tally:
        names, pixels, broken = list[str](), list[np.ndarray](), list[str]()
        for name, content in zip(*(table[column].to_pylist() for column in _COLUMNS), strict=True):
            if fault := _fault(name):
                broken.append(fault)
                continue
            try:
                pixels.append(read_body("image/*", content or b"", self._reading).images[0])
            except Refusal as error:
                broken.append(f"{name} ({error})")
            else:
                names.append(name)
        return Tally(len(names), self._logged(names, pixels), tuple(broken))

    def parquet(self, file: Path) -> Tally:
        """All rows of a parquet file, as `table` has them."""
        from pyarrow import ArrowInvalid
        from pyarrow.parquet import ParquetFile

        try:
            with ParquetFile(file) as opened:
                return sum(map(self.table, _tables(opened.iter_batches(_AT_ONCE))), Tally())
        except (ArrowInvalid, OSError) as error:
            raise DataError(f"{file} cannot be read as parquet: {error}") from None

    def _logged(self, names: list[str], pixels: list[np.ndarray]) -> int:
        if not names:
            return 0
        groups = None if self._job.group is None else [self._group(name) for name in names]
        times = [datetime.now(UTC)] * len(names)
        frame = self._scorer.score(np.stack(pixels), names, times, source=self._job.source, groups=groups)
        return self.log.append(frame)

    def _group(self, name: str) -> str | None:
        assert self._job.group is not None
        found = self._job.group.search(name)
        return found and found[0]


def _fault(name: str | None) -> str | None:
    """Why the log cannot hold an image's name, in words that can be printed; None where it can."""
    try:
        as_text("request_id", name)
    except DataError as error:
        return f"{name!a} ({error})"
    return None


def _tables(batches: "Iterable[pyarrow.RecordBatch]") -> "Iterator[pyarrow.Table]":
    from pyarrow import Table

    for batch in batches:
        yield Table.from_batches([batch])


def score_with_ray(files: Path, job: Job, folder: Path, workers: int) -> Tally:
    """Score parquet files, as `BatchScorer.table` has their rows, by so many workers of Ray, which must be up.

    Each worker takes a CPU, and reading needs one besides. files: one, or a folder of them; folder: the project's,
    where each worker's relative paths begin. Both must be there on all machines. What is scored twice, since a worker
    was lost, is in the log once. Raises ConfigError without Ray.
    """
    require("Scoring by Ray", "ray")
    import ray.data

    rows: Any = ray.data.read_parquet(str(files.resolve()), columns=list(_COLUMNS))
    found = rows.map_batches(
        _Worker,
        fn_constructor_args=(job, folder.resolve()),
        batch_format="pyarrow",
        batch_size=_AT_ONCE,
        concurrency=workers,
    )
    return sum((Tally(row["images"], row["new"], tuple(row["broken"])) for row in found.iter_rows()), Tally())


class _Worker:
    """In a process of Ray that does nothing else."""

    def __init__(self, job: Job, folder: Path) -> None:
        os.chdir(folder)
        self._scorer = job.opened()

    def __call__(self, table: "pyarrow.Table") -> "pyarrow.Table":
        import pyarrow

        done = self._scorer.table(table)
        columns = {"images": [done.images], "new": [done.new], "broken": [list(done.broken)]}
        kinds = [pyarrow.int64(), pyarrow.int64(), pyarrow.list_(pyarrow.string())]
        return pyarrow.table(columns, schema=pyarrow.schema(list(zip(columns, kinds, strict=True))))
