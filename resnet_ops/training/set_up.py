"""The state of torch, and of the process, that a training starts from."""

import ctypes
import os
import sys

import torch

from resnet_ops.errors import ConfigError
from resnet_ops.training.engine import Engine
from resnet_ops.training.machine import require_machine

__all__ = ["precision", "set_up"]


def set_up(engine: Engine, seed: int) -> torch.device:
    """Bring torch into the state that a training starts from. Raises ConfigError when this
    machine lacks what it needs.
    """
    require_machine(engine)
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


def precision(engine: Engine) -> torch.autocast:
    """The context in which a network computes in the engine's precision."""
    return torch.autocast(engine.device, torch.bfloat16, enabled=engine.precision == "bf16")


_KEPT = {-1: 2**31 - 1, -2: 2**26, -3: 2**30}
"""By mallopt(3), in bytes: free memory above which some is given back, what is fetched beyond the need, and the size
from which a piece is fetched on its own."""


def _keep_memory() -> None:
    """Let glibc keep what a step frees for the next one: fetching its pages anew took 5 to 12 % of a step."""
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None) if sys.platform == "linux" else None
    if mallopt is not None:
        for option, size in _KEPT.items():
            mallopt(option, size)
