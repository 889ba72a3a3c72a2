"""Square panels side by side, of two shares from 0 to 1, as SVG."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

__all__ = ["BAR", "INK", "MARK", "SIDE", "Square", "sheet", "y_of"]

SIDE, LEFT, TOP, GAP = 260, 46, 34, 60
INK, SOFT, BAR, MARK = "#1f2933", "#9aa5b1", "#0b5cad", "#d64545"


@dataclass(frozen=True)
class Square:
    """One panel. `draw` gives its content from the x of its left edge; `y_of` is the y of a share."""

    caption: str
    note: str
    """What the axes are."""
    rising: bool
    """A dashed line from (0, 0) to (1, 1) stands for comparison."""
    draw: Callable[[int], str]


def sheet(title: str, squares: Sequence[Square]) -> str:
    """The panels from left to right, under a title."""
    width = LEFT + len(squares) * (SIDE + GAP)
    drawn = "".join(_square(square, LEFT + place * (SIDE + GAP)) for place, square in enumerate(squares))
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="{TOP + SIDE + 70}" '
        f'font-family="sans-serif" font-size="12" fill="{INK}"><rect width="100%" height="100%" fill="white"/>'
        f'<text x="{LEFT}" y="16" font-size="14">{_escape(title)}</text>{drawn}</svg>\n'
    )


def y_of(share: float) -> float:
    """Where a share stands, in pixels from the top."""
    return TOP + SIDE * (1 - share)


def _square(square: Square, left: int) -> str:
    top, bottom = y_of(1), y_of(0)
    diagonal = (
        f'<path d="M{left},{bottom:.0f}L{left + SIDE},{top:.0f}" stroke="{SOFT}" stroke-dasharray="4 3"/>'
    )
    frame = f'<path d="M{left},{top:.0f}V{bottom:.0f}H{left + SIDE}" fill="none" stroke="{INK}"/>'
    ticks = "".join(
        f'<text x="{left - 6}" y="{y_of(share) + 4:.0f}" text-anchor="end">{share:g}</text>'
        f'<text x="{left + share * SIDE:.0f}" y="{bottom + 16:.0f}" text-anchor="middle">{share:g}</text>'
        for share in (0, 0.5, 1)
    )
    return (
        f"{diagonal if square.rising else ''}{frame}{square.draw(left)}{ticks}"
        f'<text x="{left}" y="{bottom + 34:.0f}">{_escape(square.caption)}</text>'
        f'<text x="{left}" y="{bottom + 50:.0f}" font-size="10" fill="{SOFT}">{_escape(square.note)}</text>'
    )


def _escape(text: str) -> str:
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
