"""ONNX files: from a program, and from 32 to 8 bits. Needs the extra `onnx`."""

import contextlib
import io
import logging
import tempfile
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch

from resnet_ops.export.params import Quantisation

if TYPE_CHECKING:
    from onnx import ModelProto
    from torch.export import ExportedProgram

__all__ = ["BATCH", "NEEDED", "onnx_bytes", "onnx_bytes_of_one", "quantised_bytes"]

NEEDED = ("onnx", "onnxscript", "onnxruntime")
OPSET = 20
QUANTISED = ["Conv", "Add", "Relu", "Clip", "MaxPool", "AveragePool"]
"""Where the arithmetic is; the rest stays in 32 bits, because it costs little and loses accuracy."""
BATCH = 32
"""Images of a calibration step, at most."""


def onnx_bytes(program: "ExportedProgram") -> bytes:
    """As an ONNX file with input `images` and outputs `logits` and `embeddings`; equal programs give equal bytes."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of torch's exporter, about its own insides
        exported = torch.onnx.export(
            program,
            input_names=["images"],
            output_names=["logits", "embeddings"],
            opset_version=OPSET,
            verbose=False,
        )
    assert exported is not None
    return _without_notes(exported.model_proto)


def onnx_bytes_of_one(module: "torch.nn.Module", image: "torch.Tensor") -> bytes:
    """Likewise, of a module that torch.export cannot follow, because how much it answers depends on what it sees.

    The file takes one image at a time. image: (1, H, W, C). By torch's older exporter, for which torchvision's
    detectors are written.
    """
    import onnx

    with tempfile.TemporaryDirectory() as temporary, warnings.catch_warnings(), torch.no_grad():
        warnings.simplefilter("ignore")
        file = Path(temporary) / "model.onnx"
        torch.onnx.export(
            module,
            (image,),
            file,
            dynamo=False,
            input_names=["images"],
            output_names=["logits", "embeddings"],
            opset_version=OPSET,
        )
        return _without_notes(onnx.load(file))


def quantised_bytes(model: bytes, images: np.ndarray, params: Quantisation, batch: int = BATCH) -> bytes:
    """An ONNX file in 8 bits: QDQ, weights by channel, ranges of activations from images (N, H, W, C), `batch` a step.

    What is left in 32 bits: normalisation, the last average, and the head.
    """
    import onnx
    from onnxruntime.quantization import CalibrationMethod, QuantFormat, QuantType, quantize_static
    from onnxruntime.quantization.shape_inference import quant_pre_process

    methods = {"minmax": CalibrationMethod.MinMax, "percentile": CalibrationMethod.Percentile}
    with tempfile.TemporaryDirectory() as temporary, _quiet():
        original, prepared, quantised = (Path(temporary) / name for name in ("a.onnx", "b.onnx", "c.onnx"))
        original.write_bytes(model)
        quant_pre_process(original, prepared, skip_symbolic_shape=True)
        quantize_static(
            prepared,
            quantised,
            _Batches(images[: params.images], batch),
            quant_format=QuantFormat.QDQ,
            op_types_to_quantize=QUANTISED,
            nodes_to_exclude=_before_first_convolution(onnx.load(prepared)),
            per_channel=True,
            reduce_range=params.reduce_range,
            activation_type=QuantType.QUInt8,
            weight_type=QuantType.QInt8,
            calibrate_method=methods[params.calibration],
        )
        return _without_notes(onnx.load(quantised))


class _Batches:
    """What onnxruntime calls a CalibrationDataReader: batches of one size, as its histograms demand."""

    def __init__(self, images: np.ndarray, most: int) -> None:
        size = min(most, len(images))
        self._batches = iter(images[: len(images) // size * size].reshape(-1, size, *images.shape[1:]))

    def get_next(self) -> dict[str, np.ndarray] | None:
        batch = next(self._batches, None)
        return None if batch is None else {"images": batch}


def _before_first_convolution(model: "ModelProto") -> list[str]:
    kinds = [node.op_type for node in model.graph.node]
    return [node.name for node in model.graph.node[: kinds.index("Conv")]]


def _without_notes(model: "ModelProto") -> bytes:
    """Serialised without the exporter's notes, which tell where the code lay."""
    graph = model.graph
    noted = (model, graph, *graph.node, *graph.input, *graph.output, *graph.value_info, *graph.initializer)
    for part in noted:
        part.ClearField("metadata_props")
        part.ClearField("doc_string")
    return bytes(model.SerializeToString(deterministic=True))


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """onnxruntime's quantiser prints its progress, and advises on the root logger what is done already."""
    before = logging.root.manager.disable
    logging.disable(logging.WARNING)
    try:
        with contextlib.redirect_stdout(io.StringIO()):
            yield
    finally:
        logging.disable(before)
