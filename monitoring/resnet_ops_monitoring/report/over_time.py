"""Accuracy over the windows of one version, as inline SVG, and versions that served in the same time range."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from html import escape

from resnet_ops.page import table
from resnet_ops_monitoring.drift.verdict import Verdict
from resnet_ops_monitoring.drift.words import capital, percent
from resnet_ops_monitoring.report.charts import REFERENCE_COLOUR, WINDOW_COLOUR
from resnet_ops_monitoring.statistics.accuracy import ACCURACY

__all__ = ["over_time_section", "versions_section"]

_REAL, _ALARM, _WATCH, _NOT_JUDGED = "#11632f", "#a3170d", "#7a4b00", "#59636e"
_WIDTH, _HEIGHT, _LEFT, _RIGHT, _TOP, _BOTTOM = 960, 260, 52, 16, 14, 46


def over_time_section(verdict: Verdict, history: Sequence[Verdict]) -> str:
    """The version's windows up to this one: estimated accuracy with its interval, real where there are labels."""
    earlier = [each for each in history if each.identity.digest == verdict.identity.digest]
    shown = [*(each for each in earlier if each.window != verdict.window), verdict]
    shown = sorted((each for each in shown if each.end is not None), key=_ended)
    if len(shown) < 2:
        return ""
    keys = (
        (WINDOW_COLOUR, "estimated without labels, with its interval"),
        (_REAL, "real, where labels are known"),
        (REFERENCE_COLOUR, "when tested"),
        (_ALARM, "alarm"),
        (_NOT_JUDGED, "not judged"),
    )
    legend = " &ensp; ".join(
        f'<span class="key" style="background:{colour}"></span>{escape(text)}'
        for colour, text in keys
        if colour != _REAL or verdict.measured == ACCURACY
    )
    return (
        f"<h2>{escape(capital(verdict.measured))} over time</h2>"
        f'<p class="small soft" style="max-width:none">{legend}</p>{_chart(shown, verdict)}'
        f'<p class="small soft">{len(shown)} windows of {escape(str(verdict.identity))}; this one is ringed.</p>'
    )


def versions_section(verdict: Verdict, history: Sequence[Verdict]) -> str:
    """One row for each version with a window in this one's time range, its latest; empty with one version."""
    if verdict.start is None or verdict.end is None:
        return ""
    latest: dict[str, Verdict] = {}
    for each in sorted((each for each in history if each.end is not None), key=_ended):
        overlaps = each.start is not None and each.start <= verdict.end and _ended(each) >= verdict.start
        if overlaps and each.identity.digest != verdict.identity.digest:
            latest[each.identity.digest] = each
    if not latest:
        return ""
    columns = [
        ("Version", False),
        ("Window", False),
        ("Images", True),
        ("Verdict", False),
        ("When tested", True),
        ("Estimated now", True),
        ("Real now", True),
    ]
    rows = [
        ("hit" if each.status == "alarm" else "", _version_row(each)) for each in (verdict, *latest.values())
    ]
    return (
        "<h2>Versions in the same time range</h2><p class='soft small'>They may have seen different images: compare "
        f"real accuracies first.</p>{table(columns, rows)}"
    )


def _version_row(verdict: Verdict) -> list[str]:
    shares = (
        verdict.reference_accuracy.value,
        verdict.estimated_accuracy,
        verdict.real_accuracy.value if verdict.real_accuracy else None,
    )
    told = ["unknown" if share is None else percent(share) for share in shares]
    return [str(verdict.identity), verdict.window, f"{verdict.rows:,}", verdict.headline, *told]


def _ended(verdict: Verdict) -> datetime:
    assert verdict.end is not None
    return verdict.end


@dataclass(frozen=True)
class _Axes:
    first: float
    last: float
    low: float

    def x(self, verdict: Verdict) -> float:
        span = self.last - self.first or 1.0
        share = (_ended(verdict).timestamp() - self.first) / span
        return _LEFT + 8 + share * (_WIDTH - _LEFT - _RIGHT - 16)

    def y(self, share: float) -> float:
        return _TOP + (1 - share) / (1 - self.low) * (_HEIGHT - _TOP - _BOTTOM)


def _chart(shown: list[Verdict], current: Verdict) -> str:
    moments = [_ended(each).timestamp() for each in shown]
    lowest = min(
        share for each in shown for share in (each.reference_accuracy.low, *_estimate(each), *_interval(each))
    )
    axes = _Axes(moments[0], moments[-1], max(0.0, int((lowest - 0.02) * 20) / 20))
    parts = [_grid(axes, shown), _band(axes, shown), _line(axes, shown)]
    parts += [_point(axes, each, each is current) for each in shown]
    words = "Accuracy of each window over time"
    return (
        f'<figure><svg viewBox="0 0 {_WIDTH} {_HEIGHT}" role="img" aria-label="{words}" font-size="12" '
        f'fill="#59636e" font-family="system-ui,sans-serif">{"".join(parts)}</svg></figure>'
    )


