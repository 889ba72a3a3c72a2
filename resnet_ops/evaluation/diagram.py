"""The reliability diagram (DeGroot and Fienberg 1983; Guo et al. 2017) as SVG."""

from resnet_ops.evaluation.calibration import Reliability
from resnet_ops.evaluation.intervals import wilson

__all__ = ["reliability_diagram"]

SIDE, LEFT, TOP, GAP = 260, 46, 34, 60
INK, SOFT, BAR, GAPS = "#1f2933", "#9aa5b1", "#0b5cad", "#d64545"


def reliability_diagram(title: str, panels: dict[str, Reliability], confidence: float) -> str:
    """Stated against true shares, a panel for each of `panels`; bars carry the intervals of the true shares."""
    width = LEFT + len(panels) * (SIDE + GAP)
    drawn = "".join(
        _panel(name, bins, LEFT + place * (SIDE + GAP), confidence)
        for place, (name, bins) in enumerate(panels.items())
    )
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="{TOP + SIDE + 70}" '
        f'font-family="sans-serif" font-size="12" fill="{INK}"><rect width="100%" height="100%" fill="white"/>'
        f'<text x="{LEFT}" y="16" font-size="14">{_escape(title)}</text>{drawn}</svg>\n'
    )


def _panel(name: str, bins: Reliability, left: int, confidence: float) -> str:
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
            f'<rect x="{x + 1:.1f}" y="{_y(true):.1f}" width="{step - 2:.1f}" height="{true * SIDE:.1f}" '
            f'fill="{BAR}" fill-opacity=".55"><title>{count} images: said {stated:.3f}, right {true:.3f}</title></rect>'
            f'<path d="M{middle:.1f},{_y(low):.1f}V{_y(high):.1f}" stroke="{INK}"/>'
            f'<path d="M{x + 1:.1f},{_y(stated):.1f}h{step - 2:.1f}" stroke="{GAPS}" stroke-width="2"/>'
        )
    frame = (
        f'<path d="M{left},{_y(0):.0f}L{left + SIDE},{_y(1):.0f}" stroke="{SOFT}" stroke-dasharray="4 3"/>'
        f'<path d="M{left},{_y(1):.0f}V{_y(0):.0f}H{left + SIDE}" fill="none" stroke="{INK}"/>'
    )
    ticks = "".join(
        f'<text x="{left - 6}" y="{_y(share) + 4:.0f}" text-anchor="end">{share:g}</text>'
        f'<text x="{left + share * SIDE:.0f}" y="{_y(0) + 16:.0f}" text-anchor="middle">{share:g}</text>'
        for share in (0, 0.5, 1)
    )
    caption = f"{name}: ECE {bins.error:.4f}, n {bins.count.sum():,}"
    below = "stated probability (red: mean of the bin); height: share right"
    return (
        f"{frame}{bars}{ticks}"
        f'<text x="{left}" y="{_y(0) + 34:.0f}">{_escape(caption)}</text>'
        f'<text x="{left}" y="{_y(0) + 50:.0f}" font-size="10" fill="{SOFT}">{below}</text>'
    )


def _y(share: float) -> float:
    return TOP + SIDE * (1 - share)


def _escape(text: str) -> str:
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
