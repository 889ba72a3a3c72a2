"""Export to deployable formats, each only after it has been shown to predict the same."""

import tempfile
from collections.abc import Callable
from dataclasses import asdict
from functools import cache
from pathlib import Path

import numpy as np

from resnet_ops.data import PreparedData
from resnet_ops.errors import DataError
from resnet_ops.export.exported import load_exported
from resnet_ops.export.onnx_file import check_installed, onnx_bytes, quantised_bytes
from resnet_ops.export.params import ExportParams, Format, Quantisation
from resnet_ops.export.parity import measure_parity, violations
from resnet_ops.export.program import pt2_bytes, trace
from resnet_ops.files import write_bytes, write_json
from resnet_ops.measurement import Measurement
from resnet_ops.model import TrainedModel
from resnet_ops.model_files import DESCRIPTION, EXPORT_FILES

__all__ = ["export_model"]


def export_model(
    model: TrainedModel,
    digest: str,
    data: PreparedData,
    params: ExportParams,
    confidence: float,
    folder: Path,
) -> dict[str, Measurement]:
    """Write `<format>/` under `folder` for each format and say how equal each is, as `<format>.<metric>`.

    digest: `model_digest` of the trained files. data: with splits `validation` (to calibrate int8) and `test`
    (to compare on, all of it). confidence: level of the intervals.

    Raises DataError when an export does not predict as the original does: no file is made then, of any format.
    Raises ConfigError when a format needs a package that is missing.
    """
    if {"onnx", "int8"} & set(params.formats):
        check_installed("export.formats in params.yaml")
    test = data.split("test")
    original = model.predict(test.images)
    contents = _contents(model, data.split("validation").images, params.quantisation)
    measured: dict[str, Measurement] = {}
    refused: list[str] = []
    with tempfile.TemporaryDirectory(prefix="resnet-ops-") as temporary:
        for format_, allowed in params.formats.items():
            trial = Path(temporary) / format_
            _write(model, digest, format_, contents[format_](), trial)
            parity = measure_parity(
                original, load_exported(trial).predict(test.images), test.labels, confidence
            )
            refused += [f"{format_}: {said}" for said in violations(parity, allowed)]
            size = (trial / EXPORT_FILES[format_]).stat().st_size
            parity["bytes"] = Measurement(value=size, n=1, unit="bytes")
            measured |= {f"{format_}.{name}": measurement for name, measurement in parity.items()}
        if refused:
            raise DataError(
                f"{model.name} does not predict the same when exported, on {len(test)} test images. "
                f"{'; '.join(refused)} (export.formats in params.yaml). No file was made."
            )
        for format_ in params.formats:
            for name in (EXPORT_FILES[format_], DESCRIPTION):
                write_bytes(folder / format_ / name, (Path(temporary) / format_ / name).read_bytes())
    return measured


def _contents(
    model: TrainedModel, calibration: np.ndarray, params: Quantisation
) -> dict[Format, Callable[[], bytes]]:
    """How each format's file is made; what two have in common is made once."""
    program = cache(lambda: trace(model))
    onnx = cache(lambda: onnx_bytes(program()))
    return {
        "pt2": lambda: pt2_bytes(program()),
        "onnx": onnx,
        "int8": lambda: quantised_bytes(onnx(), calibration, params),
    }


def _write(model: TrainedModel, digest: str, format_: Format, content: bytes, folder: Path) -> None:
    fields = ("name", "classes", "image_size", "channels", "mean", "std")
    description = {field: getattr(model, field) for field in fields}
    write_bytes(folder / EXPORT_FILES[format_], content)
    write_json(
        folder / DESCRIPTION,
        {**description, "member": asdict(model.member), "format": format_, "exported_from": digest},
    )
