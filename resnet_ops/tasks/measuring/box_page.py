"""Images with their objects and the boxes that were answered, worst first, as one HTML page without other files."""

from collections.abc import Iterator, Sequence
from html import escape

import numpy as np

from resnet_ops.data import PreparedData
from resnet_ops.page import document, facts
from resnet_ops.tasks.detection.pairing import inside, overlaps, pair
from resnet_ops.tasks.measuring.box_drawing import colour
from resnet_ops.thumbnail import thumbnail

__all__ = ["boxes_page"]

SIDE = 384
"""Of a picture on the page, in pixels."""


def boxes_page(
    title: str,
    data: PreparedData,
    counted: Sequence[np.ndarray],
    scores: np.ndarray,
    most: int,
    numbers: list[tuple[str, str]],
    threshold: float,
) -> str:
    """The `most` images with the lowest scores: with their objects, and with the boxes that count.

    counted: (D, 6) rows of each image, as a detector answers. scores: (N,) fractions. numbers: what is shown above, by
    name. threshold: the score from which boxes count.
    """
    key = "".join(
        f'<span><i class="key" style="background:{colour(place)}"></i>{escape(name)}</span> '
        for place, name in enumerate(data.classes)
        if place
    )
    rows = "".join(
        _row(data, int(place), counted[place], float(scores[place]))
        for place in np.argsort(scores, kind="stable")[:most]
    )
    body = (
        f"<h1>{escape(title)}</h1>{facts([(name, value, '') for name, value in numbers])}"
        '<p class="small">Each row: the objects of an image, and the boxes that were answered with a score from '
        f"{threshold:.3f} on. Dashed: an object that was missed, a box that is on no object of its class. Grey: what "
        f"does not count. {key}</p>"
        "<style>.row{display:flex;gap:.75rem;align-items:flex-start;margin:.75rem 0}"
        f".row svg{{width:{SIDE}px;flex:none}} .row rect{{fill:none;stroke-width:2;vector-effect:non-scaling-stroke}} "
        f".wrong{{stroke-dasharray:5 3}}</style>{rows}"
    )
    return document(title, body, broad=True)


def _row(data: PreparedData, place: int, boxes: np.ndarray, score: float) -> str:
    image, row, target = np.asarray(data.images[place]), data.rows[place], np.asarray(data.asked[place])
    objects = target[target[:, 4] > 0]
    asked = objects[:, 5] == 0
    same = boxes[:, 5, None] == objects[None, :, 4]
    found = pair(np.where(same & asked, overlaps(boxes[:, :4], objects[:, :4]), 0))
    unasked = (found < 0) & inside(boxes[:, :4], objects[:, :4], same & ~asked)
    right = np.isin(np.arange(len(objects)), found)
    truth = _rectangles(data.classes, objects[:, :4], objects[:, 4], right, ~asked, [""] * len(objects))
    notes = [f" {each:.2f}" for each in boxes[:, 4]]
    answer = _rectangles(data.classes, boxes[:, :4], boxes[:, 5], found >= 0, unasked, notes)
    picture = thumbnail(image, max(image.shape[:2]))
    pictures = "".join(
        f'<svg viewBox="0 0 {image.shape[1]} {image.shape[0]}" role="img" aria-label="{what}">'
        f'<image href="{picture}" width="{image.shape[1]}" height="{image.shape[0]}"/>{"".join(drawn)}</svg>'
        for what, drawn in (("objects", truth), ("answer", answer))
    )
    missed, wrong = int((asked & ~right).sum()), int(((found < 0) & ~unasked).sum())
    return (
        f'<div class="row">{pictures}<div class="small"><b>{score:.3f}</b><br>{escape(row.path)}<br>'
        f'<span class="soft">objects: {int(asked.sum())}, missed: {missed}, wrong boxes: {wrong}</span></div></div>'
    )


def _rectangles(
    classes: Sequence[str],
    boxes: np.ndarray,
    kinds: np.ndarray,
    right: np.ndarray,
    unasked: np.ndarray,
    notes: Sequence[str],
) -> Iterator[str]:
    """SVG of (D, 4) boxes; the class's name and a note appear under the pointer."""
    for box, kind, is_right, is_unasked, note in zip(
        boxes, kinds.astype(int), right, unasked, notes, strict=True
    ):
        left, top, right_side, bottom = (float(side) for side in box)
        style = "" if is_right or is_unasked else ' class="wrong"'
        yield (
            f'<rect x="{left:.1f}" y="{top:.1f}" width="{right_side - left:.1f}" height="{bottom - top:.1f}"{style} '
            f'stroke="{"#888" if is_unasked else colour(kind)}"><title>{escape(classes[kind])}{note}</title></rect>'
        )
