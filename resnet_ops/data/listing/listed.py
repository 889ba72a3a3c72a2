"""An image file that is to be read."""

from dataclasses import dataclass, field
from pathlib import Path

__all__ = ["Listed"]


@dataclass(frozen=True)
class Listed:
    """One image file: where it lies, its class, and the splits it may go to."""

    path: Path
    class_name: str
    allowed: tuple[str, ...] | None = None
    extra: dict[str, str] = field(default_factory=dict)
    """What a CSV file says of it in columns of its own."""
