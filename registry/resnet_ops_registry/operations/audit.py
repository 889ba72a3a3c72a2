"""The audit: does what serves follow from what was decided, signed and hashed? Reads only; believes nobody."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from sqlalchemy import Connection, select

from resnet_ops.errors import EvidenceError, ResnetOpsError
from resnet_ops_registry.attestations import authority
from resnet_ops_registry.attestations.statements import Version
from resnet_ops_registry.attestations.trust import list_trusted
from resnet_ops_registry.database import ledger, tables
from resnet_ops_registry.database.ledger import Entry
from resnet_ops_registry.gate.gate import Files, hash_files, judge
from resnet_ops_registry.gate.history import Decided, Place, last_decisions, place
from resnet_ops_registry.gate.holders import Holder, guarded_holders
from resnet_ops_registry.gate.policies import list_policies
from resnet_ops_registry.operations.decided import why_not_allowed
from resnet_ops_registry.operations.finding import Finding
from resnet_ops_registry.operations.recorded import (
    check_deliveries,
    check_keys,
    check_policies,
    check_statements,
)
from resnet_ops_registry.store import harden
from resnet_ops_registry.store.changes import ACTIVE_STAGES

__all__ = ["Report", "verify"]

_UNREADABLE = (ArithmeticError, AttributeError, LookupError, OSError, TypeError, ValueError)
"""What comes of values that neither MLflow nor the gate writes: SQLite keeps any type in any column."""


@dataclass(frozen=True)
class Report:
    """What was looked at, what was found, and the ledger's last hash: keep that elsewhere, and name it next time.

    `notes` are no findings: policies that observe, and versions that serve rightly but would not pass today.
    """

    findings: tuple[Finding, ...]
    notes: tuple[str, ...]
    entries: int
    head: str
    guarded: int
    statements: int
    hardened: bool
    extended: tuple[str, ...]
    """What extended trust since the known head, or ever without one: keys, policies, the second line."""

    def as_json(self) -> dict[str, Any]:
        return {**asdict(self), "whole": not self.findings}


def verify(connection: Connection, known_head: str | None = None) -> Report:
    """Check the ledger, every guarded alias and stage, the files behind them, statements, keys and policies.

    known_head: a hash of the ledger's head from an earlier audit, which must still be in the chain.
    """
    entries = ledger.readable_entries(connection)
    known_seq = next((entry.seq for entry in entries if known_head and entry.hash == known_head), 0)
    notes = [
        f"{each.label} observes: what it would refuse goes through"
        for each in list_policies(connection)
        if each.policy.observes
    ]
    holders, found = _holders(connection)
    expected = last_decisions(entries)
    checks = (
        ("ledger", _check_ledger(connection, known_head)),
        ("aliases and stages", _check_holders(connection, entries, holders, expected)),
        ("keys", check_keys(connection, entries)),
        ("policies", check_policies(connection, entries)),
        ("webhooks", check_deliveries(connection, entries)),
        ("ledger", _check_authority(connection, entries, known_seq)),
        ("database", _check_second_line(connection, entries)),
        ("files", _check_files(connection, holders, expected, notes)),
        ("statements", check_statements(connection, entries)),
    )
    for where, check in checks:
        found += _as_far_as_readable(where, check)
    count = len(connection.execute(select(tables.statements.c.id)).all())
    return Report(
        tuple(dict.fromkeys(found)),
        tuple(notes),
        len(entries),
        ledger.head(connection),
        len(holders),
        count,
        harden.is_hardened(connection),
        tuple(authority.told(each) for each in authority.extensions(entries) if each.seq > known_seq),
    )


def _as_far_as_readable(where: str, check: Iterable[Finding]) -> Iterator[Finding]:
    """A row that cannot be read is a finding, and keeps no other check from being made."""
    try:
        yield from check
    except _UNREADABLE as error:
        yield _unreadable(where, error)


def _unreadable(where: str, error: Exception) -> Finding:
    return Finding(
        where, f"a row is not what is written there ({type(error).__name__}); mend it, and audit again"
    )


def _holders(connection: Connection) -> tuple[list[Holder], list[Finding]]:
    try:
        return list(guarded_holders(connection)), []
    except _UNREADABLE as error:
        return [], [_unreadable("aliases and stages", error)]


def _check_holders(
    connection: Connection,
    entries: Sequence[Entry],
    holders: Iterable[Holder],
    expected: Mapping[Place, Decided],
) -> Iterator[Finding]:
    for holder in holders:
        yield from _check_holder(connection, entries, holder, expected.get(_place_of(holder)))


def _check_files(
    connection: Connection, holders: Iterable[Holder], expected: Mapping[Place, Decided], notes: list[str]
) -> Iterator[Finding]:
    files: dict[tuple[str, str], Files] = {}
    for holder in holders:
        if (version := holder.version) is not None:
            lies = version.workspace, version.location
            if lies not in files:
                files[lies] = hash_files(version)
            decided = expected.get(_place_of(holder))
            yield from _check_version(connection, holder, version, files[lies], decided, notes)


def _check_ledger(connection: Connection, known_head: str | None) -> Iterator[Finding]:
    try:
        ledger.verify(connection)
    except EvidenceError as error:
        yield Finding("ledger", str(error))
    except (ValueError, KeyError, TypeError):
        yield Finding("ledger", "an entry is not what the gate writes")
    table = tables.ledger
    if (
        known_head
        and connection.execute(select(table.c.seq).where(table.c.hash == known_head)).first() is None
    ):
        yield Finding(
            "ledger", f"the entry {known_head[:16]} that was known is gone: the ledger was rewritten"
        )


def _place_of(holder: Holder) -> Place:
    return place(holder.workspace, holder.model, holder.target.label, holder.number)


def _check_holder(
    connection: Connection, entries: Sequence[Entry], holder: Holder, decided: Decided | None
) -> Iterator[Finding]:
    where, number = f"{holder.model} {holder.target.label}", holder.number
    if holder.target.kind == "stage" and holder.target.name not in ACTIVE_STAGES:
        yield Finding(where, f"v{number} is in a stage that MLflow does not know")
    if decided is None:
        yield Finding(where, f"v{number} bypassed the gate: no entry of the ledger allowed it")
    elif decided.removed_from is not None:
        last = f"took v{decided.removed_from} off"
        yield Finding(where, f"v{number} bypassed the gate: the ledger's last decision {last}")
    elif decided.number != number:
        yield Finding(where, f"v{number} bypassed the gate: the ledger's last decision is v{decided.number}")
    elif holder.version is None:
        yield Finding(where, f"v{number} does not exist any more")
    elif decided.created not in (None, holder.version.creation_time):
        yield Finding(where, f"v{number} is not the one that the ledger allowed: it was created again later")
    elif reasons := why_not_allowed(connection, entries, decided.entry):
        said = f"v{number} cannot have been allowed by entry {decided.entry.seq}, which says so"
        yield Finding(where, f"{said}: {'; '.join(reasons)}")


def _check_version(
    connection: Connection,
    holder: Holder,
    version: Version,
    files: Files,
    decided: Decided | None,
    notes: list[str],
) -> Iterator[Finding]:
    """A version that serves must still be proven; rules that it would fail today are a note.

    Where the policy observes, a version need not be proven, but must have the files that were decided on.
    """
    where, number = f"{holder.model} {holder.target.label}", holder.number
    try:
        verdict = judge(connection, version, holder.target, files)
    except ResnetOpsError as error:
        yield Finding(where, f"v{number} cannot be judged: {error}")
        return
    failed = [rule.reason for rule in verdict.rules if not rule.passed]
    if verdict.observing:
        if decided is not None and decided.files not in (None, files.digest):
            yield Finding(
                where, f"v{number}: its files were changed since it was given the {holder.target.kind}"
            )
        failed = [*verdict.problems, *failed]
    else:
        for problem in verdict.problems:
            yield Finding(where, f"v{number}: {problem}")
    if failed:
        notes.append(f"{where}: v{number} would not pass today: {'; '.join(failed)}")


def _check_authority(connection: Connection, entries: list[Entry], known_seq: int) -> Iterator[Finding]:
    """Whoever keeps a head elsewhere has seen what came before it."""
    keys = {key.id: key.public for key in list_trusted(connection)}
    for entry in authority.unsigned(entries, keys):
        if entry.seq > known_seq:
            yield Finding("ledger", f"no operator's key signed what extends trust: {authority.told(entry)}")


def _check_second_line(connection: Connection, entries: list[Entry]) -> Iterator[Finding]:
    """The triggers, and whether they should be there by the ledger's last word."""
    words = ("database hardened", "database unhardened")
    last = next((e.event.action for e in reversed(entries) if e.event.action in words), words[1])
    if harden.is_hardened(connection) != (last == words[0]):
        yield Finding(
            "database", f"the ledger's last word is {last!r}, and that was changed, bypassing the gate"
        )
    for name in harden.missing_triggers(connection):
        yield Finding("database", f"trigger {name} is missing or changed")
