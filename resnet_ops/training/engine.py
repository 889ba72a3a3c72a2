"""On what a training runs: device, threads and number format, which shape speed and the last bits, not the method."""

import ctypes
import os
import sys
from dataclasses import dataclass
from typing import Any, ClassVar, Literal

import torch

from resnet_ops.errors import ConfigError

__all__ = ["Engine", "set_up"]


@dataclass(frozen=True, kw_only=True)
class Engine:
    """In `params.yaml` under `train`. Any change here but that of `images` may change the bits of the weights."""

    __pydantic_config__: ClassVar[dict[str, Any]] = {"extra": "forbid"}

    device: Literal["cpu", "cuda"]
    """Where training runs."""
    processes: int
    """Workers that a training starts on this machine, each with a share of every batch; on GPUs one for each."""
    threads: int | Literal["auto"]
    """CPU threads of each worker; `auto` measures once which count is fastest, and writes it down for repeats."""
    precision: Literal["fp32", "tf32", "bf16"]
    """Of the forward pass. `bf16` is faster where the device knows it, `tf32` is a GPU's. Weights stay fp32."""
    compile: bool
    """Whether torch.compile makes kernels for the network first: minutes, then faster steps on a GPU."""
    exact: bool
    """Whether only deterministic algorithms are used. False may be faster on a GPU; no repeat gives the same bits."""
    images: Literal["auto", "memory", "stream"]
    """Where training images are while they are used, with the same bits: in the device's memory, streamed from disk, or
    as the memory allows that is free."""

    def __post_init__(self) -> None:
        if self.processes < 1:
            raise ValueError(f"processes is {self.processes}, but must be above 0")
        if self.threads != "auto" and self.threads < 1:
            raise ValueError(f"threads is {self.threads}, but must be above 0 or auto")
        if self.precision == "tf32" and self.device != "cuda":
            raise ValueError(
                "precision is tf32, which only a GPU has; set device to cuda or precision to fp32"
            )


def set_up(engine: Engine, seed: int) -> torch.device:
    """Bring torch into the state that a training starts from. Raises ConfigError when the device is missing."""
    if engine.device == "cuda" and not torch.cuda.is_available():
        raise ConfigError(
            "train.device is cuda, but torch sees no GPU here. Set train.device to cpu in params.yaml."
        )
    if engine.threads == "auto":
        raise ConfigError("train.threads is still auto. Settle it first, with resnet_ops.training.choices")
    os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
    torch.use_deterministic_algorithms(engine.exact)
    # would find bugs in torch's operators, at 8 % of a step
    torch.utils.deterministic.fill_uninitialized_memory = False  # type: ignore[attr-defined]
    if engine.device == "cpu":
        _keep_memory()
    torch.backends.cudnn.benchmark = not engine.exact
    torch.set_float32_matmul_precision("high" if engine.precision == "tf32" else "highest")
    torch.backends.cudnn.allow_tf32 = engine.precision == "tf32"
    torch.set_num_threads(engine.threads)
    torch.manual_seed(seed)
    return torch.device(engine.device)


_KEPT = {-1: 2**31 - 1, -2: 2**26, -3: 2**30}
"""By mallopt(3), in bytes: free memory above which some is given back, what is fetched beyond the need, and the size
from which a piece is fetched on its own."""


def _keep_memory() -> None:
    """Let glibc keep what a step frees for the next one: fetching its pages anew took 5 to 12 % of a step."""
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None) if sys.platform == "linux" else None
    if mallopt is not None:
        for option, size in _KEPT.items():
            mallopt(option, size)
