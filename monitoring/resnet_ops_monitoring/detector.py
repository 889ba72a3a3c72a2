"""The judge of a window: ours, because a share of drifted columns is no alarm that holds its rate.

Three signals that the model can see raise the alarm: softmax columns (Kolmogorov-Smirnov each), predicted classes
(chi-square by permutation), embeddings (MMD by permutation). Each gets a third of alpha, and the softmax columns share
theirs (Bonferroni), so that windows without drift alarm at most alpha of the time, however many classes there are.
Image statistics are tested beside that, at their own alpha, and reported as information: a darker picture that the
model reads as well as before hurts nobody.
"""

from collections.abc import Sequence

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from resnet_ops.errors import DataError
from resnet_ops_monitoring.accuracy import Accuracy, counted_accuracy, estimated_accuracy
from resnet_ops_monitoring.frames import COLUMNS, STATISTICS, check_columns, known, matrix
from resnet_ops_monitoring.params import ALARM_SIGNALS, DriftParams
from resnet_ops_monitoring.reference import Reference
from resnet_ops_monitoring.two_sample import class_shift, kolmogorov_smirnov, mean_discrepancy
from resnet_ops_monitoring.verdict import Finding, Signal, Status, Verdict
from resnet_ops_monitoring.words import explain, percent

__all__ = ["judge"]


def judge(frame: pd.DataFrame, reference: Reference, params: DriftParams, *, window: str) -> Verdict:
    """Judge the rows of `frame` (columns of `resnet_ops_monitoring.frames`) against `reference`.

    Rows whose embedding or probabilities are not finite are counted and left out. Raises DataError when rows were made
    by other model files than the reference's: their numbers cannot be compared.
    """
    check_columns(frame, COLUMNS, f"Window {window}")
    _check_model(frame, reference, window)
    usable = frame[_finite(frame)]
    unusable = len(frame) - len(usable)
    if len(usable) < params.min_rows:
        return _verdict(frame, reference, params, window, "insufficient data", unusable, ())
    rng = np.random.default_rng(params.seed)
    findings = (
        *_unusable(unusable, len(frame), params),
        *_softmax(usable, reference, params),
        _classes(usable, reference, params, rng),
        _embeddings(usable, reference, params, rng),
        *_image(usable, reference, params),
    )
    alarm = any(finding.fired for finding in findings if finding.signal != "image")
    return _verdict(frame, reference, params, window, "alarm" if alarm else "ok", unusable, findings)


def _check_model(frame: pd.DataFrame, reference: Reference, window: str) -> None:
    others = frame[frame["digest"] != reference.identity.digest]
    if len(others):
        versions = ", ".join(
            f"{row.model} v{row.version}" for row in others.drop_duplicates("digest").itertuples()
        )
        raise DataError(
            f"Window {window} holds {len(others)} of {len(frame)} rows of {versions}, but the reference is of "
            f"{reference.identity} (other files). Read one version at a time, or build the reference of that version."
        )
    strangers = sorted(set(frame["predicted"]) - set(reference.classes))
    if strangers:
        raise DataError(
            f"Window {window} holds predictions of classes that {reference.identity} lacks: {strangers}."
        )


def _finite(frame: pd.DataFrame) -> NDArray[np.bool_]:
    finite = np.ones(len(frame), dtype=bool)
    if len(frame):
        for name in ("embedding", "probabilities"):
            finite &= np.isfinite(matrix(frame, name)).all(axis=1)
    return finite


def _unusable(unusable: int, rows: int, params: DriftParams) -> list[Finding]:
    if unusable == 0:
        return []
    share = unusable / rows
    return [
        Finding(
            signal="unusable",
            column="rows",
            method="share of rows that are not finite",
            statistic=share,
            p_value=None,
            threshold=None,
            effect=share,
            floor=params.max_unusable,
            reference=0.0,
            window=share,
            fired=share > params.max_unusable,
        )
    ]


def _softmax(usable: pd.DataFrame, reference: Reference, params: DriftParams) -> list[Finding]:
    before, now = matrix(reference.rows, "probabilities"), matrix(usable, "probabilities")
    if now.shape[1] != before.shape[1]:
        raise DataError(
            f"The window has {now.shape[1]} probabilities in a row, the reference {before.shape[1]}."
        )
    threshold = params.alpha / len(ALARM_SIGNALS) / len(reference.classes)
    return [
        _ks(before[:, k], now[:, k], "softmax", name, threshold, params.softmax_effect)
        for k, name in enumerate(reference.classes)
    ]


def _image(usable: pd.DataFrame, reference: Reference, params: DriftParams) -> list[Finding]:
    findings = []
    for name in STATISTICS:
        before = reference.rows[name].to_numpy(dtype=float)
        now = usable[name].to_numpy(dtype=float)
        before, now = before[np.isfinite(before)], now[np.isfinite(now)]
        if len(before) >= params.min_rows and len(now) >= params.min_rows:
            threshold = params.alpha / len(STATISTICS)
            findings.append(_ks(before, now, "image", name, threshold, params.image_effect))
    return findings


