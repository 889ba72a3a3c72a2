"""A class of device, and what counts as a noisy measurement, as they are configured."""

from dataclasses import dataclass
from typing import Literal

from resnet_ops.params import Settings

__all__ = ["InterferenceParams", "Profile", "SurveyParams"]


@dataclass(frozen=True, kw_only=True)
class Profile(Settings):
    """A class of device with the way a model runs there. In `params.yaml` under `benchmark.profiles`."""

    device: Literal["cpu", "cuda"]
    """Where requests are served."""
    threads: int
    """CPU threads."""
    memory_mb: int
    """What a process may take there, in MiB; 0 for no limit."""
    batch_sizes: tuple[int, ...]
    """Besides single images; throughput is that of the best."""
    warmup: int
    """Requests of each batch size before the clock starts."""
    requests: int
    """Single-image requests timed; 368 or more give the 99th percentile an interval at 95 %."""

    def __post_init__(self) -> None:
        if min(self.threads, self.requests) < 1 or min(self.warmup, self.memory_mb) < 0:
            raise ValueError("threads and requests must be at least 1, warmup and memory_mb at least 0")
        if min(self.batch_sizes, default=2) < 2 or list(self.batch_sizes) != sorted(set(self.batch_sizes)):
            raise ValueError(f"batch_sizes is {list(self.batch_sizes)}, but must rise from 2 or more")


@dataclass(frozen=True, kw_only=True)
class InterferenceParams(Settings):
    """What counts as a noisy measurement. In `params.yaml` under `benchmark.interference`."""

    max_waiting: float
    """CPU wait: share of the time in which a thread of ours was ready to run and had no core."""
    max_others: float
    """Other load: share of the machine's CPU time that other processes (or machines on the same host) took."""
    max_drift: float
    """How much the median latency of the second half may differ from that of the first, as a share."""
    attempts: int
    """How often a noisy profile is measured before the quietest attempt is kept and marked."""

    def __post_init__(self) -> None:
        if min(self.max_waiting, self.max_others, self.max_drift) < 0 or self.attempts < 1:
            raise ValueError("attempts must be at least 1, the limits at least 0")


@dataclass(frozen=True, kw_only=True)
class SurveyParams(Settings):
    """How exports that are no deployment are measured, for the portfolio. In `params.yaml` under `benchmark.survey`."""

    requests: int
    """Single-image requests timed; 72 or more give the 95th percentile an interval at 95 %."""
    attempts: int
    """How often a noisy measurement is made before the quietest is kept and marked."""

    def __post_init__(self) -> None:
        if min(self.requests, self.attempts) < 1:
            raise ValueError("requests and attempts must be at least 1")
