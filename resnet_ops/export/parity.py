"""How far an export is from the original, measured on labelled images, and whether that is near enough."""

from dataclasses import dataclass

import numpy as np

from resnet_ops.evaluation.intervals import wilson
from resnet_ops.evaluation.paired_interval import images_needed, paired_difference
from resnet_ops.export.params import Tolerance, TooFewImages
from resnet_ops.measurement import Measurement
from resnet_ops.predictions import Predictions

__all__ = ["Verdict", "judge_parity", "measure_parity"]


@dataclass(frozen=True)
class Verdict:
    """Whether an export may be written. `n`: images that it was compared on."""

    n: int
    refusals: tuple[str, ...] = ()
    """What is beyond the tolerance; where there is any, no file is made."""
    doubts: tuple[str, ...] = ()
    """What the images could not show, and the settings let pass."""

    def __str__(self) -> str:
        if self.refusals:
            return f"refused, {'; '.join(self.refusals)} ({self.n:,} images)"
        return "; ".join(("written", *self.doubts))


def measure_parity(
    original: Predictions, exported: Predictions, labels: np.ndarray, confidence: float
) -> dict[str, Measurement]:
    """`max_logit_difference`, `equal_predictions`, `top1` and `accuracy_loss` of an export.

    labels: (N,) class indices. `accuracy_loss` is the original's top-1 less the export's, with Tango's interval.
    A difference that is not a number counts as the largest there is.
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


def judge_parity(
    measured: dict[str, Measurement], allowed: Tolerance, too_few: TooFewImages, confidence: float
) -> Verdict:
    """Whether what `measure_parity` gave is within the tolerance.

    That the loss of accuracy is within its margin must be shown, by the upper end of its interval: the burden of
    proof is the export's. Whether the images suffice for that follows from the tolerance and their number alone, never
    from what they said: docs/adr/0015.
    """
    difference, equal, loss = (
        measured[name] for name in ("max_logit_difference", "equal_predictions", "accuracy_loss")
    )
    refusals: list[str] = []
    doubts: list[str] = []
    if not difference.value <= allowed.max_logit_difference:
        refusals.append(
            f"a logit differs by {difference.value:.3g}, allowed {allowed.max_logit_difference:g}"
        )
    if not equal.value >= allowed.min_equal_predictions:
        refusals.append(f"predicts the same on {equal.value:.2%}, needed {allowed.min_equal_predictions:.2%}")
    if not _is_shown(loss, allowed):
        loss_shown = _in_points(loss, allowed)
        if loss.value > allowed.max_accuracy_loss:
            refusals.append(loss_shown)
        elif loss.n >= (needed := _images_needed(allowed, confidence)):
            refusals.append(f"{loss_shown} at the interval's upper end")
        else:
            short = f"{loss_shown}: not shown with {loss.n:,} images, needs about {_rounded_up(needed):,}"
            (doubts if too_few == "estimate" else refusals).append(short)
    return Verdict(loss.n, tuple(refusals), tuple(doubts))


def _is_shown(loss: Measurement, allowed: Tolerance) -> bool:
    end = loss.high if allowed.max_accuracy_loss else loss.value
    return end is not None and end <= allowed.max_accuracy_loss


def _images_needed(allowed: Tolerance, confidence: float) -> int:
    """With which an export that differs as often as it may, and loses nothing, is shown to lose little."""
    return images_needed(1 - allowed.min_equal_predictions, allowed.max_accuracy_loss, confidence)


def _rounded_up(count: int) -> int:
    """To two digits: it is an expectation, not a promise."""
    step = int(10 ** max(len(str(count)) - 2, 0))
    return -(-count // step) * step


def _in_points(loss: Measurement, allowed: Tolerance) -> str:
    """Such as `loses 1.1 points (0.3-2.8), allowed 0.5`, with as many decimals as tell the two apart."""
    assert loss.low is not None
    assert loss.high is not None
    shares, margin = (loss.value, loss.low, loss.high), allowed.max_accuracy_loss
    decimals = next(
        (
            d
            for d in range(1, 9)
            if all((round(100 * each, d) > 100 * margin) == (each > margin) for each in shares)
        ),
        9,
    )
    # adding 0 turns -0.0 into 0.0
    value, low, high = (f"{round(100 * each, decimals) + 0:.{decimals}f}" for each in shares)
    dash = " to " if loss.low < 0 else "-"
    return f"loses {value} points ({low}{dash}{high}), allowed {100 * margin:g}"
