"""What people said of a version, in words for its page and for the ledger."""

from collections.abc import Mapping
from typing import Any

from resnet_ops_registry.attestations.predicates import Approval, Reproduction, Waiver
from resnet_ops_registry.attestations.statements import VerifiedStatements

__all__ = ["PEOPLE_TAGS", "in_words", "told_by_people"]

PEOPLE_TAGS = ("approvals", "waivers", "reproductions", "retired")


def told_by_people(verified: VerifiedStatements) -> dict[str, str]:
    """A short line for each kind of statement that a person made; kinds without one are left out."""
    evidence = verified.evidence()
    approvals = [
        f"{each.predicate.target.label} by {each.key.name} until {each.predicate.until:%Y-%m-%d}"
        for each in verified.of(Approval)
    ]
    waivers = [
        f"{each.predicate.rule} for {each.predicate.target.label} by {each.key.name} "
        f"until {each.predicate.until:%Y-%m-%d}"
        for each in verified.of(Waiver)
    ]
    digest = evidence.predicate.weights_digest if evidence else None
    reproductions = [
        f"{'identical' if each.predicate.weights_digest == digest else 'other weights'} by {each.key.name} "
        f"on {each.predicate.created:%Y-%m-%d}"
        for each in verified.of(Reproduction)
    ]
    told = {
        "approvals": "; ".join(approvals),
        "waivers": "; ".join(waivers),
        "reproductions": "; ".join(reproductions),
    }
    retirement = verified.retirement
    if retirement is not None:
        told["retired"] = (
            f"by {retirement.key.name} on {retirement.predicate.created:%Y-%m-%d}: {retirement.predicate.why}"
        )
    return {name: text[:4000] for name, text in told.items() if text}


def in_words(detail: Mapping[str, Any]) -> str:
    """Who said what, from the detail of a ledger entry about a person's statement, in a line; empty for others."""
    statement = detail.get("said")
    if not statement:
        return ""
    words = str(statement.get("comment") or statement.get("why") or "")
    about = ""
    if "window" in statement:
        about = f"{statement['action']}, window {statement['window']} ({statement['verdict']})"
    return ": ".join(filter(None, (str(detail.get("name", "")), about, words)))
