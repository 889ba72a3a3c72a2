"""On what a training runs: device, threads and number format, which shape speed and the last bits, not the method."""

from dataclasses import dataclass
from typing import Literal

from resnet_ops.params import Settings

__all__ = ["Engine"]


@dataclass(frozen=True, kw_only=True)
class Engine(Settings):
    """In `params.yaml` under `train`. Any change here but that of `images` may change the bits of the weights."""

    device: Literal["cpu", "cuda"]
    """Where training runs."""
    processes: int
    """Workers that a training starts on this machine, each with a share of every batch; on GPUs one for each."""
    threads: int | Literal["auto"]
    """CPU threads of each worker; `auto` measures once which count is fastest, and writes it down for repeats."""
    precision: Literal["fp32", "tf32", "bf16"]
    """Of the forward pass, in training and validation. `bf16` is faster where the device knows it, `tf32` is a GPU's.
    Weights stay fp32."""
    compile: Literal[False, "default", "reduce-overhead"]
    """Mode in which torch.compile makes kernels for the network first: minutes, then faster steps on a GPU.
    `reduce-overhead` also records them as CUDA graphs, for networks so small that starting kernels takes longer than
    they do; each step is then one part. False compiles nothing."""
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
