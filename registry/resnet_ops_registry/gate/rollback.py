"""Going back to an earlier champion: which version that is."""

from sqlalchemy import Connection, select

from resnet_ops.errors import EvidenceError
from resnet_ops_registry.attestations.statements import Version, find_version
from resnet_ops_registry.common.actor import promoter
from resnet_ops_registry.common.target import Target
from resnet_ops_registry.database import tables
from resnet_ops_registry.gate.gate import hash_files, judge, rolling_back
from resnet_ops_registry.gate.history import standing

__all__ = ["ROLLBACK_TAG", "choose_earlier"]

ROLLBACK_TAG = "resnet_ops.rollback"
"""Set on a registered model, it asks the gate for a rollback of the alias that is its value; it is never kept."""


def choose_earlier(connection: Connection, workspace: str, model: str, alias: str) -> tuple[str, int]:
    """The alias as it is spelled, and the last version that held it and would be let through now.

    Where none passes, the last one: setting it is refused, with the reasons, and that is in the ledger. Raises
    EvidenceError when no other version ever held it.
    """
    target = Target.named(alias)
    _, aliases = tables.model_tables()
    here = (aliases.c.workspace == workspace, aliases.c.name == model)
    rows = connection.execute(select(aliases.c.alias, aliases.c.version).where(*here)).all()
    holding = [(str(row.alias), int(row.version)) for row in rows if _target(row.alias).same_as(target)]
    name, current = next(
        (each for each in holding if each[0] == target.name), holding[0] if holding else (target.name, None)
    )
    earlier = _earlier_champions(connection, workspace, model, target, current)
    if not earlier:
        raise EvidenceError(
            f"No other version of {model} held {target.label} before, by the ledger, which records only what a policy "
            "guards. Promote one: resnet-ops promote MODEL VERSION ALIAS"
        )
    with rolling_back():
        for version in earlier:
            verdict = judge(connection, version, _target(name), hash_files(version), promoter())
            if verdict.outcome != "refused":
                return name, version.version
    return name, earlier[0].version


def _earlier_champions(
    connection: Connection, workspace: str, model: str, target: Target, current: int | None
) -> list[Version]:
    """The versions that held the alias before `current` and are still there, the latest first."""
    found = []
    for held in standing(connection, workspace, model, target):
        version = find_version(connection, workspace, model, held.version)
        if version is not None and held.is_of(version) and version.version != current:
            found.append(version)
    return found


def _target(alias: str) -> Target:
    return Target(kind="alias", name=alias)
