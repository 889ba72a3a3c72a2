"""The learning curve of one training, shown while it runs and kept as a table."""

import csv
import io
import math
import time
from dataclasses import asdict
from pathlib import Path

from resnet_ops.errors import DataError
from resnet_ops.files import write_text
from resnet_ops.messages import say
from resnet_ops.training.epoch import Epoch

__all__ = ["History", "read_history"]

COLUMNS = ("epoch", "learning_rate", "train_loss", "train_score", "validation_loss", "validation_score")


class History:
    """Collects epochs; prints one line for about every tenth, with the time left at the pace of the last epoch."""

    def __init__(self, name: str, epochs: int) -> None:
        self.name = name
        self.total = epochs
        self.epochs: list[Epoch] = []
        self._before = time.monotonic()

    def add(self, epoch: Epoch) -> None:
        """Take one epoch; give it to `fit` as a callback."""
        self.epochs.append(epoch)
        now = time.monotonic()
        minutes = (now - self._before) * (self.total - epoch.epoch) / 60
        self._before = now
        if epoch.epoch == self.total or epoch.epoch % max(1, self.total // 10) == 0:
            say(
                f"{self.name} epoch {epoch.epoch}/{self.total}  loss {epoch.train_loss:.3f}  "
                f"validation score {epoch.validation_score:.4f}  {epoch.images_per_second:,.0f} images/s"
                + (f"  about {minutes:,.0f} min left" if minutes >= 1 else "")
            )

    def save(self, path: Path) -> None:
        """Write one row an epoch, atomically; without the speed, so that a repeat gives the same bytes."""
        text = io.StringIO()
        writer = csv.DictWriter(text, COLUMNS, extrasaction="ignore", lineterminator="\n")
        writer.writeheader()
        writer.writerows(asdict(epoch) for epoch in self.epochs)
        write_text(path, text.getvalue())


def read_history(path: Path) -> list[dict[str, float]]:
    """The rows of a saved history, less what is not a number. Raises DataError when the file is missing or broken."""
    try:
        with path.open(newline="") as file:
            rows = [{name: float(row[name]) for name in COLUMNS} for row in csv.DictReader(file)]
            return [{name: value for name, value in row.items() if not math.isnan(value)} for row in rows]
    except (OSError, KeyError, TypeError, ValueError) as error:
        raise DataError(f"{path} is not a learning curve ({error}). Delete it and run: dvc repro") from error
