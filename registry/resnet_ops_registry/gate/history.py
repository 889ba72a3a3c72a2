"""Who held an alias or stage before, and who was given it last, as the ledger tells."""

import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any, Literal

from sqlalchemy import Connection, or_, select

from resnet_ops.errors import EvidenceError
from resnet_ops_registry.attestations.authority import ADOPTED
from resnet_ops_registry.attestations.statements import Version
from resnet_ops_registry.common.target import Target
from resnet_ops_registry.database import tables
from resnet_ops_registry.database.ledger import Entry

__all__ = ["Decided", "Held", "Place", "held_before", "last_decisions", "past_holders", "place", "standing"]

_ACTIONS = ("alias", "stage", "rollback", "rename")
_GIVEN = ("allowed", "observed")
Place = tuple[str, str, str, int | None]
"""Workspace, model, target's label, and the version for stages, which many versions may share."""


@dataclass(frozen=True)
class Held:
    """A version was given the alias or stage by ledger entry `seq`; `rollback` says that it came back.

    `observed`: although the rules did not hold, because the policy observed.
    `creation_time` is None for entries written by the first release, which did not record it.
    """

    seq: int
    version: int
    creation_time: int | None
    statements: tuple[str, ...]
    rollback: bool
    observed: bool

    def is_of(self, version: Version) -> bool:
        return self.version == version.version and self.creation_time in (None, version.creation_time)


@dataclass(frozen=True)
class Decided:
    """The ledger's last word on a place: the entry that gave it to a version, took it off, or recorded who held it."""

    entry: Entry

    @property
    def number(self) -> int | None:
        """The version that holds it; None where it was taken off."""
        return self.entry.event.version

    @property
    def created(self) -> int | None:
        """When the version was made; entries of the first release do not say it."""
        return self.entry.event.detail.get("creation_time")

    @property
    def files(self) -> str | None:
        """The digest of the version's files, where they were hashed."""
        return self.entry.event.detail.get("files")

    @property
    def removed_from(self) -> int | None:
        """The version that it was taken off; None where a version holds it."""
        return self.entry.event.from_version if self.number is None else None

    @property
    def unread(self) -> bool:
        """Whether the files could not be read then; entries of the first release do not say it."""
        return self.number is not None and self.entry.event.detail.get("files", "") is None

    @property
    def adopted(self) -> bool:
        """Whether it held the place when the gate came, and nothing was decided on the place since."""
        return self.entry.event.action == ADOPTED


def place(workspace: str, model: str, label: str, version: int) -> Place:
    """What an entry about a version and a target is about."""
    return workspace, model, label, version if label.startswith("stage ") else None


def last_decisions(entries: Iterable[Entry]) -> dict[Place, Decided]:
    """Which version holds each alias and stage, or that it was taken off, if nobody came past the gate."""
    found: dict[Place, Decided] = {}
    for entry in entries:
        event = entry.event
        if event.target is None or event.model is None:
            continue
        if _was_given(event.action, event.outcome) and event.version is not None:
            found[place(event.workspace, event.model, event.target, event.version)] = Decided(entry)
        elif event.action.endswith("removed") and event.from_version is not None:
            found[place(event.workspace, event.model, event.target, event.from_version)] = Decided(entry)
    return found


def past_holders(
    connection: Connection, workspace: str, model: str, target: Target, before: int | None = None
) -> Iterator[Held]:
    """Every time a version was given the alias or stage, newest first; `before` a ledger entry where it is named."""
    table = tables.ledger
    query = select(table.c.seq, table.c.entry).where(
        table.c.workspace == workspace,
        table.c.model == model,
        or_(
            *(table.c.entry.like(f'%"outcome":"{outcome}"%') for outcome in _GIVEN),
            table.c.entry.like(f'%"action":"{ADOPTED}"%'),
        ),
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


def held_before(
    connection: Connection, version: Version, target: Target, before: int | None = None
) -> Literal["allowed", "observed"] | None:
    """How this very version was given the alias or stage, at best; `before` a ledger entry where it is named.

    None where it never was. One that was observed and is given the same again stays so: it was compared with itself.
    """
    best: Literal["allowed", "observed"] | None = None
    last, observed = None, False
    for held in reversed(list(past_holders(connection, version.workspace, version.model, target, before))):
        observed = held.observed or (observed and last == (held.version, held.creation_time))
        last = held.version, held.creation_time
        if held.is_of(version) and best != "allowed":
            best = "observed" if observed else "allowed"
    return best


def _was_given(action: str, outcome: str) -> bool:
    """Whether an entry says that its version got its alias or stage, or had it when the gate came."""
    return action == ADOPTED or (action in _ACTIONS and outcome in _GIVEN)


def _held(seq: int, entry: Any, target: Target) -> Held | None:
    if not _was_given(entry["action"], entry["outcome"]):
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
        entry["outcome"] == "observed",
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
