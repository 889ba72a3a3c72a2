"""What a rule is, what it may look at, and what it says."""

import warnings
from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import ClassVar

from pydantic import Field

from resnet_ops_registry.attestations.evidence import Evidence
from resnet_ops_registry.attestations.statements import Accepted, VerifiedStatements
from resnet_ops_registry.attestations.trust import TrustedKey
from resnet_ops_registry.common.actor import UNVERIFIED
from resnet_ops_registry.common.frozen import Frozen
from resnet_ops_registry.common.target import Target, canonical_name

__all__ = ["Case", "Champion", "Rule", "RuleResult", "moment"]


@dataclass(frozen=True)
class Champion:
    """A version to beat: one that holds the alias or stage now, else the last that did.

    `itself`: it is the version that is judged. `evidence` is None where none is believed.
    """

    version: int
    itself: bool
    evidence: Evidence | None


@dataclass(frozen=True)
class Case:
    """What is judged: one version for one alias or stage, with all that is believed about it."""

    target: Target
    digest: str
    """Of the version's files as they are now."""
    accepted: Accepted[Evidence]
    verified: VerifiedStatements
    now: datetime
    champions: Sequence[Champion] = ()
    rollback: bool = False
    promoter: str | None = None
    """Who asks for the alias; UNVERIFIED where no login says so, None where nobody asks."""

    @property
    def evidence(self) -> Evidence:
        return self.accepted.predicate

    @property
    def believed(self) -> VerifiedStatements:
        """`verified`, by the name of the release before: for rules of teams' own, for one more."""
        warnings.warn("Case.believed is Case.verified now.", DeprecationWarning, stacklevel=2)
        return self.verified

    def is_author(self, key: TrustedKey) -> bool:
        """Whether a key belongs to whoever signed the evidence or asks for the alias: four eyes are two people.

        Every key may, where nobody checked who asks.
        """
        if key.id == self.accepted.key.id or key.person == self.accepted.key.person:
            return True
        return self.promoter is not None and (
            self.promoter == UNVERIFIED or key.person == canonical_name(self.promoter)
        )


@dataclass(frozen=True)
class RuleResult:
    """How one rule came out. `reason` says in a few words what was measured and what was needed.

    `waived` says by whom and until when a failed rule does not count; empty where it counts. `until`: when the rule
    ceases to hold if nothing is done, as `moment` writes it; empty where time changes nothing.
    """

    rule: str
    metric: str
    measured: str
    needed: str
    passed: bool
    reason: str
    why: str
    id: str | None = None
    waived: str = ""
    until: str = ""

    @property
    def holds(self) -> bool:
        return self.passed or bool(self.waived)


class Rule(Frozen, ABC):
    """One thing that must hold. A subclass names itself in `rule: Literal["..."]` and judges a case.

    What is missing must be a failure with its reason, never a pass.
    """

    rule: str
    id: str | None = Field(
        default=None, pattern=r"^[a-z0-9][a-z0-9_.-]{0,63}$", description="what a waiver calls it"
    )
    why: str = Field(min_length=1, max_length=300, description="for the person who is refused")

    looks_at_champion: ClassVar[bool] = False
    """Whether `Case.champions` is needed; looking them up costs a query."""

    @abstractmethod
    def judge(self, case: Case) -> RuleResult:
        """Say whether the rule holds."""

    def result(
        self,
        passed: bool,
        subject: str,
        measured: str,
        needed: str,
        reason: str,
        until: datetime | None = None,
    ) -> RuleResult:
        """What `judge` gives. subject: what was looked at, such as a metric's name. until: see RuleResult."""
        ends = moment(until) if passed and until else ""
        return RuleResult(self.rule, subject, measured, needed, passed, reason, self.why, self.id, until=ends)


def moment(when: datetime) -> str:
    """A time in UTC, to the minute; of two, the earlier is the smaller text."""
    try:
        utc = when.astimezone(UTC)
    except OverflowError:  # the last hours of the year 9999, west of Greenwich
        utc = datetime.max
    return f"{utc:%Y-%m-%d %H:%M} UTC"
