"""Two small charts as inline SVG: window against reference on shared axes."""

from collections.abc import Sequence
from html import escape

import numpy as np
from numpy.typing import NDArray

from resnet_ops_monitoring.drift.words import number, percent

__all__ = ["REFERENCE_COLOUR", "WINDOW_COLOUR", "bars", "histogram", "legend"]

REFERENCE_COLOUR = "#9aa5b1"
WINDOW_COLOUR = "#0b5cad"

_WIDTH, _HEIGHT, _LEFT, _TOP, _BOTTOM = 320, 170, 40, 12, 24
_PLOT_WIDTH, _PLOT_HEIGHT = _WIDTH - _LEFT - 6, _HEIGHT - _TOP - _BOTTOM


def legend(compared_with: str) -> str:
    """What the two colours mean; compared_with: such as "the labelled reference"."""
    return (
        f'<p class="small soft"><span class="key" style="background:{REFERENCE_COLOUR}"></span>{escape(compared_with)} '
        f'&ensp; <span class="key" style="background:{WINDOW_COLOUR}"></span>this window</p>'
    )


def histogram(title: str, reference: NDArray[np.float64], window: NDArray[np.float64], note: str) -> str:
    """Shares of rows in 24 equal bins over both samples' range. reference: (m,), window: (n,), finite."""
    low, high = float(min(reference.min(), window.min())), float(max(reference.max(), window.max()))
    if high <= low:
        low, high = low - 0.5, high + 0.5
    edges = np.linspace(low, high, 25)
    before, now = (np.histogram(values, edges)[0] / len(values) for values in (reference, window))
    peak = float(max(before.max(), now.max()))
    step = _PLOT_WIDTH / 24
    grey = "".join(
        f'<rect x="{_LEFT + i * step:.1f}" y="{_y(share, peak):.1f}" width="{step:.1f}" '
        f'height="{share / peak * _PLOT_HEIGHT:.1f}" fill="{REFERENCE_COLOUR}" fill-opacity=".65"/>'
        for i, share in enumerate(before)
    )
    points = "".join(
        f"H{_LEFT + i * step:.1f}V{_y(share, peak):.1f}H{_LEFT + (i + 1) * step:.1f}"
        for i, share in enumerate(now)
    )
    floor = _TOP + _PLOT_HEIGHT
    outline = (
        f'<path d="M{_LEFT},{floor}{points}V{floor}Z" fill="{WINDOW_COLOUR}" fill-opacity=".18" '
        f'stroke="{WINDOW_COLOUR}" stroke-width="2" stroke-linejoin="round"/>'
    )
    ticks = "".join(
        f'<text x="{_LEFT + share * _PLOT_WIDTH:.0f}" y="{floor + 16}" text-anchor="{anchor}">'
        f"{number(low + share * (high - low))}</text>"
        for share, anchor in ((0.0, "start"), (0.5, "middle"), (1.0, "end"))
    )
    return _figure(title, note, peak, grey + outline + ticks)


def bars(
    title: str, names: Sequence[str], reference: NDArray[np.float64], window: NDArray[np.float64], note: str
) -> str:
    """Two bars a name; at most the 12 names that shifted most. reference, window: (K,) shares."""
    shown = np.sort(np.argsort(-np.abs(window - reference), kind="stable")[:12])
    peak = float(max(reference[shown].max(), window[shown].max(), 1e-9))
    step = _PLOT_WIDTH / len(shown)
    floor = _TOP + _PLOT_HEIGHT
    parts = []
    for place, k in enumerate(shown):
        x = _LEFT + place * step
        for offset, share, colour in ((0.1, reference[k], REFERENCE_COLOUR), (0.5, window[k], WINDOW_COLOUR)):
            parts.append(
                f'<rect x="{x + offset * step:.1f}" y="{_y(share, peak):.1f}" width="{0.38 * step:.1f}" '
                f'height="{share / peak * _PLOT_HEIGHT:.1f}" fill="{colour}"/>'
            )
        name = names[k] if len(names[k]) <= 6 else f"{names[k][:5]}…"
        parts.append(
            f'<text x="{x + step / 2:.1f}" y="{floor + 16}" text-anchor="middle">{escape(name)}'
            f"<title>{escape(names[k])}</title></text>"
        )
    return _figure(title, note, peak, "".join(parts))


def _y(share: float, peak: float) -> float:
    return _TOP + _PLOT_HEIGHT * (1 - share / peak)


def _figure(title: str, note: str, peak: float, content: str) -> str:
    floor = _TOP + _PLOT_HEIGHT
    axes = (
        f'<line x1="{_LEFT}" x2="{_WIDTH - 6}" y1="{floor}" y2="{floor}" stroke="#59636e"/>'
        f'<line x1="{_LEFT}" x2="{_WIDTH - 6}" y1="{_TOP}" y2="{_TOP}" stroke="#d9dee4"/>'
        f'<text x="{_LEFT - 4}" y="{_TOP + 4}" text-anchor="end">{percent(peak)}</text>'
        f'<text x="{_LEFT - 4}" y="{floor + 3}" text-anchor="end">0</text>'
    )
    return (
        f'<figure><h3>{escape(title)}</h3><svg viewBox="0 0 {_WIDTH} {_HEIGHT}" role="img" '
        f'aria-label="{escape(title)}: {escape(note)}" font-size="11" fill="#59636e" '
        f'font-family="system-ui,sans-serif">{axes}{content}</svg>'
        f'<figcaption class="small soft">{escape(note)}</figcaption></figure>'
    )
