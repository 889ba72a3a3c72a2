"""Which model a row, a reference or a verdict belongs to."""

from dataclasses import dataclass

__all__ = ["ModelIdentity"]


@dataclass(frozen=True)
class ModelIdentity:
    """One version of a registered model; `digest` is the sha256 of its files and decides in doubt."""

    name: str
    version: str
    digest: str

    def __str__(self) -> str:
        return f"{self.name} v{self.version}"
