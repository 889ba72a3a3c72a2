"""The images of a split for training, batch by batch, from memory or from disk: the same bits in the same order."""

from collections.abc import Iterator, Sequence
from contextlib import closing
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from resnet_ops.data import PreparedData
from resnet_ops.data.depth import depth_of
from resnet_ops.messages import say
from resnet_ops.threads import mapped
from resnet_ops.training.augmentation.draws import send
from resnet_ops.training.distributed.workers import workers_here
from resnet_ops.training.plan import Plan

__all__ = ["ImagesInMemory", "StreamedImages", "free_memory", "open_images"]

SHARE = 0.5
"""Of the free memory, what images may take where that is decided here; the network needs the rest."""
CHUNK = 64
"""Images that are copied at once."""
THREADS, AHEAD = 4, 8
"""Threads that gather batches, and batches that wait or are being gathered."""


class ImagesInMemory:
    """All images of a split on the device, as they are kept."""

    def __init__(self, data: PreparedData, device: torch.device) -> None:
        self._images = torch.empty(data.images.shape, dtype=_kind(data.images), device=device)
        for start in range(0, len(data), CHUNK):
            part = np.array(data.images[start : start + CHUNK])
            self._images[start : start + CHUNK] = torch.from_numpy(part)
        self._asked = torch.from_numpy(np.array(data.asked)).to(device)
        self.held = data.images.nbytes

    def batches(self, rows: Sequence[Tensor]) -> Iterator[tuple[Tensor, Tensor]]:
        """For each (N,) rows their images (N, H, W, C) and what is asked of them (N, ...), on the device."""
        if not rows:
            return
        for where in send(torch.cat(list(rows)), self._asked.device).split([len(batch) for batch in rows]):
            yield _rows(self._images, where), self._asked[where]


def _rows(images: Tensor, where: Tensor) -> Tensor:
    """Some of the images. Those of 16 bits as if they were signed: torch picks no unsigned ones on a GPU."""
    if images.dtype == torch.uint16:
        return images.view(torch.int16)[where].view(torch.uint16)
    return images[where]


class StreamedImages:
    """All images of a split where they are, on disk say; threads gather the next batches for the device."""

    def __init__(self, data: PreparedData, device: torch.device) -> None:
        self._images = data.images
        self._asked = data.asked
        self._device = device
        self.held = 0

    def batches(self, rows: Sequence[Tensor]) -> Iterator[tuple[Tensor, Tensor]]:
        """For each (N,) rows their images (N, H, W, C) and what is asked of them (N, ...), on the device."""
        with closing(mapped(self._gather, rows, AHEAD, THREADS)) as gathered:
            for images, asked in gathered:
                yield images.to(self._device, non_blocking=True), asked.to(self._device, non_blocking=True)

    def _gather(self, rows: Tensor) -> tuple[Tensor, Tensor]:
        on_gpu = self._device.type == "cuda"
        images = torch.empty(
            (len(rows), *self._images.shape[1:]), dtype=_kind(self._images), pin_memory=on_gpu
        )
        # with `out`, only another mode than the default copies once, and without Python's lock
        np.take(self._images, rows.numpy(), axis=0, out=images.numpy(), mode="clip")
        asked = torch.from_numpy(self._asked[rows.numpy()])
        return images, asked.pin_memory() if on_gpu else asked


def _kind(images: np.ndarray) -> torch.dtype:
    return torch.uint16 if depth_of(images) == 16 else torch.uint8


def open_images(
    plan: Plan, data: PreparedData, device: torch.device, held: int = 0
) -> ImagesInMemory | StreamedImages:
    """One split's images as the engine's `images` says; `auto` is decided by the memory that is free, and said.

    held: bytes that other images take there already; they count.
    """
    where = plan.engine.images
    if where == "auto":
        sharing = workers_here() if device.type == "cpu" else 1
        size, free = data.images.nbytes, free_memory(device) // sharing + held
        where = "memory" if size + held <= SHARE * free else "stream"
        what = "are held in memory" if where == "memory" else "are streamed from disk"
        say(
            f"{plan.name}: {len(data):,} images of split {data.rows[0].split} {what}: {size / 1e6:,.1f} MB, where "
            f"{max(0.0, SHARE * free - held) / 1e6:,.1f} MB may be used of the {free / 1e6:,.1f} MB for {device.type}"
        )
    return ImagesInMemory(data, device) if where == "memory" else StreamedImages(data, device)


def free_memory(device: torch.device, group: Path = Path("/sys/fs/cgroup")) -> int:
    """Bytes that are free on the device; of the CPU's those that this machine and this container (`group`) allow.

    Linux gives up what it caches of files when memory is asked for, so that counts as free.
    """
    if device.type == "cuda":
        return int(torch.cuda.mem_get_info(device)[0])
    import psutil  # only where something is `auto`: the core trains without it

    free = int(psutil.virtual_memory().available)
    try:
        limit, used = (int((group / name).read_text()) for name in ("memory.max", "memory.current"))
        numbers = dict(line.split() for line in (group / "memory.stat").read_text().splitlines())
        return max(0, min(free, limit - used + int(numbers["file"])))
    except (OSError, ValueError, KeyError):  # no group, or no limit
        return free
