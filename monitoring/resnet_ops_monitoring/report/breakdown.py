"""A window taken apart: by the source of its images, and by what the images truly show."""

from resnet_ops.page import table
from resnet_ops_monitoring.drift.verdict import Verdict
from resnet_ops_monitoring.drift.words import percent

__all__ = ["label_shift_section", "sources_section"]

_SHIFTS = 12


def sources_section(verdict: Verdict) -> str:
    """One row for each camera or other source, those with an alarm first; empty where there is one source."""
    if not verdict.sources:
        return ""
    columns = [("Source", False), ("Images", True), ("Verdict", False), ("What", False)]
    order = {"alarm": 0, "ok": 1, "insufficient data": 2}
    ranked = sorted(verdict.sources, key=lambda each: (order[each.status], each.source))
    rows = [
        (
            {"alarm": "hit", "insufficient data": "note"}.get(each.status, ""),
            [each.source, f"{each.rows:,}", each.status, each.reason],
        )
        for each in ranked
    ]
    return f"<h2>By source</h2>{table(columns, rows)}"


def label_shift_section(verdict: Verdict) -> str:
    """How often each class truly occurs, as far as the predictions tell; the classes that changed most."""
    if not verdict.label_shift:
        return ""
    columns = [("Class", False), ("When tested", True), ("Now", True), ("Interval", True), ("Change", True)]
    ranked = sorted(verdict.label_shift, key=lambda each: -abs(each.now - each.before))[:_SHIFTS]
    rows = [
        (
            "",
            [
                each.name,
                percent(each.before),
                percent(each.now),
                f"{percent(each.low)} to {percent(each.high)}",
                f"{100 * (each.now - each.before):+.1f} points",
            ],
        )
        for each in ranked
    ]
    return (
        "<h2>What the images show, by estimate</h2><p class='soft small'>How often each class truly occurs, from the "
        "predictions and the mistakes known from testing (BBSE, Lipton et al. 2018). This holds while only the mix of "
        f"classes changed, but not where the images look different.</p>{table(columns, rows)}"
    )
