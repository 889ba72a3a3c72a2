"""The decision at an operating point, as further outputs of an ONNX file. Needs the extra `onnx`."""

import json
from typing import Any

import numpy as np

from resnet_ops.errors import DataError
from resnet_ops.evaluation.operating_point import OperatingPoint
from resnet_ops.extras import require

__all__ = ["DECISION", "SCORE", "with_decision"]

SCORE, DECISION = "score", "decision"
PREFIX = "operating_point_"
"""How the names of what is added in between begin, which no exporter gives."""


def with_decision(model: bytes, point: OperatingPoint, classes: tuple[str, ...]) -> bytes:
    """An ONNX file with the outputs that `model` has, by the same arithmetic, and two more.

    `score` (N,) float64 in [0, 1] is the sum of the probabilities of the positive classes, `decision` (N,) bool whether
    it reaches the threshold; where a logit is not finite there is no score, and no image is called positive. They are
    worked out as `OperatingPoint` does, in float64 from probabilities in float32, so that only a score within the last
    digits of the threshold can be decided otherwise. classes: in the order of the logits. Raises DataError where the
    file has no `logits`, or has such outputs already.
    """
    require("A decision in an ONNX file", "onnx")
    import onnx
    from onnx import TensorProto, helper, numpy_helper

    made = onnx.load_from_string(model)
    outputs = {each.name for each in made.graph.output}
    if "logits" not in outputs or outputs & {SCORE, DECISION}:
        raise DataError(
            f"An ONNX file with outputs {', '.join(sorted(outputs))} cannot be given a decision: it must have logits, "
            f"and neither {SCORE} nor {DECISION}. Take the file that export_model wrote."
        )
    constants = {
        "classes": np.flatnonzero(point.counted(classes)),
        "axis": np.array([1]),
        "zero": np.array(0.0),
        "one": np.array(1.0),
        "threshold": np.array(point.threshold),
    }
    steps: tuple[tuple[str, list[str], str, dict[str, Any]], ...] = (
        ("Cast", ["logits"], "precise", {"to": TensorProto.DOUBLE}),
        ("Softmax", ["precise"], "shares", {"axis": 1}),
        ("Cast", ["shares"], "answered", {"to": TensorProto.FLOAT}),
        ("Gather", ["answered", "classes"], "positive", {"axis": 1}),
        ("Cast", ["positive"], "exact", {"to": TensorProto.DOUBLE}),
        ("ReduceSum", ["exact", "axis"], "sum", {"keepdims": 0}),
        ("Clip", ["sum", "zero", "one"], SCORE, {}),
        ("GreaterOrEqual", [SCORE, "threshold"], DECISION, {}),
    )

    def named(name: str) -> str:
        return name if name in ("logits", SCORE, DECISION) else PREFIX + name

    for name, value in constants.items():
        made.graph.initializer.append(numpy_helper.from_array(value, named(name)))
    for kind, inputs, output, options in steps:
        made.graph.node.append(
            helper.make_node(
                kind, list(map(named, inputs)), [named(output)], named(output) + "_node", **options
            )
        )
    images = made.graph.input[0].type.tensor_type.shape.dim[0].dim_param or "n"
    for name, kind_of in ((SCORE, TensorProto.DOUBLE), (DECISION, TensorProto.BOOL)):
        made.graph.output.append(helper.make_tensor_value_info(name, kind_of, [images]))
    told = {"positive": json.dumps(point.positive), "threshold": repr(float(point.threshold))}
    helper.set_model_props(made, told)
    onnx.checker.check_model(made, full_check=True)
    return bytes(made.SerializeToString(deterministic=True))
