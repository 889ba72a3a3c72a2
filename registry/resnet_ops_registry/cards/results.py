"""A model card's sections on how well a model answers: results, slices, robustness, calibration, parity."""

from collections.abc import Mapping

from resnet_ops.cross_validation.words import CROSS, WHAT
from resnet_ops_registry.attestations.evidence import (
    REFUSED,
    Evidence,
    Headline,
    Metric,
    show_metric,
    show_number,
)
from resnet_ops_registry.cards.parts import (
    LONGEST,
    NOT_MEASURED,
    Fact,
    Row,
    Section,
    Table,
    interval,
    measured_table,
    number,
)
from resnet_ops_registry.cards.speed import headline_speed

__all__ = [
    "CORRUPTION",
    "SLICE",
    "calibration",
    "classes",
    "cross_validation",
    "export",
    "exports",
    "headline",
    "lowest",
    "measured_by_team",
    "results",
    "robustness",
    "slices",
]

SLICE, CORRUPTION = "test.slice.", "robustness.accuracy."
BY_CLASS: tuple[tuple[str, ...], ...] = (("recall", "precision"), ("iou", "dice", "boundary_f1"))
"""What is measured of each class, the first of which says which is worst."""
SHORT = {"iou": "IoU", "dice": "Dice", "boundary_f1": "boundary F1"}
MOST = 50
"""Rows of what a team measured; no order tells which of them are the worst."""


def lowest(metrics: Mapping[str, Metric], prefix: str) -> list[tuple[str, Metric]]:
    """(rest of the name, metric) of those whose name starts so, lowest first."""
    found = [
        (name.removeprefix(prefix), metric) for name, metric in metrics.items() if name.startswith(prefix)
    ]
    return sorted(found, key=lambda item: (item[1].value, item[0]))


def headline(evidence: Evidence) -> tuple[Fact, ...]:
    """What a reader wants to know first."""
    found = evidence.metrics
    worst_slice, worst_corruption = lowest(found, SLICE), lowest(found, CORRUPTION)
    mean, temperature = found.get("robustness.mean_accuracy"), found.get("calibrated.temperature")
    fallen = (
        f"worst: {worst_corruption[0][0].replace('_', ' ')}, {show_number(worst_corruption[0][1].value)}"
        if worst_corruption
        else ""
    )
    error = found.get("calibrated.ece") or found.get("test.ece")
    return (
        Fact(_measure(evidence), *_shown(found.get(evidence.compared_by.metric))),
        *(
            Fact(f"{side} at the operating point", *_shown(found[f"operating.{side}"]))
            for side in ("sensitivity", "specificity")
            if f"operating.{side}" in found
        ),
        Fact(
            "worst slice",
            number(worst_slice[0][1]) if worst_slice else NOT_MEASURED,
            f"{worst_slice[0][0]}; {_notes(worst_slice[0][1])}" if worst_slice else "",
        ),
        Fact("right on corrupted images", number(mean), fallen),
        Fact(
            "calibration error",
            number(error),
            (f"at temperature {show_number(temperature.value)}; " if temperature else "")
            + (_notes(error) if error else ""),
        ),
        *headline_speed(evidence),
    )


OPERATING = (
    ("area under the ROC curve", "test.roc_auc"),
    ("average precision", "test.average_precision"),
    *(
        (f"{name} at the operating point", f"operating.{key}")
        for name, key in (
            ("threshold", "threshold"),
            ("sensitivity", "sensitivity"),
            ("specificity", "specificity"),
            ("positive predictive value", "ppv"),
            ("negative predictive value", "npv"),
            ("net benefit", "net_benefit"),
        )
    ),
    ("share of images answered, with the reject option", "reject.coverage"),
    ("share of wrong answers among them (risk)", "reject.risk"),
)
FOUND, RETRIEVED = "retrieval.recall_at_", "retrieval.map_at_r"
RATED = (
    ("agreement of those who labelled (Krippendorff's alpha)", "test.rater_alpha"),
    ("share of pairs of their labels that are equal", "test.rater_agreement"),
)
AT_LEVELS = (
    ("area under the ROC curve up to a false alarm rate of", "test.partial_auc."),
    ("precision at a recall of", "test.precision_at_recall."),
    ("recall at a precision of", "test.recall_at_precision."),
)


