"""Export to deployable formats, each only where it predicts the same as what it was made from."""

import shutil
import tempfile
from collections.abc import Callable
from dataclasses import asdict, dataclass
from functools import cache
from pathlib import Path
from typing import get_args

import numpy as np

from resnet_ops.data import PreparedData
from resnet_ops.data.depth import noted_depth
from resnet_ops.export.exported import load_exported
from resnet_ops.export.onnx_file import BATCH, NEEDED, onnx_bytes, onnx_bytes_of_one, quantised_bytes
from resnet_ops.export.params import ExportParams, Format, Quantisation
from resnet_ops.export.parity import Verdict, judge_parity
from resnet_ops.export.program import deployable, pt2_bytes, trace
from resnet_ops.extras import require
from resnet_ops.files import write_bytes, write_json
from resnet_ops.measurement import Measurement
from resnet_ops.model import TrainedModel
from resnet_ops.model_files import DESCRIPTION, EXPORT_FILES
from resnet_ops.tasks.heads.head import head_of
from resnet_ops.tasks.parity.parity import parity_of
from resnet_ops.tasks.task import images_at_once, noted_task

__all__ = ["FormatResult", "export_model"]


@dataclass(frozen=True)
class FormatResult:
    """What came of one format: how equal it is (`Parity.measure`, and `bytes`), and whether it was written."""

    measured: dict[str, Measurement]
    verdict: Verdict


def export_model(
    model: TrainedModel,
    digest: str,
    data: PreparedData,
    params: ExportParams,
    confidence: float,
    folder: Path,
) -> dict[Format, FormatResult]:
    """Write `<format>/` under `folder` for each format that predicts as the original does, and say what came of each.

    digest: `model_digest` of the trained files. data: with splits `validation` (to calibrate int8) and `test`
    (to compare on, all of it). confidence: level of the intervals.

    A format that falls short of its tolerance is refused: it makes no file, one that an earlier call wrote is removed,
    and the others go on. Raises ConfigError when a format needs a package that is missing.
    """
    if {"onnx", "int8"} & set(params.formats):
        require("export.formats in params.yaml, for onnx and int8,", *NEEDED)
    test = data.split("test")
    parity = parity_of(model, test)
    contents = _contents(model, data.split("validation").images, params.quantisation)
    results: dict[Format, FormatResult] = {}
    with tempfile.TemporaryDirectory(prefix="resnet-ops-") as temporary:
        for format_, allowed in params.formats.items():
            trial = Path(temporary) / format_
            _write(model, digest, format_, contents[format_](), trial)
            measured = parity.measure(load_exported(trial), confidence)
            verdict = judge_parity(measured, allowed, params.too_few_images, confidence)
            size = (trial / EXPORT_FILES[format_]).stat().st_size
            measured["bytes"] = Measurement(value=size, n=1, unit="bytes")
            results[format_] = FormatResult(measured, verdict)
        written = [format_ for format_, result in results.items() if not result.verdict.refusals]
        for format_ in get_args(Format):
            if format_ not in written:
                _remove(folder / format_)
        for format_ in written:
            for name in (EXPORT_FILES[format_], DESCRIPTION):
                write_bytes(folder / format_ / name, (Path(temporary) / format_ / name).read_bytes())
    return results


def _contents(
    model: TrainedModel, calibration: np.ndarray, params: Quantisation
) -> dict[Format, Callable[[], bytes]]:
    """How each format's file is made; what two have in common is made once."""
    program = cache(lambda: trace(model))
    onnx = cache(
        lambda: (
            onnx_bytes(program())
            if head_of(model.task).any_batch
            else onnx_bytes_of_one(*deployable(model, 1))
        )
    )
    batch = images_at_once(model.task, model.image_size, BATCH)
    return {
        "pt2": lambda: pt2_bytes(program()),
        "onnx": onnx,
        "int8": lambda: quantised_bytes(onnx(), calibration, params, batch),
    }


def _write(model: TrainedModel, digest: str, format_: Format, content: bytes, folder: Path) -> None:
    fields = ("name", "classes", "image_size", "channels", "mean", "std")
    description = {field: getattr(model, field) for field in fields}
    write_bytes(folder / EXPORT_FILES[format_], content)
    write_json(
        folder / DESCRIPTION,
        {
            **description,
            **noted_task(model.task),
            **noted_depth(model.depth),
            "member": asdict(model.member),
            "format": format_,
            "exported_from": digest,
        },
    )


def _remove(folder: Path) -> None:
    """Take a whole folder away at once: half of an export must not stay where a process is killed."""
    if folder.exists():
        with tempfile.TemporaryDirectory(prefix=".removed-", dir=folder.parent) as temporary:
            shutil.move(folder, temporary)
