"""Lists of images, as Pascal VOC has them: a text file with a name a line, in general without its ending."""

from collections import Counter
from collections.abc import Iterable, Iterator
from pathlib import Path

from resnet_ops.data.listing.given_splits import is_split_name
from resnet_ops.errors import DataError

__all__ = ["SETS", "read_names", "set_of_each"]

SETS = Path("ImageSets/Main")
"""Where VOC has its lists."""
_BOTH = "trainval.txt"
_SHOWN = 20


def read_names(file: Path) -> Iterator[tuple[int, str]]:
    """The lines that are not empty, with their numbers. Raises DataError where the file cannot be read."""
    try:
        lines = file.read_text(encoding="utf-8-sig").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(f"{file} cannot be read ({error}). Name a list of images in UTF-8.") from error
    return ((number, line.strip()) for number, line in enumerate(lines, 1) if line.strip())


def set_of_each(folder: Path, images: Iterable[Path]) -> tuple[dict[Path, str], list[str]]:
    """Of each image the name of the list, called like a split, that has it; and what a person should know.

    Those that `trainval` has alone count as of `train`. folder: that has `ImageSets`; without it no image is named.
    Raises DataError that names every image in two lists by their lines.
    """
    called = [(name, image) for image in images for name in {image.name, image.stem}]
    times = Counter(name for name, _ in called)
    known = {name: image for name, image in called if times[name] == 1}
    sets = folder / SETS
    lists = [each for each in sorted(sets.glob("*.txt")) if is_split_name(each.stem)]
    named: dict[Path, tuple[str, str]] = {}
    faults: list[str] = []
    unknown: list[str] = []
    for file in lists:
        for line, text in read_names(file):
            where, image = f"{file}, line {line}", known.get(text) or known.get(text.split()[0])
            if image is None:
                unknown.append(f"{where}: {text[:100]}")
            elif (other := named.setdefault(image, (file.stem, where)))[0] != file.stem:
                faults.append(f"{where}: {image.stem} stands at {other[1]} as well")
    if faults:
        shown = "\n  ".join(faults[:_SHOWN]) + ("\n  and others" if len(faults) > _SHOWN else "")
        raise DataError(
            f"{sets}: {len(faults)} images are in two lists; take each out of one, or move these lists away to have "
            f"all images split anew:\n  {shown}"
        )
    for _, text in read_names(sets / _BOTH) if (sets / _BOTH).is_file() else ():
        if image := known.get(text) or known.get(text.split()[0]):
            named.setdefault(image, ("train", ""))
    notes = (
        [f"{len(unknown):,} lines name no image that has labels, or several, such as {unknown[0]}"]
        if unknown
        else []
    )
    return {image: name for image, (name, _) in named.items()}, notes
