"""The processes that train one member together, each on its share of every batch."""

import ctypes
import os
import signal
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import torch
import torch.distributed as dist
from torch import Tensor

from resnet_ops.errors import ConfigError, ServiceError
from resnet_ops.messages import silent
from resnet_ops.training.distributed.share import Share, share_of

__all__ = ["ALONE", "Workers", "join_workers", "started_as_worker", "workers_here"]

BUCKET = 2**23
"""Numbers that are summed in one message: 32 MB of floats."""


@dataclass(frozen=True)
class Workers:
    """All workers of one training, seen from one of them; without others, nothing is sent."""

    rank: int
    """This one's place, from 0."""
    count: int

    @property
    def leads(self) -> bool:
        """Whether this is the one that writes files, prints, and speaks to MLflow."""
        return self.rank == 0

    def share(self, size: int, parts: int) -> Share:
        """This worker's share of a batch of `size` images that passes through the network in so many parts."""
        return share_of(size, parts, self.rank, self.count)

    def rows(self, size: int) -> slice:
        """This worker's rows of `size` in all; they differ by at most one between workers, and may be none."""
        return slice(size * self.rank // self.count, size * (self.rank + 1) // self.count)

    def sum(self, tensors: Sequence[Tensor]) -> None:
        """Replace tensors of one type, whose shapes are the same everywhere, by their sums: equal bits everywhere."""
        if self.count == 1:
            return
        flat = torch.cat([tensor.flatten() for tensor in tensors])
        for work in [dist.all_reduce(bucket, async_op=True) for bucket in flat.split(BUCKET)]:
            work.wait()
        for tensor, summed in zip(tensors, flat.split([tensor.numel() for tensor in tensors]), strict=True):
            tensor.copy_(summed.view_as(tensor))

    def agree(self, value: int) -> int:
        """What worker 0 says."""
        return int(self._gather(value)[0])

    def latest(self, step: int, content: bytes) -> bytes:
        """The content of the worker with the highest step, of the first of these; empty where all steps are 0."""
        if self.count == 1:
            return content
        steps, sizes = self._gather(step), self._gather(len(content))
        holder = int(steps.argmax())
        sent = torch.empty(int(sizes[holder]), dtype=torch.uint8)
        if self.rank == holder:
            sent = torch.frombuffer(bytearray(content), dtype=torch.uint8) if content else sent
        sent = sent.to(_device())
        dist.broadcast(sent, holder)
        return sent.cpu().numpy().tobytes()

    def _gather(self, value: int) -> Tensor:
        """(count,) int64: every worker's value."""
        values = torch.zeros(self.count, dtype=torch.int64, device=_device())
        values[self.rank] = value
        if self.count > 1:
            dist.all_reduce(values)
        return values.cpu()


ALONE = Workers(0, 1)


def started_as_worker() -> bool:
    """Whether torchrun, or what acts like it, started this process."""
    return "WORLD_SIZE" in os.environ


def workers_here() -> int:
    """How many workers share this machine."""
    return int(os.environ.get("LOCAL_WORLD_SIZE", "1"))


@contextmanager
def join_workers(device: str) -> Iterator[Workers]:
    """Meet the other workers, where torchrun started this process as one of several.

    device: `cpu`, or `cuda`, where each worker takes the GPU of its number on its machine. Raises ConfigError where
    there is no such GPU or torchrun could not restart its workers, ServiceError where another worker is lost.
    """
    count = int(os.environ.get("WORLD_SIZE", "1"))
    if count == 1:
        yield ALONE
        return
    _check_restarts()
    if device == "cuda":
        _take_gpu(int(os.environ.get("LOCAL_RANK", "0")))
    _die_with_the_starter()
    dist.init_process_group("nccl" if device == "cuda" else "gloo")
    workers = Workers(dist.get_rank(), count)
    try:
        with silent(not workers.leads):
            yield workers
    except (dist.DistError, RuntimeError) as error:
        if isinstance(error, dist.DistError) or "gloo" in str(error):
            raise ServiceError(
                f"Worker {workers.rank} of {count} lost another one. Run the same command again: training goes on from "
                "its checkpoint. With torchrun --max-restarts it does so by itself."
            ) from error
        raise
    finally:
        dist.destroy_process_group()


def _check_restarts() -> None:
    """torchrun keeps one store for all lives of the workers, in which a restarted one finds addresses of dead ones."""
    if os.environ.get("TORCHELASTIC_USE_AGENT_STORE") == "True" and int(
        os.environ.get("TORCHELASTIC_MAX_RESTARTS", "0")
    ):
        raise ConfigError(
            "torchrun is to restart lost workers, but they would look for the addresses of the lost ones. Start it "
            "with TORCH_DISABLE_SHARE_RDZV_TCP_STORE=1 in its environment."
        )


def _take_gpu(number: int) -> None:
    found = torch.cuda.device_count()
    if number >= found:
        raise ConfigError(
            f"Worker {number} of this machine needs a GPU of its own, but torch sees {found} here. Start at most "
            f"{found} workers a machine (train.processes, or torchrun --nproc-per-node), or set train.device to cpu."
        )
    torch.cuda.set_device(number)


def _die_with_the_starter() -> None:
    """Have Linux kill this process when the one that started it is killed: nobody would restart or end it then."""
    if sys.platform == "linux":
        death_signal = 1  # PR_SET_PDEATHSIG
        ctypes.CDLL(None).prctl(death_signal, signal.SIGKILL)


def _device() -> torch.device:
    """Where messages have to lie."""
    nccl = dist.is_initialized() and dist.get_backend() == "nccl"
    return torch.device("cuda" if nccl else "cpu")
