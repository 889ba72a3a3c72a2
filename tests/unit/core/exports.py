"""A small export, made without the exporter, which takes seconds."""

from pathlib import Path

import numpy as np

from resnet_ops.files import write_bytes, write_json
from resnet_ops.model_files import DESCRIPTION

SIDE, CLASSES = 8, tuple("0123456789")


def write_export(folder: Path, seed: int = 0, exported_from: str = "0" * 64, scale: float = 1.0) -> Path:
    """An `onnx` export for 8x8 grey images: the mean of each row is the embedding, a linear head gives the logits.

    scale: of the logits; with 1 one class has all of the probability.
    """
    import onnx
    from onnx import TensorProto, helper, numpy_helper

    weights = np.random.default_rng(seed).normal(size=(SIDE, len(CLASSES)))
    weights = (scale * weights).astype(np.float32)
    nodes = [
        helper.make_node("Cast", ["images"], ["floats"], to=TensorProto.FLOAT),
        helper.make_node("ReduceMean", ["floats", "axes"], ["embeddings"], keepdims=0),
        helper.make_node("MatMul", ["embeddings", "weights"], ["logits"]),
    ]
    graph = helper.make_graph(
        nodes,
        "small",
        [helper.make_tensor_value_info("images", TensorProto.UINT8, ["n", SIDE, SIDE, 1])],
        [
            helper.make_tensor_value_info("logits", TensorProto.FLOAT, ["n", len(CLASSES)]),
            helper.make_tensor_value_info("embeddings", TensorProto.FLOAT, ["n", SIDE]),
        ],
        [numpy_helper.from_array(np.array([2, 3]), "axes"), numpy_helper.from_array(weights, "weights")],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=10)
    onnx.checker.check_model(model)
    write_bytes(folder / "model.onnx", bytes(model.SerializeToString(deterministic=True)))
    described = {"name": "tiny", "format": "onnx", "exported_from": exported_from, "classes": CLASSES}
    write_json(folder / DESCRIPTION, {**described, "image_size": SIDE, "channels": 1})
    return folder
