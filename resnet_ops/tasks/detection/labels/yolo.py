"""Labels as YOLO text: a file an image, each line a class's number and centre x, centre y, width, height as shares."""

from pathlib import Path, PurePath
from typing import Any

import yaml

from resnet_ops.errors import DataError
from resnet_ops.tasks.detection.labels.listing import Listing, StatedBox, StatedImage, number
from resnet_ops.tasks.detection.labels.sizes import image_size

__all__ = ["NAMES", "read_yolo", "text_beside"]

NAMES = ("data.yaml", "classes.txt")
"""Where the names of the classes stand, in the folder of labels: a mapping with `names`, or a name a line."""

_LONGEST = 4_000
_READMES = ("readme.txt", "readme.dataset.txt", "readme.roboflow.txt")


def read_yolo(folder: Path, images: Path) -> Listing:
    """Labels in `folder`/labels, or in `folder` itself, by an image's name or by `text_beside`. An image without a file
    of labels shows nothing.

    images: the folder of images, of the same names. Raises DataError without names of classes.
    """
    from resnet_ops.data.listing.folders import find

    found = Listing()
    names = _names(folder)
    found.class_numbers = names
    found.classes = [names[key] for key in sorted(names, key=int)]
    if list(map(int, sorted(names, key=int))) != list(range(len(names))):
        found.notes.append(f"class numbers {', '.join(names)[:200]} are numbered from 0 without gaps here")
    labels = folder / "labels" if (folder / "labels").is_dir() else folder
    texts = {
        path.relative_to(labels).with_suffix("").as_posix(): path
        for path in sorted(labels.rglob("*.txt"))
        if path.name not in NAMES and path.name.casefold() not in _READMES
    }
    used: dict[Path, Path] = {}
    for path in sorted(find(images).images):
        file = path.relative_to(images)
        text = texts.get(file.with_suffix("").as_posix()) or texts.get(text_beside(file))
        if text is not None and text in used:
            found.faults.append(f"{path}: shares {text.name} with {used[text]}; rename one of them")
            continue
        if text is not None:
            used[text] = path
        _add(found, path, file.as_posix(), text, names)
    lost = [path for path in texts.values() if path not in used]
    found.faults += [f"{path}: there is no image of this name in {images}" for path in lost]
    return found


def text_beside(image: PurePath) -> str:
    """Where YOLO itself looks for an image's text, without ending: the last folder `images` becomes `labels`."""
    above, found, below = f"/{image.with_suffix('').as_posix()}".rpartition("/images/")
    return f"{above}/labels/{below}"[1:] if found else below[1:]


def _names(folder: Path) -> dict[str, str]:
    """By number, as text."""
    file = next((folder / name for name in NAMES if (folder / name).is_file()), None)
    if file is None:
        raise DataError(
            f"{folder} has neither {' nor '.join(NAMES)}, which name the classes. Write one of them."
        )
    try:
        text = file.read_text(encoding="utf-8")
        content: Any = text.splitlines() if file.suffix == ".txt" else _plain_yaml(text)["names"]
    except (OSError, ValueError, yaml.YAMLError, KeyError, TypeError) as error:
        raise DataError(
            f"{file} does not name the classes ({error}). Write names: [first, second]."
        ) from error
    named = dict(enumerate(content)) if isinstance(content, list) else content
    known = isinstance(named, dict) and named and all(type(key) is int for key in named)
    if not known or not all(isinstance(name, str | int) for name in named.values()):  # no lists within lists
        raise DataError(
            f"{file} does not name the classes. Write names: [first, second], or a name by number."
        )
    names = {str(key): str(name).strip() for key, name in named.items() if str(name).strip()}
    if len(set(names.values())) < len(names):
        raise DataError(f"{file} names a class twice: {', '.join(names.values())[:300]}. Name each once.")
    return names


def _plain_yaml(text: str) -> Any:
    """Raises YAMLError for aliases, by which a few lines become any amount, and for long numbers: YAML reads 1:1:1...
    to the base 60, in time that grows with the square.
    """
    for token in yaml.scan(text, Loader=yaml.SafeLoader):
        if isinstance(token, yaml.AliasToken):
            raise yaml.YAMLError("it uses a YAML alias")
        if isinstance(token, yaml.ScalarToken) and len(token.value) > _LONGEST:
            raise yaml.YAMLError(f"a value is longer than {_LONGEST} characters")
    return yaml.safe_load(text)


def _add(found: Listing, path: Path, file: str, labels: Path | None, names: dict[str, str]) -> None:
    size = image_size(path)
    if size is None:
        found.faults.append(f"{path}: cannot be opened as an image")
        return
    image = StatedImage(str(path), file, file, *size)
    found.images.append(image)
    try:
        lines = labels.read_text(encoding="utf-8").splitlines() if labels else []
    except (OSError, UnicodeDecodeError) as error:
        found.unreadable.append(f"{labels}: cannot be read: {error}")
        return
    for place, line in enumerate(lines, 1):
        if line.strip():
            _add_line(found, image, f"{labels}, line {place}", line.split(), names)


def _add_line(
    found: Listing, image: StatedImage, where: str, values: list[str], names: dict[str, str]
) -> None:
    if len(values) != 5:
        found.unreadable.append(f"{where}: has {len(values)} values, not a class's number and four shares")
        return
    across, down, width, height = map(number, values[1:])
    if max(abs(across), abs(down), abs(width), abs(height)) > 2:
        found.faults.append(f"{where}: is in pixels or percent; write shares of the image's sides, 0 to 1")
        return
    if values[0] not in names:
        found.faults.append(
            f"{where}: has the unknown class {values[0][:100]}; numbers are those of the names, from 0"
        )
        return
    assert image.width is not None
    assert image.height is not None
    left, right = ((across + sign * width / 2) * image.width for sign in (-1, 1))
    top, bottom = ((down + sign * height / 2) * image.height for sign in (-1, 1))
    image.boxes.append(StatedBox(where, names[values[0]], (left, top, right, bottom)))
