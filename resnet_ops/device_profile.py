"""A class of device, as it is configured."""

from dataclasses import dataclass
from typing import Any, ClassVar, Literal

__all__ = ["Profile"]


@dataclass(frozen=True, kw_only=True)
class Profile:
    """A class of device with the way a model runs there. In `params.yaml` under `benchmark.profiles`."""

    __pydantic_config__: ClassVar[dict[str, Any]] = {"extra": "forbid"}

    device: Literal["cpu", "cuda"]
    """Where requests are served."""
    threads: int
    """CPU threads."""
    batch_size: int
    """For throughput; latency is always of a single image."""
    warmup: int
    """Requests before the clock starts."""
    requests: int
    """Single-image requests timed."""

    def __post_init__(self) -> None:
        if min(self.threads, self.batch_size, self.requests) < 1 or self.warmup < 0:
            raise ValueError("threads, batch_size and requests must be at least 1, warmup at least 0")
