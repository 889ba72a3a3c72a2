"""Labels in COCO's JSON (Lin et al. 2014; cocodataset.org, data format)."""

import json
from pathlib import Path
from typing import Any

from resnet_ops.errors import DataError
from resnet_ops.tasks.detection.labels.listing import Listing, StatedBox, StatedImage, number, side

__all__ = ["read_coco", "read_json"]

MAX_BYTES = 2_000_000_000
_PARTS = ("images", "annotations", "categories")


def read_coco(file: Path, outlines: bool = False) -> Listing:
    """Images, annotations with `bbox` [left, top, width, height], and categories, whatever their ids.

    outlines: whether of annotations `segmentation` is kept, which may be large, and `bbox` is not read.

    Raises DataError when it is no such file.
    """
    content = read_json(file)
    if not isinstance(content, dict) or any(not isinstance(content.get(part), list) for part in _PARTS):
        raise DataError(f"{file} is no COCO file: it must be an object with the lists {', '.join(_PARTS)}.")
    found = Listing()
    names = _categories(file, content["categories"], found)
    images = _images(file, content["images"], found)
    for place, annotation in enumerate(content["annotations"]):
        _add_object(file, place, annotation, images, names, found, outlines)
    return found


def read_json(file: Path) -> Any:
    """A JSON file's content. Raises DataError, with the line, when it is none."""
    try:
        if file.stat().st_size > MAX_BYTES:
            raise DataError(f"{file} has more than {MAX_BYTES:,} bytes. Measure on fewer images.")
        return json.loads(file.read_bytes())
    except OSError as error:
        raise DataError(f"{file} cannot be read: {error.strerror}. Name a JSON file.") from error
    except (ValueError, RecursionError) as error:
        raise DataError(f"{file} is not valid JSON ({error}). Name a JSON file in UTF-8.") from error


def _categories(file: Path, categories: list[Any], found: Listing) -> dict[str, str]:
    names: dict[str, str] = {}
    taken: set[str] = set()
    for place, category in enumerate(categories):
        entry = category if isinstance(category, dict) else {}
        key, name = entry.get("id"), entry.get("name")
        if not _whole(key) or not isinstance(name, str) or not name.strip():
            found.unreadable.append(f"{file}, category {place}: has no whole number `id` or no `name`")
        elif str(key) in names or name.strip() in taken:
            found.unreadable.append(f"{file}, category {key} {name!r}: the id or the name stands there twice")
        else:
            names[str(key)] = name.strip()
            taken.add(name.strip())
    ordered = sorted(names, key=int)
    if ordered != [str(place) for place in range(len(ordered))]:
        found.notes.append(f"category ids {', '.join(ordered)[:200]} are numbered from 0 without gaps here")
    found.classes, found.class_numbers = [names[key] for key in ordered], names
    return names


def _whole(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def _images(file: Path, images: list[Any], found: Listing) -> dict[str, StatedImage]:
    known: dict[str, StatedImage] = {}
    for place, image in enumerate(images):
        entry = image if isinstance(image, dict) else {}
        key, name = entry.get("id"), entry.get("file_name")
        if not (_whole(key) or isinstance(key, str)) or not isinstance(name, str):
            found.unreadable.append(f"{file}, image {place}: has no `id` or no `file_name`")
            continue
        where = f"{file}, image {key} ({name[:200]})"
        if str(key) in known:
            found.unreadable.append(f"{where}: the id stands there twice")
            continue
        width, height = side(entry.get("width")), side(entry.get("height"))
        known[str(key)] = StatedImage(where, str(key), name, width, height)
    found.images = list(known.values())
    return known


def _add_object(
    file: Path,
    place: int,
    annotation: Any,
    images: dict[str, StatedImage],
    names: dict[str, str],
    found: Listing,
    outlines: bool,
) -> None:
    entry = annotation if isinstance(annotation, dict) else {}
    where = f"{file}, annotation {entry.get('id', f'at place {place}')}"
    box = [None] * 4 if outlines else entry.get("bbox")
    if not isinstance(box, list) or len(box) != 4:
        found.faults.append(f"{where}: has no `bbox` of left, top, width and height")
        return
    image = images.get(str(entry.get("image_id")))
    if image is None:
        found.faults.append(
            f"{where}: is of the image {str(entry.get('image_id'))[:100]}, which is not listed"
        )
        return
    name = names.get(str(entry.get("category_id")))
    if name is None:
        found.faults.append(
            f"{where}: is of the category {str(entry.get('category_id'))[:100]}, which is not listed"
        )
        return
    left, top, width, height = map(number, box)
    area = number(entry.get("area"))
    image.boxes.append(
        StatedBox(
            where,
            name,
            (left, top, left + width, top + height),
            crowd=entry.get("iscrowd") in (1, True),
            area=area if 0 <= area < float("inf") else None,
            outline=entry.get("segmentation") if outlines else None,
        )
    )
