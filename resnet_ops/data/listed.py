"""An image file that is to be read."""

from dataclasses import dataclass
from pathlib import Path

__all__ = ["Listed"]


@dataclass(frozen=True)
class Listed:
    """One image file: where it lies, its class, and the splits it may go to."""

    path: Path
    class_name: str
    allowed: tuple[str, ...] | None = None