def _ks(
    before: NDArray[np.float32] | NDArray[np.float64],
    now: NDArray[np.float32] | NDArray[np.float64],
    signal: Signal,
    column: str,
    threshold: float,
    floor: float,
) -> Finding:
    distance, p_value = kolmogorov_smirnov(before, now)
    return Finding(
        signal=signal,
        column=column,
        method="Kolmogorov-Smirnov",
        statistic=distance,
        p_value=p_value,
        threshold=threshold,
        effect=distance,
        floor=floor,
        reference=float(before.mean()),
        window=float(now.mean()),
        fired=p_value <= threshold and distance >= floor,
    )


def _classes(
    usable: pd.DataFrame, reference: Reference, params: DriftParams, rng: np.random.Generator
) -> Finding:
    before, now = (_counts(rows["predicted"], reference.classes) for rows in (reference.rows, usable))
    statistic, p_value, shift = class_shift(before, now, params.permutations, rng)
    shares = before / before.sum(), now / now.sum()
    most = int(np.abs(shares[1] - shares[0]).argmax())
    threshold = params.alpha / len(ALARM_SIGNALS)
    return Finding(
        signal="classes",
        column=reference.classes[most],
        method="chi-square, permutations",
        statistic=statistic,
        p_value=p_value,
        threshold=threshold,
        effect=shift,
        floor=params.classes_effect,
        reference=float(shares[0][most]),
        window=float(shares[1][most]),
        fired=p_value <= threshold and shift >= params.classes_effect,
    )


def _counts(predicted: "pd.Series[str]", classes: Sequence[str]) -> NDArray[np.int64]:
    return np.asarray(predicted.value_counts().reindex(list(classes), fill_value=0), dtype=np.int64)


def _embeddings(
    usable: pd.DataFrame, reference: Reference, params: DriftParams, rng: np.random.Generator
) -> Finding:
    before, now = (
        rows if len(rows) <= params.embedding_rows else rng.choice(rows, params.embedding_rows, replace=False)
        for rows in (matrix(reference.rows, "embedding"), matrix(usable, "embedding"))
    )
    if before.shape[1] != now.shape[1]:
        raise DataError(
            f"The window's embeddings have {now.shape[1]} numbers, the reference's {before.shape[1]}."
        )
    discrepancy, p_value = mean_discrepancy(before, now, params.permutations, rng)
    threshold = params.alpha / len(ALARM_SIGNALS)
    return Finding(
        signal="embeddings",
        column="embedding",
        method="MMD, permutations",
        statistic=discrepancy,
        p_value=p_value,
        threshold=threshold,
        effect=max(discrepancy, 0.0),
        floor=params.embeddings_effect,
        reference=None,
        window=None,
        fired=p_value <= threshold and discrepancy >= params.embeddings_effect,
    )


def _verdict(
    frame: pd.DataFrame,
    reference: Reference,
    params: DriftParams,
    window: str,
    status: Status,
    unusable: int,
    findings: tuple[Finding, ...],
) -> Verdict:
    usable = frame[_finite(frame)]
    right = np.asarray(reference.rows["predicted"] == reference.rows["label"], dtype=bool)
    expected = counted_accuracy(right, params.confidence)
    if expected is None:
        raise DataError(f"The reference of {reference.identity} is empty. Build it again: dvc repro")
    labelled = frame[known(frame["label"])]
    real = counted_accuracy(
        np.asarray(labelled["predicted"] == labelled["label"], dtype=bool), params.confidence
    )
    estimate = None
    if findings:
        estimate = estimated_accuracy(
            matrix(reference.rows, "probabilities"), right, matrix(usable, "probabilities")
        )
    return Verdict(
        window=window,
        identity=reference.identity,
        status=status,
        input_drift=any(finding.fired for finding in findings if finding.signal == "image"),
        reason=_reason(status, findings, len(frame), unusable, params.min_rows, expected, real),
        rows=len(frame),
        unusable=unusable,
        start=frame["time"].min().to_pydatetime() if len(frame) else None,
        end=frame["time"].max().to_pydatetime() if len(frame) else None,
        reference_rows=len(reference.rows),
        reference_accuracy=expected,
        estimated_accuracy=estimate,
        real_accuracy=real,
        findings=findings,
    )


def _reason(
    status: Status,
    findings: tuple[Finding, ...],
    rows: int,
    unusable: int,
    min_rows: int,
    expected: Accuracy,
    real: Accuracy | None,
) -> str:
    if status == "insufficient data":
        lost = f", of which {unusable} are not finite" if unusable else ""
        sentence = (
            f"The window holds {rows} rows{lost}; at least {min_rows} usable ones are needed to judge it."
        )
    else:
        moved = explain(findings)
        calm = "Predictions, classes and embeddings are as in the reference."
        sentence = f"{calm} {moved}".strip() if status == "ok" else moved
    if real is not None and real.high < expected.low:
        sentence += (
            f" Labels show {percent(real.value)} right ({percent(real.low)} to {percent(real.high)}, n = {real.n}) "
            f"instead of {percent(expected.value)}."
        )
    return sentence
