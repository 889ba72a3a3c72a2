"""An exported version's ONNX file with the decision at its signed operating point."""

import numpy as np

from resnet_ops.data.depth import dtype_of, white_of
from resnet_ops.errors import ConfigError, DataError
from resnet_ops.evaluation.operating_point import OperatingPoint
from resnet_ops.export.decision import DECISION, SCORE, with_decision
from resnet_ops.export.exported import ExportedModel
from resnet_ops.model_files import EXPORT_FILES
from resnet_ops.tasks.task import images_at_once, require_per_image
from resnet_ops_registry.client.loading import LoadedModel
from resnet_ops_registry.client.operating_point import operating_point_of

__all__ = ["deciding_onnx"]

TRIED = 256
"""Random images that both files are run on."""
ROUNDING = 1e-6
"""Scores so near to the threshold may be decided either way: probabilities have the digits of float32."""


def deciding_onnx(loaded: LoadedModel) -> tuple[OperatingPoint, bytes]:
    """Where it decides, and the file; see `with_decision`.

    Raises ConfigError for trained weights, for answers that are no class an image, and for a version without an
    operating point; EvidenceError where the registry believes no evidence about it, and DataError where the file
    answers otherwise than the version does.
    """
    label, model = f"{loaded.name} v{loaded.version}", loaded.model
    require_per_image(model.task, "registry onnx")
    if not isinstance(model, ExportedModel):
        raise ConfigError(
            f"{label} is trained weights and has no ONNX file. Register its export as a version of its own: name it "
            "under deployments in params.yaml, run dvc repro, and ask for that version."
        )
    point = operating_point_of(loaded)
    if point is None:
        raise ConfigError(
            f"{label} has no operating point, so nothing says where it decides. Set evaluate.operating_point in "
            "params.yaml and measure it again: dvc repro, or resnet-ops attest evaluation."
        )
    content = with_decision((loaded.folder / EXPORT_FILES[model.format]).read_bytes(), point, model.classes)
    _check(content, model, point, label)
    return point, content


def _check(content: bytes, model: ExportedModel, point: OperatingPoint, label: str) -> None:
    import onnxruntime

    count = images_at_once(model.task, model.image_size, TRIED)  # what `predict` asks about together
    shape = (count, model.image_size, model.image_size, model.channels)
    images = np.random.default_rng(0).integers(
        0, white_of(model.depth) + 1, shape, dtype=dtype_of(model.depth)
    )
    session = onnxruntime.InferenceSession(content, providers=["CPUExecutionProvider"])
    logits, scores, decided = session.run(["logits", SCORE, DECISION], {"images": images})
    said = model.predict(images)
    same = np.array_equal(logits, said.logits)
    expected = point.scores(said.probabilities, model.classes)
    clear = np.abs(expected - point.threshold) > ROUNDING
    if not (
        same
        and np.allclose(scores, expected, rtol=0, atol=ROUNDING)
        and np.array_equal(decided[clear], (expected >= point.threshold)[clear])
    ):
        raise DataError(
            f"The ONNX file with a decision answers otherwise than {label} on {count} random images (logits equal: "
            f"{same}; largest difference of a score: {np.abs(scores - expected).max():.2g}, needed {ROUNDING:g}). "
            "No file was written; report it with the versions of onnx and onnxruntime."
        )
