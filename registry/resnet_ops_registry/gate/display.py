"""Tags that the gate writes on a version's page, so that its verdicts are seen at a glance.

In MLflow's table they are display, which is never believed; what the server answers of one version is read anew.
"""

from collections.abc import Mapping

from sqlalchemy import Connection, delete, insert, select

from resnet_ops.errors import EvidenceError
from resnet_ops_registry.attestations.evidence import Evidence, show_metric
from resnet_ops_registry.attestations.people import PEOPLE_TAGS, told_by_people
from resnet_ops_registry.attestations.statements import (
    Accepted,
    VerifiedStatements,
    Version,
    find_version,
    verified_about,
)
from resnet_ops_registry.common.actor import UNVERIFIED
from resnet_ops_registry.common.names import skeleton
from resnet_ops_registry.database import tables
from resnet_ops_registry.gate.gate import Files, judge
from resnet_ops_registry.gate.policies import evidence_roles, policy_for
from resnet_ops_registry.gate.policy import Target
from resnet_ops_registry.gate.reviews import REVIEW_TAG_PREFIX, told_by_reviewers
from resnet_ops_registry.gate.verdict import COUNTED

__all__ = [
    "EVIDENCE_TAG",
    "EXPERIMENT_TAG",
    "FILES_TAG",
    "GATE_TAG_PREFIX",
    "KEY_TAG",
    "MEMBER_TAG",
    "STATEMENT_TAG",
    "WEIGHTS_TAG",
    "is_reserved",
    "refresh_tags",
    "summary",
    "verdicts_told",
    "verified_tags",
    "version_tags",
]

STATEMENT_TAG = "resnet_ops.statement"
GATE_TAG_PREFIX = "gate "
WEIGHTS_TAG = "resnet_ops.weights_digest"
MEMBER_TAG = "member"
EXPERIMENT_TAG = "dvc_experiment"
"""The DVC experiment that a version comes from; none on what the project itself registered."""
EVIDENCE_TAG = "resnet_ops.evidence_digest"
FILES_TAG = "resnet_ops.files_digest"
KEY_TAG = "resnet_ops.evidence_key"
_PREFIXES = ("resnet_ops.", GATE_TAG_PREFIX, REVIEW_TAG_PREFIX)


def is_reserved(key: str) -> bool:
    """Whether only the gate may write a version's tag of this name."""
    name = skeleton(key)
    return name in ("evidence", "drift reference", *PEOPLE_TAGS) or name.startswith(_PREFIXES)


def version_tags(connection: Connection, version: Version) -> dict[str, str]:
    """Every tag of a version with statements, and what each says."""
    return _tags_and_problem(connection, version)[0]


def _tags_and_problem(connection: Connection, version: Version) -> tuple[dict[str, str], str]:
    """Where a statement cannot be read, the tags say that the version is refused, and the problem names its row."""
    verified, problem = VerifiedStatements(()), ""
    try:
        verified = verified_about(connection, version)
    except EvidenceError as error:
        problem = f"{version.model} v{version.version}: {error}"
    applied = policy_for(connection, version.model)
    roles = applied.policy.evidence_roles if applied else None
    tags = _told(verified, roles)
    return tags | _verdicts(connection, version, Files(tags.get(FILES_TAG, ""))), problem


def _verdicts(connection: Connection, version: Version, files: Files) -> dict[str, str]:
    applied = policy_for(connection, version.model)
    return {
        _gate_tag(target): summary(connection, version, target, files) or ""
        for target in (applied.policy.targets() if applied else [])
    }


def summary(connection: Connection, version: Version, target: Target, files: Files) -> str | None:
    """The verdict in a line, and whether it rests on who asks, which nobody does; None where nothing is guarded."""
    verdict = judge(connection, version, target, files)
    if not verdict.guarded:
        return None
    counted = verdict.allowed and not judge(connection, version, target, files, UNVERIFIED).allowed
    return verdict.summary + (COUNTED if counted else "")


def verified_tags(connection: Connection, version: Version, kept: Mapping[str, str]) -> dict[str, str]:
    """The tags of a version as they are given out: what statements say is read from these, now.

    kept: the tags in MLflow's table, which another server on the same database can write. Of the reserved ones only
    what a version was published as is given out as it lies there. Verdicts are those of now, by the files that the
    evidence is about.
    """
    try:
        verified = verified_about(connection, version)
    except EvidenceError:
        verified = VerifiedStatements(())
    shown = {key: value for key, value in kept.items() if not is_reserved(key) or key == WEIGHTS_TAG}
    told = _told(verified, evidence_roles(connection, version.model))
    return shown | told | _verdicts(connection, version, Files(told.get(FILES_TAG, "")))


def _told(verified: VerifiedStatements, roles: list[str] | None) -> dict[str, str]:
    accepted = verified.evidence(roles)
    told = told_by_people(verified) | told_by_reviewers(verified, roles)
    return told | (_evidence_tags(accepted) if accepted else {})


def _evidence_tags(accepted: Accepted[Evidence]) -> dict[str, str]:
    by = accepted.predicate.compared_by.metric
    headline = accepted.predicate.metrics.get(by)
    found = f", {by} {show_metric(headline)}" if headline else ""
    return {
        "evidence": f"signed by {accepted.key.name} {accepted.key.id[:8]}{found}",
        WEIGHTS_TAG: accepted.predicate.weights_digest,
        EVIDENCE_TAG: accepted.predicate.digest(),
        FILES_TAG: accepted.subject.digest,
        KEY_TAG: accepted.key.id,
    }


def refresh_tags(connection: Connection) -> list[str]:
    """Write the tags of every version with statements anew, after a policy or a key changed.

    Straight into MLflow's table: this is the operator on the database, not a client of the store. In a transaction
    of its own: the tags are display, and nothing about them may undo what they show. Gives a line for each version
    with a statement that cannot be read.
    """
    from mlflow.store.model_registry.dbmodels.models import SqlModelVersionTag

    tags, known = SqlModelVersionTag.__table__, tables.statements.c
    versions, problems = select(known.workspace, known.model, known.version).distinct(), []
    for workspace, model, number in connection.execute(versions).all():
        version = find_version(connection, workspace, model, number)
        if version is None:
            continue
        wanted, problem = _tags_and_problem(connection, version)
        problems += [problem] if problem else []
        where = (tags.c.workspace == workspace, tags.c.name == model, tags.c.version == number)
        present = connection.execute(select(tags.c.key).where(*where)).scalars()
        stale = [key for key in present if is_reserved(key) and (key != WEIGHTS_TAG or key in wanted)]
        connection.execute(delete(tags).where(*where, tags.c.key.in_(stale)))
        rows = [
            {"workspace": workspace, "name": model, "version": number, "key": key, "value": value}
            for key, value in wanted.items()
        ]
        if rows:
            connection.execute(insert(tags), rows)
    return problems


def verdicts_told(tags: Mapping[str, str]) -> dict[str, str]:
    """What a version's page says of each guarded alias or stage, by its label."""
    told = {
        key.removeprefix(GATE_TAG_PREFIX): text
        for key, text in tags.items()
        if key.startswith(GATE_TAG_PREFIX)
    }
    return {name if name.startswith("stage ") else f"@{name}": text for name, text in told.items()}


def _gate_tag(target: Target) -> str:
    return GATE_TAG_PREFIX + (target.name if target.kind == "alias" else target.label)
