"""Candidates of a registered model: what the gate says of each, which one is proposed, which one serves."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from resnet_ops.errors import EvidenceError
from resnet_ops_registry.attestations.trust import operators
from resnet_ops_registry.common.mlflow_errors import reported
from resnet_ops_registry.common.settings import is_direct
from resnet_ops_registry.common.target import Target
from resnet_ops_registry.database import tables
from resnet_ops_registry.database.tables import open_database
from resnet_ops_registry.gate.display import WEIGHTS_TAG, refresh_tags, verdicts_told
from resnet_ops_registry.gate.gate import check_all
from resnet_ops_registry.gate.policies import apply_policy, list_policies, policy_for
from resnet_ops_registry.gate.policy import Policy
from resnet_ops_registry.gate.policy_file import policy_text, read_policy
from resnet_ops_registry.gate.shortfall import shortfalls
from resnet_ops_registry.gate.signed_evidence import evidence_of
from resnet_ops_registry.gate.verdict import REFUSED, refusal_in

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities.model_registry import ModelVersion

__all__ = [
    "Candidate",
    "aliases",
    "apply_first_policies",
    "judge_candidates",
    "propose",
    "rank",
    "refusals_of",
    "serving_version",
    "validation_scores",
]

CHALLENGER, CHAMPION = "challenger", "champion"


@dataclass(frozen=True)
class Candidate:
    """A version up for judgement. `refusals`: for each guarded alias or stage why not; None where it passes.

    `shortfalls`: by how much it misses limits for @champion, and what would help; none where only a server knows these.
    """

    member: str
    version: int
    refusals: Mapping[str, str | None]
    shortfalls: Sequence[str] = ()


def apply_first_policies(files: Iterable[Path]) -> list[str]:
    """Put policy files into force where nobody decided on their models yet, and say what is to be known.

    A policy in force is never changed here, and no model is taken out of one: a policy for its exact name would come
    before an operator's pattern. That is an operator's decision, and so is anything over http.
    """
    if not is_direct():
        return []
    return [applied for file in files if (applied := _apply_first_policy(file))]


def _apply_first_policy(file: Path) -> str | None:
    text = policy_text(file)
    policy = read_policy(text, str(file))
    with open_database() as connection:
        tables.lock(connection)
        in_force = list_policies(connection)
        same = next((each for each in in_force if each.policy.model == policy.model), None)
        over = same or next((each for each in in_force if _may_share_a_model(policy, each.policy)), None)
        if over is None and not operators(connection):
            applied, _ = apply_policy(connection, text, str(file))
            refresh_tags(connection)
            return f"{file} is now in force as {applied.label} (first use)"
    if same is not None and same.content == text:
        return None
    why = (
        f"is not what is in force ({over.label})"
        if over
        else "is an operator's to apply: a key of that role is trusted"
    )
    return f"{file} {why}. Put it into force: resnet-ops policy apply {file}"


def _may_share_a_model(new: Policy, known: Policy) -> bool:
    """Whether a model could be governed by one of these instead of the other; of two patterns that is not known."""
    if set(new.model) & set("*?[") and set(known.model) & set("*?["):
        return True
    return known.governs(new.model) or new.governs(known.model)


def judge_candidates(client: "MlflowClient", model: str, versions: Mapping[str, int]) -> list[Candidate]:
    """A verdict for each member's version on everything that the policy guards.

    Reached as a database the gate judges now; over http its tags on the version say what it found last.
    """
    return [
        Candidate(
            member, version, refusals_of(client, model, version), _shortfalls_of(client, model, version)
        )
        for member, version in versions.items()
    ]


def _shortfalls_of(client: "MlflowClient", model: str, version: int) -> list[str]:
    if not is_direct():
        return []
    with open_database() as connection:
        applied = policy_for(connection, model)
    if applied is None or applied.problem:
        return []
    try:
        evidence = evidence_of(client, client.get_model_version(model, str(version))).evidence
    except EvidenceError:  # the refusal says it
        return []
    return shortfalls(applied.policy, Target.named(CHAMPION), evidence.metrics, evidence.positive)


def refusals_of(client: "MlflowClient", model: str, version: int) -> dict[str, str | None]:
    """For each alias or stage that is guarded, by its label: why the gate refuses a version; None where it passes.

    Begins with OBSERVED where the policy lets it through all the same.
    """
    if is_direct():
        verdicts = check_all(model, version)
        return {v.target.label: None if v.allowed else v.summary.removeprefix(REFUSED) for v in verdicts}
    with reported(f"Reading {model} v{version}"):
        tags = client.get_model_version(model, str(version)).tags
    return {label: refusal_in(text, datetime.now(UTC)) for label, text in verdicts_told(tags).items()}


def propose(
    client: "MlflowClient", model: str, candidates: Iterable[Candidate], scores: Mapping[str, float]
) -> str | None:
    """Give @challenger to the best-scoring candidate that may become @champion, and say which member that is.

    scores: by member, higher is better; the smaller version wins a tie. None, and no change, where none passes.
    """
    passing = [c for c in candidates if c.refusals.get(f"@{CHAMPION}", "unguarded") is None]
    if not passing:
        return None
    best = max(passing, key=lambda candidate: rank(scores[candidate.member], candidate.version))
    with reported(f"Proposing {model} v{best.version}"):
        if aliases(client, model).get(CHALLENGER) != best.version:
            client.set_registered_model_alias(model, CHALLENGER, str(best.version))
    return best.member


def validation_scores(
    client: "MlflowClient", model: str, candidates: Iterable[Candidate]
) -> dict[str, float]:
    """By member, the headline metric on the validation split as its signed evidence says; higher is better.

    Not on the test split: of several, the best there is partly the luckiest there, and the gate's interval, which
    judges by that split, would not know. Raises EvidenceError where the evidence does not say it.
    """
    scores = {}
    for candidate in candidates:
        with reported(f"Reading the evidence of {model} v{candidate.version}"):
            version = client.get_model_version(model, str(candidate.version))
            evidence = evidence_of(client, version).evidence
        metrics, by = evidence.metrics, evidence.compared_by
        if by.chosen_by not in metrics:
            raise EvidenceError(
                f"The evidence of {model} v{candidate.version} does not say {by.chosen_by}, by which they are chosen. "
                f"Measure it again: resnet-ops attest evaluation {model} {candidate.version}"
            )
        value = metrics[by.chosen_by].value
        scores[candidate.member] = value if by.higher_is_better else -value
    return scores


def rank(score: float, version: int) -> tuple[float, int]:
    """The largest goes first: the higher score, and of equal ones the smaller version."""
    return score, -version


def aliases(client: "MlflowClient", model: str) -> dict[str, int]:
    """Which version each alias points to."""
    return {alias: int(version) for alias, version in client.get_registered_model(model).aliases.items()}


def serving_version(client: "MlflowClient", model: str) -> dict[str, Any]:
    """The version that serves: the champion, else the challenger; `version` is None where there is neither.

    `created` tells a registry that was wiped and filled again from the one before. operating_point: where the version
    decides, by its signed evidence; None without one. score_threshold: from which its boxes count,
    where it has one.
    """
    with reported(f"Looking for the champion of {model}"):
        known = aliases(client, model)
        for alias in (CHAMPION, CHALLENGER):
            if alias in known:
                found: ModelVersion = client.get_model_version(model, str(known[alias]))
                return {
                    "model": model,
                    "alias": alias,
                    "version": known[alias],
                    "created": found.creation_timestamp,
                    "weights_digest": found.tags.get(WEIGHTS_TAG),
                    **_decides(client, found),
                }
    nobody = ("alias", "version", "created", "weights_digest", "operating_point")
    return {"model": model, **dict.fromkeys(nobody)}


def _decides(client: "MlflowClient", version: "ModelVersion") -> dict[str, Any]:
    try:
        evidence = evidence_of(client, version).evidence
    except EvidenceError:  # whoever loads the version says it
        return {"operating_point": None}
    point, counted = evidence.operating_point, evidence.score_threshold
    return {
        "operating_point": None if point is None else asdict(point),
        **({} if counted is None else {"score_threshold": counted}),
    }
