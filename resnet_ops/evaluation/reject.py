"""Reject option: the confidence below which a classifier abstains, chosen on validation, measured on test.

Confidence is the probability of the most probable class. Coverage is the share of images that are answered; risk is the
share of wrong answers among them (Chow 1970; Geifman and El-Yaniv 2017, arXiv:1705.08500).
"""

from dataclasses import dataclass

import numpy as np

from resnet_ops.evaluation.metrics import share_right
from resnet_ops.evaluation.square import BAR, MARK, SIDE, Square, y_of
from resnet_ops.measurement import Measurement
from resnet_ops.params import Settings

__all__ = ["RejectParams", "choose_confidence", "confidence_of", "measure_reject", "reject_panel"]


@dataclass(frozen=True, kw_only=True)
class RejectParams(Settings):
    """Under `evaluate.reject`: when a model should rather not answer."""

    max_risk: float
    """Share of wrong answers that is allowed among those given on the validation split; as many as possible are."""

    def __post_init__(self) -> None:
        if not 0 <= self.max_risk < 1:
            raise ValueError(f"max_risk is {self.max_risk}, but must be at least 0 and below 1")

    @property
    def words(self) -> str:
        """The aim, for evidence and people."""
        return f"chosen on validation: risk at most {self.max_risk:.15g}"


def confidence_of(probabilities: np.ndarray) -> np.ndarray:
    """(N,) of (N, C) rows that sum to 1, with the digits that models answer with."""
    return np.asarray(probabilities.max(axis=1).astype(np.float32), dtype=np.float64)


def choose_confidence(confidence: np.ndarray, right: np.ndarray, params: RejectParams) -> float | None:
    """The confidence from which on images are answered: the lowest whose risk is allowed; None where none is.

    confidence: (N,) in [0, 1]. right: (N,) bool. It lies midway between two images of the split, so that a rounding
    turns nothing.
    """
    levels, _, risk = _curve(confidence, right)
    allowed = np.flatnonzero(risk <= params.max_risk + 1e-12)
    if not len(allowed):
        return None
    last = int(allowed[-1])
    if last + 1 == len(levels):
        return 0.0
    between = float(levels[last] + levels[last + 1]) / 2
    return between if between > levels[last + 1] else float(levels[last])


def measure_reject(
    validation: tuple[np.ndarray, np.ndarray],
    test: tuple[np.ndarray, np.ndarray],
    params: RejectParams,
    level: float,
    groups: np.ndarray | None = None,
    threshold: float | None = None,
) -> dict[str, Measurement]:
    """`reject.threshold`, `reject.coverage` and `reject.risk`; nothing where no threshold reaches the aim.

    validation, test: confidence (N,) and whether the most probable class is right (N,). groups: (N,) which group each
    test image is of. threshold: one that was chosen before, which stays. No risk where nothing is answered.
    """
    if threshold is None:
        threshold = choose_confidence(*validation, params)
    if threshold is None:
        return {}
    confidence, right = test
    answered = confidence >= threshold
    found = {
        "reject.threshold": Measurement(
            value=threshold, n=len(validation[0]), method=params.words, unit="probability"
        ),
        "reject.coverage": share_right(answered, level, groups),
    }
    if answered.any():
        of = None if groups is None else groups[answered]
        found["reject.risk"] = share_right(~right[answered], level, of)
    return found


def reject_panel(confidence: np.ndarray, right: np.ndarray, threshold: float | None) -> Square:
    """Risk against coverage on N images; the dot is where the threshold lies."""
    _, coverage, risk = _curve(confidence, right)

    def draw(left: int) -> str:
        line = " ".join(f"{left + x * SIDE:.1f},{y_of(y):.1f}" for x, y in zip(coverage, risk, strict=True))
        answered = np.zeros(len(right), dtype=bool) if threshold is None else confidence >= threshold
        dot = ""
        if answered.any():
            x, y = float(answered.mean()), float((~right[answered]).mean())
            told = f"<title>{x:.3f}, {y:.3f}</title>"
            dot = f'<circle cx="{left + x * SIDE:.1f}" cy="{y_of(y):.1f}" r="5" fill="{MARK}">{told}</circle>'
        return f'<polyline points="{line}" fill="none" stroke="{BAR}" stroke-width="2"/>{dot}'

    where = "no threshold reaches the aim" if threshold is None else f"dot: answered from {threshold:.3f} on"
    return Square(f"reject option; {where}", "coverage; height: risk, wrong of the answered", False, draw)


def _curve(confidence: np.ndarray, right: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Each different confidence, from the highest, with coverage and risk of all images that are as confident."""
    order = np.argsort(-confidence, kind="stable")
    ordered, wrong = confidence[order], np.cumsum(~right[order])
    last = np.flatnonzero(np.append(np.diff(ordered) != 0, True))  # of equal confidences
    return ordered[last], (last + 1) / len(order), wrong[last] / (last + 1)
