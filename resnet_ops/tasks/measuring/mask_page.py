"""Images with what was asked and what was answered, worst first, as one HTML page that needs no other file."""

from html import escape

import numpy as np

from resnet_ops.data import PreparedData
from resnet_ops.page import document, facts
from resnet_ops.tasks.measuring.mask_drawing import COLOURS, drawn
from resnet_ops.thumbnail import thumbnail

__all__ = ["masks_page"]

SIDE = 192
"""Largest side of a picture, in pixels."""


def masks_page(
    title: str,
    data: PreparedData,
    answers: np.ndarray,
    scores: np.ndarray,
    most: int,
    numbers: list[tuple[str, str]],
) -> str:
    """The `most` images with the lowest scores: as they are, with their masks, and with the answers.

    answers: (N, H, W). scores: (N,) fractions. numbers: what is shown above, by name.
    """
    key = "".join(
        f'<span><i class="key" style="background:rgb({",".join(map(str, COLOURS[1 + place % 9]))})"></i>'
        f"{escape(name)}</span> "
        for place, name in enumerate(data.classes[1:])
    )
    rows = "".join(
        _row(data, int(place), answers[place], float(scores[place]))
        for place in np.argsort(scores, kind="stable")[:most]
    )
    body = (
        f"<h1>{escape(title)}</h1>{facts([(name, value, '') for name, value in numbers])}"
        f'<p class="small">Each row: the image, its mask, the answer. {key}'
        '<span><i class="key" style="background:#808080"></i>not asked</span></p>'
        f"<style>.row{{display:flex;gap:.75rem;align-items:flex-start;margin:.75rem 0}}"
        f".row img{{width:{SIDE}px;image-rendering:pixelated}}</style>{rows}"
    )
    return document(title, body, broad=True)


def _row(data: PreparedData, place: int, answer: np.ndarray, score: float) -> str:
    image, mask, row = np.asarray(data.images[place]), np.asarray(data.asked[place]), data.rows[place]
    plain = np.zeros_like(mask)
    pictures = "".join(
        f'<img alt="{what}" src="{thumbnail(drawn(image, each), SIDE)}">'
        for what, each in (("image", plain), ("mask", mask), ("answer", answer))
    )
    return (
        f'<div class="row">{pictures}<div class="small"><b>{score:.3f}</b><br>{escape(row.path)}<br>'
        f'<span class="soft">{escape(row.class_name)}</span></div></div>'
    )
