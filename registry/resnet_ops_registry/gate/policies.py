"""Policies in force: every version ever applied is kept in the registry's database."""

import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, NamedTuple

from sqlalchemy import Connection, Row, func, insert, select

from resnet_ops.errors import ConfigError
from resnet_ops_registry.attestations import authority
from resnet_ops_registry.attestations.keys import PrivateKey
from resnet_ops_registry.attestations.trust import operators
from resnet_ops_registry.common.actor import actor, now
from resnet_ops_registry.database import tables
from resnet_ops_registry.database.ledger import Entry
from resnet_ops_registry.gate.policy import Policy
from resnet_ops_registry.gate.policy_file import read_policy

__all__ = [
    "AppliedPolicy",
    "apply_policy",
    "evidence_roles",
    "governed_by",
    "governing",
    "list_history",
    "list_policies",
    "policies_at",
    "policy_for",
]


@dataclass(frozen=True)
class AppliedPolicy:
    """A policy as it was applied: its number, its file's name and its text."""

    version: int
    file: str
    content: str
    policy: Policy
    problem: str = ""
    """Why the text cannot be read, such as a rule of a newer program; `policy` then guards everything."""

    @property
    def label(self) -> str:
        return f"{self.policy.model} policy {self.version}"


def apply_policy(
    connection: Connection, text: str, file: str, by: PrivateKey | None = None
) -> tuple[AppliedPolicy, bool]:
    """Put a policy into force, and give it with whether it is new. The same text again changes nothing.

    by: the operator's key that says so, needed as soon as one is trusted. Raises ConfigError when the text is no
    policy, or the signature is missing; the one in force then stays.
    """
    policy = read_policy(text, file)
    tables.lock(connection)
    table = tables.policies
    digest = hashlib.sha256(text.encode()).hexdigest()
    latest = connection.execute(
        select(table).where(table.c.model == policy.model).order_by(table.c.version.desc()).limit(1)
    ).one_or_none()
    if latest is not None and latest.digest == digest:
        return AppliedPolicy(latest.version, latest.file, text, policy), False
    version = 1 if latest is None else latest.version + 1
    detail = {
        "policy": policy.model,
        "version": version,
        "mode": policy.mode,
        "digest": digest,
        "file": file,
    }
    authority.record(connection, "policy applied", detail, by, operators(connection))
    connection.execute(
        insert(table).values(
            model=policy.model,
            version=version,
            file=file[:500],
            content=text,
            digest=digest,
            applied_at=now(),
            applied_by=actor(),
        )
    )
    return AppliedPolicy(version, file, text, policy), True


class _Kept(NamedTuple):
    """The policies that were read last, and where and when: replaced as one, because threads share it."""

    known: tuple[str | None, tables.Standing] | None
    policies: tuple[AppliedPolicy, ...]


def list_policies(
    connection: Connection, standing: tables.Standing | None = None
) -> tuple[AppliedPolicy, ...]:
    """The policies in force, one for each name or pattern.

    Kept from one call to the next as long as no policy was applied: rows are only ever added to the table.
    """
    global _kept
    known = (connection.engine.url.database, standing or tables.standing(connection))
    kept = _kept
    if kept.known != known:
        kept = _kept = _Kept(known, _read_policies(connection))
    return kept.policies


_kept = _Kept(None, ())


def _read_policies(connection: Connection) -> tuple[AppliedPolicy, ...]:
    table = tables.policies
    newest = select(func.max(table.c.id)).group_by(table.c.model)
    rows = connection.execute(select(table).where(table.c.id.in_(newest)).order_by(table.c.model))
    return tuple(_read(row) for row in rows)


def policies_at(connection: Connection, entries: Iterable[Entry]) -> list[AppliedPolicy]:
    """The policies in force after these entries of the ledger, oldest first; one that is gone is left out."""
    last: dict[Any, Any] = {}
    for entry in entries:
        if entry.event.action == "policy applied":
            last[entry.event.detail.get("policy")] = entry.event.detail.get("version")
    rows = connection.execute(select(tables.policies)).all()
    return [_read(row) for row in rows if last.get(row.model) == row.version]


def _read(row: Row[Any]) -> AppliedPolicy:
    """One that cannot be read closes what it governs, and nothing else: an operator applies it again."""
    try:
        return AppliedPolicy(row.version, row.file, row.content, _parse(row.content, row.file))
    except ConfigError as error:
        unread = Policy(model=row.model, evidence_roles=["-"], guards=[])
        return AppliedPolicy(row.version, row.file, row.content, unread, str(error))


def list_history(connection: Connection, model: str | None = None) -> list[dict[str, Any]]:
    """Every version ever applied, oldest first: model, version, file, content, digest, applied_at, applied_by."""
    table = tables.policies
    query = select(table).order_by(table.c.model, table.c.version)
    if model is not None:
        query = query.where(table.c.model == model)
    return [
        {name: value for name, value in row._mapping.items() if name != "id"}
        for row in connection.execute(query)
    ]


def policy_for(
    connection: Connection, model: str, standing: tables.Standing | None = None
) -> AppliedPolicy | None:
    """The policy that governs a registered model: the one of its name, else the longest pattern that matches."""
    return governing(list_policies(connection, standing), model)


def evidence_roles(connection: Connection, model: str) -> list[str] | None:
    """The roles of the keys whose evidence about a model counts; None, which is any, where no policy governs it."""
    applied = policy_for(connection, model)
    return applied.policy.evidence_roles if applied else None


def governing(policies: Sequence[AppliedPolicy], model: str) -> AppliedPolicy | None:
    """The one of these policies that governs a registered model."""
    matching = [applied for applied in policies if applied.policy.governs(model)]
    exact = [applied for applied in matching if applied.policy.model == model]
    return max(exact or matching, key=lambda applied: len(applied.policy.model), default=None)


def governed_by(connection: Connection, applied: AppliedPolicy) -> list[str]:
    """The registered models that this policy governs, and no other one before it."""
    names = connection.execute(select(tables.registered_models().c.name).distinct()).scalars()
    policies = list_policies(connection)
    return sorted(
        name
        for name in names
        if (found := governing(policies, name)) is not None and found.policy.model == applied.policy.model
    )


@lru_cache(maxsize=64)
def _parse(content: str, file: str) -> Policy:
    return read_policy(content, file)
