"""Checkpoints of one training on disk: each written whole or not at all, the two newest kept, no pickle.

A checkpoint is one safetensors file: the tensors, and beside them everything else as JSON in its header. Its name holds
the step and the sha256 of its content, so that a file that was cut off or changed is known and passed over.
"""

import hashlib
import json
import re
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from safetensors import SafetensorError
from safetensors.torch import load, save
from torch import Tensor

from resnet_ops.errors import StorageError
from resnet_ops.files import file_digest, write_bytes
from resnet_ops.messages import say

__all__ = ["Checkpoint", "Checkpoints"]

KEPT = 2
NAME = re.compile(r"step-(\d{10})-([0-9a-f]{64})\.safetensors")


@dataclass(frozen=True)
class Checkpoint:
    """A training after `step` steps: its tensors by name, and the rest as JSON values."""

    step: int
    tensors: dict[str, Tensor]
    rest: dict[str, Any]

    def pack(self) -> bytes:
        """All of it, as a safetensors file's content."""
        tensors = {name: tensor.detach().cpu().contiguous() for name, tensor in self.tensors.items()}
        return save(tensors, {"step": str(self.step), "rest": json.dumps(self.rest, sort_keys=True)})

    @classmethod
    def unpack(cls, content: bytes) -> "Checkpoint":
        """From what `pack` gave."""
        header = json.loads(content[8 : 8 + int.from_bytes(content[:8], "little")])["__metadata__"]
        return cls(int(header["step"]), load(content), json.loads(header["rest"]))


class Checkpoints:
    """The checkpoints of one training in a folder of their own."""

    def __init__(self, folder: Path, every_seconds: float) -> None:
        """every_seconds: least time between two checkpoints; 0 for one whenever `due` is asked."""
        self.folder = folder
        self.every_seconds = every_seconds
        self.seconds_spent = 0.0
        """Writing, in all."""
        self.written = 0
        self._last = time.monotonic()

    def due(self) -> bool:
        """Whether it is time for another one."""
        return time.monotonic() - self._last >= self.every_seconds

    def write(self, checkpoint: Checkpoint) -> None:
        """Write it and forget all but the two newest. A full disk is said and does not stop the training."""
        started = time.monotonic()
        content = checkpoint.pack()
        name = f"step-{checkpoint.step:010d}-{hashlib.sha256(content).hexdigest()}.safetensors"
        try:
            write_bytes(self.folder / name, content)
        except StorageError as error:
            say(f"No checkpoint after step {checkpoint.step}: {error}")
        else:
            self.written += 1
            for _, path in self._newest_first()[KEPT:]:
                path.unlink(missing_ok=True)
        self._last = time.monotonic()
        self.seconds_spent += self._last - started

    def newest(self) -> Checkpoint | None:
        """The newest whole checkpoint; a broken one is named and passed over. None where there is none."""
        for path in self.folder.glob(".*.part"):
            path.unlink(missing_ok=True)  # a write that was killed
        for _, path in self._newest_first():
            try:
                return _read(path)
            except (OSError, ValueError, KeyError, SafetensorError) as error:
                say(f"Checkpoint {path} is broken ({error}); taking the one before")
        return None

    def _newest_first(self) -> list[tuple[int, Path]]:
        if not self.folder.is_dir():
            return []
        found = [(NAME.fullmatch(path.name), path) for path in self.folder.iterdir()]
        return sorted(((int(match[1]), path) for match, path in found if match), reverse=True)


def _read(path: Path) -> Checkpoint:
    match = NAME.fullmatch(path.name)
    if match is None or file_digest(path) != match[2]:
        raise ValueError("its content is not what its name says")
    return Checkpoint.unpack(path.read_bytes())
