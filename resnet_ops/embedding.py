"""Embeddings of a folder of images in a parquet file: features for search, for clustering, for other models."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from resnet_ops.data.depth import dtype_of
from resnet_ops.data.listing.folders import find, notes_on, require_most
from resnet_ops.data.params import ReadParams
from resnet_ops.data.streaming import images_in_memory, stream_images
from resnet_ops.errors import ConfigError, DataError
from resnet_ops.files import write_path
from resnet_ops.messages import Progress
from resnet_ops.predictions import DeployedModel, Predictions
from resnet_ops.tasks.task import require_per_image

if TYPE_CHECKING:
    import pyarrow

__all__ = ["Embedded", "embed_folder"]

BATCH = 256
"""Images that are held and asked about at once, at most, and rows of a group of the file."""


@dataclass(frozen=True)
class Embedded:
    """What was written: rows, numbers a row, and what was passed over."""

    rows: int
    width: int
    notes: tuple[str, ...]
    """One line for each kind of file that is no image."""
    broken: tuple[str, ...]
    """Images that could not be read, with the reason; they have no row."""


def embed_folder(
    model: DeployedModel,
    folder: Path,
    params: ReadParams,
    target: Path,
    *,
    half: bool,
    skip_broken: bool,
    about: Mapping[str, str],
    progress: Progress = lambda done, total: None,
) -> Embedded:
    """Write a row an image: path (below the folder), predicted, confidence, embedding (F numbers).

    Images are read as `params` says, a batch at a time, and the file is there whole or not at all. half: embeddings as
    float16 instead of float32. about: which model it was, kept in the file's metadata. Raises DataError where there is
    no image, and where one cannot be read unless `skip_broken`; ConfigError where `params` are of another model.
    """
    require_per_image(model.task, "embed")
    _require_fit(model, params)
    found = find(folder)
    require_most(str(folder), found)
    if not found.images:
        raise DataError(f"{folder} holds no image at any depth. Name a folder that does.")
    broken: list[str] = []
    with write_path(target) as temporary:
        rows, width = _write(model, folder, found.images, params, temporary, half, about, broken, progress)
        if broken and not (skip_broken and rows):
            listed = "\n  ".join(broken)
            raise DataError(
                f"{folder}: {len(broken)} of {len(found.images)} images cannot be read, and nothing was written. "
                f"Replace them, or leave them out by --skip-broken:\n  {listed}"
            )
    return Embedded(rows, width, tuple(notes_on(found)), tuple(broken))


def _require_fit(model: DeployedModel, params: ReadParams) -> None:
    given = (params.image_size, params.channels, params.depth)
    if given != (model.image_size, model.channels, model.depth):
        raise ConfigError(
            f"{model.name} takes images of {model.image_size} pixels with {model.channels} channels of {model.depth} "
            f"bits, but data in params.yaml says {given[0]}, {given[1]} and {given[2]}. Name the "
            "params.yaml of its training."
        )


def _write(
    model: DeployedModel,
    folder: Path,
    paths: Sequence[Path],
    params: ReadParams,
    target: Path,
    half: bool,
    about: Mapping[str, str],
    broken: list[str],
    progress: Progress,
) -> tuple[int, int]:
    """Rows and numbers a row; the names of files that cannot be read go to `broken`."""
    from pyarrow import parquet

    width = model.predict(
        np.empty((0, model.image_size, model.image_size, model.channels), dtype_of(model.depth))
    ).embeddings.shape[1]
    schema = _schema(width, half, about)
    rows = 0
    count = images_in_memory(params, BATCH)
    with parquet.ParquetWriter(target, schema, compression="zstd") as writer:
        for batch in stream_images(paths, params, count, progress):
            broken += [f"{path.relative_to(folder)} ({why})" for path, why in batch.broken.items()]
            if batch.paths:
                names = [path.relative_to(folder).as_posix() for path in batch.paths]
                writer.write_table(_table(names, model.predict(batch.images), model.classes, schema))
                rows += len(names)
    return rows, width


def _schema(width: int, half: bool, about: Mapping[str, str]) -> "pyarrow.Schema":
    import pyarrow

    number = pyarrow.float16() if half else pyarrow.float32()
    fields = [
        ("path", pyarrow.string()),
        ("predicted", pyarrow.string()),
        ("confidence", pyarrow.float32()),
        ("embedding", pyarrow.list_(number, width)),
    ]
    return pyarrow.schema(fields, metadata=dict(about))


def _table(
    names: list[str], found: Predictions, classes: tuple[str, ...], schema: "pyarrow.Schema"
) -> "pyarrow.Table":
    import pyarrow

    kind = np.float16 if schema.field("embedding").type.value_type == pyarrow.float16() else np.float32
    flat = pyarrow.array(np.ascontiguousarray(found.embeddings, dtype=kind).ravel())
    columns = [
        names,
        [classes[place] for place in found.predicted],
        found.probabilities.max(axis=1).astype(np.float32),
        pyarrow.FixedSizeListArray.from_arrays(flat, found.embeddings.shape[1]),
    ]
    return pyarrow.table(columns, schema=schema)
