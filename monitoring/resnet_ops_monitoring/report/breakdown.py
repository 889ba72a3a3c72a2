"""A window taken apart: at the operating point, by the source of its images, and by what the images truly show."""

from html import escape

from resnet_ops.page import table
from resnet_ops_monitoring.drift.verdict import Verdict
from resnet_ops_monitoring.drift.words import percent
from resnet_ops_monitoring.statistics.accuracy import Accuracy, Estimate

__all__ = ["label_shift_section", "operating_section", "sources_section"]

_SHIFTS = 12


def operating_section(verdict: Verdict) -> str:
    """Sensitivity and specificity, and how many images are called positive; empty without an operating point."""
    found = verdict.operating
    if found is None:
        return ""
    columns = [("", False), ("When tested", True), ("Estimated now", True), ("Counted by labels", True)]
    rows = []
    for name, side in (("Sensitivity", found.sensitivity), ("Specificity", found.specificity)):
        real = "no labels yet" if side.real is None else _share(side.real, f", n = {side.real.n}")
        tested = _share(side.tested, f", n = {side.tested.n}")
        rows.append(("hit" if side.fell else "", [name, tested, _share(side.estimated), real]))
    rows.append(("", ["Called positive", percent(found.called_before), percent(found.called), ""]))
    return (
        f"<h2>At the operating point</h2><p class='soft small'>Positive: {escape(', '.join(found.positive))}, from a "
        f"score of {found.threshold:.4g} on. The estimate is made like that of the accuracy, among the positive images "
        f"or all others; a side in red is estimated to have lost as much as may alarm.</p>{table(columns, rows)}"
    )


def _share(found: Accuracy | Estimate, more: str = "") -> str:
    return f"{percent(found.value)} ({percent(found.low)} to {percent(found.high)}{more})"


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
