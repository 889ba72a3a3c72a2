"""What a window comes to at the operating point of its version."""

from resnet_ops_monitoring.drift.reference import Reference
from resnet_ops_monitoring.drift.verdict import OperatingVerdict, SideVerdict
from resnet_ops_monitoring.drift.words import percent
from resnet_ops_monitoring.statistics.accuracy import counted_accuracy
from resnet_ops_monitoring.statistics.summary import WindowSummary

__all__ = ["fallen_words", "operating_verdict"]


def operating_verdict(
    summary: WindowSummary, reference: Reference, confidence: float
) -> OperatingVerdict | None:
    """Of a window with usable rows; None where the version has no operating point, or nothing was calibrated at it."""
    point, calibration = reference.schema.operating, reference.accuracy_calibration
    if point is None or calibration is None:
        return None
    labels = {
        "sensitivity": (summary.caught, summary.positives),
        "specificity": (summary.cleared, summary.labelled - summary.positives),
    }
    sides = {}
    for name, found in calibration.sides(summary, confidence, reference.mix_space).items():
        tested = counted_accuracy(found.right, found.tested, confidence, reference.worth)
        real = counted_accuracy(*labels[name], confidence, summary.worth)
        if tested is not None:
            sides[name] = SideVerdict(tested, found.estimate, real, found.alarming)
    if len(sides) < len(labels):
        return None
    return OperatingVerdict(
        positive=point.positive,
        threshold=point.threshold,
        called=summary.called / summary.usable,
        called_before=calibration.clean.called,
        **sides,
    )


def fallen_words(found: OperatingVerdict) -> list[str]:
    """A sentence for each side whose estimate fell by as much as may alarm."""
    sides = {"Sensitivity": found.sensitivity, "Specificity": found.specificity}
    return [
        f"{name} at the operating point is estimated at {percent(side.estimated.value)} "
        f"({percent(side.estimated.low)} to {percent(side.estimated.high)}) instead of {percent(side.tested.value)}."
        for name, side in sides.items()
        if side.fell
    ]
