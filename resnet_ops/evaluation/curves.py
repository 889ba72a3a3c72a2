"""The ROC and the precision-recall curve with the operating point on them, panels of a picture."""

from collections.abc import Sequence
from typing import Any

from resnet_ops.evaluation.binary import Counts
from resnet_ops.evaluation.square import BAR, MARK, SIDE, Square, y_of

__all__ = ["curve_panels"]

Point = tuple[float, float]


def curve_panels(curve: dict[str, Any]) -> list[Square]:
    """Of what `operating_point.curve` gives; the dot is the operating point. Nothing where a side has no image."""
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
        _panel(f"ROC; {where}", "1 - specificity; height: sensitivity", True, roc, _roc(at) if at else None),
        _panel(
            f"precision and recall; positive: {rows[0].positives} of {rows[0].n}",
            "recall, the sensitivity; height: precision on these images",
            False,
            recalled,
            _recall(at) if at and at.hits + at.alarms else None,
        ),
    ]


def _roc(counts: Counts) -> Point:
    return counts.alarms / counts.negatives, counts.hits / counts.positives


def _recall(counts: Counts) -> Point:
    return counts.hits / counts.positives, counts.hits / (counts.hits + counts.alarms)


def _panel(caption: str, note: str, rising: bool, points: Sequence[Point], at: Point | None) -> Square:
    def draw(left: int) -> str:
        line = " ".join(f"{left + x * SIDE:.1f},{y_of(y):.1f}" for x, y in points)
        dot = ""
        if at is not None:
            told = f"<title>{at[0]:.3f}, {at[1]:.3f}</title>"
            dot = f'<circle cx="{left + at[0] * SIDE:.1f}" cy="{y_of(at[1]):.1f}" r="5" fill="{MARK}">{told}</circle>'
        return f'<polyline points="{line}" fill="none" stroke="{BAR}" stroke-width="2"/>{dot}'

    return Square(caption, note, rising, draw)
