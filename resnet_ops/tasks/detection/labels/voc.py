"""Labels in Pascal VOC's XML (Everingham et al. 2010), one file an image.

Parsed by expat with every document type refused, so that there are no entities to expand or to fetch; its events give
the line of each object, which a tree would not.
"""

from collections.abc import Callable, Iterable
from pathlib import Path
from xml.parsers import expat

from resnet_ops.tasks.detection.labels.listing import Listing, StatedBox, StatedImage, number, side

__all__ = ["read_voc"]

MAX_BYTES = 20_000_000
LONGEST = 40
"""Characters of an element's name that are kept, so that long ones do not multiply; those that are read have fewer."""
DEEPEST = 3
"""Elements around a corner of a box."""
_CORNERS = ("xmin", "ymin", "xmax", "ymax")
_OBJECT = "annotation/object"


class _Refused(Exception):
    pass


def read_voc(files: Iterable[Path]) -> Listing:
    """Coordinates are taken as they stand; an object marked `difficult` is taken for one of COCO's crowds.

    Not quite as in VOC's own measure: there a false alarm counts that lies in such an object, but is far smaller.
    """
    found = Listing()
    for file in files:
        try:
            if file.stat().st_size > MAX_BYTES:
                raise _Refused(f"has more than {MAX_BYTES:,} bytes")
            found.images.append(_image(file, _parse(file.read_bytes())))
        except (OSError, ValueError, LookupError, expat.ExpatError, _Refused) as error:
            found.unreadable.append(f"{file}: cannot be read as VOC XML: {error}")
    return found


_Text = tuple[str, str, int]
"""An element's path, its text and its line."""


def _parse(content: bytes) -> list[_Text]:
    """In the order in which elements end, without those that lie deeper than a corner of a box."""
    ended: list[_Text] = []
    open_elements: list[tuple[str, int, list[str]]] = []
    parser = expat.ParserCreate()

    def start(name: str, _: object) -> None:
        if len(open_elements) > 20:
            raise _Refused("elements are nested more than 20 deep")
        above = f"{open_elements[-1][0]}/" if open_elements else ""
        open_elements.append((above + name[:LONGEST], parser.CurrentLineNumber, []))

    def end(_: str) -> None:
        path, line, texts = open_elements.pop()
        if path.count("/") <= DEEPEST:
            ended.append((path, "".join(texts).strip(), line))

    def doctype(*_: object) -> None:
        raise _Refused("it declares a document type, which could name entities; remove <!DOCTYPE ...>")

    parser.StartElementHandler, parser.EndElementHandler = start, end
    parser.CharacterDataHandler = _collect(open_elements)
    parser.StartDoctypeDeclHandler = doctype
    parser.Parse(content, True)
    return ended


def _collect(open_elements: list[tuple[str, int, list[str]]]) -> Callable[[str], None]:
    return lambda text: open_elements[-1][2].append(text)


def _image(file: Path, elements: list[_Text]) -> StatedImage:
    about: dict[str, str] = {}
    boxes: list[StatedBox] = []
    fields: dict[str, str] = {}
    for path, text, line in elements:
        if path == _OBJECT:
            boxes.append(_box(f"{file}, line {line}", fields))
            fields = {}
        elif path.startswith(f"{_OBJECT}/"):
            fields[path.removeprefix(f"{_OBJECT}/")] = text
        else:
            about[path] = text
    if "annotation" not in about:
        raise _Refused("its outermost element is not <annotation>")
    width, height = (side(about.get(f"annotation/size/{name}", "")) for name in ("width", "height"))
    name = about.get("annotation/filename") or file.stem
    return StatedImage(str(file), name, name, width, height, boxes)


def _box(where: str, fields: dict[str, str]) -> StatedBox:
    left, top, right, bottom = (number(fields.get(f"bndbox/{corner}")) for corner in _CORNERS)
    return StatedBox(
        where, fields.get("name") or None, (left, top, right, bottom), fields.get("difficult") == "1"
    )
