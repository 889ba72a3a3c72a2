"""CSV files that name images by an id, without folder or ending, as Kaggle's do: `id,label` beside a folder train/."""

from collections import defaultdict
from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from resnet_ops.csv_table import CsvTable
from resnet_ops.data.listing.folders import find
from resnet_ops.errors import DataError

__all__ = ["NamedColumns", "named_columns", "with_paths"]

_IMAGE = ("image", "image_id", "image_name", "filename", "file_name", "file", "id_code", "id")
"""Columns that name an image, in small letters; the first that is there counts."""
_CLASS = ("class", "label", "target", "diagnosis", "category")
"""Columns that say its class; else the only other one does."""
_SHOWN = 8


@dataclass(frozen=True)
class NamedColumns:
    """Which columns say what."""

    image: str
    label: str

    def renamed(self, columns: Sequence[str]) -> list[str]:
        """These columns, as files with a path and a class call them."""
        own = {self.image: "path", self.label: "class"}
        return [own.get(name, name) for name in columns]


def named_columns(columns: Collection[str], file: Path) -> NamedColumns | None:
    """Those of a CSV file; None where it has paths, or none that names an image.

    Raises DataError where none, or more than one, may be the class.
    """
    small = {name.casefold(): name for name in columns}
    image = next((small[name] for name in _IMAGE if name in small), None)
    if "path" in columns or image is None:
        return None
    others = [name for name in columns if name not in (image, "split", "")]
    told = [name for name in others if name.casefold() in _CLASS] if len(others) > 1 else others
    if "class" in others:
        told = ["class"]
    if len(told) != 1:
        raise DataError(
            f"{file}: the column {image} names its images, but {' and '.join(told) or 'none'} of the columns "
            f"{', '.join(others)[:300] or 'beside it'} may be their class. Call the one that is: class"
        )
    return NamedColumns(image, told[0])


def with_paths(table: CsvTable, columns: NamedColumns, file: Path) -> tuple[CsvTable, list[str]]:
    """The table with paths relative to the CSV file, and classes; and a note of where its images are.

    They are in one folder beside the file, or below: of those to which ids lead that which is called most like the
    file, as train and train_images are like train.csv. Rows whose image is missing or not clear are added to what is
    wrong. Raises DataError where at least half are missing there, or two folders are alike.
    """
    images = find(file.parent).images
    ids = {row[columns.image] for _, row in table.rows} - {""}
    found = _by_folder(images, file.parent, ids)
    folder = _folder(found, ids, columns.image, file)
    there, rows, wrong = found[folder], [], list(table.wrong)
    shown = folder.relative_to(file.parent).as_posix()
    for line, row in table.rows:
        name = row[columns.image]
        paths = there.get(name, [])
        if len(paths) == 1:
            path = paths[0].relative_to(file.parent).as_posix()
            rows.append(
                (line, dict(zip(columns.renamed([*row]), [*row.values()], strict=True)) | {"path": path})
            )
        elif paths:
            wrong.append(
                f"line {line}: {name} is {' and '.join(each.name for each in paths)}; write its ending, too"
            )
        else:
            wrong.append(
                f"line {line}: {f'there is no image {name} in {shown}' if name else f'{columns.image} is empty'}"
            )
    used = {path for paths in there.values() for path in paths}
    notes = [f"Images are named by the column {columns.image}, in {shown}; their classes by {columns.label}"]
    if others := [path for path in images if path not in used]:
        notes.append(f"{len(others):,} images are in no row and are left out, such as {others[0]}")
    return replace(table, columns=columns.renamed(table.columns), rows=rows, wrong=wrong), notes


def _by_folder(images: Sequence[Path], root: Path, ids: set[str]) -> dict[Path, dict[str, list[Path]]]:
    """By folder, the images of each id: those that are called so from there, with or without their ending."""
    found: dict[Path, dict[str, list[Path]]] = defaultdict(lambda: defaultdict(list))
    for path in images:
        for above in path.parents[: len(path.parents) - len(root.parents)]:
            name = path.relative_to(above)
            for called in {name.as_posix(), name.with_suffix("").as_posix()} & ids:
                found[above][called].append(path)
    return found


def _folder(found: dict[Path, dict[str, list[Path]]], ids: set[str], column: str, file: Path) -> Path:
    if not ids:
        raise DataError(f"{file}: its column {column} names no image. Write a row for each.")
    ranks = {each: (_likeness(each, file), len(there)) for each, there in found.items()}
    first = max(sorted(ranks), key=lambda each: ranks[each], default=None)
    if first is None or 2 * ranks[first][1] < len(ids):
        where = (
            f"only {ranks[first][1]:,} are in {first}" if first else f"none is in a folder of {file.parent}"
        )
        raise DataError(
            f"{file}: of {len(ids):,} images that its column {column} names, such as {min(ids)[:200]}, {where}, with "
            "or without their endings. Put them into one folder beside the file; or give it a column path, with each "
            "image's folder and ending."
        )
    for other, (like, count) in ranks.items():
        if other != first and like == ranks[first][0] and 2 * count >= len(ids):
            raise DataError(
                f"{file}: its column {column} names images in {first} and in {other} alike. Move one away; or give the "
                "file a column path, with each image's folder and ending."
            )
    return first


def _likeness(folder: Path, file: Path) -> int:
    names = [part.casefold() for part in folder.relative_to(file.parent).parts]
    stem = file.stem.casefold()
    return 2 if stem in names else 1 if any(name.startswith(stem) for name in names) else 0
