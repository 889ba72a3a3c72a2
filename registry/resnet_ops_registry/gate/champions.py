"""The champions that a candidate is compared with."""

from collections.abc import Sequence

from sqlalchemy import Connection, select

from resnet_ops.errors import EvidenceError
from resnet_ops_registry.attestations.known import Known
from resnet_ops_registry.attestations.statements import Version, find_version, verified_about
from resnet_ops_registry.common.target import Target
from resnet_ops_registry.database import tables
from resnet_ops_registry.gate.history import Held, past_holders
from resnet_ops_registry.rules import Champion

__all__ = ["champions_now", "champions_then"]


def champions_now(
    connection: Connection, candidate: Version, target: Target, roles: Sequence[str]
) -> list[Champion]:
    """The versions that hold the alias or stage, as the transaction finds them; else the last that did.

    The last one still has to be beaten: neither taking the alias off first nor deleting its version is a way around the
    comparison. One that was retired since is not compared with.
    """
    numbers = _holders(connection, candidate, target)
    found = [find_version(connection, candidate.workspace, candidate.model, number) for number in numbers]
    if there := [each for each in found if each is not None]:
        return [_champion(connection, candidate, each, roles, None) for each in there]
    return _last(connection, candidate, target, roles, None, None)


def champions_then(
    connection: Connection,
    candidate: Version,
    target: Target,
    roles: Sequence[str],
    before: int,
    known: Known,
) -> list[Champion]:
    """The last version that was given the alias before ledger entry `before`, with what was believed then."""
    return _last(connection, candidate, target, roles, before, known)


def _holders(connection: Connection, candidate: Version, target: Target) -> list[int]:
    versions, aliases = tables.model_tables()
    if target.kind == "alias":
        table, held = aliases, select(aliases.c.alias, aliases.c.version)
    else:
        table, stage = versions, versions.c.current_stage
        held = select(stage, versions.c.version).where(stage.in_(("Staging", "Production")))
    here = (table.c.workspace == candidate.workspace, table.c.name == candidate.model)
    rows = connection.execute(held.where(*here))
    found = (version for name, version in rows if Target(kind=target.kind, name=name).same_as(target))
    return sorted({int(version) for version in found})


def _last(
    connection: Connection,
    candidate: Version,
    target: Target,
    roles: Sequence[str],
    before: int | None,
    known: Known | None,
) -> list[Champion]:
    for held in past_holders(connection, candidate.workspace, candidate.model, target, before):
        version = _version_of(connection, candidate, held)
        if version is None:
            return [Champion(held.version, itself=False, evidence=None)]
        if verified_about(connection, version, known).retirement is None:
            return [_champion(connection, candidate, version, roles, known)]
    return []


def _version_of(connection: Connection, candidate: Version, held: Held) -> Version | None:
    """The version that held it, as statements know it: it may have been deleted since."""
    if held.is_of(candidate):
        return candidate
    table, created = tables.statements, held.creation_time
    if created is None:
        query = select(table.c.creation_time).where(table.c.envelope_digest.in_(held.statements))
        created = connection.execute(query.limit(1)).scalar()
    if created is None:
        return None
    return Version(candidate.workspace, candidate.model, held.version, int(created), "")


def _champion(
    connection: Connection, candidate: Version, version: Version, roles: Sequence[str], known: Known | None
) -> Champion:
    itself = (version.version, version.creation_time) == (candidate.version, candidate.creation_time)
    try:
        accepted = verified_about(connection, version, known).evidence(roles)
    except EvidenceError:
        accepted = None
    return Champion(version.version, itself, accepted.predicate if accepted else None)
