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
        f"{each.said.target.label} by {each.key.name} until {each.said.until:%Y-%m-%d}"
        for each in verified.of(Approval)
    ]
    waivers = [
        f"{each.said.rule} for {each.said.target.label} by {each.key.name} until {each.said.until:%Y-%m-%d}"
        for each in verified.of(Waiver)
    ]
    reproductions = [
        f"{'identical' if evidence and each.said.weights_digest == evidence.said.weights_digest else 'other weights'}"
        f" by {each.key.name} on {each.said.created:%Y-%m-%d}"
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
            f"by {retirement.key.name} on {retirement.said.created:%Y-%m-%d}: {retirement.said.why}"
        )
    return {name: text[:4000] for name, text in told.items() if text}


def in_words(detail: Mapping[str, Any]) -> str:
    """Who said what, from the detail of a ledger entry about a person's statement, in a line; empty for others."""
    said = detail.get("said")
    if not said:
        return ""
    words = str(said.get("comment") or said.get("why") or "")
    about = f"{said['action']}, window {said['window']} ({said['verdict']})" if "window" in said else ""
    return ": ".join(filter(None, (str(detail.get("name", "")), about, words)))
