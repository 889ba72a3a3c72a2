"""The ROC and the precision-recall curve with the operating point on them, panels of a picture."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from resnet_ops.evaluation.binary import Counts
from resnet_ops.evaluation.square import BAR, INK, MARK, SIDE, Square, y_of
from resnet_ops.measurement import Measurement

__all__ = ["curve_panels"]

Point = tuple[float, float]


@dataclass(frozen=True)
class _Mark:
    """A thin line between two points of a panel, and what it says."""

    start: Point
    end: Point
    told: str


def curve_panels(curve: dict[str, Any], measured: Mapping[str, Measurement]) -> list[Square]:
    """Of what `operating_point.curve` gives; the dot is the operating point. Nothing where a side has no image.

    measured: by name; those of `curve_measures` are marked where they stand, with their intervals.
    """
    rows = [
        Counts(**{name: row[name] for name in Counts.__annotations__}) for row in reversed(curve["curve"])
    ]
    if not (rows and rows[0].positives and rows[0].negatives):
        return []
    at = None if curve["counts"] is None else Counts(**curve["counts"])
    where = "no threshold reaches the aim" if at is None else f"dot: threshold {curve['threshold']:.3f}"
    roc = [(0.0, 0.0), *map(_roc, rows), (1.0, 1.0)]
    recalled = [_recall(row) for row in rows if row.hits + row.alarms]
    return [
        _panel(
            f"ROC; {where}",
            "1 - specificity; height: sensitivity",
            True,
            roc,
            _roc(at) if at else None,
            _limits(measured),
        ),
        _panel(
            f"precision and recall; positive: {rows[0].positives} of {rows[0].n}",
            "recall, the sensitivity; height: precision on these images",
            False,
            recalled,
            _recall(at) if at and at.hits + at.alarms else None,
            _bars(measured),
        ),
    ]


def _limits(measured: Mapping[str, Measurement]) -> list[_Mark]:
    """How far each partial area reaches."""
    return [
        _Mark((level, 0.0), (level, 1.0), f"standardised area to here {found.shown}")
        for level, found in _at_levels(measured, "partial_auc")
    ]


def _bars(measured: Mapping[str, Measurement]) -> list[_Mark]:
    """The intervals of precision at recalls, upright, and of recall at precisions, level."""
    marks = []
    for name in ("precision_at_recall", "recall_at_precision"):
        for level, found in _at_levels(measured, name):
            low, high = (found.value if end is None else end for end in (found.low, found.high))
            ends = (level, low), (level, high)
            first, last = ends if name == "precision_at_recall" else (ends[0][::-1], ends[1][::-1])
            marks.append(_Mark(first, last, f"{name.replace('_', ' ')} {level:g}: {found.shown}"))
    return marks


def _at_levels(measured: Mapping[str, Measurement], name: str) -> list[tuple[float, Measurement]]:
    start = f"test.{name}."
    return [(float(key[len(start) :]), each) for key, each in measured.items() if key.startswith(start)]


def _roc(counts: Counts) -> Point:
    return counts.alarms / counts.negatives, counts.hits / counts.positives


def _recall(counts: Counts) -> Point:
    return counts.hits / counts.positives, counts.hits / (counts.hits + counts.alarms)


def _panel(
    caption: str, note: str, rising: bool, points: Sequence[Point], at: Point | None, marks: Sequence[_Mark]
) -> Square:
    def draw(left: int) -> str:
        line = " ".join(f"{left + x * SIDE:.1f},{y_of(y):.1f}" for x, y in points)
        lines = "".join(
            f'<path d="M{left + mark.start[0] * SIDE:.1f},{y_of(mark.start[1]):.1f}'
            f'L{left + mark.end[0] * SIDE:.1f},{y_of(mark.end[1]):.1f}" stroke="{INK}" stroke-width="2" '
            f'stroke-opacity=".6"><title>{mark.told}</title></path>'
            for mark in marks
        )
        dot = ""
        if at is not None:
            told = f"<title>{at[0]:.3f}, {at[1]:.3f}</title>"
            dot = f'<circle cx="{left + at[0] * SIDE:.1f}" cy="{y_of(at[1]):.1f}" r="5" fill="{MARK}">{told}</circle>'
        return f'<polyline points="{line}" fill="none" stroke="{BAR}" stroke-width="2"/>{lines}{dot}'

    return Square(caption, note, rising, draw)
