"""One panel of a chart as SVG: a scale for each direction, labels that keep out of each other's way."""

import math
from dataclasses import dataclass, field
from html import escape

__all__ = ["INK", "LINE", "SOFT", "Box", "Linear", "Log", "Panel", "text"]

INK, SOFT, LINE = "#1b1f24", "#59636e", "#d9dee4"
CHARACTER, HEIGHT = 6.1, 12
"""About the size of a character of the labels' font, in pixels; those of important labels are bold."""


@dataclass(frozen=True)
class Linear:
    """A scale from `low` to `high` onto pixels `start` to `end`."""

    low: float
    high: float
    start: float
    end: float

    def at(self, value: float) -> float:
        return self.start + (value - self.low) / (self.high - self.low) * (self.end - self.start)

    def ticks(self) -> list[float]:
        """Four to eight round numbers."""
        rough = (self.high - self.low) / 6
        power = 10.0 ** math.floor(math.log10(rough))
        step = next(power * factor for factor in (1, 2, 5, 10) if power * factor >= rough)
        first = math.ceil(self.low / step - 1e-9)
        return [round(count * step, 10) for count in range(first, math.floor(self.high / step + 1e-9) + 1)]


@dataclass(frozen=True)
class Log:
    """A logarithmic scale from `low` to `high`, both above 0, onto pixels `start` to `end`."""

    low: float
    high: float
    start: float
    end: float

    def at(self, value: float) -> float:
        share = math.log(max(value, self.low) / self.low) / math.log(self.high / self.low)
        return self.start + share * (self.end - self.start)

    def ticks(self) -> list[float]:
        """Powers of ten, with some between them where there is room."""
        decades = range(math.floor(math.log10(self.low)), math.ceil(math.log10(self.high)) + 1)
        span = math.log10(self.high / self.low)
        factors = (1, 2, 5) if span < 2.5 else (1, 3) if span < 4 else (1,)
        every = [factor * 10.0**decade for decade in decades for factor in factors]
        return [tick for tick in every if self.low <= tick <= self.high]


@dataclass(frozen=True)
class Box:
    """A rectangle that something is drawn in."""

    left: float
    top: float
    right: float
    bottom: float

    def touches(self, other: "Box") -> bool:
        return (
            self.left < other.right
            and other.left < self.right
            and self.top < other.bottom
            and other.top < self.bottom
        )

    def within(self, other: "Box") -> bool:
        return (
            other.left <= self.left
            and self.right <= other.right
            and other.top <= self.top
            and self.bottom <= other.bottom
        )


def text(x: float, y: float, words: str, **more: str) -> str:
    """Words at a place; `more` are attributes, `_` for `-`."""
    attributes = "".join(f' {name.replace("_", "-")}="{value}"' for name, value in more.items())
    return f'<text x="{x:.1f}" y="{y:.1f}"{attributes}>{escape(words)}</text>'


@dataclass
class Panel:
    """What is drawn, where no label may go any more, and what a label had better not cross."""

    area: Box
    parts: list[str] = field(default_factory=list)
    taken: list[Box] = field(default_factory=list)
    crossed: list[Box] = field(default_factory=list)

    def draw(self, part: str) -> None:
        self.parts.append(part)

    def label(self, x: float, y: float, words: str, gap: float, important: bool, **more: str) -> bool:
        """Write words near a point where there is room, and say whether there was any.

        gap: how far the point's sign reaches. important: look farther away, with a line to the point, and rather cross
        something than say nothing.
        """
        width = CHARACTER * len(words) * (1.2 if important else 1)
        obstacles = [self.taken + self.crossed, self.taken] if important else [self.taken + self.crossed]
        rows = range(-6, 7) if important else range(-2, 3)
        places = sorted(
            (
                (min(max(left, self.area.left + 2), self.area.right - width - 2), y + 4 + row * (HEIGHT + 2))
                for row in rows
                for left in _sides(x, width, gap, row)
            ),
            key=lambda place: _distance(place, x, y, width),
        )
        for avoided in obstacles:
            for left, base in places:
                box = Box(left - 1, base - HEIGHT + 2, left + width + 1, base + 3)
                if box.within(self.area) and not any(box.touches(other) for other in avoided):
                    self.taken.append(box)
                    self._write(x, y, box, words, more)
                    return True
        return False

    def _write(self, x: float, y: float, box: Box, words: str, more: dict[str, str]) -> None:
        near = min(max(x, box.left), box.right), min(max(y, box.top), box.bottom)
        if math.dist(near, (x, y)) > 20:
            self.draw(
                f'<path d="M{x:.1f},{y:.1f}L{near[0]:.1f},{near[1]:.1f}" stroke="{SOFT}" stroke-width=".8"/>'
            )
        halo = {"paint_order": "stroke", "stroke": "white", "stroke_width": "3"}
        self.draw(text(box.left + 1, box.bottom - 3, words, **halo, **more))


def _sides(x: float, width: float, gap: float, row: int) -> list[float]:
    """Where a label of a row above, below or beside a point may start."""
    beside = [x + gap + 2, x - gap - 2 - width]
    return beside if row == 0 else [*beside, x - width / 2, x - 0.9 * width, x - 0.1 * width]


def _distance(place: tuple[float, float], x: float, y: float, width: float) -> float:
    """From the point to the label, and a little from its middle, so that it is not taken for a neighbour's."""
    left, base = place
    across = max(left - x, x - left - width, 0.0)
    return math.hypot(across, base - 4 - y) + 0.2 * abs(left + width / 2 - x)
