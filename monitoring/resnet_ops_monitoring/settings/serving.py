"""Settings of `resnet-ops serve`, as they stand in params.yaml."""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field, NonNegativeFloat, PositiveFloat, PositiveInt

from resnet_ops.data.params import DataParams
from resnet_ops.params import Settings, parse_params

__all__ = ["CanaryParams", "ServingParams", "ShadowParams", "read_serving_settings"]

Share = Annotated[float, Field(gt=0, lt=1)]
Seconds = Annotated[float, Field(ge=0.01, allow_inf_nan=False)]


@dataclass(frozen=True, kw_only=True)
class ShadowParams(Settings):
    """A version that answers the same requests, and nobody is given it. In `params.yaml` under `serve.shadow`."""

    alias: str
    """Which version; empty for none. Without the alias in the registry there is none either."""
    max_waiting: PositiveInt
    """Requests that wait for it; others are not put to it, and counted."""
    max_bytes: PositiveInt
    """Of the bodies of these."""


@dataclass(frozen=True, kw_only=True)
class CanaryParams(Settings):
    """A version that answers a share of the requests. In `params.yaml` under `serve.canary`."""

    alias: str
    """Which version; empty for none. Without the alias in the registry there is none either."""
    share: Share
    """Of the requests, above 0 and below 1; by their ids and a key of the server's run, so that one that is sent again
    has the same version.
    """
    slow_ms: PositiveFloat
    """From how long on an answer counts as slow."""
    tolerated: Annotated[float, Field(ge=1, allow_inf_nan=False)]
    """So many times as many failures, slow answers or mistakes as the champion's, for as many requests, are borne."""
    false_stop: Share
    """Probability that a canary which keeps to that is ever stopped."""


@dataclass(frozen=True, kw_only=True)
class ServingParams(Settings):
    """What a server takes and how it answers. In `params.yaml` under `serve`."""

    port: Annotated[int, Field(ge=0, le=65535)]
    """On which it listens; 0 for one that is free."""
    device: Literal["cpu", "cuda"]
    """Where a trained model computes; an export does on the CPU."""
    threads: PositiveInt
    """Of the model, on a CPU."""
    decoders: PositiveInt
    """Images that are decoded at once."""
    max_batch: PositiveInt
    """Images that the model takes at once, at most."""
    gather_ms: Annotated[NonNegativeFloat, Field(allow_inf_nan=False)]
    """How long a busy model waits for as many images as it answered last; it never waits when it was idle."""
    max_requests: PositiveInt
    """Requests under way, from their first byte to the last of the answer; others are told to come back."""
    max_waiting: PositiveInt
    """Images that wait for the model; others are told to come back."""
    max_wait_ms: Annotated[float, Field(ge=1, allow_inf_nan=False)]
    """How long a request may have to wait for those before it, by how long others took; more are told to come back."""
    max_connections: PositiveInt
    """Clients that are connected, whether or not they ask."""
    max_bytes: PositiveInt
    """Of a request's body."""
    max_bytes_in_all: PositiveInt
    """Of the bodies of all requests under way."""
    max_pixels: PositiveInt
    """Of an image as it was sent: a few bytes can be an image that fills the memory."""
    receive_seconds: Seconds
    """How long a client may take for its headers, and again for its body."""
    answer_seconds: Seconds
    """How long a request may take in all, from its headers to the last byte of the answer."""
    poll_seconds: Seconds
    """Time between two looks at the registry, whether the alias has moved."""
    drain_seconds: Seconds
    """How long a server that is told to stop goes on with what it has taken."""
    shadow: ShadowParams
    """Who is asked what others were answered."""
    canary: CanaryParams
    """Who answers a share of the requests."""


@dataclass(frozen=True)
class _File:
    data: DataParams
    serve: ServingParams


def read_serving_settings(path: Path) -> tuple[ServingParams, DataParams]:
    """`serve` of a params.yaml, and `data`, by which images are read. Raises ConfigError that names every wrong key."""
    found = parse_params(path, _File)
    return found.serve, found.data
