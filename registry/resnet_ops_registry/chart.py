"""One panel of a chart as SVG: a scale for each direction, labels that keep out of each other's way."""

import math
from dataclasses import dataclass, field
from html import escape

__all__ = ["INK", "LINE", "SOFT", "Box", "Linear", "Log", "Panel", "text"]

INK, SOFT, LINE = "#1b1f24", "#59636e", "#d9dee4"
CHARACTER, HEIGHT = 6.1, 12
"""About the size of a character of the labels' font, in pixels."""


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
        """Powers of ten, with twice and five times them where there is room."""
        decades = range(math.floor(math.log10(self.low)), math.ceil(math.log10(self.high)) + 1)
        factors = (1, 2, 5) if math.log10(self.high / self.low) < 2.5 else (1,)
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
    """What is drawn, and where no label may go any more."""

    area: Box
    parts: list[str] = field(default_factory=list)
    taken: list[Box] = field(default_factory=list)

    def draw(self, part: str) -> None:
        self.parts.append(part)

    def keep_free(self, box: Box) -> None:
        self.taken.append(box)

    def label(self, x: float, y: float, words: str, gap: float, **more: str) -> bool:
        """Write words beside a point where there is room, and say whether there was any."""
        width = CHARACTER * len(words)
        up, down, middle = y - gap - 2, y + gap + HEIGHT - 2, y + 4
        places = [(x + gap + 2, place) for place in (middle, up, down)]
        places += [(x - gap - 2 - width, place) for place in (middle, up, down)]
        places += [(x - width / 2, place) for place in (up, down, up - HEIGHT, down + HEIGHT)]
        places += [
            (x + side, place)
            for place in (up - HEIGHT, down + HEIGHT, up - 2 * HEIGHT, down + 2 * HEIGHT)
            for side in (gap, -gap - width)
        ]
        for left, base in places:
            box = Box(left - 1, base - HEIGHT + 2, left + width + 1, base + 3)
            if box.within(self.area) and not any(box.touches(other) for other in self.taken):
                self.keep_free(box)
                self.draw(text(left, base, words, **more))
                return True
        return False
