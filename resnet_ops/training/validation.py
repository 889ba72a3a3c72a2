"""The validation split, and what a network makes of it."""

import torch
from torch import Tensor

from resnet_ops.data import PreparedData
from resnet_ops.model import ImageClassifier
from resnet_ops.tasks.learning.learning import Learning
from resnet_ops.tasks.task import images_at_once
from resnet_ops.training.distributed.workers import Workers
from resnet_ops.training.images import open_images
from resnet_ops.training.plan import Plan
from resnet_ops.training.set_up import precision

__all__ = ["Validation"]


class Validation:
    """One worker's rows of the validation split."""

    def __init__(
        self,
        plan: Plan,
        data: PreparedData,
        device: torch.device,
        held: int,
        workers: Workers,
        learning: Learning,
    ) -> None:
        """held: bytes that the training images take on the device."""
        self.data = data
        self._engine = plan.engine
        self._workers = workers
        self._learning = learning
        self._images = open_images(plan, data, device, held)
        mine = torch.arange(len(data))[workers.rows(len(data))]
        count = images_at_once(data.task, data.images.shape[1], learning.at_once)
        self._rows: list[Tensor] = list(mine.split(count)) if len(mine) else []

    def measure(self, classifier: ImageClassifier) -> tuple[float, float]:
        """Mean loss in nats and mean score, of all workers' rows together."""
        sums = self.add_up(classifier)
        self._workers.sum([sums])
        loss, score = sums.tolist()
        return loss / len(self.data), score / len(self.data)

    def add_up(self, classifier: ImageClassifier) -> Tensor:
        """(2,) loss and score, summed over this worker's rows; still being computed on a GPU."""
        classifier.network.eval()
        sums = torch.zeros(2, dtype=torch.float64, device=classifier.mean.device)
        with torch.inference_mode():
            batches = self._images.batches([self._full(rows) for rows in self._rows])
            for rows, (images, targets) in zip(self._rows, batches, strict=True):
                with precision(self._engine):
                    outputs = classifier(images, *self._learning.shown(targets))
                if len(images) > len(rows):
                    outputs, targets = outputs[: len(rows)], targets[: len(rows)]
                sums += self._learning.sums(outputs, targets)
        return sums

    def _full(self, rows: Tensor) -> Tensor:
        """As many rows as the first batch has, where another number would have to be compiled for."""
        missing = len(self._rows[0]) - len(rows) if self._engine.compile else 0
        return torch.cat([rows, self._rows[0][:missing]])
