"""Whether the version that holds an alias may answer for it, as the gate sees it."""

from datetime import UTC, datetime
from typing import TYPE_CHECKING

from resnet_ops_registry.attestations.statements import known_version
from resnet_ops_registry.common.settings import is_direct
from resnet_ops_registry.common.target import Target, canonical_name
from resnet_ops_registry.database.tables import open_database
from resnet_ops_registry.gate.display import GATE_TAG_PREFIX
from resnet_ops_registry.gate.gate import hash_files, judge
from resnet_ops_registry.gate.verdict import refusal_in

if TYPE_CHECKING:
    from mlflow.entities.model_registry import ModelVersion

__all__ = ["why_not"]


def why_not(version: "ModelVersion", alias: str) -> str | None:
    """Why a version must not answer for an alias; None where it may.

    Reached as a database, the gate judges it now, by policy, keys, statements and files as they are. Over http it is
    what the server's gate found when one of these last changed, and wrote on the version. An alias that no policy
    guards proves nothing.
    """
    unguarded = f"no policy guards @{alias} of {version.name}, so holding it proves nothing"
    if not is_direct():
        wanted = canonical_name(alias)
        found = [
            value
            for key, value in version.tags.items()
            if key.startswith(GATE_TAG_PREFIX) and canonical_name(key.removeprefix(GATE_TAG_PREFIX)) == wanted
        ]
        refused = [reason for value in found if (reason := refusal_in(value, datetime.now(UTC))) is not None]
        return "; ".join(refused) or (None if found else unguarded)
    with open_database() as connection:
        known = known_version(connection, version)
        if known is None:
            return "it was deleted"
        # nobody asks for the alias: whoever did was judged then
        verdict = judge(connection, known, Target.named(alias), hash_files(known))
    if not verdict.guarded:
        return unguarded
    return None if verdict.allowed else "; ".join(verdict.reasons)
