"""A registry that is there already gets the gate: what a policy would have decided, and a record of what stands."""

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Literal

from sqlalchemy import Connection

from resnet_ops.errors import EvidenceError
from resnet_ops_registry.attestations import authority
from resnet_ops_registry.attestations.authority import ADOPTED
from resnet_ops_registry.attestations.evidence import MLFLOW, Evidence, Metric, Source
from resnet_ops_registry.attestations.keys import PrivateKey, PublicKey
from resnet_ops_registry.attestations.statements import (
    Accepted,
    VerifiedStatements,
    Version,
    verified_about,
)
from resnet_ops_registry.attestations.trust import TrustedKey, operators
from resnet_ops_registry.common.target import Target
from resnet_ops_registry.database import ledger, tables
from resnet_ops_registry.gate.champions import champions_now
from resnet_ops_registry.gate.gate import Files, Question, answer, hash_files
from resnet_ops_registry.gate.history import Decided, last_decisions, place
from resnet_ops_registry.gate.holders import Holder, guarded_holders, holders
from resnet_ops_registry.gate.policies import AppliedPolicy
from resnet_ops_registry.gate.verdict import Verdict
from resnet_ops_registry.operations.survey import Existing, Survey

__all__ = ["Foreseen", "Recorded", "foresee", "hash_holders", "record_holders", "unrecorded"]

NO_FILES = "0" * 64


@dataclass(frozen=True)
class Foreseen:
    """What a policy says of a version that is there, for the first alias or stage of a guard.

    `now`: by what is signed. `by_run`: as if the numbers of its MLflow run were signed; None where something
    is, or it has no numbers.
    """

    version: int
    holds: tuple[str, ...]
    now: Verdict
    by_run: Verdict | None


def foresee(connection: Connection, applied: AppliedPolicy, found: Survey) -> Iterator[Foreseen]:
    """Of every version, each guard's first alias or stage. Changes nothing; the policy need not be in force."""
    targets = [guard.targets()[0] for guard in applied.policy.guards]
    for each in found.versions:
        holds = tuple(target.label for target in each.holds)
        for target in targets:
            now, by_run = _judge(connection, applied, each, target)
            yield Foreseen(each.version.version, holds, now, by_run)


def _judge(
    connection: Connection, applied: AppliedPolicy, each: Existing, target: Target
) -> tuple[Verdict, Verdict | None]:
    version, roles = each.version, applied.policy.evidence_roles
    try:
        verified = verified_about(connection, version)
    except EvidenceError:
        verified = VerifiedStatements(())
    champions = champions_now(connection, version, target, roles)

    def ask(files: Files, statements: VerifiedStatements) -> Verdict:
        when = datetime.now(UTC)
        return answer(
            applied, Question(version, target, files, statements, lambda: champions, None, None, when)
        )

    if verified.evidence(roles) is not None:
        return ask(hash_files(version), verified), None
    now = ask(Files(NO_FILES), verified)
    if not each.metrics:
        return now, None
    imagined = VerifiedStatements((*verified.statements, _as_if_signed(each, roles[0])))
    return now, ask(Files(NO_FILES), imagined)


def _as_if_signed(each: Existing, role: str) -> Accepted[Evidence]:
    """Evidence of the run's numbers, which nobody signed: it never leaves this module."""
    evidence = Evidence(
        member="",
        weights_digest=NO_FILES,
        format=MLFLOW,
        metrics={name: Metric(value=value, n=1) for name, value in each.metrics.items()},
        data={},
        source=Source(commit="", dirty=False, dvc_lock=None),
        environment={},
        hardware={},
        seeds={},
        created=datetime.now(UTC),
    )
    nobody = TrustedKey("", "its run", role, PublicKey(b""), None)
    return Accepted("", nobody, each.version.subject(NO_FILES), evidence)


@dataclass(frozen=True)
class Recorded:
    """What became of a guarded alias or stage when its registry was adopted.

    recorded: the ledger says now that it stands. known: it did already. moved: it was recorded as adopted before, with
    another version, and is again. bypassed: the gate decided on another version since, or took the alias or stage off,
    which no adoption overrules. before: the version of the ledger's last word; None where it has none, or took it off.
    unread: the ledger does not know the files, since they could not be read.
    """

    holder: Holder
    state: Literal["recorded", "known", "moved", "bypassed"]
    before: int | None
    unread: bool


def hash_holders(connection: Connection, models: Collection[str]) -> dict[Version, str | None]:
    """The digests of the files that hold an alias or stage. Slow for large models: before any lock."""
    versions = {each.version for each in holders(connection) if each.model in models and each.version}
    return {version: hash_files(version).digest for version in versions}


def unrecorded(connection: Connection, models: Collection[str]) -> list[Holder]:
    """Who holds a guarded alias or stage of these models, and the ledger does not say so: since before it was guarded,
    or past the gate.
    """
    decided = last_decisions(ledger.readable_entries(connection))
    return [
        each
        for each in guarded_holders(connection)
        if each.model in models
        and (
            (last := decided.get(place(each.workspace, each.model, each.target.label, each.number))) is None
            or last.number != each.number
        )
    ]


def record_holders(
    connection: Connection,
    models: Collection[str],
    digests: Mapping[Version, str | None],
    by: PrivateKey | None,
) -> list[Recorded]:
    """Write down which versions hold the guarded aliases and stages of these models, as they are now.

    digests: of files, hashed before. by: the operator's key, needed as soon as one is trusted, as for a policy.
    """
    tables.lock(connection)
    decided = last_decisions(ledger.readable_entries(connection))
    found = [each for each in guarded_holders(connection) if each.model in models and each.version]
    return [_record(connection, each, decided, digests, by) for each in found]


def _record(
    connection: Connection,
    each: Holder,
    decided: Mapping[tuple[str, str, str, int | None], Decided],
    digests: Mapping[Version, str | None],
    by: PrivateKey | None,
) -> Recorded:
    version, label = each.version, each.target.label
    assert version is not None
    last = decided.get(place(each.workspace, each.model, label, each.number))
    if last is not None and (last.number, last.created) in (
        (each.number, version.creation_time),
        (each.number, None),
    ):
        return Recorded(each, "known", last.number, last.unread)
    if last is not None and not last.adopted:
        return Recorded(each, "bypassed", last.number, last.unread)
    files = digests.get(version)
    detail = {
        "workspace": each.workspace,
        "model": each.model,
        "version": each.number,
        "target": label,
        "creation_time": version.creation_time,
        "files": files,
    }
    authority.record(connection, ADOPTED, detail, by, operators(connection))
    return Recorded(each, "moved" if last else "recorded", last.number if last else None, files is None)
