"""What a task does not have yet, said of settings before anything is trained."""

from collections.abc import Iterator

from resnet_ops.data.depth import Depth
from resnet_ops.evaluation.params import EvaluateParams
from resnet_ops.export.params import ExportParams
from resnet_ops.tasks.task import Detection, Task
from resnet_ops.training.engine import Engine

__all__ = ["beyond"]


def beyond(
    task: Task, depth: Depth, evaluate: EvaluateParams, export: ExportParams, engine: Engine
) -> Iterator[str]:
    """Each setting that asks for what the task does not have, and what to set instead. depth: of the images."""
    if evaluate.score_threshold is not None and not isinstance(task, Detection):
        yield f"evaluate.score_threshold is of boxes, which {task.name} has not: set it to null"
    if task.per_image:
        return
    for key in ("operating_point", "reject", "retrieval"):
        if getattr(evaluate, key) is not None:
            yield f"evaluate.{key} is for a class an image, which {task.name} has not: set it to null"
    if not isinstance(task, Detection):
        return
    if evaluate.robustness.images:
        yield (
            f"evaluate.robustness.images is {evaluate.robustness.images}, but corrupted images are not tried in "
            "detection yet: set it to 0"
        )
    if others := sorted({*export.formats} - {"onnx"}):
        yield f"export.formats has {', '.join(others)}, but detectors are exported as onnx alone: leave out the rest"
    if depth != 8 and export.formats:
        yield f"export.formats is not empty, but detectors of {depth} bits are not exported: set it to {{}}"
    if engine.processes > 1:
        yield f"train.processes is {engine.processes}, but detectors are trained by one process: set it to 1"
