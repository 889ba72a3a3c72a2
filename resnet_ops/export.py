"""Export to deployable formats, each only after it has been shown to predict the same."""

import os
import tempfile
from pathlib import Path

import numpy as np
import torch

from resnet_ops.errors import DataError
from resnet_ops.export_params import ExportParams
from resnet_ops.files import write_bytes
from resnet_ops.measurement import Measurement
from resnet_ops.model import TrainedModel

__all__ = ["export_model"]


def export_model(
    model: TrainedModel, images: np.ndarray, params: ExportParams, folder: Path
) -> dict[str, Measurement]:
    """Write `<name>.pt2` for each format and say how equal it is, as `<format>.<metric>`.

    images: the (N, H, W, C) uint8 test images. Raises DataError when an export does not predict the same; no
    file is made then.
    """
    measured: dict[str, Measurement] = {}
    for format_ in params.formats:
        content = _export_pt2(model, images)
        with tempfile.TemporaryDirectory() as temporary:
            candidate = Path(temporary) / f"{model.name}.{format_}"
            candidate.write_bytes(content)
            exported = torch.export.load(candidate).module()
            with torch.inference_mode():
                logits = np.concatenate(
                    [
                        exported(torch.from_numpy(part)).numpy()
                        for part in np.array_split(images, -(-len(images) // 256))
                    ]
                )
        original = model.predict(images).logits
        difference = float(np.abs(logits - original).max())
        equal = float(np.mean(logits.argmax(1) == original.argmax(1)))
        if not (difference <= params.max_logit_difference and equal >= params.min_equal_predictions):
            raise DataError(
                f"{model.name}: the {format_} export differs from the model by {difference:.3g} in a logit and agrees "
                f"on {equal:.1%} of {len(images)} test images; export in params.yaml allows "
                f"{params.max_logit_difference:g} and {params.min_equal_predictions:.1%}. No file was made."
            )
        write_bytes(folder / f"{model.name}.{format_}", content)
        measured[f"{format_}.max_logit_difference"] = Measurement(
            value=difference, n=len(images), unit="logit"
        )
        measured[f"{format_}.equal_predictions"] = Measurement(value=equal, n=len(images), unit="fraction")
        measured[f"{format_}.bytes"] = Measurement(value=len(content), n=1, unit="bytes")
    return measured


def _export_pt2(model: TrainedModel, images: np.ndarray) -> bytes:
    program = torch.export.export(
        model.classifier(),
        (torch.from_numpy(images[:2]),),
        dynamic_shapes={"images": {0: torch.export.Dim("batch", min=1, max=4096)}},
    )
    with tempfile.TemporaryDirectory() as temporary:
        path = Path(temporary) / "model.pt2"
        torch.export.save(program, os.fspath(path))
        return path.read_bytes()
