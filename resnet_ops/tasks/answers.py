"""What the arrays say that an export answers with: known without torch."""

import numpy as np

from resnet_ops.predictions import Predictions, softmax
from resnet_ops.tasks.task import Detection, Task

__all__ = ["boxes_of", "predictions_of"]


def predictions_of(task: Task, answers: np.ndarray, embeddings: np.ndarray) -> Predictions:
    """Of N images. answers: (N, K, ...) logits, or what else the task's `Head.answer` gives."""
    if isinstance(task, Detection):
        return boxes_of(answers, embeddings)
    return Predictions(answers, softmax(answers), embeddings, answers.argmax(axis=1))


def boxes_of(rows: np.ndarray, embeddings: np.ndarray) -> Predictions:
    """Of (N, D, 6) rows: corners, score and class, 0 for no box."""
    return Predictions(
        logits=rows,
        probabilities=rows[..., 4],
        embeddings=embeddings,
        predicted=rows[..., 5].astype(np.int64),
        boxes=rows[..., :4],
    )
