"""The base of everything that is read from outside: typed, complete, unchangeable."""

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

__all__ = ["Frozen", "Sha256"]

Sha256 = Annotated[str, Field(pattern="^[0-9a-f]{64}$")]


class Frozen(BaseModel):
    """Refuses fields it does not know, and cannot be changed."""

    model_config = ConfigDict(extra="forbid", frozen=True)
