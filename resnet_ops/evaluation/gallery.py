"""The worst mistakes as one HTML page that needs no other file."""

from html import escape

import numpy as np

from resnet_ops.data import PreparedData
from resnet_ops.thumbnail import thumbnail

__all__ = ["mistakes_page"]

SHOWN_SIDE = 128
STYLE = """
body { font: 14px/1.4 system-ui, sans-serif; color: #1f2933; margin: 24px; }
main { display: flex; flex-wrap: wrap; gap: 16px; }
figure { margin: 0; width: 176px; }
img { width: 128px; height: 128px; object-fit: contain; image-rendering: pixelated; background: #f0f3f5; }
figcaption b { color: #b42318; }
small { color: #627282; overflow-wrap: anywhere; }
"""


def mistakes_page(title: str, data: PreparedData, log_probabilities: np.ndarray, most: int) -> str:
    """The wrongly classified images, highest loss first, at most `most` of them.

    log_probabilities: (N, C) of the N images of `data`.
    """
    predicted = log_probabilities.argmax(axis=1)
    losses = -np.take_along_axis(log_probabilities, data.labels[:, None], axis=1)[:, 0]
    wrong = np.flatnonzero(predicted != data.labels)
    worst = wrong[np.argsort(-losses[wrong], kind="stable")][:most]
    figures = "".join(_figure(data, log_probabilities[row], int(row), float(losses[row])) for row in worst)
    return (
        f'<!doctype html><html lang="en"><head><meta charset="utf-8"><title>{escape(title)}</title>'
        f"<style>{STYLE}</style></head><body><h1>{escape(title)}</h1>"
        f"<p>{len(worst)} of {len(wrong)} mistakes on {len(data)} images, those with the highest loss first.</p>"
        f"<main>{figures}</main></body></html>\n"
    )


def _figure(data: PreparedData, log_probabilities: np.ndarray, row: int, loss: float) -> str:
    predicted, truth, about = int(log_probabilities.argmax()), int(data.labels[row]), data.rows[row]
    shares = np.exp(log_probabilities)
    return (
        f'<figure><img alt="" src="{thumbnail(data.images[row], 2 * SHOWN_SIDE)}">'
        f"<figcaption><b>{escape(data.classes[predicted])}</b> {shares[predicted]:.3f}, "
        f"but it is {escape(data.classes[truth])} {shares[truth]:.3f}<br>loss {loss:.2f}<br>"
        f"<small>{escape(about.path)}<br>sha256 {escape(about.sha256[:12])}</small></figcaption></figure>"
    )
