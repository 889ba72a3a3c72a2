"""Every test of a window in one table."""

from resnet_ops.page import table
from resnet_ops_monitoring.drift.verdict import Finding, Verdict
from resnet_ops_monitoring.drift.words import number
from resnet_ops_monitoring.statistics.accuracy import ACCURACY

__all__ = ["findings_section"]

_SOFTMAX_ROWS = 20
_SIGNALS = {
    "unusable": "Output",
    "copies": "Repeated images",
    "softmax": "Probability of class",
    "scalars": "Answers, most of all in",
    "classes": "Predicted classes",
    "embeddings": "Embeddings",
    "image": "Image",
}


def findings_section(verdict: Verdict) -> str:
    """What each test found, and what it would take to fire."""
    columns = [
        ("Signal", False),
        ("Test", False),
        ("Reference", True),
        ("Window", True),
        ("p value", True),
        ("fires at p ≤", True),
        ("Effect", True),
        ("and effect ≥", True),
        ("Result", False),
    ]

    def row(finding: Finding) -> tuple[str, list[str]]:
        image = finding.signal == "image"
        kind = ("note" if image else "hit") if finding.fired else "note" if finding.suppressed else ""
        suppressed = f"shifted, but suppressed: {verdict.measured} holds"
        result = suppressed if finding.suppressed else "as before"
        if finding.fired:
            result = "information" if image else "alarm"
        name = _SIGNALS[finding.signal]
        if finding.signal in ("softmax", "scalars", "image", "unusable"):
            name = f"{name} {finding.column}"
        values = (
            finding.reference,
            finding.window,
            finding.p_value,
            finding.threshold,
            finding.effect,
            finding.floor,
        )
        return kind, [name, finding.method, *("" if v is None else number(v) for v in values), result]

    order = {
        "unusable": 0,
        "copies": 0,
        "classes": 1,
        "embeddings": 2,
        "softmax": 3,
        "scalars": 3,
        "image": 4,
    }
    ranked = sorted(verdict.findings, key=lambda f: (order[f.signal], not f.fired, -f.statistic))
    softmax = [finding for finding in ranked if finding.signal == "softmax"]
    rows = [row(finding) for finding in ranked if finding not in softmax[_SOFTMAX_ROWS:]]
    left_out = len(softmax) - _SOFTMAX_ROWS
    plain = verdict.measured == ACCURACY
    numbers = "probabilities" if plain else "the numbers of an answer"
    more = f" The {left_out} classes whose probability shifted least are left out." if left_out > 0 else ""
    return (
        "<h2>The tests</h2><p class='soft small'>An alarm needs a signal that the model can see: predicted classes, "
        f"embeddings or {numbers}. Embeddings count where the estimated {verdict.measured} fell too; where they "
        f"shifted and it did not fall, {numbers} do not count. Image statistics are information. Predicted classes "
        f"show the class that shifted most. Judged against {verdict.compared_with}, {verdict.reference_rows:,} images."
        f"{more}</p>"
        f"{table(columns, rows)}"
    )
