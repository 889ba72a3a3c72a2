"""Settings of `resnet-ops serve`, as they stand in params.yaml."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, Literal

from resnet_ops.data.params import DataParams

__all__ = ["CanaryParams", "ServingParams", "ShadowParams", "read_serving_settings"]


@dataclass(frozen=True, kw_only=True)
class ShadowParams:
    """A version that answers the same requests, and nobody is given it. In `params.yaml` under `serve.shadow`."""

    __pydantic_config__: ClassVar[dict[str, Any]] = {"extra": "forbid"}

    alias: str
    """Which version; empty for none. Without the alias in the registry there is none either."""
    max_waiting: int
    """Requests that wait for it; others are not put to it, and counted."""
    max_bytes: int
    """Of the bodies of these."""

    def __post_init__(self) -> None:
        for name in ("max_waiting", "max_bytes"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} must be at least 1; it is {getattr(self, name)}")


@dataclass(frozen=True, kw_only=True)
class CanaryParams:
    """A version that answers a share of the requests. In `params.yaml` under `serve.canary`."""

    __pydantic_config__: ClassVar[dict[str, Any]] = {"extra": "forbid"}

    alias: str
    """Which version; empty for none. Without the alias in the registry there is none either."""
    share: float
    """Of the requests, above 0 and below 1; by their ids and a key of the server's run, so that one that is sent again
    has the same version.
    """
    slow_ms: float
    """From how long on an answer counts as slow."""
    tolerated: float
    """So many times as many failures, slow answers or mistakes as the champion's, for as many requests, are borne."""
    false_stop: float
    """Probability that a canary which keeps to that is ever stopped."""

    def __post_init__(self) -> None:
        for name in ("share", "false_stop"):
            if not 0 < getattr(self, name) < 1:
                raise ValueError(f"{name} must lie between 0 and 1; it is {getattr(self, name)}")
        if not self.slow_ms > 0:
            raise ValueError(f"slow_ms must be above 0; it is {self.slow_ms}")
        if not 1 <= self.tolerated < float("inf"):
            raise ValueError(f"tolerated must be at least 1; it is {self.tolerated}")


@dataclass(frozen=True, kw_only=True)
class ServingParams:
    """What a server takes and how it answers. In `params.yaml` under `serve`."""

    __pydantic_config__: ClassVar[dict[str, Any]] = {"extra": "forbid"}

    port: int
    """On which it listens; 0 for one that is free."""
    device: Literal["cpu", "cuda"]
    """Where a trained model computes; an export does on the CPU."""
    threads: int
    """Of the model, on a CPU."""
    decoders: int
    """Images that are decoded at once."""
    max_batch: int
    """Images that the model takes at once, at most."""
    gather_ms: float
    """How long a busy model waits for as many images as it answered last; it never waits when it was idle."""
    max_requests: int
    """Requests under way, from their first byte to the last of the answer; others are told to come back."""
    max_waiting: int
    """Images that wait for the model; others are told to come back."""
    max_wait_ms: float
    """How long a request may have to wait for those before it, by how long others took; more are told to come back."""
    max_connections: int
    """Clients that are connected, whether or not they ask."""
    max_bytes: int
    """Of a request's body."""
    max_bytes_in_all: int
    """Of the bodies of all requests under way."""
    max_pixels: int
    """Of an image as it was sent: a few bytes can be an image that fills the memory."""
    receive_seconds: float
    """How long a client may take for its headers, and again for its body."""
    answer_seconds: float
    """How long a request may take in all, from its headers to the last byte of the answer."""
    poll_seconds: float
    """Time between two looks at the registry, whether the alias has moved."""
    drain_seconds: float
    """How long a server that is told to stop goes on with what it has taken."""
    shadow: ShadowParams
    """Who is asked what others were answered."""
    canary: CanaryParams
    """Who answers a share of the requests."""

    def __post_init__(self) -> None:
        if not 0 <= self.port <= 65535:
            raise ValueError(f"port must lie between 0 and 65535; it is {self.port}")
        for name in vars(self).keys() - {"device", "shadow", "canary"}:
            least = 0 if name in ("port", "gather_ms") else 0.01 if name.endswith("_seconds") else 1
            if not least <= getattr(self, name) < float("inf"):
                raise ValueError(f"{name} must be at least {least:g}; it is {getattr(self, name)}")


@dataclass(frozen=True)
class _File:
    data: DataParams
    serve: ServingParams


def read_serving_settings(path: Path) -> tuple[ServingParams, DataParams]:
    """`serve` of a params.yaml, and `data`, by which images are read. Raises ConfigError that names every wrong key."""
    from resnet_ops.params import parse_params

    found = parse_params(path, _File)
    return found.serve, found.data
