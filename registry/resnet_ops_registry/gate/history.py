"""Who held an alias or stage before, as the ledger tells."""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, select

from resnet_ops.errors import EvidenceError
from resnet_ops_registry.attestations.statements import Version
from resnet_ops_registry.common.target import Target
from resnet_ops_registry.database import tables

__all__ = ["Held", "held_before", "past_holders", "standing"]

_ACTIONS = ("alias", "stage", "rollback", "rename")


@dataclass(frozen=True)
class Held:
    """A version was given the alias or stage by ledger entry `seq`; `rollback` says that it came back.

    `creation_time` is None for entries written by the first release, which did not record it.
    """

    seq: int
    version: int
    creation_time: int | None
    statements: tuple[str, ...]
    rollback: bool

    def is_of(self, version: Version) -> bool:
        return self.version == version.version and self.creation_time in (None, version.creation_time)


def past_holders(
    connection: Connection, workspace: str, model: str, target: Target, before: int | None = None
) -> Iterator[Held]:
    """Every time a version was given the alias or stage, newest first; `before` a ledger entry where it is named."""
    table = tables.ledger
    query = select(table.c.seq, table.c.entry).where(
        table.c.workspace == workspace,
        table.c.model == model,
        table.c.entry.like('%"outcome":"allowed"%'),
    )
    if before is not None:
        query = query.where(table.c.seq < before)
    for row in connection.execute(query.order_by(table.c.seq.desc())):
        try:
            held = _held(row.seq, json.loads(row.entry), target)
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise EvidenceError(
                f"Entry {row.seq} of the ledger cannot be read. See what was changed: resnet-ops audit verify"
            ) from error
        if held is not None:
            yield held


def held_before(connection: Connection, version: Version, target: Target, before: int | None = None) -> bool:
    """Whether this very version was given the alias or stage; `before` a ledger entry where it is named."""
    held = past_holders(connection, version.workspace, version.model, target, before)
    return any(each.is_of(version) for each in held)


def _held(seq: int, entry: Any, target: Target) -> Held | None:
    if entry["outcome"] != "allowed" or entry["action"] not in _ACTIONS:
        return None
    if not Target.from_label(entry["target"]).same_as(target):
        return None
    detail = entry["detail"]
    return Held(
        seq,
        entry["version"],
        detail.get("creation_time"),
        tuple(detail.get("statements", ())),
        entry["action"] == "rollback",
    )


def standing(connection: Connection, workspace: str, model: str, target: Target) -> list[Held]:
    """The line of champions, the latest first, without those that a rollback left behind."""
    line: list[Held] = []
    for held in reversed(list(past_holders(connection, workspace, model, target))):
        same = [index for index, each in enumerate(line) if each.version == held.version]
        if held.rollback and same:
            del line[same[-1] + 1 :]
        elif not line or line[-1].version != held.version:
            line.append(held)
    return line[::-1]
