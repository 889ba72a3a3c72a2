"""What people made of judged windows, as tags on the version's page; and what its windows are judged against.

Any client can read the tags, and only the gate writes them. They are made anew when a key is revoked.
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from resnet_ops_registry.attestations.predicates import Review
from resnet_ops_registry.attestations.statements import (
    Accepted,
    VerifiedStatements,
    known_version,
    verified_about,
)
from resnet_ops_registry.common.settings import is_direct
from resnet_ops_registry.database.tables import open_database
from resnet_ops_registry.gate.policies import evidence_roles

if TYPE_CHECKING:
    from mlflow.entities.model_registry import ModelVersion

__all__ = [
    "BASELINE_TAG",
    "REFERENCE_TAG",
    "REVIEW_TAG_PREFIX",
    "accepted_reference",
    "labelled_reference",
    "reviews_of",
    "told_by_reviewers",
]

REFERENCE_TAG = "resnet_ops.reference_digest"
BASELINE_TAG = "resnet_ops.baseline_digest"
REVIEW_TAG_PREFIX = "drift review "
_DOES = {
    "acknowledge": "acknowledged",
    "comment": "commented",
    "accept-reference": "accepted it as the new reference",
    "rollback": "rolled back",
}
_LENGTH = 4000


def told_by_reviewers(verified: VerifiedStatements, roles: Sequence[str] | None) -> dict[str, str]:
    """The tags: for each reviewed window its reviews, a line each, newest first; and the accepted reference.

    roles: of the keys whose evidence counts, by the policy.
    """
    told: dict[str, str] = {}
    for each in verified.of(Review):
        name = REVIEW_TAG_PREFIX + each.predicate.window
        told[name] = f"{told[name]}\n{_line(each)}" if name in told else _line(each)
    accepted = verified.accepted_reference
    if accepted is not None and accepted.predicate.reference is not None:
        told[REFERENCE_TAG] = accepted.predicate.reference
        told["drift reference"] = f"window {accepted.predicate.window}, {_line(accepted)}"
    baseline = verified.baseline(roles)
    if baseline is not None:
        told[BASELINE_TAG] = baseline.predicate.reference
    return {name: text[:_LENGTH] for name, text in told.items()}


def _line(review: Accepted[Review]) -> str:
    predicate = review.predicate
    words = f": {' '.join(predicate.comment.split())}" if predicate.comment else ""
    who = f"{predicate.created:%Y-%m-%d %H:%M %Z} {review.key.name}"
    return f"{who} {_DOES[predicate.action]} ({predicate.verdict}){words}"


def reviews_of(version: "ModelVersion", window: str) -> list[str]:
    """Who said what of a window and when, newest first, as the gate wrote it."""
    return version.tags.get(REVIEW_TAG_PREFIX + window, "").splitlines()


def accepted_reference(version: "ModelVersion") -> str | None:
    """The sha256 of the reference that a reviewer accepted for the version and nobody took back, or None."""
    if not is_direct():
        return version.tags.get(REFERENCE_TAG)
    accepted = _verified(version)[0].accepted_reference
    return accepted.predicate.reference if accepted else None


def labelled_reference(version: "ModelVersion") -> str | None:
    """The sha256 of the reference that the version's held-out images made, by the newest statement that counts."""
    if not is_direct():
        return version.tags.get(BASELINE_TAG)
    verified, roles = _verified(version)
    baseline = verified.baseline(roles)
    return baseline.predicate.reference if baseline else None


def _verified(version: "ModelVersion") -> tuple[VerifiedStatements, list[str] | None]:
    """And the roles whose evidence counts. Reached as a database, signatures and keys are checked now.

    Over http the server's gate is believed, which does so when it is asked for one version.
    """
    with open_database() as connection:
        known = known_version(connection, version)
        roles = evidence_roles(connection, version.name)
        return (verified_about(connection, known) if known else VerifiedStatements(())), roles