def results(evidence: Evidence) -> Section:
    found, by = evidence.metrics, evidence.compared_by
    rows = _classified(found) if evidence.headline is None else [(by.label, by.metric), *_others(found, by)]
    first = found.get(by.metric)
    notes = [f"The interval of {by.label}: {first.method}."] if first is not None and first.method else []
    if (point := found.get("operating.threshold")) is not None and point.method:
        notes.append(f"The operating point was {point.method}.")
    if (least := found.get("reject.threshold")) is not None and least.method:
        notes.append(f"It answers from a probability of {show_number(least.value)} on, {least.method}.")
    return Section("Results on the test split", notes=tuple(notes), table=measured_table(found, rows))


def _measure(evidence: Evidence) -> str:
    said = evidence.headline
    return f"{said.label} on the test images" if said else "right on the test images"


def _others(found: Mapping[str, Metric], by: Headline) -> list[tuple[str, str]]:
    """Of another task than classification: every number of the whole split, whatever its name."""
    names = [name for name in sorted(found) if name.startswith("test.") and name.count(".") == 1]
    return [(name.removeprefix("test.").replace("_", " "), name) for name in names if name != by.metric]


def _classified(found: Mapping[str, Metric]) -> list[tuple[str, str]]:
    recalls = sorted((name for name in found if name.startswith(FOUND)), key=lambda name: (len(name), name))
    return [
        ("right answer (top-1)", "test.top1"),
        *([("right class among the first five", "test.top5")] if "test.top5" in found else []),
        ("mean F1 of the classes", "test.macro_f1"),
        ("lowest recall of a class", "test.worst_class_recall"),
        *(row for row in OPERATING if row[1] in found),
        *(
            (f"{words} {name.removeprefix(prefix)}", name)
            for words, prefix in AT_LEVELS
            for name in sorted(found)
            if name.startswith(prefix)
        ),
        *((f"finds its class among the {name.rpartition('_')[2]} nearest", name) for name in recalls),
        *([("mean average precision of retrieval (MAP@R)", RETRIEVED)] if RETRIEVED in found else []),
        *(row for row in RATED if row[1] in found),
    ]


def measured_by_team(evidence: Evidence) -> Section:
    """Of a model of another kind: every number but those by class, whatever its name."""
    apart = ("data.", *(f"test.{name}." for each in BY_CLASS for name in each))
    named = [name for name in sorted(evidence.metrics) if not name.startswith(apart)]
    cut = (f"The first {MOST} of {len(named)}; all are in the evidence.",) if len(named) > MOST else ()
    rows = [(name.replace("_", " "), name) for name in named[:MOST]]
    return Section("What its team measured", notes=cut, table=measured_table(evidence.metrics, rows))


def classes(evidence: Evidence) -> Section:
    measures = next((each for each in BY_CLASS if lowest(evidence.metrics, f"test.{each[0]}.")), None)
    if measures is None:
        return Section("By class", notes=(f"{NOT_MEASURED.capitalize()}.",))
    measures = tuple(name for name in measures if lowest(evidence.metrics, f"test.{name}."))
    first, *others = measures
    worst = lowest(evidence.metrics, f"test.{first}.")
    shown = [SHORT.get(name, name) for name in measures]
    columns = (
        ("class", False),
        *((name, True) for each in shown for name in (each, "interval", "n")),
    )
    rows = [
        Row(
            (
                name,
                *_three(metric),
                *(part for each in others for part in _three(evidence.metrics.get(f"test.{each}.{name}"))),
            )
        )
        for name, metric in worst[:LONGEST]
    ]
    return Section(
        "By class",
        notes=_cut(len(worst), LONGEST, "classes", f"lowest {shown[0]}"),
        table=Table(columns, tuple(rows)),
    )


def _three(metric: Metric | None) -> tuple[str, str, str]:
    return number(metric), interval(metric), f"{metric.n:,}" if metric else "–"


