"""Going back to an earlier champion: which one, and that the gate knows it is asked for that."""

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

from sqlalchemy import Connection

from resnet_ops_registry.history import standing
from resnet_ops_registry.statements import Version, find_version
from resnet_ops_registry.target import Target

__all__ = ["earlier_champions", "is_rollback", "rolling_back"]

_rolling_back: ContextVar[bool] = ContextVar("resnet_ops_rolling_back", default=False)


def is_rollback() -> bool:
    """Whether the change under way is a rollback."""
    return _rolling_back.get()


@contextmanager
def rolling_back() -> Iterator[None]:
    """What is judged inside is a rollback: not compared with the champion, and so named in the ledger."""
    token = _rolling_back.set(True)
    try:
        yield
    finally:
        _rolling_back.reset(token)


def earlier_champions(
    connection: Connection, workspace: str, model: str, target: Target, current: int | None
) -> list[Version]:
    """The versions that held the alias before `current` and are still there, the latest first."""
    found = []
    for held in standing(connection, workspace, model, target):
        version = find_version(connection, workspace, model, held.version)
        if version is not None and held.is_of(version) and version.version != current:
            found.append(version)
    return found
