"""Whether the version that holds an alias may answer for it, as the gate sees it."""

from collections.abc import Callable
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from resnet_ops_registry.attestations.statements import known_version
from resnet_ops_registry.common.settings import is_direct
from resnet_ops_registry.common.target import Target, canonical_name
from resnet_ops_registry.database.tables import open_database
from resnet_ops_registry.gate.display import GATE_TAG_PREFIX, summary
from resnet_ops_registry.gate.gate import hash_files
from resnet_ops_registry.gate.verdict import COUNTED, REFUSED, refusal_in

if TYPE_CHECKING:
    from mlflow.entities.model_registry import ModelVersion

__all__ = ["why_not"]


def why_not(version: "ModelVersion", alias: str, held: str = "") -> str | None:
    """Why a version must not answer for an alias; None where it may.

    held: the alias that brought it here, where that is another one. Nobody was asked who set that, so rules that count
    people must be its own too, by a policy that guards it.

    Reached as a database, the gate judges it now, by policy, keys, statements and files as they are. Over http it is
    what the server's gate says now, by the files that the evidence is about. An alias that no policy guards proves
    nothing.
    """
    found = _judged_here(version) if is_direct() else _judged_there(version)
    verdict = found(alias)
    if verdict is None:
        return f"no policy guards @{alias} of {version.name}, so holding it proves nothing"
    refused = refusal_in(verdict, datetime.now(UTC))
    if refused is None and held and verdict.endswith(COUNTED) and not (found(held) or "").endswith(COUNTED):
        return f"people are counted for @{alias}, and nobody checked who set @{held}: have the policy guard it alike"
    return refused


def _judged_there(version: "ModelVersion") -> Callable[[str], str | None]:
    """By alias, the summary of the gate's verdict as the server gives it; None for one that no policy guards."""
    told = {
        canonical_name(key.removeprefix(GATE_TAG_PREFIX)): value
        for key, value in version.tags.items()
        if key.startswith(GATE_TAG_PREFIX)
    }
    return lambda alias: told.get(canonical_name(alias))


def _judged_here(version: "ModelVersion") -> Callable[[str], str | None]:
    with open_database() as connection:
        known = known_version(connection, version)
    files = hash_files(known) if known else None

    def judged(alias: str) -> str | None:
        if known is None or files is None:
            return f"{REFUSED}it was deleted"
        with open_database() as connection:
            return summary(connection, known, Target.named(alias), files)

    return judged