def slices(evidence: Evidence) -> Section:
    worst = lowest(evidence.metrics, SLICE)
    if not worst:
        return Section("Slices", notes=(f"{NOT_MEASURED.capitalize()}.",))
    name, metric = worst[0]
    notes = [f"Worst of {len(worst)}: {name}, {show_metric(metric)}."]
    if (picked := evidence.metrics.get("test.worst_slice")) is not None and interval(picked) != "–":
        notes.append(f"Knowing that it was picked for being the worst, its interval is {interval(picked)}.")
    rows = [(name, SLICE + name) for name, _ in worst[: LONGEST // 2]]
    return Section(
        "Slices",
        notes=(*notes, *_cut(len(worst), LONGEST // 2, "slices", "lowest accuracy")),
        table=measured_table(evidence.metrics, rows),
    )


def cross_validation(evidence: Evidence) -> list[Section]:
    """What other models by the same recipe say of all images; none where no folds were trained."""
    models = evidence.metrics.get(f"{CROSS}.models")
    if models is None:
        return []
    names = ("top1", "sensitivity", "specificity", "worst_class_recall", "macro_f1")
    rows = [(name.replace("_", " "), f"{CROSS}.{name}") for name in names]
    note = f"{models.value:g} models, none of them this version. {WHAT}"
    return [Section("Cross-validation", notes=(note,), table=measured_table(evidence.metrics, rows, False))]


def robustness(evidence: Evidence) -> Section:
    found = evidence.metrics
    worst = lowest(found, CORRUPTION)
    if not worst:
        return Section("Robustness", notes=(f"{NOT_MEASURED.capitalize()}.",))
    severities = sorted(name for name in found if name.startswith("robustness.severity."))
    rows = [
        ("the same images as they are", "robustness.clean_accuracy"),
        ("mean over all corruptions", "robustness.mean_accuracy"),
        ("lost by them", "robustness.drop"),
        *((f"severity {name.rpartition('.')[2]}", name) for name in severities),
        *((name.replace("_", " "), CORRUPTION + name) for name, _ in worst),
    ]
    return Section(
        "Robustness",
        notes=(
            f"Worst of {len(worst)} corruptions: {worst[0][0].replace('_', ' ')}, {show_metric(worst[0][1])}.",
        ),
        table=measured_table(found, rows),
    )


def calibration(evidence: Evidence) -> Section:
    names = (("expected calibration error", "ece"), ("Brier score", "brier"), ("log loss", "nll"))
    rows = [(words, f"test.{name}") for words, name in names]
    rows.append(("temperature, fitted on the validation split", "calibrated.temperature"))
    rows += [(f"{words} at that temperature", f"calibrated.{name}") for words, name in names]
    if not any(name in evidence.metrics for _, name in rows):
        return Section("Calibration", notes=(f"{NOT_MEASURED.capitalize()}.",))
    return Section("Calibration", table=measured_table(evidence.metrics, rows))


def export(evidence: Evidence) -> Section:
    """Of an export alone: how equal it is to what it was made from."""
    rows = [
        ("right answers lost", "export.accuracy_loss"),
        ("equal predictions", "export.equal_predictions"),
        ("largest difference of a logit", "export.max_logit_difference"),
    ]
    origin = f"This is {evidence.format}, made from the trained weights {evidence.exported_from}."
    return Section(
        "Compared with what it was made from",
        notes=(origin, "All other numbers here were measured on the export itself."),
        table=measured_table(evidence.metrics, rows),
    )


def exports(evidence: Evidence) -> Section:
    """What came of each export: of trained weights every format, of an export itself."""
    rows = [
        Row((format_, outcome), "hit" if outcome.startswith(REFUSED) else "")
        for format_, outcome in sorted(evidence.exports.items())
    ]
    return Section("Exports", table=Table((("format", False), ("what came of it", False)), tuple(rows)))


def _shown(metric: Metric | None) -> tuple[str, str]:
    return number(metric), _notes(metric) if metric else ""


def _notes(metric: Metric) -> str:
    bounds = interval(metric)
    return f"n={metric.n:,}" if bounds == "–" else f"{bounds}, n={metric.n:,}"


def _cut(count: int, kept: int, what: str, by: str) -> tuple[str, ...]:
    if count <= kept:
        return ()
    return (f"The {kept} of {by}; all {count} {what} are in the evidence and among the run's artifacts.",)
