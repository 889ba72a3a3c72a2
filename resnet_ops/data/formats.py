"""Data sets in a few large files: MNIST's idx and CIFAR's binary version. No pickle is ever read.

Files that are missing, cut off or of another kind are named, all of them, before anything is kept.
"""

import gzip
import zlib
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from resnet_ops.data.decoding import fit_arrays
from resnet_ops.data.params import DataParams
from resnet_ops.data.prepared import HELD_OUT, LEARNED
from resnet_ops.data.raw import RawData
from resnet_ops.errors import DataError

__all__ = ["read_cifar", "read_idx"]

IDX_PARTS = {"train": LEARNED, "t10k": HELD_OUT}
CIFAR10_FILES = {**{f"data_batch_{number}.bin": 10_000 for number in range(1, 6)}, "test_batch.bin": 10_000}
CIFAR100_FILES = {"train.bin": 50_000, "test.bin": 10_000}
"""Records in each file."""
PIXELS = 3 * 32 * 32


def read_idx(params: DataParams, scratch: Path | None) -> RawData:
    """Read the four files of MNIST (LeCun et al. 1998) or Fashion-MNIST (Xiao et al. 2017), packed or not.

    Classes are the labels that occur: they may begin at 1 and have gaps. Their names are the lines of classes.txt where
    there is one: as many as classes, in their order; or a line for every label from 0 on.
    """
    root = Path(params.root or "")
    wrong: list[str] = []
    arrays: dict[str, tuple[np.ndarray, np.ndarray]] = {}
    for part in IDX_PARTS:
        images = _read_idx_file(root / f"{part}-images-idx3-ubyte", 3, wrong)
        labels = _read_idx_file(root / f"{part}-labels-idx1-ubyte", 1, wrong)
        if images is not None and labels is not None and len(images) != len(labels):
            wrong.append(f"{part}: {len(images)} images but {len(labels)} labels")
        elif images is not None and labels is not None:
            arrays[part] = images[..., None], labels
    _require(root, wrong)
    found = sorted(set(np.concatenate([labels for _, labels in arrays.values()]).tolist()))
    classes = _names_of(root / "classes.txt", found)
    place = np.zeros(256, np.uint8)
    place[found] = range(len(found))
    ranked = {part: (images, place[labels]) for part, (images, labels) in arrays.items()}
    return _join(ranked, {part: IDX_PARTS[part] for part in arrays}, classes, params, root, scratch)


def read_cifar(params: DataParams, scratch: Path | None) -> RawData:
    """Read the binary version of CIFAR-10 or CIFAR-100 (Krizhevsky 2009); of the latter the 100 fine classes."""
    root = Path(params.root or "")
    ten = params.source == "cifar10"
    files, heading = (CIFAR10_FILES, 1) if ten else (CIFAR100_FILES, 2)
    names = root / ("batches.meta.txt" if ten else "fine_label_names.txt")
    wrong: list[str] = []
    arrays: dict[str, tuple[np.ndarray, np.ndarray]] = {}
    for name, records in files.items():
        try:
            content = (root / name).read_bytes()
        except OSError as error:
            wrong.append(f"{name} ({error.strerror})")
            continue
        wanted = records * (heading + PIXELS)
        if len(content) != wanted:
            wrong.append(f"{name} ({len(content):,} bytes, not {wanted:,})")
            continue
        table = np.frombuffer(content, np.uint8).reshape(records, heading + PIXELS)
        images = table[:, heading:].reshape(records, 3, 32, 32).transpose(0, 2, 3, 1)
        arrays[name.removesuffix(".bin")] = np.ascontiguousarray(images), table[:, heading - 1]
    _require(root, wrong)
    classes = _class_names(names, 10 if ten else 100)
    allowed = {name: HELD_OUT if name.startswith("test") else LEARNED for name in arrays}
    return _join(arrays, allowed, classes, params, root, scratch)


def _read_idx_file(path: Path, dimensions: int, wrong: list[str]) -> np.ndarray | None:
    """The array of a file or of its .gz; None, and a line in `wrong`, where there is none."""
    packed = path.with_name(path.name + ".gz")
    found = packed if packed.exists() else path
    try:
        content = gzip.decompress(found.read_bytes()) if found == packed else found.read_bytes()
    except OSError as error:
        wrong.append(f"{found.name} ({error.strerror or error})")
        return None
    except (EOFError, zlib.error) as error:
        wrong.append(f"{found.name} (cut off or damaged: {error})")
        return None
    header = 4 + 4 * dimensions
    if content[:4] != bytes([0, 0, 8, dimensions]) or len(content) < header:
        wrong.append(f"{found.name} (not an idx file of bytes in {dimensions} dimensions)")
        return None
    shape = np.frombuffer(content, ">u4", dimensions, 4).astype(int)
    if len(content) != header + int(shape.prod()):
        wrong.append(f"{found.name} ({len(content) - header:,} bytes of data, not {int(shape.prod()):,})")
        return None
    return np.frombuffer(content, np.uint8, offset=header).reshape(shape)


def _names_of(path: Path, labels: list[int]) -> tuple[str, ...]:
    if not path.exists():
        return tuple(map(str, labels))
    names = _lines(path)
    if len(names) != len(labels) and len(names) <= labels[-1]:
        raise DataError(
            f"{path} has {len(names)} names, but there are {len(labels)} classes, with labels {labels[0]} to "
            f"{labels[-1]}. Give it a line for each class, or for each label from 0 on."
        )
    return names if len(names) == len(labels) else tuple(names[label] for label in labels)


def _lines(path: Path) -> tuple[str, ...]:
    """The names in a file, without blanks around them. Raises DataError when one is there twice."""
    try:
        names = [line.strip() for line in path.read_text(encoding="utf-8-sig").splitlines() if line.strip()]
    except UnicodeDecodeError as error:
        raise DataError(f"{path} is not UTF-8 ({error}). Save it as UTF-8.") from error
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise DataError(f"{path} has {', '.join(twice)} twice. Correct it.")
    return tuple(names)


def _class_names(path: Path, count: int) -> tuple[str, ...]:
    if not path.exists():
        return tuple(map(str, range(count)))
    names = _lines(path)
    if len(names) < count:
        raise DataError(f"{path} has {len(names)} different names, but {count} classes need one. Correct it.")
    return names


def _require(root: Path, wrong: list[str]) -> None:
    if wrong:
        shown = "\n  ".join(wrong)
        raise DataError(
            f"{root}: {len(wrong)} file(s) cannot be used; fetch them again, or correct data.root in params.yaml:\n"
            f"  {shown}"
        )


def _join(
    arrays: dict[str, tuple[np.ndarray, np.ndarray]],
    allowed: Mapping[str, tuple[str, ...]],
    classes: tuple[str, ...],
    params: DataParams,
    root: Path,
    scratch: Path | None,
) -> RawData:
    labels = np.concatenate([part for _, part in arrays.values()]).astype(np.int64)
    if labels.max(initial=0) >= len(classes):
        raise DataError(f"{root}: label {labels.max()} is out of range: there are {len(classes)} classes.")
    first = next(iter(arrays.values()))[0]
    size = (first.shape[2], first.shape[1])
    return RawData(
        images=fit_arrays([images for images, _ in arrays.values()], params, scratch),
        labels=labels,
        paths=[f"{name}/{index:05d}" for name, (images, _) in arrays.items() for index in range(len(images))],
        sizes=[size] * len(labels),
        classes=classes,
        allowed=[allowed[name] for name, (images, _) in arrays.items() for _ in range(len(images))],
    )