def _grid(axes: _Axes, shown: list[Verdict]) -> str:
    step = next(each for each in (0.05, 0.1, 0.2, 0.25) if (1 - axes.low) / each <= 6)
    count = int((1 - axes.low) / step + 1e-9)
    parts = []
    for share in (1 - number * step for number in range(count + 1)):
        y = axes.y(share)
        parts.append(
            f'<line x1="{_LEFT}" x2="{_WIDTH - _RIGHT}" y1="{y:.1f}" y2="{y:.1f}" stroke="#e3e7ec"/>'
            f'<text x="{_LEFT - 6}" y="{y + 4:.1f}" text-anchor="end">{100 * share:.0f}\N{NO-BREAK SPACE}%</text>'
        )
    tested = axes.y(shown[-1].reference_accuracy.value)
    parts.append(
        f'<line x1="{_LEFT}" x2="{_WIDTH - _RIGHT}" y1="{tested:.1f}" y2="{tested:.1f}" stroke="{REFERENCE_COLOUR}" '
        'stroke-width="2" stroke-dasharray="6 4"/>'
    )
    for each, anchor in ((shown[0], "start"), (shown[-1], "end")):
        parts.append(
            f'<text x="{axes.x(each):.1f}" y="{_HEIGHT - 8}" text-anchor="{anchor}">'
            f"{_ended(each):%Y-%m-%d %H:%M} UTC</text>"
        )
    return "".join(parts)


def _band(axes: _Axes, shown: list[Verdict]) -> str:
    known = [(axes.x(each), each.estimated) for each in shown if each.estimated is not None]
    if len(known) < 2:
        return ""
    upper = " ".join(f"{x:.1f},{axes.y(estimate.high):.1f}" for x, estimate in known)
    lower = " ".join(f"{x:.1f},{axes.y(estimate.low):.1f}" for x, estimate in reversed(known))
    return f'<polygon points="{upper} {lower}" fill="{WINDOW_COLOUR}" fill-opacity=".15"/>'


def _line(axes: _Axes, shown: list[Verdict]) -> str:
    known = [each for each in shown if each.estimated_accuracy is not None]
    points = " ".join(f"{axes.x(each):.1f},{axes.y(each.estimated_accuracy or 0):.1f}" for each in known)
    return f'<polyline points="{points}" fill="none" stroke="{WINDOW_COLOUR}" stroke-width="2"/>'


def _point(axes: _Axes, verdict: Verdict, current: bool) -> str:
    x, parts = axes.x(verdict), []
    title = f"<title>{escape(verdict.window)}: {escape(verdict.headline)}</title>"
    floor = _HEIGHT - _BOTTOM + 10
    colour = {"alarm": _ALARM, "ok": WINDOW_COLOUR, "warning": _WATCH}.get(verdict.status, _NOT_JUDGED)
    known = verdict.estimated_accuracy
    y = floor if known is None else axes.y(known)
    if current:
        parts.append(f'<circle cx="{x:.1f}" cy="{y:.1f}" r="9" fill="none" stroke="#1b1f24"/>')
    radius = 6 if verdict.status == "alarm" else 4
    parts.append(f'<circle cx="{x:.1f}" cy="{y:.1f}" r="{radius}" fill="{colour}">{title}</circle>')
    if verdict.real_accuracy is not None:
        real = verdict.real_accuracy
        parts.append(_bar(x, axes.y(real.low), axes.y(real.high), _REAL))
        y = axes.y(real.value)
        parts.append(
            f'<rect x="{x - 4:.1f}" y="{y - 4:.1f}" width="8" height="8" fill="{_REAL}" '
            f'transform="rotate(45 {x:.1f} {y:.1f})"/>'
        )
    return "".join(parts)


def _bar(x: float, low: float, high: float, colour: str) -> str:
    return f'<line x1="{x:.1f}" x2="{x:.1f}" y1="{low:.1f}" y2="{high:.1f}" stroke="{colour}" stroke-opacity=".6"/>'


def _estimate(verdict: Verdict) -> tuple[float, ...]:
    if verdict.estimated is not None:
        return (verdict.estimated.low,)
    return () if verdict.estimated_accuracy is None else (verdict.estimated_accuracy,)


def _interval(verdict: Verdict) -> tuple[float, ...]:
    return () if verdict.real_accuracy is None else (verdict.real_accuracy.low,)
