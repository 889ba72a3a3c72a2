"""Places of files with evidence: there, nothing is written any more through the server."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from urllib.parse import urlparse

from sqlalchemy import ColumnElement, Connection, Engine, delete, insert, or_, select

from resnet_ops.errors import EvidenceError
from resnet_ops_registry.attestations.digest import local_folder, resolve
from resnet_ops_registry.attestations.statements import Version
from resnet_ops_registry.common.actor import now
from resnet_ops_registry.database import tables

__all__ = ["seal", "sealed_by", "writing"]

LONGEST_WRITE = 3_600_000
"""After so many milliseconds a write that was begun and never ended is taken for the trace of a killed process."""


def seal(connection: Connection, version: Version) -> None:
    """Remember that the files of a version are evidence's subject; at most once for a place.

    Raises EvidenceError while something is written there: it would end after the evidence. The connection holds
    the ledger's lock.
    """
    table, place = tables.places, _place(resolve(version.location, version.workspace))
    written = tables.uploads.c
    under_way = select(written.id).where(_overlaps(written.place, place), written.until > now())
    if connection.execute(under_way.limit(1)).first() is not None:
        raise EvidenceError(
            f"Files of {version.model} v{version.version} are being written. Send the statement again afterwards."
        )
    known = connection.execute(select(table.c.place).where(table.c.place == place)).first()
    if known is None:
        values = {"workspace": version.workspace, "model": version.model, "version": version.version}
        connection.execute(insert(table).values(place=place, **values))


def sealed_by(connection: Connection, root: str, path: str = "") -> str | None:
    """The version (`name v3`) whose files lie at a place, above it or below it; None where it may be written.

    root: a location as a URI. path: below it, as it is written there: no sign in it means anything but itself.
    """
    table = tables.places
    as_before = f"{root.rstrip('/')}/{path}".rstrip("/")  # older releases wrote them down as they are spelled
    here = or_(*(_overlaps(table.c.place, each) for each in (_place(root, path), as_before)))
    row = connection.execute(select(table.c.model, table.c.version).where(here).limit(1)).first()
    return None if row is None else f"{row.model} v{row.version}"


@contextmanager
def writing(engine: Engine, root: str, path: str) -> Iterator[str | None]:
    """While something is written to a place no evidence is accepted about files there. Gives what `sealed_by` gives.

    Asked before a slow store has finished only, evidence and promotion could come in between.
    """
    table = tables.uploads
    with engine.begin() as connection:
        tables.lock(connection)
        version = sealed_by(connection, root, path)
        values = {"place": _place(root, path), "until": now() + LONGEST_WRITE}
        (number,) = connection.execute(insert(table).values(values)).inserted_primary_key or (None,)
    try:
        yield version
    finally:
        with engine.begin() as connection:
            connection.execute(delete(table).where(table.c.id == number))


def _overlaps(column: ColumnElement[Any], place: str) -> ColumnElement[bool]:
    """Whether a place in the database is this one, above it or below it."""
    parts = place.split("/")
    above = ["/".join(parts[: count + 1]) for count in range(len(parts))]
    below = place.replace("!", "!!").replace("%", "!%").replace("_", "!_") + "/%"
    return or_(column.in_(above), column.like(below, escape="!"))


def _place(root: str, path: str = "") -> str:
    """One spelling for each place: files on this machine as a path, others as their URI.

    Schemes, buckets and hosts are the same in capitals; what follows a `?` in the root is no part of the place.
    """
    folder = local_folder(root)
    if folder is not None:
        return str((folder / path).resolve()).rstrip("/")
    parsed = urlparse(root)
    return f"{parsed.scheme}://{parsed.netloc.lower()}{parsed.path.rstrip('/')}/{path}".rstrip("/")
