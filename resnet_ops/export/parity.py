"""How far an export is from the original, measured on labelled images."""

import numpy as np

from resnet_ops.evaluation.intervals import wilson
from resnet_ops.evaluation.paired_interval import paired_difference
from resnet_ops.export.params import Tolerance
from resnet_ops.measurement import Measurement
from resnet_ops.predictions import Predictions

__all__ = ["measure_parity", "violations"]


def measure_parity(
    original: Predictions, exported: Predictions, labels: np.ndarray, confidence: float
) -> dict[str, Measurement]:
    """`max_logit_difference`, `equal_predictions`, `top1` and `accuracy_loss` of an export.

    labels: (N,) class indices. `accuracy_loss` is the original's top-1 less the export's, with Tango's interval.
    A difference that is no number counts as the largest there is.
    """
    n = len(labels)
    with np.errstate(invalid="ignore"):
        difference = float(np.abs(exported.logits - original.logits).max())
    right, was_right = exported.predicted == labels, original.predicted == labels
    lost, won = int((was_right & ~right).sum()), int((right & ~was_right).sum())
    low, high = paired_difference(lost, won, n, confidence)
    return {
        "max_logit_difference": Measurement(
            value=difference if np.isfinite(difference) else float(np.finfo(np.float64).max),
            n=n,
            unit="logit",
        ),
        "equal_predictions": _share(exported.predicted == original.predicted, confidence),
        "top1": _share(right, confidence),
        "accuracy_loss": Measurement(
            value=(lost - won) / n, n=n, low=low, high=high, method=f"tango {confidence:g}", unit="fraction"
        ),
    }


def _share(hits: np.ndarray, confidence: float) -> Measurement:
    count, n = int(hits.sum()), len(hits)
    low, high = wilson(count, n, confidence)
    return Measurement(
        value=count / n, n=n, low=low, high=high, method=f"wilson {confidence:g}", unit="fraction"
    )


def violations(measured: dict[str, Measurement], allowed: Tolerance) -> list[str]:
    """What is beyond the tolerance, in words; none where all holds."""
    difference, equal, loss = (
        measured[name].value for name in ("max_logit_difference", "equal_predictions", "accuracy_loss")
    )
    said = []
    if not difference <= allowed.max_logit_difference:
        said.append(f"a logit differs by {difference:.3g}, allowed is {allowed.max_logit_difference:g}")
    if not equal >= allowed.min_equal_predictions:
        said.append(f"it agrees on {equal:.2%}, needed is {allowed.min_equal_predictions:.2%}")
    if not loss <= allowed.max_accuracy_loss:
        said.append(f"top-1 falls by {loss:.2%}, allowed is {allowed.max_accuracy_loss:.2%}")
    return said
