"""Who holds what: every alias and stage, as MLflow's tables have it."""

from collections.abc import Iterator
from dataclasses import dataclass

from sqlalchemy import Connection, select

from resnet_ops_registry.attestations.statements import Version, find_version
from resnet_ops_registry.common.target import Target
from resnet_ops_registry.database import tables
from resnet_ops_registry.gate.gate import is_guarded
from resnet_ops_registry.gate.policies import policy_for

__all__ = ["Holder", "guarded_holders", "holders"]

_INACTIVE = ("None", "Archived", "Deleted_Internal")


@dataclass(frozen=True)
class Holder:
    """A version number that holds an alias or stage; `version` is None where there is no such version."""

    workspace: str
    model: str
    target: Target
    number: int
    version: Version | None


def guarded_holders(connection: Connection) -> Iterator[Holder]:
    """Those that are behind the gate."""
    for each in holders(connection):
        if is_guarded(policy_for(connection, each.model), each.target):
            yield each


def holders(connection: Connection) -> Iterator[Holder]:
    """Aliases first, then stages."""
    versions, aliases = tables.model_tables()
    rows = [
        (row.workspace, row.name, Target(kind="alias", name=row.alias), int(row.version))
        for row in connection.execute(
            select(aliases.c.workspace, aliases.c.name, aliases.c.alias, aliases.c.version)
        )
    ]
    columns = (versions.c.workspace, versions.c.name, versions.c.current_stage, versions.c.version)
    rows += [
        (row.workspace, row.name, Target(kind="stage", name=row.current_stage), int(row.version))
        for row in connection.execute(select(*columns).where(versions.c.current_stage.not_in(_INACTIVE)))
    ]
    for workspace, model, target, number in rows:
        yield Holder(workspace, model, target, number, find_version(connection, workspace, model, number))
