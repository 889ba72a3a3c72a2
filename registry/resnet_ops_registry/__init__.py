"""MLflow registry plugin: the promotion gate with its policies, attestations, ledger and lineage.

The names below are imported when they are first used: `import resnet_ops_registry` itself is light.
"""

from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any

from resnet_ops.moved import find_moved

if TYPE_CHECKING:
    from resnet_ops_registry.attestations.evidence import Evidence, Metric, Source, metrics_from
    from resnet_ops_registry.client.loading import LoadedModel, load
    from resnet_ops_registry.client.promotion import promote
    from resnet_ops_registry.client.publish import Published, publish
    from resnet_ops_registry.client.team_evidence import attest_evidence
    from resnet_ops_registry.common.connection import connect, ensure_experiment
    from resnet_ops_registry.gate.gate import Verdict, check, check_all

__all__ = [
    "Evidence",
    "LoadedModel",
    "Metric",
    "Published",
    "Source",
    "Verdict",
    "attest_evidence",
    "check",
    "check_all",
    "connect",
    "ensure_experiment",
    "load",
    "metrics_from",
    "promote",
    "publish",
]

_MODULES = {
    "Evidence": "attestations.evidence",
    "LoadedModel": "client.loading",
    "Metric": "attestations.evidence",
    "Published": "publish",
    "Source": "attestations.evidence",
    "Verdict": "gate.gate",
    "attest_evidence": "client.team_evidence",
    "check": "gate.gate",
    "check_all": "gate.gate",
    "connect": "common.connection",
    "ensure_experiment": "common.connection",
    "load": "client.loading",
    "metrics_from": "attestations.evidence",
    "promote": "client.promotion",
    "publish": "client.publish",
}


def __getattr__(name: str) -> Any:
    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_MODULES[name]}"), name)


find_moved(
    __name__,
    Path(__file__).parent,
    {
        "moments": "common.deadlines",
        "paired": "rules.paired",
        "retiring": "client.retirement",
        "policy": "gate.policy gate.policy_file",
        "returning": "client.rollback gate.rollback",
        "settings": "common.settings common.connection",
        "speaking": "client.attesting",
    },
    {
        "Believed": "VerifiedStatements",
        "Said": "Predicate",
        "believed_about": "verified_about",
        "believed_tags": "verified_tags",
        "parse_policy": "read_policy",
        "read_said": "read_predicate",
        "say": "attest",
    },
)
