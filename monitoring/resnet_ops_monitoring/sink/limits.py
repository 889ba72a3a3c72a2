"""What a sink takes."""

from dataclasses import dataclass

__all__ = ["LIMITS", "SinkLimits"]


@dataclass(frozen=True, kw_only=True)
class SinkLimits:
    """Beyond these, clients are told why, and when to come back where that helps."""

    max_rows: int
    """Of a body."""
    max_bytes: int
    """Of a body."""
    max_bytes_in_all: int
    """Of the bodies of all requests under way."""
    max_requests: int
    """Under way at once."""
    max_connections: int
    """Clients that are connected, whether or not they send."""
    receive_seconds: float
    """How long a client may take for its headers, and again for its body."""
    safe_seconds: float
    """How long rows may take until they are in the database or on the disk."""
    answer_seconds: float
    """How long a request may take in all."""
    drain_seconds: float
    """How long a sink that is told to stop goes on with what it has taken."""


LIMITS = SinkLimits(
    max_rows=2000,
    max_bytes=8 * 2**20,
    max_bytes_in_all=64 * 2**20,
    max_requests=256,
    max_connections=512,
    receive_seconds=10,
    safe_seconds=10,
    answer_seconds=30,
    drain_seconds=15,
)
