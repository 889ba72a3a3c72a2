"""Kinds of statements: what a pipeline or a person can say about a version, as it is signed."""

from collections.abc import Mapping
from datetime import datetime
from typing import Annotated, Any, Literal, TypeVar

from pydantic import AwareDatetime, Field, FiniteFloat, ValidationError, field_serializer, model_validator

from resnet_ops.errors import ConfigError, EvidenceError
from resnet_ops_registry.attestations.evidence import (
    EVIDENCE_TYPE,
    EVIDENCE_TYPE_2,
    Evidence,
    read_evidence,
)
from resnet_ops_registry.common.frozen import Frozen, Sha256
from resnet_ops_registry.common.target import Target

__all__ = [
    "Approval",
    "Baseline",
    "Predicate",
    "Reproduction",
    "Retirement",
    "Review",
    "Waiver",
    "kind_of",
    "predicate_type",
    "read_predicate",
    "spoken",
]

Text = Annotated[str, Field(max_length=500)]
Reason = Annotated[str, Field(min_length=1, max_length=500)]


class _Signed(Frozen):
    """What every statement by a person holds."""

    created: AwareDatetime

    @field_serializer("created", "until", check_fields=False)
    def _as_iso(self, moment: datetime) -> str:
        return moment.isoformat()

    def as_signed(self) -> dict[str, Any]:
        """As it is signed."""
        return self.model_dump(mode="json")


class Approval(_Signed):
    """A person answers for a version on one alias or stage, for a time."""

    target: Target
    until: AwareDatetime
    comment: Text = ""


class Waiver(_Signed):
    """A person lets one rule not count for a version on one alias or stage, for a time."""

    target: Target
    rule: str = Field(min_length=1, max_length=64, description="id of the rule in the policy")
    until: AwareDatetime
    why: Reason


class Reproduction(_Signed):
    """What came out when somebody repeated the training. The gate itself compares it with the evidence."""

    weights_digest: Sha256 = Field(description="model_digest of the two files that came out")
    metrics: dict[str, FiniteFloat] = Field(
        description="measured on what came out, by the names in the evidence"
    )
    environment: dict[str, str]


class Retirement(_Signed):
    """A version is taken out of use for good, or (`retired` false, said by an operator) brought back."""

    retired: bool
    why: Reason


class Review(_Signed):
    """A person looked at a judged window of the version's traffic, and says what they make of it.

    It changes no promotion. `accept-reference` lets the rows of that window be what later ones are judged against;
    `rollback` names the window as the reason why an alias is given back.
    """

    window: str = Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,99}$")
    verdict: str = Field(min_length=1, max_length=100, description="what the window was judged to be")
    verdict_digest: Sha256 = Field(description="of verdict.json, as the reviewer saw it")
    action: Literal["acknowledge", "comment", "accept-reference", "rollback"]
    comment: Text = ""
    reference: Sha256 | None = Field(default=None, description="digest of the file that was accepted")

    @model_validator(mode="after")
    def _says_what_it_does(self) -> "Review":
        if (self.reference is not None) != (self.action == "accept-reference"):
            raise ValueError("a reference is named where one is accepted, and only there")
        if self.action != "acknowledge" and not self.comment.strip():
            raise ValueError(f"{self.action} needs words in comment")
        return self


class Baseline(_Signed):
    """What the version made of its held-out images, as a file that windows of its traffic are judged against."""

    reference: Sha256 = Field(description="digest of the file")
    images: int = Field(ge=1, description="labelled held-out images that it was made of")


_S = TypeVar("_S", bound=_Signed)
Predicate = Evidence | Approval | Waiver | Reproduction | Retirement | Review | Baseline

_TYPES: dict[str, type[Predicate]] = {
    EVIDENCE_TYPE: Evidence,
    EVIDENCE_TYPE_2: Evidence,
    "https://resnet-ops.dev/approval/v1": Approval,
    "https://resnet-ops.dev/waiver/v1": Waiver,
    "https://resnet-ops.dev/reproduction/v1": Reproduction,
    "https://resnet-ops.dev/retirement/v1": Retirement,
    "https://resnet-ops.dev/review/v1": Review,
    "https://resnet-ops.dev/baseline/v1": Baseline,
}


def predicate_type(predicate: Predicate) -> str:
    """The URI that names this kind of statement."""
    if isinstance(predicate, Evidence):
        return predicate.statement_type
    return next(uri for uri, kind in _TYPES.items() if isinstance(predicate, kind))


def kind_of(predicate: Predicate) -> str:
    """In a word: evidence, approval, waiver, reproduction, retirement, review or baseline."""
    return type(predicate).__name__.lower()


def spoken(kind: type[_S], **fields: Any) -> _S:
    """What a person wants to say. Raises ConfigError that names what cannot be said."""
    try:
        return kind(**fields)
    except ValidationError as error:
        first, name = error.errors()[0], kind.__name__.lower()
        where = f"{'.'.join(map(str, first['loc']))} cannot be signed in a {name}" if first["loc"] else name
        raise ConfigError(f"Such a {where}: {first['msg'].lower().removeprefix('value error, ')}.") from error


def read_predicate(uri: str, predicate: Mapping[str, Any]) -> Predicate:
    """Parse a predicate. Raises EvidenceError for a type that is not known and for the first wrong field."""
    kind = _TYPES.get(uri)
    if kind is None:
        raise EvidenceError(f"Statements of type {uri[:80]!r} are not known here.")
    if kind is Evidence:
        found = read_evidence(predicate)
        if found.statement_type != uri:
            raise EvidenceError(f"The evidence says what statements of type {uri} do not.")
        return found
    try:
        return kind.model_validate(predicate)
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(map(str, first["loc"]))
        raise EvidenceError(
            f"The {kind.__name__.lower()} is malformed at {where}: {first['msg']}."
        ) from error
