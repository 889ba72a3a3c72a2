"""Places of files with evidence: there, nothing is written any more through the server."""

from sqlalchemy import Connection, insert, select

from resnet_ops_registry import database
from resnet_ops_registry.digest import local_folder, resolve
from resnet_ops_registry.statements import Version

__all__ = ["seal", "sealed_by"]


def seal(connection: Connection, version: Version) -> None:
    """Remember that the files of a version are evidence's subject; at most once for a place."""
    table, place = database.places, _place(resolve(version.location))
    known = connection.execute(select(table.c.place).where(table.c.place == place)).first()
    if known is None:
        values = {"workspace": version.workspace, "model": version.model, "version": version.version}
        connection.execute(insert(table).values(place=place, **values))


def sealed_by(connection: Connection, location: str) -> str | None:
    """The version (`name v3`) whose files lie at `location`, above it or below it; None where it may be written."""
    table, place = database.places, _place(location)
    parts = place.split("/")
    above = ["/".join(parts[: count + 1]) for count in range(len(parts))]
    below = place.replace("!", "!!").replace("%", "!%").replace("_", "!_") + "/%"
    row = connection.execute(
        select(table.c.model, table.c.version)
        .where(table.c.place.in_(above) | table.c.place.like(below, escape="!"))
        .limit(1)
    ).first()
    return None if row is None else f"{row.model} v{row.version}"


def _place(location: str) -> str:
    """One spelling for each place: files on this machine as a path, others as their URI."""
    folder = local_folder(location)
    return (str(folder.resolve()) if folder is not None else location).rstrip("/")
