"""The reliability diagram (DeGroot and Fienberg 1983; Guo et al. 2017), a panel of a picture."""

from resnet_ops.evaluation.calibration import Reliability
from resnet_ops.evaluation.intervals import wilson
from resnet_ops.evaluation.square import BAR, INK, MARK, SIDE, Square, y_of

__all__ = ["reliability_panel"]


def reliability_panel(name: str, bins: Reliability, confidence: float) -> Square:
    """Stated against true shares; bars carry the intervals of the true shares."""
    caption = f"{name}: ECE {bins.error:.4f}, n {bins.count.sum():,}"
    note = "stated probability (red: mean of the bin); height: share right"
    return Square(caption, note, rising=True, draw=lambda left: _bars(bins, left, confidence))


def _bars(bins: Reliability, left: int, confidence: float) -> str:
    step = SIDE / len(bins.count)
    bars = ""
    for place, (count, stated, true) in enumerate(
        zip(bins.count, bins.confidence, bins.accuracy, strict=True)
    ):
        if not count:
            continue
        low, high = wilson(round(true * count), int(count), confidence)
        x, middle = left + place * step, left + (place + 0.5) * step
        bars += (
            f'<rect x="{x + 1:.1f}" y="{y_of(true):.1f}" width="{step - 2:.1f}" height="{true * SIDE:.1f}" '
            f'fill="{BAR}" fill-opacity=".55"><title>{count} images: said {stated:.3f}, right {true:.3f}</title></rect>'
            f'<path d="M{middle:.1f},{y_of(low):.1f}V{y_of(high):.1f}" stroke="{INK}"/>'
            f'<path d="M{x + 1:.1f},{y_of(stated):.1f}h{step - 2:.1f}" stroke="{MARK}" stroke-width="2"/>'
        )
    return bars
