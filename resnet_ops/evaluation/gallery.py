"""The worst mistakes and the labels that are probably wrong, as one HTML page that needs no other file."""

from collections import Counter
from html import escape

import numpy as np

from resnet_ops.data import PreparedData
from resnet_ops.data.listing.raters import rating_columns
from resnet_ops.evaluation.label_errors import find_label_errors
from resnet_ops.measurement import Measurement
from resnet_ops.thumbnail import thumbnail

__all__ = ["mistakes_page"]

SHOWN_SIDE = 128
LABELS = (
    "Found by confident learning (Northcutt et al. 2021), the surest first: the model is as sure of another class as "
    "it usually is of that class. Look at an image before you correct it. Images that are hard for the model are "
    "listed with a right label, and what it has learned wrong is not found: a class, site or rater whose labels are "
    "wrong alike in train."
)
STYLE = """
body { font: 14px/1.4 system-ui, sans-serif; color: #1f2933; margin: 24px; }
main { display: flex; flex-wrap: wrap; gap: 16px; }
figure { margin: 0; width: 176px; }
img { width: 128px; height: 128px; object-fit: contain; image-rendering: pixelated; background: #f0f3f5; }
figcaption b { color: #b42318; }
small { color: #627282; overflow-wrap: anywhere; }
"""


def mistakes_page(
    title: str,
    data: PreparedData,
    log_probabilities: np.ndarray,
    most: int,
    agreement: Measurement | None = None,
) -> str:
    """The wrongly classified images, highest loss first, and images whose labels are probably wrong; `most` of each.

    log_probabilities: (N, C) of the N images of `data`, which the model has not seen. agreement: Krippendorff's alpha
    of those who labelled them, where several did.
    """
    predicted = log_probabilities.argmax(axis=1)
    losses = -np.take_along_axis(log_probabilities, data.labels[:, None], axis=1)[:, 0]
    wrong = np.flatnonzero(predicted != data.labels)
    worst = wrong[np.argsort(-losses[wrong], kind="stable")][:most]
    figures = "".join(_figure(data, log_probabilities[row], int(row), float(losses[row])) for row in worst)
    doubted, seems = find_label_errors(np.exp(log_probabilities), data.labels)
    labels = "".join(
        _label(data, log_probabilities[row], int(row), int(place))
        for row, place in zip(doubted[:most], seems[:most], strict=True)
    )
    return (
        f'<!doctype html><html lang="en"><head><meta charset="utf-8"><title>{escape(title)}</title>'
        f"<style>{STYLE}</style></head><body><h1>{escape(title)}</h1>"
        f"<p>{len(worst)} of {len(wrong)} mistakes on {len(data)} images, those with the highest loss first.</p>"
        f"{_raters(agreement)}"
        f"<main>{figures}</main><h2>Labels that are probably wrong</h2>"
        f"<p>{_count(len(doubted), len(data), most)} {LABELS}</p>"
        f"<main>{labels}</main></body></html>\n"
    )


def _raters(agreement: Measurement | None) -> str:
    if agreement is None:
        return ""
    return (
        f"<p>Several people labelled these images. They agree by Krippendorff's alpha of {agreement.shown}: 1 is "
        "full agreement, 0 is chance. An answer that differs from such labels need not be a mistake.</p>"
    )


def _rated(data: PreparedData, row: int) -> str:
    ratings = Counter(str(data.extra[name][row]) for name in rating_columns(data.extra))
    del ratings[""]
    said = ", ".join(f"{escape(name)} {count}" for name, count in ratings.most_common())
    return f"<br>rated {said}" if said else ""


def _count(doubted: int, images: int, most: int) -> str:
    found = f"{doubted or 'None'} of {images} labels."
    return found if doubted <= most else f"{found} The {most} surest are shown."


def _figure(data: PreparedData, log_probabilities: np.ndarray, row: int, loss: float) -> str:
    predicted, truth = int(log_probabilities.argmax()), int(data.labels[row])
    shares = np.exp(log_probabilities)
    return _image(
        data,
        row,
        f"<b>{escape(data.classes[predicted])}</b> {shares[predicted]:.3f}, "
        f"but it is {escape(data.classes[truth])} {shares[truth]:.3f}<br>loss {loss:.2f}",
    )


def _label(data: PreparedData, log_probabilities: np.ndarray, row: int, seems: int) -> str:
    label, shares = int(data.labels[row]), np.exp(log_probabilities)
    return _image(
        data,
        row,
        f"labelled <b>{escape(data.classes[label])}</b> {shares[label]:.3f}, "
        f"probably {escape(data.classes[seems])} {shares[seems]:.3f}",
    )


def _image(data: PreparedData, row: int, caption: str) -> str:
    about = data.rows[row]
    return (
        f'<figure><img alt="" src="{thumbnail(data.images[row], 2 * SHOWN_SIDE)}">'
        f"<figcaption>{caption}{_rated(data, row)}<br><small>{escape(about.path)}<br>"
        f"sha256 {escape(about.sha256[:12])}</small></figcaption></figure>"
    )
