"""Labels as a CSV file with a row a box: image, class, xmin, ymin, xmax, ymax, and perhaps width, height and crowd."""

from pathlib import Path

from resnet_ops.csv_table import read_table
from resnet_ops.tasks.detection.labels.listing import Listing, StatedBox, StatedImage, number, side

__all__ = ["read_csv_boxes"]

_CORNERS = ("xmin", "ymin", "xmax", "ymax")


def read_csv_boxes(file: Path) -> Listing:
    """Corners in pixels. A row with an image alone says that it shows nothing. width, height: of the image.

    Raises DataError when it cannot be read or lacks a column.
    """
    table = read_table(file, ("image", "class", *_CORNERS))
    found = Listing(unreadable=[f"{file}, {wrong}" for wrong in table.wrong])
    images: dict[str, StatedImage] = {}
    for line, row in table.rows:
        where, name = f"{file}, line {line}", row["image"]
        if not name:
            found.unreadable.append(f"{where}: has no image")
            continue
        width, height = (side(row.get(name, "")) for name in ("width", "height"))
        image = images.setdefault(name, StatedImage(where, name, name, width, height))
        if (image.width, image.height) != (width, height):
            found.unreadable.append(f"{where}: says another width or height than {image.where}")
        if not any(row[column] for column in ("class", *_CORNERS)):
            continue
        left, top, right, bottom = (number(row[corner]) for corner in _CORNERS)
        crowd = row.get("crowd", "").lower() in ("1", "true", "yes")
        image.boxes.append(StatedBox(where, row["class"] or None, (left, top, right, bottom), crowd))
    found.images = list(images.values())
    return found
