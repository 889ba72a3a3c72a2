"""The images of a window that are newest to the model, small, inside the page."""

from html import escape

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from resnet_ops.data.depth import Pixels
from resnet_ops.thumbnail import thumbnail
from resnet_ops_monitoring.drift.reference import Reference
from resnet_ops_monitoring.drift.words import percent
from resnet_ops_monitoring.inference_log.frames import matrix
from resnet_ops_monitoring.statistics.accuracy import confidence
from resnet_ops_monitoring.statistics.two_sample import embedding_distances

__all__ = ["most_novel_section"]

SIDE = 96
"""Of a picture, in pixels."""


def most_novel_section(
    frame: pd.DataFrame,
    usable: NDArray[np.bool_],
    reference: Reference,
    images: Pixels,
    comparison: Pixels | None,
) -> str:
    """The 16 images farthest from the reference by embedding, and 8 usual ones where there are any.

    images: (N, H, W, C), one for each row of the frame; usable: (N,) true where the row's numbers are finite.
    """
    places = np.flatnonzero(usable)
    rng = np.random.default_rng(0)
    if len(places) > 2000:
        places = np.sort(rng.choice(places, 2000, replace=False))
    distance = embedding_distances(
        matrix(reference.rows, "embedding"), matrix(frame.iloc[places], "embedding")
    )
    shown = places[np.argsort(-distance, kind="stable")[:16]]
    sure = confidence(matrix(frame.iloc[shown], "probabilities"), reference.schema.scalars)
    figures = "".join(
        _figure(images[i], _caption(frame.iloc[int(i)], float(each)))
        for i, each in zip(shown, sure, strict=True)
    )
    html = (
        "<h2>The images most novel to the model</h2><p class='soft small'>Farthest from anything in the "
        f"reference, by embedding; {len(shown)} of {len(frame)}.</p><div class='thumbs'>{figures}</div>"
    )
    if comparison is not None and len(comparison):
        shown_reference = "".join(_figure(image, "") for image in comparison[:8])
        html += (
            "<p class='soft small' style='margin-top:1rem'>For comparison, images of the reference:</p>"
            f"<div class='thumbs'>{shown_reference}</div>"
        )
    return html


def _caption(row: "pd.Series[str]", sure: float) -> str:
    text = f"{row['predicted']}, {percent(sure)} sure"
    if isinstance(row["label"], str):
        text += ", right" if row["label"] == row["predicted"] else f"; truly {row['label']}"
    return text


def _figure(image: Pixels, caption: str) -> str:
    text = f"<figcaption>{escape(caption)}</figcaption>" if caption else ""
    alternative = escape(caption or "reference image")
    return f'<figure><img alt="{alternative}" src="{thumbnail(image, SIDE)}">{text}</figure>'
