"""Whether our own tables hold what the ledger recorded: statements, keys and policies, no row more, less or changed."""

import hashlib
import json
from collections.abc import Iterator, Sequence

from sqlalchemy import Connection, select

from resnet_ops.errors import EvidenceError
from resnet_ops_registry.attestations.envelope import read_envelope
from resnet_ops_registry.attestations.trust import TrustedKey, list_trusted
from resnet_ops_registry.common.actor import now
from resnet_ops_registry.database import tables
from resnet_ops_registry.database.ledger import Entry
from resnet_ops_registry.operations.finding import Finding
from resnet_ops_registry.operations.outbox import LEASE, LONGEST_WAIT

__all__ = ["check_deliveries", "check_keys", "check_policies", "check_statements"]


def check_statements(connection: Connection, entries: Sequence[Entry]) -> Iterator[Finding]:
    """Every statement must have been accepted by an entry, and be there: one that is taken away lets an older count."""
    accepted = {
        (entry.event.workspace, str(entry.event.detail["statement"])): entry
        for entry in entries
        if entry.event.action.endswith(" accepted") and "statement" in entry.event.detail
    }
    keys = {key.id: key.public for key in list_trusted(connection)}
    present = set()
    for row in connection.execute(select(tables.statements)):
        where = f"statement {row.id} about {row.model} v{row.version}"
        present.add((row.workspace, row.envelope_digest))
        key = keys.get(row.key_id)
        if key is None:
            yield Finding(where, "its key was never trusted here")
            continue
        try:
            envelope = read_envelope(row.envelope)
            statement = envelope.verify(key)
        except EvidenceError as error:
            yield Finding(where, str(error))
            continue
        subject = statement.subject
        signed = (
            subject.model,
            subject.version,
            subject.creation_time,
            subject.digest,
            statement.predicate_type,
        )
        if signed != (row.model, row.version, row.creation_time, row.digest, row.predicate_type):
            yield Finding(where, "it is stored under another version than it is about")
        elif envelope.digest != row.envelope_digest:
            yield Finding(where, "its text was replaced by that of another statement")
        elif (row.workspace, envelope.digest) not in accepted:
            yield Finding(where, "it bypassed the gate: no entry of the ledger accepted it")
    for known, entry in accepted.items():
        if known not in present:
            where = f"statement {known[1][:12]} about {entry.event.model} v{entry.event.version}"
            yield Finding(where, f"entry {entry.seq} of the ledger accepted it, and it is gone")


def check_deliveries(connection: Connection, entries: Sequence[Entry]) -> Iterator[Finding]:
    """A webhook's place must be in the ledger, and its next try within what senders wait: else it is told nothing."""
    last, latest = max((entry.seq for entry in entries), default=0), now() + LONGEST_WAIT + LEASE
    for row in connection.execute(select(tables.deliveries)):
        if row.seq > last or row.next_at > latest:
            where = f"webhook {row.endpoint[:12]}"
            yield Finding(where, "it was moved past what is to be told: no sender does that")


def check_keys(connection: Connection, entries: Sequence[Entry]) -> Iterator[Finding]:
    """Every key must be there as an entry trusted it, revoked if and only if a later one says so."""
    trusted = {str(e.event.detail.get("key")): e for e in entries if e.event.action == "key trusted"}
    revoked = {e.event.detail.get("key") for e in entries if e.event.action == "key revoked"}
    found = {key.id: key for key in list_trusted(connection)}
    for key in found.values():
        for problem in _key_problems(key, trusted.get(key.id), key.id in revoked):
            yield Finding(f"key {key.name} {key.id[:12]}", problem)
    for key_id, entry in trusted.items():
        if key_id not in found:
            name = entry.event.detail.get("name")
            yield Finding(
                f"key {name} {key_id[:12]}", f"entry {entry.seq} of the ledger trusted it, and it is gone"
            )


def _key_problems(key: TrustedKey, entry: Entry | None, revoked: bool) -> Iterator[str]:
    if entry is None:
        yield "it bypassed the gate: no entry of the ledger trusts it"
        return
    said = tuple(str(entry.event.detail.get(name))[:most] for name, most in (("name", 250), ("role", 64)))
    if said != (key.name, key.role):
        yield f"it was trusted as {said[0]}, {said[1]}, and that was changed to {key.name}, {key.role}"
    if revoked and key.revoked_at is None:
        yield "it was revoked, and that was undone, bypassing the gate"
    if not revoked and key.revoked_at is not None:
        yield "it was revoked, bypassing the gate: no entry of the ledger says so"


def check_policies(connection: Connection, entries: Sequence[Entry]) -> Iterator[Finding]:
    """Every policy must have been applied by an entry, and the one in force must be the last of its model."""
    applied = {
        (e.event.detail.get("policy"), e.event.detail.get("version"), e.event.detail.get("digest"))
        for e in entries
        if e.event.action == "policy applied"
    }
    present, in_force = set(), {}
    for row in connection.execute(select(tables.policies).order_by(tables.policies.c.id)):
        where = f"{row.model} policy {row.version}"
        present.add((row.model, row.version, row.digest))
        in_force[row.model] = row.version
        if hashlib.sha256(row.content.encode()).hexdigest() != row.digest:
            yield Finding(where, "its text was changed after it was applied")
        elif (row.model, row.version, row.digest) not in applied:
            yield Finding(where, "it bypassed the gate: no entry of the ledger applied it")
    for model, version, _ in sorted(applied - present, key=json.dumps):
        yield Finding(f"{model} policy {version}", "it was applied, and is gone")
    for model, version in in_force.items():
        last = max(each[1] for each in present if each[0] == model)
        if version != last:
            where = f"{model} policy {version}"
            yield Finding(where, f"it was put in force again, before policy {last}, bypassing the gate")
